"""Where sound comes from: the bytes of a file, local or remote, and what eSpeak speaks."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.containers import Data
from pipelines.file_view import FileView
from pipelines.recording import Recording
from pipelines.rejects import Rejected

IN_MEMORY = 32 * 2**20
"""A file of more bytes is not read as a whole."""

# What is wrong with this one file; any other error is the machine's, and worth another try.
_FAULTS_OF_THE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)


def read_file(reference: str, most: int) -> bytes:
    """All bytes of a file.

    Args:
        reference: as in `open_file`.
        most: as in `open_file`.

    Raises:
        Rejected: as `open_file` does.
        OSError: as `open_file` does.
    """
    data = open_file(reference, most)
    return data if isinstance(data, bytes) else bytes(data[:])


def open_file(reference: str, most: int) -> Data:
    """The bytes of a file, or a view of one that is larger than `IN_MEMORY`.

    Args:
        reference: a local path, or a URL of a filesystem Beam knows.
        most: a file of more bytes is refused.

    Raises:
        Rejected: `unsafe-path`, `missing-file`, `too-long`.
        OSError: the disk or the network failed; another try may succeed.
    """
    if "\0" in reference:
        raise Rejected("unsafe-path", "holds a NUL byte")
    if not reference:
        raise Rejected("missing-file", "the path is empty")
    read = _read_remote if storage.is_remote(reference) else _read_local
    data = read(reference)
    if len(data) > most:
        raise Rejected("too-long", f"over {most} bytes, the most that is read")
    return data


def _read_local(path: str) -> Data:
    try:
        # Opening a named pipe would wait for its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Rejected("missing-file", "is a folder or a device, not a file")
        return _data(open(path, "rb"))
    except OSError as error:
        if error.errno not in _FAULTS_OF_THE_FILE:
            raise
        raise Rejected("missing-file", error.strerror or str(error)) from None
    except UnicodeEncodeError:
        raise Rejected("unsafe-path", "can't be encoded as a path") from None


def _read_remote(url: str) -> Data:
    from pipelines import quiet  # noqa: F401  (before Beam)

    from apache_beam.io.filesystems import FileSystems  # isort: skip

    try:
        FileSystems.get_filesystem(url)
    except ValueError as error:
        raise Rejected("missing-file", str(error)) from None
    try:
        return _data(FileSystems.open(url, compression_type="uncompressed"))
    except Exception:
        # Beam has no one error for "not there"; whatever else it is may pass.
        if not FileSystems.exists(url):
            raise Rejected("missing-file", "no such object") from None
        raise


def _data(file: Any) -> Data:
    """What a file holds; the file is closed unless it stays to be viewed."""
    try:
        data = bytes(file.read(IN_MEMORY + 1))
    except BaseException:
        file.close()
        raise
    if len(data) > IN_MEMORY:
        return FileView(file)
    file.close()
    return data


class Recordings:
    """Recordings by name, the last one kept: parts of a recording mostly follow each other.

    Args:
        most: as in `open_file`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._name = ""
        self._recording: Recording | None = None

    def open(self, name: str, *, again: bool) -> Recording:
        """A recording, checked; `again` if more parts of it may be wanted.

        Raises:
            Rejected: what `open_file` and `Recording` give.
        """
        if not again:
            return Recording(open_file(name, self._most))
        if name != self._name or self._recording is None:
            self._name, self._recording = "", None
            self._recording = Recording(open_file(name, self._most))
            self._name = name
        return self._recording


def speak(uris: Sequence[str]) -> list[tuple[np.ndarray, int] | Rejected]:
    """The sound of each `espeak:` URI, float32 `[samples]`, and its rate in Hz."""
    if not uris:
        return []
    from pipelines import synthesis

    speeches: list[synthesis.Speech | Rejected] = []
    for uri in uris:
        try:
            speeches.append(synthesis.parse_espeak_uri(uri))
        except Rejected as rejected:
            speeches.append(rejected)
    right = [speech for speech in speeches if not isinstance(speech, Rejected)]
    spoken = iter(synthesis.shared_synthesizer().speak(right))
    results: list[tuple[np.ndarray, int] | Rejected] = []
    for speech in speeches:
        samples = speech if isinstance(speech, Rejected) else next(spoken)
        if not isinstance(samples, Rejected):
            results.append((samples.astype(np.float32) / 32768, synthesis.SAMPLE_RATE))
        else:
            results.append(samples)
    return results
