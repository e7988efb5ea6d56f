"""A recording, opened: its header is read and its container found whole, but nothing is decoded.

Decoding is libsndfile's (soundfile). It returns part of a cut file without a word, so
`pipelines.containers` first checks that the file is whole, and what was decoded is compared with
what was promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from pipelines import containers
from pipelines.rejects import Rejected

Span = tuple[float, float]
"""A part of a recording: from and to, in seconds."""

_RATES = range(4_000, 768_001)
_BLOCK_SAMPLES = 2**20
# libsndfile has 2**63 - 1 for a FLAC that doesn't know its length.
_UNKNOWN_FRAMES = 2**62
_EXACT = ("PCM", "ALAC")


class _Sequential(soundfile.SoundFile):
    """A sound file read from front to back.

    soundfile seeks after each block it reads, which fails at the end of a FLAC whose header doesn't
    know its length (any that was written to a pipe).
    """

    def seekable(self) -> bool:
        return False


class Recording:
    """One recording; all of it is read once, parts as often as wanted.

    Args:
        data: WAV, FLAC, OGG (Vorbis or Opus) or MP3, at 4 to 768 kHz: the whole file.

    Attributes:
        rate: samples a second, before resampling.
        seconds: what the header promises, None if it doesn't.
        is_exact: whether samples are stored as integers, and so never pass 1.

    Raises:
        Rejected: `empty-file`, `not-audio`, `truncated-audio`.
    """

    def __init__(self, data: containers.Data) -> None:
        if not len(data):
            raise Rejected("empty-file", "0 bytes")
        try:
            self._file = _Sequential(containers.whole(data))
        except soundfile.SoundFileError as error:
            raise Rejected("not-audio", f"can't be opened: {_words(error)}") from None
        self.rate: int = self._file.samplerate
        if self.rate not in _RATES:
            detail = f"a sample rate of {self.rate} Hz; allowed are 4 to 768 kHz"
            raise Rejected("not-audio", detail)
        known = 0 <= self._file.frames < _UNKNOWN_FRAMES
        self._promised: int | None = self._file.frames if known else None
        self.seconds = self._promised / self.rate if self._promised is not None else None
        self.is_exact = self._file.subtype.startswith(_EXACT)

    def refuse_longer(self, max_seconds: float, span: Span | None = None) -> None:
        """Raises `too-long`, `empty-audio` or `truncated-audio` for what the header tells."""
        if span is not None:
            start, end = span
            if not 0 < end - start <= max_seconds:
                reason = "too-long" if end > start else "empty-audio"
                detail = f"from {start:g} s to {end:g} s, the most is {max_seconds:g} s"
                raise Rejected(reason, detail)
            if self.seconds is not None and self.seconds + 0.1 < end:
                detail = f"{self.seconds:.2f} s of sound, a part ends at {end:.2f} s"
                raise Rejected("truncated-audio", detail)
        elif self.seconds is not None and self.seconds > max_seconds:
            detail = f"{self.seconds:.1f} s by its header, the most is {max_seconds:g} s"
            raise Rejected("too-long", detail)

    def blocks(self, span: Span | None = None) -> Iterator[np.ndarray]:
        """Decodes block by block, without what lies before a part.

        Yields:
            The mean of the channels, float32 `[samples]` at the recording's own rate.

        Raises:
            Rejected: `truncated-audio` (also at the end: less came than was promised),
                `non-finite-samples`.
        """
        wanted = self._promised
        if span is not None:
            start = round(span[0] * self.rate)
            wanted = round((span[1] - span[0]) * self.rate)
            self._guarded(self._file.seek, min(start, self._promised or start))
        largest = max(1, _BLOCK_SAMPLES // self._file.channels)
        decoded = 0
        while wanted is None or decoded < wanted:
            size = largest if wanted is None else min(largest, wanted - decoded)
            block = self._guarded(self._file.read, size, dtype="float32", always_2d=True)
            if not np.isfinite(block).all():
                raise Rejected("non-finite-samples", "holds NaN or infinite samples")
            decoded += len(block)
            yield _mean_of_channels(block)
            if len(block) < size:
                break
        if wanted is not None and decoded / self.rate + 0.1 < wanted / self.rate:
            detail = f"{decoded / self.rate:.2f} s of sound, "
            promise = "its header promises" if span is None else "the part should have"
            raise Rejected("truncated-audio", f"{detail}{promise} {wanted / self.rate:.2f} s")

    def _guarded(self, call: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            return call(*arguments, **keywords)
        except soundfile.SoundFileError as error:
            raise Rejected("truncated-audio", f"damaged or cut: {_words(error)}") from None


def refuse_a_cut(seconds: float, claimed: float | None) -> None:
    """Raises `truncated-audio` if a corpus claims more sound than there is."""
    if claimed is not None and seconds + 0.1 < claimed * 0.9:
        detail = f"{seconds:.2f} s of sound, the corpus claims {claimed:.2f} s"
        raise Rejected("truncated-audio", detail)


def _mean_of_channels(block: np.ndarray) -> np.ndarray:
    # In float64: the sum of two huge float32 channels would be infinite.
    mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64)
    return np.asarray(mono, dtype=np.float32)


def _words(error: Exception) -> str:
    """libsndfile's message without the Python object it names."""
    return str(error).rpartition(">: ")[2].removeprefix("Error : ") or "no reason given"
