"""What of a recording is put to the index, and which of its windows' answers are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipelines.audio import SAMPLE_RATE
from scann_index.hits import Hit
from scann_index.windows import Window, apart, windows


class Listening:
    """The windows of one recording; each is a query.

    Args:
        samples: float32 `[samples]`, mono, 16 kHz.
        seconds: how long the utterances of the index are, at most.

    Attributes:
        windows: where to listen; none if the recording is long and silent.
        is_long: whether hits must say where in the recording they are.
    """

    def __init__(self, samples: np.ndarray, seconds: float) -> None:
        self.samples = samples
        self.windows = windows(samples, seconds)
        self.is_long = len(samples) > 2 * seconds * SAMPLE_RATE

    @property
    def parts(self) -> list[np.ndarray]:
        """The samples of each window."""
        return [window.of(self.samples) for window in self.windows]

    def choose(self, found: Sequence[list[Hit]]) -> list[tuple[Window, list[Hit]]]:
        """Of windows that overlap, those that found best, in order of time.

        Args:
            found: the hits of each window, best first.

        Returns:
            For a short recording one window, of all of it: with or without the silence around it,
            as the model likes it better. For a long one the hits have their times.
        """
        best = np.array([hits[0].score if hits else -1.0 for hits in found])
        if not self.windows:
            return []
        if not self.is_long:
            return [(self.windows[0], found[int(best.argmax())])]
        return [(window, _timed(window, found[i])) for i, window in self._apart(best)]

    def _apart(self, best: np.ndarray) -> list[tuple[int, Window]]:
        return [(place, self.windows[place]) for place in apart(self.windows, best)]


def _timed(window: Window, hits: Sequence[Hit]) -> list[Hit]:
    return [replace(hit, start=window.start, end=window.end) for hit in hits]
