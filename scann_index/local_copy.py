"""Big files, copied and hashed in blocks; an index in a bucket, searched through a local copy."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pipelines import storage

_BLOCK = 2**22


def _open(path: str) -> IO[bytes] | Any:
    """A file to read from.

    Raises:
        FileNotFoundError: nothing is there.
    """
    if not storage.is_remote(path):
        return open(path, "rb")
    from pipelines import quiet  # noqa: F401  (before Beam)

    from apache_beam.io.filesystems import FileSystems  # isort: skip

    if not storage.exists(path):
        raise FileNotFoundError(path)
    return FileSystems.open(path, compression_type="uncompressed")


def sha256(path: str) -> str:
    """The hexadecimal SHA-256 of a file of any size, local or remote.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    with _open(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def download(path: str, local: str) -> None:
    """Copies a file to a local path, where it appears whole.

    Raises:
        OSError: it can't be read or written.
    """
    folder = os.path.dirname(local)
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=storage.TEMPORARY, dir=folder)
    try:
        with os.fdopen(handle, "wb") as target, _open(path) as source:
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
        The local folder. It is `$BABELEAR_CACHE/DIGEST`, or lies in the folder for temporary files,
        and is never removed by Babelear.

    Raises:
        OSError: a file can't be read or written.
    """
    cache = os.environ.get("BABELEAR_CACHE") or os.path.join(
        tempfile.gettempdir(), f"babelear-{os.getuid()}"
    )
    local = os.path.join(cache, digest[:32])
    os.makedirs(cache, mode=0o700, exist_ok=True)
    for name, expected in files.items():
        path = os.path.join(local, name)
        # One that is here may be damaged; what was copied just now is checked by the caller.
        if not os.path.exists(path) or sha256(path) != expected:
            download(storage.join(folder, name), path)
    return local
