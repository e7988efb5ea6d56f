"""Files, local or in the cloud, written so that nothing half-written is ever visible.

Local paths go through the standard library; anything with a scheme (`gs://…`) through Beam's
filesystems, imported only then. An object in a bucket appears whole when it is closed; a local file
is written beside its place and renamed into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

TEMPORARY = ".writing-"


def is_remote(path: str) -> bool:
    """Whether `path` names a filesystem other than the local one."""
    return "://" in path


def join(folder: str, *names: str) -> str:
    """Joins with `/`, for local and remote paths alike."""
    return "/".join([folder.rstrip("/"), *names])


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    if is_remote(path):
        return bool(_filesystems().exists(path))
    return os.path.exists(path)


def read_bytes(path: str) -> bytes:
    """A whole file.

    Raises:
        FileNotFoundError: nothing is there.
    """
    with opened(path) as file:
        return bytes(file.read())


def write_bytes(path: str, data: bytes) -> None:
    """Writes a whole file; a reader sees the old one or the new one, never a part."""
    if is_remote(path):
        with _filesystems().create(path, compression_type="uncompressed") as file:
            file.write(data)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def read_json(path: str) -> Any:
    """A JSON file's value."""
    return json.loads(read_bytes(path))


def write_json(path: str, value: Any) -> None:
    """Writes indented UTF-8 JSON, keys in the order given."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode("utf-8"))


def list_files(folder: str, pattern: str = "*") -> list[str]:
    """The files directly inside `folder` whose name matches, sorted; none if it is absent."""
    if is_remote(folder):
        matched = _filesystems().match([join(folder, pattern)])[0].metadata_list
        return sorted(m.path for m in matched)
    names = (p for p in Path(folder).glob(pattern) if p.is_file())
    return sorted(str(p) for p in names if not p.name.startswith(TEMPORARY))


def list_tree(folder: str) -> list[tuple[str, int]]:
    """Every file below `folder`, its path from there and its size, sorted; none if it is absent."""
    if is_remote(folder):
        return sorted((name, m.size_in_bytes) for name, m in _below(folder))
    # Links to folders are not followed: they may lead round in a circle.
    found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(
        (path.relative_to(folder).as_posix(), path.stat().st_size)
        for path in found
        if path.is_file() and not path.name.startswith(TEMPORARY)
    )


def remote_tree(folder: str) -> list[tuple[str, int, float]]:
    """Every file below a remote `folder`, sorted; none if it is absent.

    Returns:
        Its path from there, its size in bytes, and when it was last written, in seconds since 1970.
    """

    def written(file: Any) -> float:
        # Not every filesystem lists times.
        return float(file.last_updated_in_seconds or _filesystems().last_updated(file.path))

    return sorted((name, m.size_in_bytes, written(m)) for name, m in _below(folder))


def is_empty(folder: str, *, but_for: Collection[str] = ()) -> bool:
    """Whether it is absent, or holds nothing but what a killed local writer left behind.

    Args:
        folder: local, or remote: there, any file counts.
        but_for: names of local files that don't count.
    """
    if is_remote(folder) or not os.path.exists(folder):
        return not list_files(folder)
    names = set(os.listdir(folder)).difference(but_for)
    return all(name.startswith(TEMPORARY) for name in names)


def remove(path: str) -> None:
    """Removes a file or a folder with all it holds; does nothing if it isn't there."""
    if is_remote(path):
        if exists(path):
            _filesystems().delete([path])
        return
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)


def remove_temporary_files(folder: str) -> None:
    """Removes what a killed local writer left behind."""
    if not is_remote(folder) and os.path.isdir(folder):
        for left in Path(folder).rglob(f"{TEMPORARY}*"):
            remove(str(left))


def sha256(data: bytes) -> str:
    """The hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: str) -> str:
    """The hexadecimal SHA-256 of a file, read a piece at a time.

    Raises:
        FileNotFoundError: nothing is there.
    """
    digest = hashlib.sha256()
    with opened(path) as file:
        while piece := file.read(2**22):
            digest.update(piece)
    return digest.hexdigest()


def opened(path: str) -> Any:
    """A binary file to read from.

    Raises:
        FileNotFoundError: nothing is there.
    """
    if not is_remote(path):
        return Path(path).open("rb")
    if not exists(path):
        raise FileNotFoundError(path)
    return _filesystems().open(path, compression_type="uncompressed")


def _below(folder: str) -> list[tuple[str, Any]]:
    """The files below a remote folder: paths from there, and Beam's `FileMetadata`."""
    matched = _filesystems().match([join(folder, "**")])[0].metadata_list
    start = len(folder.rstrip("/")) + 1
    # An object whose name ends in a slash is how consoles show an empty folder.
    return [(m.path[start:], m) for m in matched if m.path[start:] and not m.path.endswith("/")]


def _filesystems() -> Any:
    from pipelines import quiet  # noqa: F401  (before Beam)

    from apache_beam.io.filesystems import FileSystems  # isort: skip

    return FileSystems
