"""What several files search: an index of the tiny corpus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.output_dir import OutputDir
from scann_index.build import BuildOptions, build


@pytest.fixture(scope="session")
def project(
    tiny_data: OutputDir, tiny_preset: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A preset, `run/preset`, and beside it an `index` built with it; leave it as it is."""
    root = tmp_path_factory.mktemp("tiny") / "project"
    shutil.copytree(tiny_preset, root / "run" / "preset")
    build(BuildOptions(model=str(root / "run"), data=tiny_data.path, output=str(root / "index")))
    return root
