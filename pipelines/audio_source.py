"""Where sound comes from: the bytes of a file, local or remote, and what eSpeak speaks."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

import numpy as np

from pipelines import storage
from pipelines.rejects import Rejected

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
    """A whole file.

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
    data = read(reference, most + 1)
    if len(data) > most:
        raise Rejected("too-long", f"over {most} bytes, the most that is read")
    return data


def _read_local(path: str, most: int) -> bytes:
    try:
        # Opening a named pipe would wait for its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Rejected("missing-file", "is a folder or a device, not a file")
        with open(path, "rb") as file:
            return file.read(most)
    except OSError as error:
        if error.errno not in _FAULTS_OF_THE_FILE:
            raise
        raise Rejected("missing-file", error.strerror or str(error)) from None
    except UnicodeEncodeError:
        raise Rejected("unsafe-path", "can't be encoded as a path") from None


def _read_remote(url: str, most: int) -> bytes:
    from pipelines import quiet  # noqa: F401  (before Beam)

    from apache_beam.io.filesystems import FileSystems  # isort: skip

    try:
        FileSystems.get_filesystem(url)
    except ValueError as error:
        raise Rejected("missing-file", str(error)) from None
    try:
        with FileSystems.open(url, compression_type="uncompressed") as file:
            return bytes(file.read(most))
    except Exception:
        # Beam has no one error for "not there"; whatever else it is may pass.
        if not FileSystems.exists(url):
            raise Rejected("missing-file", "no such object") from None
        raise


class Recordings:
    """Files by name, the last one kept: the parts of a recording mostly follow each other.

    Args:
        most: as in `read_file`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._name = ""
        self._data = b""

    def read(self, name: str) -> bytes:
        """What `read_file` returns."""
        if name != self._name or not name:
            self._name = ""
            self._data = read_file(name, self._most)
            self._name = name
        return self._data


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
