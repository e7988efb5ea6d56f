"""Rows and their vectors in memory, searched by comparison: an index shard without its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scann_index.ranking import first_of_each
from scann_index.row import Row, read_parquet, to_parquet


class VectorTable:
    """What `retrieval.Candidates` takes in place of an `IndexShard`.

    Args:
        rows: what the vectors stand for.
        vectors: float32 `[rows, dim]`, of unit length or zero.
    """

    def __init__(self, rows: Sequence[Row], vectors: np.ndarray) -> None:
        self.table: Any = read_parquet(to_parquet(rows))
        self.vectors = vectors
        self.dim = vectors.shape[1]

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows, best first: int64 and float32 `[queries, k or fewer]`."""
        return first_of_each(queries @ self.vectors.T, k)
