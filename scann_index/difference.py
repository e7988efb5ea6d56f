"""How far the difference of two scores could be from the truth by the luck of what was asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROUNDS = 2000
_DRAWN_AT_ONCE = 2**22

Scored = tuple[float, Sequence[float]]
"""A score, and the lower and upper end of its own interval."""


def independent(one: Scored, other: Scored) -> tuple[float, float]:
    """The 95% interval of `one - other` where nothing ties the queries of the two to each other.

    It takes no more than their own intervals: the distances to the ends that make the difference
    small add up as deviations do, and those that make it large (Zou & Donner 2008, "Construction
    of confidence limits about effect measures"). For queries that are in fact the same it is wider
    than it need be.
    """
    (a, (a_low, a_high)), (b, (b_low, b_high)) = one, other
    down = float(np.hypot(a - a_low, b_high - b))
    up = float(np.hypot(a_high - a, b - b_low))
    return a - b - down, a - b + up


def paired(one: np.ndarray, other: np.ndarray, sentences: Sequence[str]) -> tuple[float, float]:
    """The 95% interval of the mean of `one - other`, both of the same queries.

    A bootstrap that draws sentences with all their queries, as several recordings of one sentence
    are hit or missed together.

    Args:
        one: float or bool `[queries]`.
        other: the same.
        sentences: the sentence id of each query.
    """
    low, high = np.quantile(paired_means(one, other, sentences, seed=0), [0.025, 0.975])
    return float(low), float(high)


def paired_means(
    one: np.ndarray, other: np.ndarray, sentences: Sequence[str], *, seed: int
) -> np.ndarray:
    """Means of `one - other` over resampled sentences: float64 `[ROUNDS]`; see `paired`."""
    names: dict[str, int] = {}
    members = np.array([names.setdefault(name, len(names)) for name in sentences], np.int64)
    differences = np.asarray(one, float) - np.asarray(other, float)
    sums = np.bincount(members, differences)
    sizes = np.bincount(members).astype(float)
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // len(sums))
    means = []
    for first in range(0, ROUNDS, at_once):
        drawn = rng.integers(0, len(sums), (min(at_once, ROUNDS - first), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)
