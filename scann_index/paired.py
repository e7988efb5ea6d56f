"""Two evaluations' answers to the same queries, one by one: the luck of the queries cancels out.

Two models that get 78% and 80% of the same queries right may differ surely although their intervals
overlap: most queries are right, or wrong, in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scann_index.confidence import Z, clusters, resampled_means

FLIPS = 10_000
_DRAWN_AT_ONCE = 2**22


@dataclass(frozen=True)
class Difference:
    """How much better the second of two evaluations is on the queries that both have.

    Args:
        queries: how many they share.
        sentences: of how many sentences.
        first: the share of hits of the first.
        second: that of the second.
        difference: second minus first.
        interval: of the difference, 95%: a paired bootstrap over sentences.
        p_value: of a difference as big or bigger if it were chance which of the two had which
            answers to a sentence (a randomization test, two-sided).
        gained: how many queries only the second has right.
        lost: how many only the first has right.
    """

    queries: int
    sentences: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    gained: int
    lost: int


def paired_difference(
    first: np.ndarray, second: np.ndarray, sentences: Sequence[str]
) -> Difference:
    """Compares the answers of two evaluations to the same queries.

    Args:
        first: bool `[queries]`, whether the first hit; at least one.
        second: bool `[queries]`, whether the second did.
        sentences: the sentence id of each query; recordings of a sentence are drawn together.
    """
    gains = np.asarray(second, float) - np.asarray(first, float)
    members = clusters(sentences)
    if gains.any():
        low, high = np.quantile(resampled_means(gains, members, seed=0), [0.025, 0.975])
    else:
        # Nothing to draw from. Bonett & Price (2012): a pair more of either kind, two more in all.
        high = Z * np.sqrt(2 / (len(set(members)) + 2) / (len(set(members)) + 2))
        low = -high
    return Difference(
        queries=len(gains),
        sentences=len(set(sentences)),
        first=float(np.mean(first)),
        second=float(np.mean(second)),
        difference=float(gains.mean()),
        interval=(float(low), float(high)),
        p_value=_p_value(gains, members),
        gained=int((gains > 0).sum()),
        lost=int((gains < 0).sum()),
    )


def _p_value(gains: np.ndarray, members: np.ndarray) -> float:
    """The share of sign flips, sentence by sentence, with a sum as big."""
    rng = np.random.default_rng(0)
    sums = np.bincount(members, gains)
    sums = sums[sums != 0]
    as_big = 0
    at_once = max(1, _DRAWN_AT_ONCE // max(1, len(sums)))
    for start in range(0, FLIPS, at_once):
        signs = rng.integers(0, 2, (min(at_once, FLIPS - start), len(sums))) * 2 - 1
        # What is as big but for rounding counts.
        as_big += int((np.abs(signs @ sums) >= abs(gains.sum()) - 1e-9).sum())
    return (1 + as_big) / (1 + FLIPS)
