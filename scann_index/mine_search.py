"""The blocks of each side searched for the neighbours of the other side's rows, in Beam.

neighbours/right-00001-of-00003.in.left-00000-of-00002.npz     k rows of the left block for each
                                                               of the right one, by number there
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from scann_index import engine
from scann_index.margin import Neighbours, nearest
from scann_index.mine_blocks import LEFT, RIGHT, block_path, read_vectors
from scann_index.recipe import EXACT, Choice
from scann_index.sweep import sweep

import apache_beam as beam  # isort: skip

QUERIES_AT_ONCE = 8192
TUNING_QUERIES = 200


def neighbours_path(folder: str, queries: str, searched: str) -> str:
    """The file with the neighbours that the rows of one block have in another."""
    return storage.join(folder, "neighbours", f"{queries}.in.{searched}.npz")


def read_neighbours(folder: str, queries: str, searched: str) -> Neighbours:
    """What `FindNeighbours` wrote; numbers of rows count within the searched block."""
    data = storage.read_bytes(neighbours_path(folder, queries, searched))
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Neighbours(arrays["indices"], arrays["cosines"])


class FindNeighbours(beam.DoFn):
    """Searches a block for the nearest rows to each row of the other side.

    Args:
        folder: of the mining.
        blocks: the names of the blocks of each side.
        k: how many neighbours are found in each block.
        exact_below: a block with fewer rows is compared row by row, a bigger one by ScaNN.
        target_recall: the recall@10 that a tree is to reach with queries of the other side.
    """

    def __init__(
        self,
        folder: str,
        blocks: dict[str, list[str]],
        k: int,
        exact_below: int,
        target_recall: float,
    ) -> None:
        self.folder = folder
        self.blocks = blocks
        self.k = k
        self.exact_below = exact_below
        self.target_recall = target_recall

    def process(self, searched: str) -> Iterator[str]:
        """Yields the path of each file once it is written."""
        others = self.blocks[RIGHT if searched in self.blocks[LEFT] else LEFT]
        paths = {name: neighbours_path(self.folder, name, searched) for name in others}
        left = [name for name in others if not storage.exists(paths[name])]
        if not left:
            return
        found_by = self._engine(read_vectors(self.folder, searched), others[0])
        for name in left:
            queries = read_vectors(self.folder, name)
            parts = [
                found_by.search(queries[start : start + QUERIES_AT_ONCE], self.k)
                for start in range(0, len(queries), QUERIES_AT_ONCE)
            ]
            indices, cosines = (np.concatenate(part) for part in zip(*parts, strict=True))
            buffer = io.BytesIO()
            np.savez(buffer, indices=indices.astype(np.int64), cosines=cosines)
            storage.write_bytes(paths[name], buffer.getvalue())
            yield paths[name]

    def _engine(self, vectors: np.ndarray, queries: str) -> engine.Engine:
        recipe = Choice(exact_below=self.exact_below).recipe(*vectors.shape)
        found_by = engine.over(vectors, recipe)
        if recipe.engine != EXACT:
            sample = read_vectors(self.folder, queries)
            chosen = np.random.default_rng(len(vectors)).permutation(len(sample))[:TUNING_QUERIES]
            sweep(found_by, vectors, sample[chosen], self.target_recall)
        return found_by


def neighbours_of(
    folder: str, queries: Sequence[str], searched: Sequence[str], k: int
) -> Neighbours:
    """The neighbours of all rows of one side in the other, numbered through all its blocks."""
    sizes = [storage.read_json(block_path(folder, name, "json"))["rows"] for name in searched]
    starts = np.cumsum([0, *sizes])
    rows = []
    for block in queries:
        parts = []
        for start, name in zip(starts, searched, strict=False):
            found = read_neighbours(folder, block, name)
            numbers = np.where(found.indices >= 0, found.indices + start, -1)
            parts.append(Neighbours(numbers, found.cosines))
        rows.append(nearest(parts, k))
    return Neighbours(
        np.concatenate([part.indices for part in rows]),
        np.concatenate([part.cosines for part in rows]),
    )
