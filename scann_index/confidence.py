"""How far a score could be from the truth by the luck of which sentences were asked.

The intervals cover 95%. A share (recall, an error rate) gets Wilson's score interval: unlike the
bootstrap it is not [1, 1] where all of 20 queries hit, its coverage is 95% on average where that of
Clopper and Pearson's is more, and it needs no table (Brown, Cai & DasGupta 2001, "Interval
Estimation for a Binomial Proportion").

Several recordings of one sentence are no independent queries. So a share of n queries counts as one
of n / d, d being the design effect: how much more the share varies from sentence to sentence than
it would if recordings were drawn one by one (Kish 1965, "Survey Sampling", chapter 8).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Z = 1.959964
"""The normal distribution has 95% of its mass within so many deviations."""
ROUNDS = 2000
_DRAWN_AT_ONCE = 2**22


def wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95% score interval.

    Args:
        share: of `count` that were hits, between 0 and 1.
        count: how many independent queries it stands for, above 0; need not be whole.
    """
    square = Z * Z / count
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * float(np.sqrt(share * (1 - share) / count + square / (4 * count)))
    # At the ends the formula is 0 and 1 but for rounding.
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return low, high


def share_interval(hits: np.ndarray, sentences: Sequence[str]) -> tuple[float, float]:
    """The interval of a share of queries.

    Args:
        hits: bool `[queries]`, at least one.
        sentences: the sentence id of each query.
    """
    return wilson(float(np.mean(hits)), independent(hits, sentences))


def independent(hits: np.ndarray, sentences: Sequence[str]) -> float:
    """How many independent queries some queries are worth: at most so many as there are.

    Where all or none are hits nothing can be seen of how the sentences differ; then recordings of
    one sentence are taken to agree always.

    Args:
        hits: bool `[queries]`, at least one.
        sentences: the sentence id of each query.
    """
    total = len(hits)
    members = clusters(sentences)
    sizes = np.bincount(members)
    worst = float((sizes**2).sum()) / total
    share = float(np.mean(hits))
    if share in (0.0, 1.0) or len(sizes) == 1:
        return total / worst
    sums = np.bincount(members, np.asarray(hits, float) - share)
    variance = len(sizes) / (len(sizes) - 1) * float((sums**2).sum()) / total**2
    design_effect = variance / (share * (1 - share) / total)
    return total / float(np.clip(design_effect, 1.0, worst))


def clusters(sentences: Sequence[str]) -> np.ndarray:
    """Numbers from 0 for the sentences, in the order in which they come: int64 `[queries]`."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in sentences], np.int64)


def mean_interval(values: np.ndarray, sentences: Sequence[str]) -> tuple[float, float]:
    """The interval of a mean, by a bootstrap that draws sentences with all their queries.

    Where all values are the same there is nothing to draw from; as values between 0 and 1 vary no
    more than hits and misses do, Wilson's interval then holds at least.

    Args:
        values: float `[queries]`, between 0 and 1, at least one.
        sentences: the sentence id of each query.
    """
    values = np.asarray(values, float)
    if (values == values[0]).all():
        return wilson(float(values[0]), independent(np.ones(len(values), bool), sentences))
    means = resampled_means(values, clusters(sentences), seed=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def resampled_means(
    values: np.ndarray, members: np.ndarray, *, seed: int, rounds: int = ROUNDS
) -> np.ndarray:
    """Bootstrap means, sentences drawn with all their queries.

    Args:
        values: float `[queries]`.
        members: int64 `[queries]`, as `clusters` gives them.
        seed: seeds the drawing.
        rounds: how many means.

    Returns:
        float64 `[rounds]`.
    """
    sums, sizes = np.bincount(members, values), np.bincount(members).astype(float)
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // len(sums))
    means = []
    for first in range(0, rounds, at_once):
        drawn = rng.integers(0, len(sums), (min(at_once, rounds - first), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def interval_of_mean(
    shares: Sequence[float], intervals: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """The interval of an unweighted mean of independent shares, out of their own intervals.

    Zou & Donner (2008), "Construction of confidence limits about effect measures": the distances
    to the lower ends add up as deviations do, and those to the upper ends. What is averaged, such
    as the set of languages, is taken as given.

    Args:
        shares: at least one.
        intervals: the lower and upper end of each.
    """
    middle = np.asarray(shares, float)
    ends = np.asarray(intervals, float)
    mean = float(middle.mean())
    down = float(np.sqrt(((middle - ends[:, 0]) ** 2).sum())) / len(middle)
    up = float(np.sqrt(((ends[:, 1] - middle) ** 2).sum())) / len(middle)
    return max(0.0, mean - down), min(1.0, mean + up)


def interval_of_difference(
    one: float, own: Sequence[float], other: float, others: Sequence[float]
) -> tuple[float, float]:
    """The interval of `one - other` where nothing ties the queries of the two to each other.

    Distances to the ends add up as deviations do (Zou & Donner 2008, "Construction of confidence
    limits about effect measures"). For queries that are in fact the same it is wider than it need
    be.

    Args:
        one: a score.
        own: its interval.
        other: another score.
        others: the interval of that.
    """
    down = float(np.hypot(one - own[0], others[1] - other))
    up = float(np.hypot(own[1] - one, other - others[0]))
    return one - other - down, one - other + up
