"""Retrieval metrics over a pool in which a query may have several right answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ranks(scores: np.ndarray, queries: Sequence[str], pool: Sequence[str]) -> np.ndarray:
    """The rank of the best-placed right answer of each query.

    Args:
        scores: float `[queries, pool]`, larger is nearer.
        queries: sentence id of each query.
        pool: sentence id of each candidate; all with the query's id are right answers.

    Returns:
        int64 `[queries]`, 1 for the top. A candidate tied with the right answer counts as ahead of
        it, so that a model that gives everything the same score earns nothing. A query without a
        right answer in the pool ranks at the pool's size plus 1.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(pool))}
    pool_ids = np.array([names[name] for name in pool])
    query_ids = np.array([names.get(name, -1) for name in queries])
    right = query_ids[:, None] == pool_ids[None, :]
    best = np.where(right, scores, -np.inf).max(axis=1, initial=-np.inf)
    ahead = ((scores >= best[:, None]) & ~right).sum(axis=1)
    ranked: np.ndarray = np.where(right.any(axis=1), ahead + 1, len(pool) + 1)
    return ranked


def recall_at(ranked: np.ndarray, k: int) -> float:
    """The share of queries with a right answer among the first k; nan without queries."""
    return float(np.mean(ranked <= k)) if len(ranked) else float("nan")


def mean_reciprocal_rank(ranked: np.ndarray) -> float:
    """The mean of 1 / rank; nan without queries."""
    return float(np.mean(1.0 / ranked)) if len(ranked) else float("nan")


def bootstrap_interval(
    hits: np.ndarray, *, seed: int = 0, rounds: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """A percentile bootstrap interval of a mean.

    Args:
        hits: `[n]`, 0 or 1 (or any score) for each query.
        seed: seeds the resampling.
        rounds: how many resamples.
        level: the coverage, between 0 and 1.

    Returns:
        Its lower and upper end; nan twice without queries.
    """
    if len(hits) == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    scores = np.asarray(hits, float)
    means = [rng.choice(scores, len(scores)).mean() for _ in range(rounds)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
