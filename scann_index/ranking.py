"""Where the right answers of a block of queries come in a pool, by the index and by comparison.

A pool is compared in blocks of rows in the order of their ids, whatever shards they lie in, so that
every sum is formed in the same way and an index of 1 shard and one of 16 give the same numbers to
the last bit, ties included. Memory is bounded by the two blocks.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scann_index.margin import Neighbours, nearest
from scann_index.xsim import K as NEIGHBOURS

if TYPE_CHECKING:
    from scann_index.retrieval import Candidates

TOP = 3
"""How many of the rows found are kept."""
POOL_ROWS = 2**14
"""So many rows of a pool are compared at once."""
SCORES_AT_ONCE = 2**24
_CLOSE = 1e-5
"""Cosines of the same vectors differ by less, whoever adds them up."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a block of queries found, numbers of rows as in the pool.

    Args:
        ranks: int64 `[queries]`, of the best right answer by the index, 1 for the top.
        exact_ranks: int64 `[queries]`, the same by comparison with every row.
        top: int64 `[queries, TOP or fewer]`, rows by the index, best first; -1 where it found none.
        top_scores: float32, the shape of `top`, cosines; -inf where it found none.
        near: int64 `[queries, NEIGHBOURS or fewer]`, the nearest rows by comparison, best first.
        cosines: float32, the shape of `near`.
        backward: float32 `[pool, NEIGHBOURS]`, the cosines of each row of the pool with the nearest
            of the queries, in any order; -inf where there are fewer.
    """

    ranks: np.ndarray
    exact_ranks: np.ndarray
    top: np.ndarray
    top_scores: np.ndarray
    near: np.ndarray
    cosines: np.ndarray
    backward: np.ndarray

    def to_bytes(self) -> bytes:
        """As an `.npz` file."""
        buffer = io.BytesIO()
        np.savez(buffer, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Found:
        """The inverse of `to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(**{f.name: arrays[f.name] for f in dataclasses.fields(cls)})


def join(parts: Sequence[Found]) -> Found:
    """Several blocks of queries to the same pool as one."""
    rows = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in dataclasses.fields(Found)
        if field.name != "backward"
    }
    backward = parts[0].backward
    for part in parts[1:]:
        both = np.concatenate([backward, part.backward], axis=1)
        backward = np.partition(both, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    return Found(**rows, backward=backward)


def find(vectors: np.ndarray, wanted: Sequence[str], pool: Candidates) -> Found:
    """Puts queries to a pool.

    Args:
        vectors: float32 `[queries, dim]`, unit length, at least one.
        wanted: the sentence id of each; all rows of the pool with that id are right answers.
        pool: what is searched, at least one row.

    A row that is tied with the right answer counts as ahead of it. The index is asked for as many
    rows as `Candidates.search` says. What it does not return although it is nearer than the last
    that it returns, is lost: it does not stand in the index's ranking, and where all right answers
    are lost, the rank is behind all wrong rows.
    """
    at_once = max(1, SCORES_AT_ONCE // min(len(pool), POOL_ROWS))
    return join(
        [
            _find(vectors[first : first + at_once], wanted[first : first + at_once], pool)
            for first in range(0, len(vectors), at_once)
        ]
    )


def _find(vectors: np.ndarray, wanted: Sequence[str], pool: Candidates) -> Found:
    blocks = _Blocks(vectors, wanted, pool)
    exact = _Ranking(len(vectors))
    index = _Ranking(len(vectors))
    near, top = [], []
    backward = np.full((len(pool), NEIGHBOURS), -np.inf, np.float32)
    for block in blocks:
        exact.add_best(block.scores, block.right)
        near.append(block.nearest(block.scores, NEIGHBOURS))
        of_index = block.scores
        if block.lost is not None:
            of_index = np.where(block.lost, -np.inf, block.scores).astype(np.float32)
        index.add_best(of_index, block.right)
        top.append(block.nearest(of_index, TOP))
        columns = np.ascontiguousarray(block.scores.T)
        cosines = first_of_each(columns, NEIGHBOURS)[1]
        backward[block.first : block.first + len(columns), : cosines.shape[1]] = cosines
    for block in blocks:
        exact.count_ahead(block.scores, block.right)
        if block.lost is None:
            index.count_ahead(block.scores, block.right)
        else:
            index.count_ahead(np.where(block.lost, -np.inf, block.scores), block.right)
    kept, neighbours = nearest(top, TOP), nearest(near, NEIGHBOURS)
    return Found(
        index.ranks,
        exact.ranks,
        kept.indices,
        kept.cosines,
        neighbours.indices,
        neighbours.cosines,
        backward,
    )


class _Ranking:
    """The ranks of the best right answers, after two passes over the pool."""

    def __init__(self, queries: int) -> None:
        self.best = np.full(queries, -np.inf, np.float32)
        self.ranks = np.ones(queries, np.int64)

    def add_best(self, scores: np.ndarray, right: np.ndarray) -> None:
        """The first pass: how near the best right answer is."""
        best = np.where(right, scores, -np.inf).max(axis=1)
        self.best = np.maximum(self.best, best.astype(np.float32))

    def count_ahead(self, scores: np.ndarray, right: np.ndarray) -> None:
        """The second pass: how many wrong rows are as near as that, or nearer."""
        self.ranks += ((scores >= self.best[:, None]) & ~right).sum(axis=1)


@dataclass(frozen=True, eq=False)
class _Block:
    """Some queries and some rows of the pool.

    Args:
        first: number of the first of the rows.
        scores: float32 `[queries, rows]`, cosines.
        right: bool `[queries, rows]`, the right answers.
        lost: bool `[queries, rows]`, what the index should have found and did not; None if that is
            nothing.
    """

    first: int
    scores: np.ndarray
    right: np.ndarray
    lost: np.ndarray | None

    def nearest(self, scores: np.ndarray, k: int) -> Neighbours:
        """The k nearest rows of each query by some scores, equally near ones in their order."""
        indices, cosines = first_of_each(scores, k)
        return Neighbours(np.where(np.isfinite(cosines), indices + self.first, -1), cosines)


class _Blocks:
    """The pool's blocks, to be gone through more than once; a single one is kept in between."""

    def __init__(self, vectors: np.ndarray, wanted: Sequence[str], pool: Candidates) -> None:
        self.vectors = vectors
        self.wanted = pool.numbers(wanted)
        self.pool = pool
        self.returned, self.last = pool.search(vectors)
        self.single: _Block | None = None

    def __iter__(self) -> Iterator[_Block]:
        if self.single is not None:
            yield self.single
            return
        for first in range(0, len(self.pool), POOL_ROWS):
            block = self._block(first)
            if len(self.pool) <= POOL_ROWS:
                self.single = block
            yield block

    def _block(self, first: int) -> _Block:
        rows = np.arange(first, min(first + POOL_ROWS, len(self.pool)))
        scores = self.vectors @ self.pool.vectors_at(rows).T
        right = self.wanted[:, None] == self.pool.sentence_numbers[rows]
        if self.last.shape[1] == 1:
            lost = scores > self.last + _CLOSE
        else:
            lost = scores > self.last[:, self.pool.owners[rows]] + _CLOSE
        if not lost.any():
            return _Block(first, scores, right, None)
        inside = (self.returned >= first) & (self.returned < first + len(rows))
        query, place = np.nonzero(inside)
        lost[query, self.returned[query, place] - first] = False
        return _Block(first, scores, right, lost if lost.any() else None)


def first_of_each(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the k largest values of each row, the first of equal ones first.

    Args:
        scores: float32 `[rows, columns]`; written to meanwhile, and then as before.
        k: how many; fewer where there are fewer columns.

    Returns:
        int64 and float32 `[rows, min(k, columns)]`.
    """
    count = min(k, scores.shape[1])
    rows = np.arange(len(scores))
    indices = np.zeros((len(scores), count), np.int64)
    values = np.zeros((len(scores), count), np.float32)
    for place in range(count):
        indices[:, place] = scores.argmax(axis=1)
        values[:, place] = scores[rows, indices[:, place]]
        scores[rows, indices[:, place]] = -np.inf
    # Backwards: where nothing was left, the same column was taken twice.
    for place in reversed(range(count)):
        scores[rows, indices[:, place]] = values[:, place]
    return indices, values
