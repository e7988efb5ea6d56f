"""The cheapest settings of an engine that reach a recall, found by trying."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from scann_index.engine import Engine, nearest_scores, recall
from scann_index.recipe import EXACT

NEIGHBOURS = 10
REORDERED = (20, 30, 50, 100, 200, 400, 800)
"""So many candidates are compared by their vectors."""
STEPS_A_DOUBLING = 6
"""So many numbers of leaves are tried between one and its double."""
FEWEST_LEAVES = 1 / 256
"""The smallest share of a tree's leaves that is tried."""


@dataclass(frozen=True)
class Trial:
    """Settings of an engine and what they reach: a row of the sweep's table.

    Args:
        leaves_searched: of a tree, how many leaves a query visits, else 0.
        reordered: how many candidates are compared by their vectors; 0 if the search is exact.
        recall_at_10: the mean over all queries.
        lower_half: the lower of the means over either half of the queries.
        work: what a query costs, in comparisons with whole vectors that lie in a row: each leaf's
            centre is one, a hashed row a tenth, a reordered row three, as it lies anywhere.
        chosen: whether the index uses these settings.
        queries_per_second: how many the machine answered that swept, all at once. It decides
            nothing, and other work on the machine lowers it.
    """

    leaves_searched: int
    reordered: int
    recall_at_10: float
    lower_half: float
    work: int
    chosen: bool = False
    queries_per_second: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """A row of the table."""
        digits = {"recall_at_10": 5, "lower_half": 5, "queries_per_second": 1}
        return {**asdict(self), **{n: round(getattr(self, n), d) for n, d in digits.items()}}


def sweep(
    engine: Engine,
    vectors: np.ndarray,
    queries: np.ndarray,
    target: float,
    own: np.ndarray | None = None,
) -> list[Trial]:
    """Tries settings of an engine and leaves it with the cheapest that reach a target.

    Args:
        engine: whose settings are tried.
        vectors: float32 `[rows, dim]`, what it holds.
        queries: float32 `[queries, dim]`, held out: rows of other shards, where there are any.
        target: the recall@10 to reach, in both halves of the queries: settings that pass by luck
            with the ones seldom pass with the others too.
        own: int64 `[queries]`, the row that each query is, left out of its own answer; None if they
            are no rows.

    Returns:
        What was tried, one of it chosen: if nothing reached the target, what came nearest.
    """
    k = min(NEIGHBOURS, len(vectors) - (own is not None))
    if k < 1 or not len(queries):
        return [Trial(engine.leaves_searched, 0, 1.0, 1.0, 0, chosen=True)]
    nearest = nearest_scores(vectors, queries, k, own)
    tried: dict[tuple[int, int], Trial] = {}

    def attempt(leaves: int, reordered: int) -> bool:
        if (leaves, reordered) not in tried:
            engine.leaves_searched, engine.reordered = leaves, reordered
            started = time.perf_counter()
            shares = recall(engine, nearest, queries, own)
            rate = len(queries) / (time.perf_counter() - started)
            halves = [half.mean() for half in (shares[::2], shares[1::2]) if len(half)]
            work = _work(engine, leaves, reordered)
            trial = Trial(leaves, reordered, float(shares.mean()), float(min(halves)), work)
            tried[leaves, reordered] = replace(trial, queries_per_second=rate)
        return tried[leaves, reordered].lower_half >= target

    if engine.recipe.engine == EXACT:
        attempt(0, 0)
    else:
        _try_all(attempt, engine)
    good = [trial for trial in tried.values() if trial.lower_half >= target]
    if good:
        best = min(good, key=lambda trial: (trial.work, trial.leaves_searched))
    else:
        best = max(tried.values(), key=lambda trial: (trial.lower_half, -trial.work))
    engine.leaves_searched, engine.reordered = best.leaves_searched, best.reordered
    order = sorted(tried.values(), key=lambda trial: (trial.reordered, trial.leaves_searched))
    return [replace(trial, chosen=trial == best) for trial in order]


def _try_all(attempt: Any, engine: Engine) -> None:
    """For each number reordered the fewest leaves that are enough, as long as there are fewer.

    More candidates compared need fewer leaves searched, until the leaves alone decide; from there
    on they cost and bring nothing.
    """
    ladder = _ladder(engine.recipe.leaves)
    fewest = len(ladder)
    for reordered in (r for r in REORDERED if r <= engine.rows):
        # If all leaves are not enough, no fewer are.
        low, high = -1, len(ladder) - 1
        if fewest == len(ladder) and not attempt(ladder[high], reordered):
            continue
        high = min(high, fewest)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if attempt(ladder[middle], reordered) else (middle, high)
        if high >= fewest:
            break
        fewest = high


def _ladder(leaves: int) -> list[int]:
    """Numbers of leaves to try, from few to all; only 0 without a tree."""
    if not leaves:
        return [0]
    steps = np.arange(0, np.log2(1 / FEWEST_LEAVES) + 1e-9, 1 / STEPS_A_DOUBLING)
    return sorted({max(1, round(leaves / 2**step)) for step in steps.tolist()})


def _work(engine: Engine, leaves: int, reordered: int) -> int:
    recipe, rows = engine.recipe, engine.rows
    if recipe.engine == EXACT:
        return rows
    share = leaves / recipe.leaves * (2 if recipe.spill else 1) if recipe.leaves else 1.0
    part = recipe.dims / engine.dim if recipe.dims else 1.0
    return round(recipe.leaves * part + rows * share * part / 10 + 3 * min(reordered, rows))
