"""Lines of a text file as corpora publish it: plain, gzipped, or inside a tar archive.

Read from front to back, a piece at a time, from local disk or through Beam's filesystems. What a
line holds is not judged here.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipelines import archive
from pipelines.packed_file import Counted, open_binary, refuse_a_bomb
from pipelines.rejects import Rejected

LONGEST_LINE = 2**20
"""Bytes; of a longer line only this and one byte more is given."""

Line = tuple[int, bytes]
"""Its number, from 1, and its bytes without the line end."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lines(path: str, *, member: str = "") -> Iterator[Line]:
    """The lines of a file; a byte order mark is left out.

    Args:
        path: local or a URL of a filesystem Beam knows; whether it is gzipped, its first bytes say.
        member: read this file inside the tar archive `path`; `*.tsv` for the first that ends so.

    Raises:
        Rejected: `missing-file`; `truncated-file`: the lines given so far are all that can be had;
            `unsafe-archive`: it is a decompression bomb.
        OSError: the disk or the network failed.
    """
    with opened(path, member) as file:
        yield from numbered(file, path)


def numbered(file: Any, path: str) -> Iterator[Line]:
    """The lines of an open binary file; `path` is for messages only."""
    for number in itertools.count(1):
        try:
            line = part = file.readline(LONGEST_LINE + 1)
            while len(part) > LONGEST_LINE and not part.endswith(b"\n"):
                part = file.readline(LONGEST_LINE + 1)
        except Rejected as rejected:
            raise Rejected(rejected.reason, f"line {number} of {path}: {rejected.detail}") from None
        if not line:
            return
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        yield number, line.rstrip(b"\r\n")


@contextmanager
def opened(path: str, member: str = "") -> Iterator[Any]:
    """The file that `lines` reads, decompressed; its `readline` raises as `lines` does."""
    if member:
        with archive.open_member(path, member) as file:
            yield file
        return
    with open_binary(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
    with open_binary(path) as raw:
        yield io.BufferedReader(_Unpacked(raw, path)) if packed else raw


class _Unpacked(io.RawIOBase):
    """A gzip file that stops where it turns out to be a bomb."""

    def __init__(self, raw: Any, path: str) -> None:
        super().__init__()
        self._raw = Counted(raw)
        self._file = self._raw.unpacked()
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            # Not `read`, which would lose what comes right before the fault.
            data = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Rejected(
                "truncated-file", f"can't be decompressed any further: {error}"
            ) from None
        buffer[: len(data)] = data
        refuse_a_bomb(self._path, self._raw.count, self._file.tell())
        return len(data)
