"""A file is there whole or not at all, on the disk and in a bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import storage


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that isn't there yet, with nothing but its parent."""
    if request.param == "local":
        return f"{tmp_path}/data"
    from tests.pipelines import bucket_filesystem  # noqa: F401

    return f"bucket:/{tmp_path}/data"


def test_what_is_written_is_read_in_folders_made_on_the_way(folder: str) -> None:
    path = storage.join(folder, "a", "b.bin")
    assert not storage.exists(path)

    storage.write_bytes(path, b"\x00\xffone")
    storage.write_bytes(path, b"two")

    assert storage.exists(path)
    assert storage.read_bytes(path) == b"two"
    assert storage.list_files(storage.join(folder, "a")) == [path]


def test_a_compressed_name_changes_nothing_about_the_bytes(folder: str) -> None:
    path = storage.join(folder, "a.gz")
    storage.write_bytes(path, b"plain")

    assert storage.read_bytes(path) == b"plain"


def test_a_missing_file_is_said_to_be_missing(folder: str) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        storage.read_bytes(storage.join(folder, "absent"))


def test_json_keeps_order_and_letters(folder: str) -> None:
    path = storage.join(folder, "a.json")
    value = {"z": "猫", "a": [1, 2.5, None, True]}
    storage.write_json(path, value)

    assert list(storage.read_json(path)) == ["z", "a"]
    assert storage.read_json(path) == value
    assert "猫".encode() in storage.read_bytes(path)
    assert storage.read_bytes(path).endswith(b"}\n")


def test_files_are_listed_sorted_by_pattern_and_without_folders(folder: str) -> None:
    for name in ("b.json", "a.json", "c.txt", "deeper/d.json"):
        storage.write_bytes(storage.join(folder, name), b"")

    assert storage.list_files(folder, "*.json") == [
        storage.join(folder, "a.json"),
        storage.join(folder, "b.json"),
    ]
    assert storage.list_files(storage.join(folder, "absent")) == []


def test_removing_a_file_twice_is_no_error(folder: str) -> None:
    path = storage.join(folder, "a")
    storage.write_bytes(path, b"a")
    storage.remove(path)
    storage.remove(path)

    assert not storage.exists(path)


def test_a_local_folder_is_removed_with_all_it_holds(tmp_path: Path) -> None:
    storage.write_bytes(f"{tmp_path}/data/a/b", b"")
    storage.remove(f"{tmp_path}/data")

    assert os.listdir(tmp_path) == []


def test_a_folder_is_empty_if_it_holds_neither_files_nor_folders(folder: str) -> None:
    assert storage.is_empty(folder)

    storage.write_bytes(storage.join(folder, "a"), b"")
    assert not storage.is_empty(folder)


def test_a_folder_of_folders_is_not_empty_but_one_of_leftovers_is(tmp_path: Path) -> None:
    (tmp_path / f"{storage.TEMPORARY}x").write_bytes(b"")
    assert storage.is_empty(str(tmp_path))

    (tmp_path / "thesis").mkdir()
    assert not storage.is_empty(str(tmp_path))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = f"{tmp_path}/a"
    storage.write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        storage.write_bytes(path, b"new")

    assert os.listdir(tmp_path) == ["a"]
    assert storage.read_bytes(path) == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_killed_in_the_middle_leaves_the_old_file_whole(tmp_path: Path, call: str) -> None:
    path = f"{tmp_path}/deep/a"
    storage.write_bytes(path, b"old")
    program = (
        "import os, signal\n"
        "from pipelines import storage\n"
        f"os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"storage.write_bytes({path!r}, b'new' * 1000)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    left = [name for name in os.listdir(tmp_path / "deep") if name != "a"]

    assert killed.returncode == -signal.SIGKILL
    assert storage.read_bytes(path) == b"old"
    assert len(left) == 1 and left[0].startswith(storage.TEMPORARY)
    assert storage.list_files(f"{tmp_path}/deep") == [path]

    storage.remove_temporary_files(str(tmp_path))
    assert os.listdir(tmp_path / "deep") == ["a"]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    storage.write_bytes(f"{tmp_path}/a", b"")

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_path_with_a_scheme_is_remote() -> None:
    assert storage.is_remote("gs://bucket/a")
    assert not storage.is_remote("/home/a:b/c")
    assert storage.join("gs://bucket/a/", "b", "c") == "gs://bucket/a/b/c"


def test_a_file_is_hashed_a_piece_at_a_time(folder: str) -> None:
    path = storage.join(folder, "big")
    data = bytes(range(256)) * 10_000
    storage.write_bytes(path, data)
    assert storage.file_sha256(path) == storage.sha256(data)
    with pytest.raises(FileNotFoundError):
        storage.file_sha256(storage.join(folder, "none"))


def test_the_hash_is_sha_256() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert storage.sha256(b"") == empty
