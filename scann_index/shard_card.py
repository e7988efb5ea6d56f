"""What an index knows of each of its shards."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scann_index.engine import files_of
from scann_index.recipe import EXACT, FLOAT32, Recipe

VECTORS, ROWS = "vectors.npy", "rows.parquet"

NAME = re.compile(r"(speech|text)-([A-Za-z0-9_]{1,16})-([0-9]{5})-of-([0-9]{5})")
_PART = re.compile(r"([ac][0-9]{5})?")


@dataclass(frozen=True)
class ShardCard:
    """What `info.json` says of an index shard.

    Args:
        name: its folder, `modality-language-part-of-parts`.
        rows: how many vectors it holds.
        engine: as in `Recipe`, like `leaves`, `reorder`, `dims` and `spill`.
        leaves: of a tree, else 0.
        reorder: `float32`, `bfloat16` or `int8`.
        dims: how many dimensions are hashed; 0 for all.
        spill: whether each row lies in two leaves.
        leaves_searched: how many leaves a query visits.
        reordered: how many candidates are compared by their vectors.
        recall_at_10: measured against comparison with every row, see `recall_queries`.
        recall_queries: what it was measured with: how many vectors, and of which shards.
        part: the folder in `parts/` it was appended or merged into; empty for a first build.
    """

    name: str
    rows: int
    engine: str
    leaves: int = 0
    reorder: str = FLOAT32
    dims: int = 0
    spill: bool = False
    leaves_searched: int = 0
    reordered: int = 0
    recall_at_10: float | None = None
    recall_queries: str = ""
    part: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or not _PART.fullmatch(self.part):
            raise ValueError(f"{self.part!r}, {self.name!r}: no name of an index shard")
        recipe = self.recipe
        if self.rows < 1 or (recipe.leaves and not 1 <= self.leaves_searched <= self.leaves):
            raise ValueError(f"{self.name}: impossible numbers of rows or leaves")
        if recipe.engine != EXACT and self.reordered < 1:
            raise ValueError(f"{self.name}: {self.reordered} candidates reordered")

    @property
    def recipe(self) -> Recipe:
        """How its vectors are searched."""
        return Recipe(self.engine, self.leaves, self.reorder, self.dims, self.spill)

    @property
    def group(self) -> tuple[str, str]:
        """Its modality and language."""
        match = NAME.fullmatch(self.name)
        assert match is not None
        return match[1], match[2]

    @property
    def folder(self) -> str:
        """Where its files are, relative to the bundle."""
        return f"parts/{self.part}/shards/{self.name}" if self.part else f"shards/{self.name}"

    @property
    def files(self) -> list[str]:
        """Its files, relative to the bundle."""
        return [f"{self.folder}/{name}" for name in (VECTORS, ROWS, *files_of(self.recipe))]


def shard_name(modality: str, language: str, part: int, parts: int) -> str:
    """`text-en-00000-of-00001`."""
    return f"{modality}-{language}-{part:05d}-of-{parts:05d}"
