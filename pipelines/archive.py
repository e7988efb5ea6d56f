"""Files inside a tar archive, read in one pass from front to back; nothing is unpacked to disk.

Archives come from anywhere, so nothing in them is trusted: links, devices, paths that lead out,
huge members and decompression bombs are refused, each with its reason. The headers are read here
rather than by `tarfile.open`, which takes a damaged header for the end of the archive: the files
behind it would be missing without a word.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.packed_file import Counted, open_binary, refuse_a_bomb
from pipelines.rejects import Rejected

BLOCK = 512
_MOST_HEADER_BYTES = 2**20
_CHUNK = 2**20
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.DIRTYPE: "a folder",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


def members(
    path: str, wanted: Collection[str], *, most_bytes: int
) -> Iterator[tuple[str, bytes | Rejected]]:
    """The contents of some members, in the order in which they lie in the archive.

    Args:
        path: a `.tar` or `.tar.gz`, local or a URL of a filesystem Beam knows; what it is, its
            first bytes decide.
        wanted: paths inside. The archive's own leading folders may be left out: `a.wav` is found as
            `train/a.wav`. Of two members that match, the first is taken.
        most_bytes: a larger member is refused unread; this and a little more is the memory needed.

    Yields:
        Each wanted path once, with its content or why there is none: `missing-file` (also the
        archive), `truncated-archive` (what lies behind a cut or damaged place), `not-an-archive`,
        `unsafe-path`, `unsafe-archive` (a bomb), `too-long`. Those not found come last, in the
        order of `wanted`.

    Raises:
        OSError: the disk or the network failed; another try may succeed.
    """
    missing = dict.fromkeys(wanted)
    if not missing:
        return
    by_name: dict[str, list[str]] = {}
    for name in missing:
        by_name.setdefault(name.rpartition("/")[2], []).append(name)
    try:
        with _Stream(path) as stream:
            for full, kind, size in _headers(stream):
                names = [
                    name
                    for name in by_name.get(full.rpartition("/")[2], ())
                    if name in missing and f"/{full}".endswith(f"/{name}")
                ]
                # A folder of that name may hold the file of that name.
                if names and kind != tarfile.DIRTYPE:
                    content = _content(stream, full, kind, size, most_bytes)
                    for name in names:
                        del missing[name]
                        yield name, content
                if not missing:
                    return
        problem = Rejected("missing-file", f"not in {path}")
    except Rejected as rejected:
        problem = rejected
    for name in missing:
        yield name, problem.without_traceback()


def _content(stream: _Stream, full: str, kind: bytes, size: int, most: int) -> bytes | Rejected:
    if kind not in _REGULAR:
        what = _KINDS.get(kind, f"of the unknown type {kind!r}")
        return Rejected("unsafe-path", f"{full[:200]!r} is {what}, not a file")
    if full.startswith("/") or ".." in full.split("/"):
        return Rejected("unsafe-path", f"{full[:200]!r} leads out of the archive")
    if size > most:
        return Rejected("too-long", f"{size} bytes, the most that is read is {most}")
    return stream.read(size)


def _headers(stream: _Stream) -> Iterator[tuple[str, bytes, int]]:
    """Each member's path, type and size; whoever takes it may read the content before the next.

    Raises:
        Rejected: the archive can't be read any further.
    """
    own_path, own_size, found = "", None, False
    while True:
        start = stream.place
        block = stream.read(BLOCK, end_is="its end mark is missing")
        if not block.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if info.size < 0:
                raise tarfile.HeaderError("a negative size")
        except tarfile.HeaderError:
            _to_next_header(stream, start, found)
            own_path, own_size = "", None
            continue
        found = True
        special = info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
        if special and info.size <= _MOST_HEADER_BYTES:
            data = stream.read(info.size)
            if info.type == tarfile.XHDTYPE:
                own_path, own_size = _pax(data, own_path)
            else:
                own_path = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif info.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            size = info.size if own_size is None else own_size
            before = stream.place
            # Links say how long their target is, and have no content.
            stored = size if info.type in (*_REGULAR, tarfile.GNUTYPE_SPARSE) else 0
            path = own_path or info.name
            yield path.removeprefix("./"), info.type, size
            stream.skip(before + stored - stream.place)
            own_path, own_size = "", None
        else:
            stream.skip(info.size)
        stream.skip(-stream.place % BLOCK)


def _pax(data: bytes, path: str) -> tuple[str, int | None]:
    """The path and the size in an extended header (POSIX.1-2001, pax)."""
    size = None
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            break
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if key == b"path":
            path = value.decode("utf-8", "surrogateescape")
        elif key == b"size" and value.isdigit():
            size = int(value)
        data = data[int(length) :]
    return path, size


def _to_next_header(stream: _Stream, start: int, found: bool) -> None:
    """Reads on to the next block that is a header; `stream` hands it out again."""
    while True:
        end = f"a damaged header at byte {start}, and none behind it" if found else ""
        try:
            block = stream.read(BLOCK, end_is=end)
        except Rejected:
            if found:
                raise
            raise Rejected("not-an-archive", f"{stream.path} holds no tar header") from None
        if block[257:262] != b"ustar":
            continue
        try:
            tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            continue
        stream.put_back(block)
        return


@contextmanager
def open_member(path: str, name: str) -> Iterator[io.BufferedReader]:
    """One file inside an archive, to be read from front to back.

    Args:
        path: as in `members`.
        name: as in `members`, or `*` and what its path ends with.

    Raises:
        Rejected: as `members` gives; also by the file while it is read.
    """
    ending = name.removeprefix("*") if name.startswith("*") else f"/{name}"
    with _Stream(path) as stream:
        for full, kind, size in _headers(stream):
            if kind in _REGULAR and f"/{full}".endswith(ending):
                yield io.BufferedReader(_Member(stream, size))
                return
    raise Rejected("missing-file", f"no {name} in {path}")


class _Member(io.RawIOBase):
    def __init__(self, stream: _Stream, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(self._left, len(buffer)))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


class _Stream:
    """The bytes of an archive from front to back, decompressed; a context manager.

    Attributes:
        place: how many bytes were read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.place = 0
        self._again = b""

    def __enter__(self) -> _Stream:
        with open_binary(self.path) as file:
            packed = file.read(2) == b"\x1f\x8b"
        self._raw = Counted(open_binary(self.path))
        self._file: Any = self._raw.unpacked() if packed else self._raw
        self._packed = packed
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def put_back(self, data: bytes) -> None:
        """What the next `read` gives first."""
        self._again = data
        self.place -= len(data)

    def skip(self, count: int) -> None:
        while count > 0:
            count -= len(self.read(min(count, _CHUNK)))

    def read(self, count: int, end_is: str = "") -> bytes:
        """Exactly so many bytes.

        Raises:
            Rejected: `truncated-archive`: there aren't as many, or they can't be decompressed;
                `unsafe-archive`: they are a bomb.
        """
        parts, missing = [self._again[:count]], count - len(self._again[:count])
        self._again = self._again[count:]
        while missing:
            try:
                part = self._file.read(min(missing, _CHUNK))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                detail = f"{self.path} can't be read beyond byte {self.place}: {error}"
                raise Rejected("truncated-archive", detail) from None
            if not part:
                detail = f"{self.path} ends at byte {self.place + count - missing}"
                raise Rejected("truncated-archive", f"{detail}: {end_is}" if end_is else detail)
            parts.append(part)
            missing -= len(part)
        self.place += count
        if self._packed:
            refuse_a_bomb(self.path, self._raw.count, self.place)
        return b"".join(parts)
