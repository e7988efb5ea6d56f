"""What lies in a bucket and has to be a file: indexes and models, copied to this machine once.

Copies are kept in `$BABELEAR_CACHE`, or else in a folder among the temporary ones that belongs to
the user alone, and are never removed by Babelear.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pipelines import storage
from pipelines.progress import copy_bar

HUBS = ("kaggle://", "hf://", "modelscope://")
"""Schemes that KerasHub fetches presets from by itself."""
_BLOCK = 2**22


def download(path: str, local: str) -> None:
    """Copies a file to a local path, where it appears whole.

    Raises:
        OSError: it can't be read or written.
    """
    folder = os.path.dirname(local)
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=storage.TEMPORARY, dir=folder)
    try:
        with os.fdopen(handle, "wb") as target, storage.opened(path) as source:
            shutil.copyfileobj(source, target, _BLOCK)
        os.replace(temporary, local)
    except BaseException:
        storage.remove(temporary)
        raise


def move(local: str, path: str) -> None:
    """Moves a local file to its place, local (on the same disk) or remote; it appears there whole.

    Raises:
        OSError: it can't be read or written.
    """
    if not storage.is_remote(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(local, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(local, 0o644)
        os.replace(local, path)
        return
    from pipelines import quiet  # noqa: F401  (before Beam)

    from apache_beam.io.filesystems import FileSystems  # isort: skip

    with (
        open(local, "rb") as source,
        FileSystems.create(path, compression_type="uncompressed") as target,
    ):
        shutil.copyfileobj(source, target, _BLOCK)
    os.unlink(local)


def working_folder(beside: str) -> tempfile.TemporaryDirectory[str]:
    """A folder for a moment, on the disk of `beside` if that is local."""
    if storage.is_remote(beside):
        return tempfile.TemporaryDirectory(prefix="babelear-")
    Path(beside).mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=storage.TEMPORARY, dir=beside)


def fetch(folder: str, files: Mapping[str, str], digest: str) -> str:
    """Copies the files of a remote index that are not here yet.

    Args:
        folder: of the index.
        files: their names, relative to it, and their SHA-256; they have been found harmless.
        digest: of the index: the same one is copied once, however often it is opened.

    Returns:
        The local folder.

    Raises:
        OSError: a file can't be read or written.
    """
    local = os.path.join(_cache(), digest[:32])
    for name, expected in files.items():
        path = os.path.join(local, name)
        # One that is here may be damaged; what was copied just now is checked by the caller.
        if not os.path.exists(path) or storage.file_sha256(path) != expected:
            download(storage.join(folder, name), path)
    return local


def fetch_model(source: str) -> str:
    """A model's folder on this machine: copied, if it lies in a bucket.

    Nothing lists its files' hashes, so a copy stands for their names, sizes and times: when one of
    them changes, all are copied anew. Processes that ask for the same folder wait for one to copy.

    Args:
        source: a folder, local or remote (`gs://…`); or a preset's name or handle.

    Returns:
        The local folder, whose own name is that of `source`. A local `source`, a name, and a handle
        of one of `HUBS` are returned as they are.

    Raises:
        ValueError: a remote folder holds nothing, or a file whose name leads out of it.
        OSError: a file can't be read or written.
    """
    if not storage.is_remote(source) or source.startswith(HUBS):
        return source
    files = storage.remote_tree(source)
    if not files:
        raise ValueError(f"{source} holds no files")
    for name, _, _ in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{source} holds {name!r}, which would be written outside its copy")
    key = storage.sha256(json.dumps([source.rstrip("/"), files]).encode())[:32]
    local = os.path.join(_cache(), key, source.rstrip("/").rpartition("/")[2])
    os.makedirs(local, exist_ok=True)
    with open(os.path.join(_cache(), key, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _complete(local, source, {name: size for name, size, _ in files})
    return local


def _complete(local: str, source: str, sizes: Mapping[str, int]) -> None:
    """Copies the files of a folder that its copy lacks."""
    paths = {name: os.path.join(local, name) for name in sizes}
    absent = [
        name
        for name, path in paths.items()
        if not os.path.exists(path) or os.path.getsize(path) != sizes[name]
    ]
    if not absent:
        return
    with copy_bar() as bar:
        task = bar.add_task(
            f"copy {os.path.basename(local)}", total=sum(sizes[name] for name in absent)
        )
        for name in absent:
            download(storage.join(source, name), paths[name])
            bar.advance(task, sizes[name])


def _cache() -> str:
    """The folder of all copies.

    Raises:
        PermissionError: it lies among the temporary files and others may write to it.
    """
    if named := os.environ.get("BABELEAR_CACHE"):
        os.makedirs(named, mode=0o700, exist_ok=True)
        return named
    folder = os.path.join(tempfile.gettempdir(), f"babelear-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    made = os.lstat(folder)
    # Anybody may make a folder of this name there, and put models into it.
    if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.getuid() or made.st_mode & 0o022:
        raise PermissionError(f"{folder} is not yours alone; name another folder by BABELEAR_CACHE")
    return folder
