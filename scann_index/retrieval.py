"""Queries put to an index, and where their right answers came.

Queries and pools are rows of one split, usually the test split. A query may have several answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scann_index import xsim
from scann_index.margin import Neighbours
from scann_index.ranking import Found, find, join
from scann_index.row import Row, from_table, no_rows

if TYPE_CHECKING:
    from scann_index.bundle import IndexShard
    from scann_index.vector_table import VectorTable

POOL = (
    "all rows of the split in one language and one modality; "
    "those with the query's sentence id are right answers"
)
ASKED = 10
"""So many rows of the pool are asked for in a search, as `scann_index.search` does."""
DEPTH = 2000
"""So many rows of a shard are asked for at most, where most of them are of other splits."""
BLOCK = 4096
"""So many queries are the unit of work."""


class Candidates:
    """The rows of one split in some shards of an index, in the order of their ids.

    Args:
        shards: of one language and modality; they may hold rows of other splits too.
        split: `train`, `dev` or `test`.

    Attributes:
        table: a `pyarrow.Table` of the rows, with the fields of `Row`.
        owners: int32 `[rows]`, the shard that each lies in.
    """

    def __init__(self, shards: Sequence[IndexShard | VectorTable], split: str) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._shards = list(shards)
        tables, owners, places = [no_rows()], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for owner, shard in enumerate(self._shards):
            chosen = np.flatnonzero(np.asarray(pc.equal(shard.table["split"], split)))
            tables.append(shard.table.take(chosen))
            owners.append(np.full(len(chosen), owner, np.int32))
            places.append(chosen)
        table = pa.concat_tables(tables)
        order = np.asarray(pc.sort_indices(table["id"]))
        self.table: Any = table.take(order)
        self.owners: np.ndarray = np.concatenate(owners)[order]
        self._places: np.ndarray = np.concatenate(places)[order]

    def __len__(self) -> int:
        return len(self.owners)

    @cached_property
    def rows(self) -> list[Row]:
        """All rows; of a big pool take `rows_at`, or a column of `table`."""
        return from_table(self.table)

    def rows_at(self, numbers: Sequence[int] | np.ndarray) -> list[Row]:
        """Some of the rows."""
        return from_table(self.table.take(np.asarray(numbers, np.int64)))

    def column(self, name: str) -> list[str]:
        """One field of all rows."""
        values: list[str] = self.table[name].to_pylist()
        return values

    @cached_property
    def sentences(self) -> list[str]:
        """The sentence id of each row."""
        return self.column("sentence_id")

    @cached_property
    def _names(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(dict.fromkeys(self.sentences))}

    @cached_property
    def sentence_numbers(self) -> np.ndarray:
        """The sentence ids as numbers: int64 `[rows]`."""
        return self.numbers(self.sentences)

    def numbers(self, sentences: Sequence[str]) -> np.ndarray:
        """What `sentence_numbers` has for some sentence ids, -1 for those it doesn't have."""
        return np.array([self._names.get(name, -1) for name in sentences], np.int64)

    @property
    def vectors(self) -> np.ndarray:
        """float32 `[rows, dim]`, all of them in memory; of a big pool take `vectors_at`."""
        return self.vectors_at(np.arange(len(self)))

    def vectors_at(self, numbers: np.ndarray) -> np.ndarray:
        """The vectors of some rows: float32 `[numbers, dim]`."""
        dim = self._shards[0].dim if self._shards else 0
        vectors = np.zeros((len(numbers), dim), np.float32)
        for owner, shard in enumerate(self._shards):
            own = np.flatnonzero(self.owners[numbers] == owner)
            vectors[own] = shard.vectors[self._places[numbers[own]]]
        return vectors

    @cached_property
    def digest(self) -> str:
        """What identifies the rows: a hash of their ids."""
        return hashlib.sha256("\0".join(self.column("id")).encode()).hexdigest()

    def compare(self, queries: np.ndarray) -> np.ndarray:
        """Scores by comparison with every row: float32 `[queries, rows]`."""
        scores: np.ndarray = queries @ self.vectors.T
        return scores

    @cached_property
    def _numbers_in_shards(self) -> list[np.ndarray]:
        """Of each shard's rows the number here, -1 for those of other splits."""
        inverse = [np.full(len(shard), -1, np.int64) for shard in self._shards]
        for owner, numbers in enumerate(inverse):
            own = np.flatnonzero(self.owners == owner)
            numbers[self._places[own]] = own
        return inverse

    def search(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the index returns, asked for `ASKED` rows of the pool.

        A shard with rows of other splits is asked for more in proportion, so that about as many
        are of this one.

        Args:
            queries: float32 `[queries, dim]`, unit length.

        Returns:
            Numbers of rows, int64 `[queries, rows returned]`, -1 for what is not in the pool; and
            the score of the last row that each shard returned, float32 `[queries, shards]`, -inf
            where it returned fewer than it was asked for.
        """
        returned = []
        last = np.full((len(queries), len(self._shards)), np.inf, np.float32)
        for owner, shard in enumerate(self._shards):
            inverse = self._numbers_in_shards[owner]
            own = int((inverse >= 0).sum())
            if not own:
                continue
            indices, scores = shard.search(queries, min(DEPTH, -(-ASKED * len(shard) // own)))
            returned.append(np.where(indices >= 0, inverse[indices], -1))
            last[:, owner] = scores.min(axis=1)
            if len(self._shards) > 1:
                # A big pool lies in many shards: no more than one is to be in memory.
                vars(shard).pop("engine", None)
        return np.concatenate(returned, axis=1), last


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What a set of queries found.

    Args:
        asked: the rows asked for, each with a right answer in the pool: a `pyarrow.Table`.
        pool: what was searched.
        found: what was found.
        unanswerable: how many queries were left out for want of a right answer.
    """

    asked: Any
    pool: Candidates
    found: Found
    unanswerable: int

    def __len__(self) -> int:
        return len(self.asked)

    @property
    def queries(self) -> list[Row]:
        """The rows asked for."""
        return from_table(self.asked)

    @property
    def ranks(self) -> np.ndarray:
        """int64 `[queries]`, by the index; 1 for the top."""
        return self.found.ranks

    @property
    def exact_ranks(self) -> np.ndarray:
        """int64 `[queries]`, by comparison of the same vectors."""
        return self.found.exact_ranks

    def query(self, number: int) -> Row:
        """One of the rows asked for."""
        return from_table(self.asked.slice(number, 1))[0]

    @cached_property
    def wanted(self) -> list[str]:
        """The sentence id of each query."""
        return self.column("sentence_id")

    def column(self, name: str) -> list[str]:
        """One field of all queries."""
        values: list[str] = self.asked[name].to_pylist()
        return values

    def hit_column(self, name: str) -> list[str]:
        """One field of the row found first by each query, empty where the index found none."""
        first = self.found.top[:, 0]
        values = self.pool.table[name].take(np.maximum(first, 0)).to_pylist()
        return [value if number >= 0 else "" for value, number in zip(values, first, strict=True)]

    @cached_property
    def xsim_errors(self) -> np.ndarray:
        """bool `[queries]`, see `scann_index.xsim`."""
        forward = Neighbours(self.found.near, self.found.cosines)
        return xsim.errors(forward, self.found.backward, self.wanted, self.pool.sentences)


def answerable(queries: Candidates, pool: Candidates, limit: int | None = None) -> np.ndarray:
    """The numbers of the queries with a right answer in the pool, the first `limit` of them."""
    return np.flatnonzero(pool.numbers(queries.sentences) >= 0)[:limit]


def blocks(count: int) -> list[slice]:
    """So many queries cut into blocks of `BLOCK`."""
    return [slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]


def search_block(queries: Candidates, pool: Candidates, numbers: np.ndarray) -> Found:
    """What some of the queries find."""
    wanted = queries.table["sentence_id"].take(numbers).to_pylist()
    return find(queries.vectors_at(numbers), wanted, pool)


def assemble(
    queries: Candidates, pool: Candidates, limit: int | None, parts: Sequence[Found]
) -> Retrieval:
    """The blocks of all answerable queries put together."""
    numbers = answerable(queries, pool, limit)
    unanswerable = len(queries) - len(answerable(queries, pool))
    return Retrieval(queries.table.take(numbers), pool, join(parts), unanswerable)


def retrieve(queries: Candidates, pool: Candidates, limit: int | None = None) -> Retrieval | None:
    """Searches a pool.

    Args:
        queries: what is looked for.
        pool: where.
        limit: only so many queries.

    Returns:
        None if no query has a right answer in the pool.
    """
    numbers = answerable(queries, pool, limit)
    if not len(numbers):
        return None
    parts = [search_block(queries, pool, numbers[block]) for block in blocks(len(numbers))]
    return assemble(queries, pool, limit, parts)
