"""What several files search: an index of the tiny corpus."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.output_dir import OutputDir
from scann_index.build import BuildOptions, build
from scann_index.searcher import Searcher
from scann_index.serve_app import Settings, create_app
from tests.scann_index.requests import LIMITS


@pytest.fixture(scope="session")
def project(
    tiny_data: OutputDir, tiny_preset: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A preset, `run/preset`, and beside it an `index` built with it; leave it as it is."""
    root = tmp_path_factory.mktemp("tiny") / "project"
    shutil.copytree(tiny_preset, root / "run" / "preset")
    build(BuildOptions(model=str(root / "run"), data=tiny_data.path, output=str(root / "index")))
    return root


@pytest.fixture(scope="module")
def searcher(project: Path) -> Searcher:
    return Searcher.open(str(project / "index"))


@pytest.fixture(scope="module")
def app(searcher: Searcher) -> Any:
    """The server, which counts what it is asked: one for each file of tests."""
    return create_app(searcher, Settings(limits=LIMITS, batch_wait=0.1))
