"""A recording too long for memory: decoded and resampled in blocks of ten minutes.

Such a block goes through the encoder and the codebook like a recording of its own, and the audio
tokens of all are joined. So ten hours need the memory of ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from pipelines.audio import MIN_SECONDS, SAMPLE_RATE, decode, most_bytes, played_rate
from pipelines.audio_source import open_file
from pipelines.recording import Recording, Span, refuse_a_cut
from pipelines.rejects import Rejected

BLOCK_SECONDS = 600
"""What is no longer is decoded at once: 38 MB at 16 kHz. A whole number of the encoder's windows of
30 s, so that a block begins with one."""


@dataclass(frozen=True)
class LongRecording:
    """Where a long sound is; it holds none, and can be sent to the worker that encodes it.

    Args:
        source: a path or URL, or the bytes of a file that lay in an archive.
        max_seconds: more sound than this is rejected.
        claimed_seconds: the duration the corpus claims, None if it doesn't.
        span: the part that is wanted, None for all of it.
        speed: how fast it is played.
    """

    source: str | bytes
    max_seconds: float
    claimed_seconds: float | None = None
    span: Span | None = None
    speed: float = 1.0

    def blocks(self, seconds: int = 0) -> Iterator[np.ndarray]:
        """The sound, to be worked through as it comes.

        Args:
            seconds: how long a block is; 0 stands for `BLOCK_SECONDS`.

        Yields:
            float32 `[seconds × SAMPLE_RATE]`, the last one shorter, in [-1, 1]. Joined they are
            what `load_audio` gives, up to rounding where it resamples.

        Raises:
            Rejected: as `load_audio` does, also in the middle.
        """
        recording = self._opened()
        scale = 1.0 if recording.is_exact else 1.0 / max(1.0, self._peak())
        block, filled = np.empty((seconds or BLOCK_SECONDS) * SAMPLE_RATE, np.float32), 0
        for sound in self._resampled(recording, scale):
            start = 0
            while start < len(sound):
                taken = min(len(sound) - start, len(block) - filled)
                block[filled : filled + taken] = sound[start : start + taken]
                start, filled = start + taken, filled + taken
                if filled == len(block):
                    yield block
                    block, filled = np.empty_like(block), 0
        if filled:
            yield block[:filled]

    def excerpt(self, place: float) -> np.ndarray:
        """As much as one block from somewhere inside.

        Args:
            place: from 0, at its start, to 1, at its end.

        Raises:
            Rejected: as `load_audio` does.
        """
        recording = self._opened()
        start, end = self.span or (0.0, recording.seconds or BLOCK_SECONDS)
        longest = BLOCK_SECONDS * min(1.0, self.speed)
        start += place * max(0.0, end - start - longest)
        span = start, min(end, start + longest)
        return decode(recording, None, MIN_SECONDS, BLOCK_SECONDS, span, self.speed)

    def _opened(self) -> Recording:
        data = self.source
        if isinstance(data, str):
            return Recording(open_file(data, most_bytes(self.max_seconds)))
        return Recording(data)

    def _peak(self) -> float:
        """Formats that store no integers may pass 1; how far is not known before the end."""
        return max(float(np.abs(b).max(initial=0)) for b in self._opened().blocks(self.span))

    def _resampled(self, recording: Recording, scale: float) -> Iterator[np.ndarray]:
        rate, decoded = played_rate(recording.rate, self.speed), 0
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        recording.refuse_longer(self.max_seconds, self.span)
        for sound in recording.blocks(self.span):
            decoded += len(sound)
            if decoded > self.max_seconds * rate:
                raise Rejected("too-long", f"over {self.max_seconds:g} s")
            sound = sound if scale == 1.0 else sound * np.float32(scale)
            if rate != SAMPLE_RATE:
                sound = resampler.resample_chunk(sound)
            yield np.clip(sound, -1.0, 1.0)
        refuse_a_cut(decoded / recording.rate, self.claimed_seconds)
        if rate != SAMPLE_RATE:
            yield np.clip(resampler.resample_chunk(np.empty(0, np.float32), last=True), -1.0, 1.0)


def load(
    source: str | bytes,
    recording: Recording,
    claimed_seconds: float | None,
    max_seconds: float,
    span: Span | None,
    speed: float,
) -> np.ndarray | LongRecording:
    """What `load_audio` returns, or where it is if it is longer than a block.

    Args:
        source: as in `LongRecording`.
        recording: the same, opened.
        claimed_seconds: as in `load_audio`.
        max_seconds: as in `load_audio`.
        span: the part that is wanted, None for all of it.
        speed: how fast it is played.

    Raises:
        Rejected: as `load_audio` does, but for faults within what is too long.
    """
    at_once = min(BLOCK_SECONDS, max_seconds)
    try:
        return decode(recording, claimed_seconds, MIN_SECONDS, at_once, span, speed)
    except Rejected as rejected:
        if rejected.reason != "too-long" or max_seconds <= BLOCK_SECONDS:
            raise
    recording.refuse_longer(max_seconds, span)
    return LongRecording(source, max_seconds, claimed_seconds, span, speed)
