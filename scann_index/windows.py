"""Where in a long recording to listen: phrases between pauses, and windows over what has none.

A model knows utterances of some length. A recording that is much longer is cut at its pauses into
phrases, which are tried singly and joined; a phrase that is too long is cut at shorter pauses and
slid over too. Which of all the overlapping windows are right is decided by what they find: see
`apart`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.audio import SAMPLE_RATE

FRAME = SAMPLE_RATE // 50
"""Samples of a frame, 20 ms, whose loudness is measured."""
PAUSE = 0.2
"""So long, in seconds, is a pause between utterances at least."""
SHORT_PAUSE = 0.06
"""So long is one in speech without rest; sounds within a word make such pauses too."""
SHORTEST_SECONDS = 0.12
"""Less sound than this between two pauses is a click."""
MARGIN_SECONDS = 0.02
"""So much of the pause is left on either side of a phrase. A model trained on clips that have no
silence around them hears worse with each tenth of a second of it: of 32 names the demo's model
found 18 first without, 7 with 0.1 s, 3 with 0.2 s."""
LITTLE_SILENCE = 0.08
"""So many seconds of it around a short recording make no difference."""
QUIET_DECIBELS = 35.0
"""A frame so much below the loudest is quiet, if it also stands near the noise."""
MOST_JOINED = 4
"""So many phrases at most are tried as one utterance."""
OVERLAP = 0.25
"""Windows that share more than this of the shorter one are about the same sound."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A stretch of a recording, in seconds from its start."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    def later(self, seconds: float) -> Window:
        """The same stretch, so much later."""
        return Window(self.start + seconds, self.end + seconds)

    def of(self, waveform: np.ndarray) -> np.ndarray:
        """Its samples: float32 `[samples]` at 16 kHz."""
        return waveform[round(self.start * SAMPLE_RATE) : round(self.end * SAMPLE_RATE)]

    def overlaps(self, other: Window) -> bool:
        """Whether the two are about the same sound, see `OVERLAP`."""
        shared = min(self.end, other.end) - max(self.start, other.start)
        return shared > OVERLAP * min(self.seconds, other.seconds)


def windows(waveform: np.ndarray, seconds: float) -> list[Window]:
    """Where to listen in a recording.

    Args:
        waveform: float32 `[samples]`, mono, 16 kHz.
        seconds: how long the utterances are that are looked for, at most.

    Returns:
        Windows of about `seconds` at most, in order of their start; they overlap. If the recording
        is no longer than twice that: all of it, and, if there is some, all without the silence
        around it. None if a longer one is silent.

    Raises:
        ValueError: `seconds` is not above 0.
    """
    if not seconds > 0:
        raise ValueError(f"windows of {seconds} seconds; they must be longer than 0")
    whole = Window(0.0, len(waveform) / SAMPLE_RATE)
    found = phrases(waveform)
    if whole.seconds <= 2 * seconds:
        heard = Window(found[0].start, found[-1].end) if found else whole
        return [whole] if whole.seconds - heard.seconds < LITTLE_SILENCE else [whole, heard]
    result = _joined([phrase for phrase in found if phrase.seconds <= 1.5 * seconds], seconds)
    for long in (phrase for phrase in found if phrase.seconds > 1.5 * seconds):
        pieces = [piece.later(long.start) for piece in phrases(long.of(waveform), SHORT_PAUSE)]
        result |= _joined([piece for piece in pieces if piece.seconds <= seconds], seconds)
        result |= _slid(long, seconds)
    return sorted(result)


def _joined(found: Sequence[Window], seconds: float) -> set[Window]:
    """Each phrase by itself, and with those behind it that end within `seconds`."""
    result = set(found)
    for first, phrase in enumerate(found):
        for last in found[first + 1 : first + MOST_JOINED]:
            if last.end - phrase.start > seconds:
                break
            result.add(Window(phrase.start, last.end))
    return result


def phrases(waveform: np.ndarray, pause: float = PAUSE) -> list[Window]:
    """The stretches of sound between pauses.

    Args:
        waveform: float32 `[samples]`, mono, 16 kHz.
        pause: how long silence must be to be one, in seconds.
    """
    frames = len(waveform) // FRAME
    if not frames:
        return []
    blocks = waveform[: frames * FRAME].reshape(frames, FRAME)
    power = np.einsum("fs,fs->f", blocks, blocks) / FRAME
    level = 10 * np.log10(power + 1e-12)
    loudest = np.percentile(level, 99)
    if loudest < -70:
        return []
    # Noise is what the quietest frames have; a recording without a pause has none to go by.
    noise = np.percentile(level, 5)
    threshold = loudest - min(QUIET_DECIBELS, max(10.0, (loudest - noise) * 0.6))
    edges = np.flatnonzero(np.diff(np.r_[0, level > threshold, 0]))
    runs = [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and (start - joined[-1][1]) * FRAME < pause * SAMPLE_RATE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    step, length = FRAME / SAMPLE_RATE, len(waveform) / SAMPLE_RATE
    return [
        Window(max(0.0, a * step - MARGIN_SECONDS), min(length, b * step + MARGIN_SECONDS))
        for a, b in joined
        if (b - a) * step >= SHORTEST_SECONDS
    ]


def _slid(phrase: Window, seconds: float) -> set[Window]:
    """Windows of `seconds` over a phrase, each half over the next."""
    steps = int(np.ceil((phrase.seconds - seconds) / (seconds / 2)))
    starts = np.linspace(phrase.start, phrase.end - seconds, steps + 1)
    return {Window(float(start), float(start) + seconds) for start in starts}


def apart(candidates: Sequence[Window], scores: np.ndarray) -> list[int]:
    """Chooses among overlapping windows those that found best.

    Args:
        candidates: windows of one recording.
        scores: float `[windows]`, of the best that each one found.

    Returns:
        Places in `candidates`, in order of time; no two of them overlap much.
    """
    kept: list[int] = []
    for place in np.argsort(-np.asarray(scores), kind="stable").tolist():
        if not any(candidates[place].overlaps(candidates[other]) for other in kept):
            kept.append(place)
    return sorted(kept, key=lambda place: candidates[place])
