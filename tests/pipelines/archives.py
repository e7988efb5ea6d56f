"""Tar archives for tests, good ones and bad ones, as bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable


def tar(
    files: Iterable[tuple[str, bytes]],
    *,
    links: Iterable[tuple[str, str]] = (),
    devices: Iterable[str] = (),
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    """An archive of files (path, content), then symbolic links (path, target), then devices."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for path, content in files:
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for path, target in links:
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        for path in devices:
            info = tarfile.TarInfo(path)
            info.type = tarfile.CHRTYPE
            archive.addfile(info)
    return buffer.getvalue()


def tar_gz(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A compressed archive, the same bytes for the same files."""
    return gzip.compress(tar(files), mtime=0)
