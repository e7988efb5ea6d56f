"""What a worker of a cluster has is the wheel, and what it needs; never the checkout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("pipelines", "model", "scann_index")
EXTRAS = {
    "scann_index.drawing": "matplotlib",
    "scann_index.paper_charts": "matplotlib",
    "scann_index.serve_app": "fastapi",
    "scann_index.serve_http": "fastapi",
    "scann_index.serve_metrics": "prometheus_client",
}
"""Modules that a worker's image has no use for, and what they need of the extras."""
ABSENT = (
    "ctranslate2,datasets,emoji,espeakng_loader,faiss,fastapi,gguf,hnswlib,httpx,lingua,matplotlib,"
    "msgpack,mteb,multipart,playwright,prometheus_client,pykakasi,pytest,starlette,uvicorn"
)
"""What only extras bring."""


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and nothing else in it."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, for building leaves things behind.
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / "source" / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, folder / "source")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", f"--wheel-dir={folder}")
    pip("wheel", *offline, str(folder / "source"))
    (wheel,) = folder.glob("babelear-*.whl")
    pip("install", "--no-deps", "--no-index", f"--target={folder / 'installed'}", str(wheel))
    return folder / "installed"


@pytest.fixture(scope="module")
def imported(installed: Path) -> dict[str, Any]:
    """What came of importing every module, in a folder of its own, without the extras."""
    script = shutil.copy(REPOSITORY / "tests" / "import_all.py", installed.parent)
    paths = [script, str(installed), sysconfig.get_path("purelib")]
    command = [sys.executable, "-I", "-S", *paths, ABSENT]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=installed.parent)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_every_module_is_in_the_wheel(imported: dict[str, Any]) -> None:
    files = [
        path.relative_to(REPOSITORY) for p in PACKAGES for path in (REPOSITORY / p).rglob("*.py")
    ]
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    assert set(imported["modules"]) == names - set(PACKAGES)


def test_every_module_imports_where_nothing_but_the_image_is_installed(
    imported: dict[str, Any],
) -> None:
    errors = imported["errors"]
    missing = {name: f"ModuleNotFoundError: No module named {m!r}" for name, m in EXTRAS.items()}
    assert errors == missing


def test_what_workers_unpickle_imports_no_tensorflow(imported: dict[str, Any]) -> None:
    first = imported["heavy"]
    assert first.startswith("model."), f"{first} takes seconds and threads from every worker"


def test_files_that_are_no_modules_are_in_the_wheel(installed: Path) -> None:
    def data(root: Path) -> set[str]:
        files = (path for package in PACKAGES for path in (root / package).rglob("*"))
        kept = (path for path in files if path.is_file() and path.suffix not in (".py", ".pyc"))
        return {str(path.relative_to(root)) for path in kept}

    assert data(installed) == data(REPOSITORY)
    assert any(name.startswith("scann_index/report_assets/") for name in data(installed))


def test_the_extras_are_told_apart_from_what_a_worker_needs(installed: Path) -> None:
    metadata = next(installed.glob("babelear-*.dist-info/METADATA")).read_text("utf-8")
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert {"apache-beam", "keras", "scann", "soundfile"} <= set(needed)
    assert not set(ABSENT.split(",")) & {name.replace("-", "_") for name in needed}
