"""Files as they are stored, packed or not, and what keeps a small one from growing without end."""

from __future__ import annotations

import gzip
from typing import Any

from pipelines import storage
from pipelines.rejects import Rejected

MAX_EXPANSION = 200
"""A gzip file that grows beyond this, and beyond `FREE_BYTES`, is taken for a bomb."""
FREE_BYTES = 2**30


def open_binary(path: str) -> Any:
    """A file for reading, local or remote, compressed or not: as it is stored.

    Raises:
        Rejected: `missing-file`.
    """
    if storage.is_remote(path):
        from pipelines import quiet  # noqa: F401  (before Beam)

        from apache_beam.io.filesystems import FileSystems  # isort: skip

        if not FileSystems.exists(path):
            raise Rejected("missing-file", f"{path}: no such file")
        return FileSystems.open(path, compression_type="uncompressed")
    try:
        return open(path, "rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise Rejected("missing-file", f"{path}: {error.strerror}") from None


def refuse_a_bomb(path: str, packed: int, unpacked: int) -> None:
    """Raises `unsafe-archive` if so many bytes can't honestly come from so few."""
    if unpacked > max(FREE_BYTES, MAX_EXPANSION * packed):
        raise Rejected("unsafe-archive", f"{packed} bytes of {path} grew to over {unpacked}")


class Counted:
    """A file that knows how many of its bytes were read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes."""
        data: bytes = self._file.read(size)
        self.count += len(data)
        return data

    def unpacked(self) -> gzip.GzipFile:
        """What it holds, decompressed."""
        file: Any = self
        return gzip.GzipFile(fileobj=file)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
