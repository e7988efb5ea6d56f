"""Which engine an index shard gets: the choice, from the user's options and the number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

EXACT, HASH, TREE = "exact", "hash", "tree"
ENGINES = (EXACT, HASH, TREE)
AUTO = "auto"
FLOAT32 = "float32"
REORDERS = (FLOAT32, "bfloat16", "int8")

MIN_HASH_ROWS = 256
"""Fewer rows are always searched exactly: there is nothing to gain, and below 16 ScaNN fails."""
EXACT_BELOW = 20_000
TREE_FROM = 100_000


@dataclass(frozen=True)
class Recipe:
    """How the vectors of a shard are searched.

    Args:
        engine: `exact` compares a query with every row; `hash` compares it with the 4-bit codes of
            every row and reorders the best by their vectors; `tree` does so in those leaves of a
            k-means tree only that lie nearest to the query.
        leaves: of a tree, else 0.
        reorder: what the reordering compares with: the vectors as `float32`, or rounded to
            `bfloat16` or `int8`, which take a half or a quarter of the memory. The rows finally
            returned are always compared as float32.
        dims: so many leading dimensions are hashed, for models whose leading dimensions say most
            (Matryoshka); 0 for all. Candidates are compared in all dimensions.
        spill: whether each row lies in a second leaf too (SOAR): fewer leaves to search, twice the
            codes to hold.

    Raises:
        ValueError: the values contradict each other.
    """

    engine: str
    leaves: int = 0
    reorder: str = FLOAT32
    dims: int = 0
    spill: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES or self.reorder not in REORDERS:
            raise ValueError(
                f"engine {self.engine!r} with {self.reorder!r}; known are {', '.join(ENGINES)} "
                f"with {', '.join(REORDERS)}"
            )
        if (self.engine == TREE) != (self.leaves > 0) or self.leaves < 0 or self.dims < 0:
            raise ValueError(f"engine {self.engine!r} with {self.leaves} leaves, {self.dims} dims")
        if self.dims and self.reorder != FLOAT32:
            raise ValueError("with fewer dimensions, candidates are compared as float32 only")
        if self.spill and self.engine != TREE:
            raise ValueError("only a tree spills rows into second leaves")
        if self.engine == EXACT and (self.dims or self.reorder != FLOAT32):
            raise ValueError("an exact search compares all dimensions as float32")


@dataclass(frozen=True)
class Choice:
    """What the user wants of the engines; decides the `Recipe` of each shard.

    Args:
        engine: `auto`, or one of `ENGINES` for all shards that are large enough for it.
        exact_below: with `auto`, shards with fewer rows are searched exactly.
        tree_from: with `auto`, shards with so many rows or more get a tree.
        leaves: of a tree; 0 for 2√rows, which was measured better than √rows.
        reorder: see `Recipe`.
        dims: see `Recipe`.
        spill: see `Recipe`.
    """

    engine: str = AUTO
    exact_below: int = EXACT_BELOW
    tree_from: int = TREE_FROM
    leaves: int = 0
    reorder: str = FLOAT32
    dims: int = 0
    spill: bool = False

    def __post_init__(self) -> None:
        if self.engine not in (AUTO, *ENGINES) or self.reorder not in REORDERS:
            raise ValueError(f"engine {self.engine!r}, reorder {self.reorder!r}: unknown")
        if min(self.exact_below, self.tree_from, self.leaves, self.dims) < 0:
            raise ValueError("rows, leaves and dims can't be negative")
        if self.dims and self.reorder != FLOAT32:
            raise ValueError("fewer dims go with reorder float32 only")

    def recipe(self, rows: int, dim: int) -> Recipe:
        """The recipe of a shard.

        Args:
            rows: of the shard.
            dim: of its vectors.
        """
        engine = self.engine
        if engine == AUTO:
            engine = TREE if rows >= self.tree_from else HASH
            engine = EXACT if rows < self.exact_below else engine
        if engine == EXACT or rows < MIN_HASH_ROWS:
            return Recipe(EXACT)
        leaves = min(self.leaves or round(2 * math.sqrt(rows)), rows // 2)
        is_tree = engine == TREE
        dims = self.dims if self.dims < dim else 0
        return Recipe(engine, leaves * is_tree, self.reorder, dims, self.spill and is_tree)
