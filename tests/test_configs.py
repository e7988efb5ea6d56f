"""Every file under configs/ is taken by the verb that its name says."""

from __future__ import annotations

import importlib
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from pipelines import options as command_line

# A study is no config of a verb: tests/benchmarks/test_study.py.
CONFIGS = sorted(
    path
    for path in (Path(__file__).parent.parent / "configs").rglob("*.yaml")
    if not path.stem.startswith("study")
)
VERBS = {
    "prepare": "pipelines.prepare",
    "train": "model.train",
    "build": "scann_index.build",
    "evaluate": "scann_index.evaluate",
    "cascade": "scann_index.cascade",
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_config_gives_its_verb_all_that_it_needs(path):
    verb = path.stem.partition("-")[0]
    module = importlib.import_module(VERBS[verb])
    options_class = getattr(module, f"{verb.capitalize()}Options")
    assert is_dataclass(options_class)

    command_line.parse(options_class, ["--config", str(path)], prog=verb, description="")

    assert f"python -m {VERBS[verb]} --config configs/" in path.read_text(encoding="utf-8")
