"""A model in a bucket is copied to this machine once, and anew when it has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines import local_copy
from tests import captured_job, fake_storage
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)

FILES = {"model/config.json": b"{}", "model/assets/vocabulary.spm": b"words"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies are kept."""
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture()
def objects() -> Iterator[fake_storage.Objects]:
    """A bucket with a model."""
    with captured_job.bucket() as found:
        found.update(FILES)
        yield found


def contents(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    found = (path for path in root.rglob("*") if path.is_file())
    return {f"model/{path.relative_to(root)}": path.read_bytes() for path in found}


def test_a_copy_holds_every_file_under_the_folder_s_own_name(objects: fake_storage.Objects) -> None:
    objects["model/"] = objects["model/assets/"] = b""  # empty folders, as consoles make them
    objects["model-2/config.json"] = b"another"
    folder = local_copy.fetch_model("gs://bucket/model/")

    assert os.path.basename(folder) == "model"
    assert contents(folder) == FILES


def test_a_folder_is_copied_once_however_many_ask(objects: fake_storage.Objects) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(local_copy.fetch_model, ["gs://bucket/model"] * 4))

    assert len(folders) == 1
    assert objects.downloaded == {name: len(data) for name, data in FILES.items()}


def test_what_a_killed_copy_left_out_is_added(
    objects: fake_storage.Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = local_copy.fetch_model("gs://bucket/model")
    out, err = capsys.readouterr()
    assert "copy model" in err and "7/7 bytes" in err and not out
    Path(folder, "config.json").unlink()
    Path(folder, "assets", "vocabulary.spm").write_bytes(b"wor")

    assert contents(local_copy.fetch_model("gs://bucket/model")) == FILES
    capsys.readouterr()
    local_copy.fetch_model("gs://bucket/model")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_folder_that_was_written_anew_is_copied_anew(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "model" / "config.json"
    path.parent.mkdir()
    path.write_bytes(b"old")
    before = local_copy.fetch_model(f"bucket:/{tmp_path}/model")
    path.write_bytes(b"new" if seconds else b"longer")
    os.utime(path, (os.path.getatime(path), os.path.getmtime(path) + seconds))
    after = local_copy.fetch_model(f"bucket:/{tmp_path}/model")

    assert Path(before, "config.json").read_bytes() == b"old"
    assert Path(after, "config.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["model/../../escaped", "model//etc/escaped"])
def test_a_name_that_leads_out_of_the_copy_is_refused(
    objects: fake_storage.Objects, cache: Path, name: str
) -> None:
    objects[name] = b"harm"
    with pytest.raises(ValueError, match="written outside its copy"):
        local_copy.fetch_model("gs://bucket/model")
    assert not list(cache.rglob("*"))


@pytest.mark.parametrize("harm", ["open to all", "a link"])
def test_a_cache_among_the_temporary_files_that_others_may_fill_is_refused(
    objects: fake_storage.Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.delenv("BABELEAR_CACHE")
    monkeypatch.setattr(local_copy.tempfile, "tempdir", str(tmp_path))
    assert contents(local_copy.fetch_model("gs://bucket/model")) == FILES
    folder = tmp_path / f"babelear-{os.getuid()}"
    if harm == "a link":
        folder = folder.rename(tmp_path / "elsewhere")
        (tmp_path / f"babelear-{os.getuid()}").symlink_to(folder)
    else:
        folder.chmod(0o777)
    with pytest.raises(PermissionError, match="not yours alone"):
        local_copy.fetch_model("gs://bucket/model")


def test_a_folder_without_files_is_refused(objects: fake_storage.Objects) -> None:
    with pytest.raises(ValueError, match="gs://bucket/none holds no files"):
        local_copy.fetch_model("gs://bucket/none")


@pytest.mark.parametrize(
    "source", ["gemma3_270m", "./model", "kaggle://keras/gemma3/keras/gemma3_270m", "hf://a/b"]
)
def test_what_is_here_or_on_a_hub_is_left_to_who_reads_it(source: str) -> None:
    assert local_copy.fetch_model(source) == source
