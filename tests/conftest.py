"""Fixtures that cost seconds, made once for all tests."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.output_dir import OutputDir
from tests import tiny


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> OutputDir:
    """A complete directory of pairs; don't write into it."""
    return tiny.tiny_data(str(tmp_path_factory.mktemp("tiny") / "data"))


@pytest.fixture(scope="session")
def tiny_preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained preset; don't write into it."""
    return tiny.tiny_preset(str(tmp_path_factory.mktemp("tiny") / "preset"))


@pytest.fixture(scope="session")
def jax_python() -> str:
    """An interpreter that has JAX: `make test` makes an environment of its own for it."""
    named = os.environ.get("JAX_PYTHON", "")
    if not named and importlib.util.find_spec("jax") is None:
        pytest.skip("no JAX here; JAX_PYTHON may name the interpreter of an environment with it")
    return named or sys.executable
