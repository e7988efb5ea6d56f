"""Batches of windows of about the same length, in few shapes, with little padding.

A graph is traced for each shape it meets, and a GPU wants few of them; padding is computed and
thrown away. So windows are padded to the rungs of a ladder, each 6% above the last, and those that
share a rung are batched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 25
FRAME_SAMPLES = SAMPLE_RATE // FRAMES_PER_SECOND
WINDOW_SAMPLES = 30 * SAMPLE_RATE
TAIL_SAMPLES = SAMPLE_RATE // 10
BATCH_SAMPLES = 64 * SAMPLE_RATE


def _ladder(growth: float = 1.06) -> npt.NDArray[np.int64]:
    rungs = [3]
    while rungs[-1] < WINDOW_SAMPLES // FRAME_SAMPLES:
        rungs.append(max(rungs[-1] + 1, int(rungs[-1] * growth)))
    rungs[-1] = WINDOW_SAMPLES // FRAME_SAMPLES
    return np.array(rungs, np.int64) * FRAME_SAMPLES


# Every clip is padded to the next rung, which depends on its own length alone, so its features
# don't depend on its neighbours. Whisper has no mask: padding is silence that it hears.
LADDER = _ladder()


def frame_count(samples: int) -> int:
    """Frames of a clip: one for each 640 samples begun, hence at least 1."""
    return -(-samples // FRAME_SAMPLES)


def batches(lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Groups windows that share a rung, at most `BATCH_SAMPLES` of padded audio a group.

    Args:
        lengths: samples of each window, 1 to 30 s.

    Yields:
        Indices into `lengths`, and the rung (samples) all of them are padded to.
    """
    wanted = np.minimum(np.asarray(lengths, np.int64) + TAIL_SAMPLES, WINDOW_SAMPLES)
    rungs = LADDER[np.searchsorted(LADDER, wanted)]
    for rung in np.unique(rungs):
        members = np.flatnonzero(rungs == rung).tolist()
        size = max(1, BATCH_SAMPLES // int(rung))
        for start in range(0, len(members), size):
            yield members[start : start + size], int(rung)
