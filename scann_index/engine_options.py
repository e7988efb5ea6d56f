"""The options of every verb that writes index shards."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.options import option
from scann_index.recipe import AUTO, ENGINES, EXACT_BELOW, FLOAT32, REORDERS, TREE_FROM, Choice


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How shards are cut and searched."""

    shard_rows: int = option(200_000, help="a language with more rows is split into several shards")
    engine: str = option(
        AUTO, help="how shards are searched; auto goes by their rows", choices=(AUTO, *ENGINES)
    )
    exact_below: int = option(EXACT_BELOW, help="shards with fewer rows are searched exactly")
    tree_from: int = option(TREE_FROM, help="shards with so many rows get a tree, others a hash")
    leaves: int = option(0, help="leaves of a tree; 0 for twice the square root of the rows")
    reorder: str = option(
        FLOAT32, help="what candidates are compared by; int8 takes a quarter", choices=REORDERS
    )
    dims: int = option(0, help="hash so many leading dimensions only (Matryoshka); 0 for all")
    spill: bool = option(False, help="put each row into a second leaf too (SOAR)")
    target_recall: float = option(
        0.98, help="hashes and trees search as much as this recall@10 takes"
    )

    def __post_init__(self) -> None:
        if self.exact_below < 0 or self.tree_from < 0 or self.shard_rows < 1:
            raise ValueError("--exact-below, --tree-from: at least 0; --shard-rows: at least 1")
        if self.leaves < 0 or self.dims < 0:
            raise ValueError("--leaves and --dims can't be negative")
        if self.dims and self.reorder != FLOAT32:
            raise ValueError(f"--dims goes with --reorder {FLOAT32} only")
        if not 0 < self.target_recall <= 1:
            raise ValueError("--target-recall is a share, above 0 and at most 1")

    @property
    def choice(self) -> Choice:
        """Which engine a shard gets."""
        return Choice(
            self.engine,
            self.exact_below,
            self.tree_from,
            self.leaves,
            self.reorder,
            self.dims,
            self.spill,
        )
