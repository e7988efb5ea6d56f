"""The bytes of a file too large for memory, used as if they were in it."""

from __future__ import annotations

import io
from typing import Any

WINDOW = 2**20
"""So many bytes are held at a time."""


class FileView:
    """Indexed, sliced and searched like `bytes`; what is read is read again when asked for again.

    Args:
        file: opened for reading, seekable; local, or remote as Beam opens it.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._size = int(file.seek(0, io.SEEK_END) or file.tell())
        self._start = 0
        self._window = b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, int):
            return self.read(key, key + 1)[0]
        start, end, _ = key.indices(self._size)
        return self.read(start, end)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end` or the end of the file."""
        end = min(end, self._size)
        if end <= start:
            return b""
        if not self._start <= start <= end <= self._start + len(self._window):
            if end - start > WINDOW:
                self._file.seek(start)
                return self._whole(end - start)
            self._file.seek(start)
            self._start, self._window = start, self._whole(min(WINDOW, self._size - start))
        return self._window[start - self._start : end - self._start]

    def find(self, wanted: bytes, start: int = 0) -> int:
        """Where `wanted` next occurs from `start` on; -1 if it doesn't."""
        while start < self._size:
            part = self.read(start, start + WINDOW)
            place = part.find(wanted)
            if place >= 0:
                return start + place
            if start + len(part) >= self._size:
                break
            # It may lie across the edge.
            start += len(part) - len(wanted) + 1
        return -1

    def part(self, start: int = 0, end: int | None = None, before: bytes = b"") -> io.RawIOBase:
        """A file for reading: some bytes of one's own, then those from `start` to `end`."""
        return _Part(self, start, self._size if end is None else end, before)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _whole(self, count: int) -> bytes:
        parts = []
        while count:
            data = self._file.read(count)
            if not data:
                raise OSError("the file became shorter while it was read")
            parts.append(data)
            count -= len(data)
        return b"".join(parts)


class _Part(io.RawIOBase):
    def __init__(self, view: FileView, start: int, end: int, before: bytes) -> None:
        super().__init__()
        self._view = view
        self._before = before
        self._offset = start - len(before)
        self._size = end - self._offset
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        data = self._before[self._place : self._place + wanted]
        if len(data) < wanted:
            start = self._offset + self._place + len(data)
            data += self._view.read(start, start + wanted - len(data))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
