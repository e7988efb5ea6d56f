"""Queries put to an index, and where their right answers came.

Queries and pools are rows of one split, usually the test split. A query may have several answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model import metrics

if TYPE_CHECKING:
    from scann_index.bundle import IndexShard, Row

POOL = (
    "all rows of the split in one language and one modality; "
    "those with the query's sentence id are right answers"
)
DEPTH = 2000
"""So many rows of a shard are asked for at most; a right answer beyond ranks behind the pool."""
TOP = 3
"""How many of the rows found are kept."""

_SCORES_AT_ONCE = 2**25


class Candidates:
    """The rows of one split in some shards of an index: a pool, or the queries put to one.

    Args:
        shards: of one language and modality; they may hold rows of other splits too.
        split: `train`, `dev` or `test`.
    """

    def __init__(self, shards: Sequence[IndexShard], split: str) -> None:
        self.rows: list[Row] = []
        self._shards = list(shards)
        self._columns: list[np.ndarray] = []
        vectors = [np.zeros((0, 0), np.float32)]
        for shard in self._shards:
            chosen = np.array([row.split == split for row in shard.rows], bool)
            columns = np.full(len(shard.rows), -1)
            columns[chosen] = np.arange(chosen.sum()) + len(self.rows)
            self._columns.append(columns)
            self.rows += [
                row for row, is_chosen in zip(shard.rows, chosen, strict=True) if is_chosen
            ]
            if chosen.any():
                vectors = [v for v in vectors if len(v)] + [shard.vectors[chosen]]
        self.vectors: np.ndarray = np.concatenate(vectors)

    @property
    def sentences(self) -> list[str]:
        """The sentence id of each row."""
        return [row.sentence_id for row in self.rows]

    @property
    def truncated_at(self) -> int | None:
        """How many rows of a shard a search returns at most, None if it returns all."""
        longest = max((len(columns) for columns in self._columns), default=0)
        return DEPTH if longest > DEPTH else None

    def search(self, queries: np.ndarray) -> np.ndarray:
        """Scores by the index.

        Args:
            queries: float32 `[queries, dim]`, unit length.

        Returns:
            float32 `[queries, rows]`, -inf for what the index did not return.
        """
        scores = np.full((len(queries), len(self.rows)), -np.inf, np.float32)
        for shard, columns in zip(self._shards, self._columns, strict=True):
            if not (columns >= 0).any():
                continue
            indices, found = shard.search(queries, min(DEPTH, len(columns)))
            targets = np.where(indices >= 0, columns[indices], -1)
            query, place = np.nonzero(targets >= 0)
            scores[query, targets[query, place]] = found[query, place]
        return scores

    def compare(self, queries: np.ndarray) -> np.ndarray:
        """Scores by exact comparison with every row: float32 `[queries, rows]`."""
        scores: np.ndarray = queries @ self.vectors.T
        return scores


@dataclass(frozen=True)
class Retrieval:
    """What a set of queries found.

    Args:
        queries: the rows asked for, each with a right answer in the pool.
        ranks: int64 `[queries]`, by the index; see `model.metrics.ranks`.
        exact_ranks: int64 `[queries]`, by exact comparison of the same vectors.
        top: int64 `[queries, TOP or pool size]`, places in the pool, best first.
        top_scores: float32, the shape of `top`.
        pool: what was searched.
        unanswerable: how many queries were left out for want of a right answer.
    """

    queries: list[Row]
    ranks: np.ndarray
    exact_ranks: np.ndarray
    top: np.ndarray
    top_scores: np.ndarray
    pool: Candidates
    unanswerable: int

    @property
    def hits(self) -> list[Row]:
        """The row found first by each query."""
        return [self.pool.rows[place] for place in self.top[:, 0]]


def retrieve(queries: Candidates, pool: Candidates, limit: int | None = None) -> Retrieval | None:
    """Searches a pool.

    Args:
        queries: what is looked for.
        pool: where.
        limit: only so many queries.

    Returns:
        None if no query has a right answer in the pool.
    """
    sentences = pool.sentences
    right = set(sentences)
    places = [i for i, row in enumerate(queries.rows) if row.sentence_id in right]
    unanswerable = len(queries.rows) - len(places)
    places = places[:limit]
    if not places:
        return None
    at_once = max(1, _SCORES_AT_ONCE // len(sentences))
    parts = []
    for first in range(0, len(places), at_once):
        chosen = places[first : first + at_once]
        wanted = [queries.rows[i].sentence_id for i in chosen]
        vectors = queries.vectors[chosen]
        scores = pool.search(vectors)
        top = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        parts.append(
            (
                metrics.ranks(scores, wanted, sentences),
                metrics.ranks(pool.compare(vectors), wanted, sentences),
                top,
                np.take_along_axis(scores, top, axis=1),
            )
        )
    ranks, exact_ranks, top, top_scores = (np.concatenate(p) for p in zip(*parts, strict=True))
    rows = [queries.rows[i] for i in places]
    return Retrieval(rows, ranks, exact_ranks, top, top_scores, pool, unanswerable)
