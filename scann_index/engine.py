"""ScaNN over the vectors of one index shard: exact, or by a tree and asymmetric hashing.

ScaNN 1.3.2 ends the process, or answers wrongly without a word, when it is given too few rows or
damaged files, and fills up a short answer with row 0 and a score of NaN. It stays behind this
module, which checks what goes in and cleans what comes out.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)

MIN_TREE_ROWS = 256
"""Fewer rows are always searched exactly: there is nothing to gain, and below 16 ScaNN fails."""
REORDERED = 100
"""So many candidates of the hashing are compared by their real vectors, at least."""
TRAINING_ROWS = 100_000
"""So many rows at most train the tree and the hash."""

TREE_FILES = {
    "AH_CENTERS": "ah_codebook.pb",
    "PARTITIONER": "serialized_partitioner.pb",
    "TOKENIZATION_NPY": "datapoint_to_token.npy",
    "AH_DATASET_NPY": "hashed_dataset.npy",
}
"""What ScaNN needs of a trained tree beside the vectors, by its names for them."""
CONFIG_FILE = "scann_config.pb"
ALL_TREE_FILES = (*TREE_FILES.values(), CONFIG_FILE)


def leaves_for(rows: int) -> int:
    """How many leaves a tree over so many rows gets: 2√N was measured better than √N."""
    return round(2 * math.sqrt(rows))


def build_tree(vectors: np.ndarray, working_folder: str | None = None) -> dict[str, bytes]:
    """Trains a tree with asymmetric hashing.

    Args:
        vectors: float32 `[rows, dim]`, unit length, at least `MIN_TREE_ROWS` of them.
        working_folder: a local folder with room for the vectors, for a moment.

    Returns:
        The content of each of `ALL_TREE_FILES`, the same bytes for the same vectors.

    Raises:
        ValueError: there are too few rows.
    """
    from scann.scann_ops.py import scann_ops_pybind

    rows = len(vectors)
    if rows < MIN_TREE_ROWS:
        raise ValueError(f"a tree over {rows} rows; it takes at least {MIN_TREE_ROWS}")
    leaves, sample = leaves_for(rows), min(rows, TRAINING_ROWS)
    builder = scann_ops_pybind.builder(np.ascontiguousarray(vectors), 10, "dot_product")
    # k-means++ draws from a generator with a fixed seed; the random start that is ScaNN's default
    # does not, and every build would answer differently.
    builder.tree(
        num_leaves=leaves,
        num_leaves_to_search=leaves,
        training_sample_size=sample,
        min_partition_size=10,
        random_init=False,
    )
    builder.score_ah(2, anisotropic_quantization_threshold=0.2, training_sample_size=sample)
    searcher = builder.reorder(REORDERED).build()
    prefix = storage.TEMPORARY
    with tempfile.TemporaryDirectory(prefix=prefix, dir=working_folder) as folder:
        searcher.serialize(folder)
        return {name: Path(folder, name).read_bytes() for name in ALL_TREE_FILES}


class Engine:
    """Answers queries over one set of vectors; made by `open_exact` or `open_tree`.

    Args:
        searcher: a `ScannSearcher`.
        rows: how many vectors it holds.
        dim: their dimension.
        leaves_searched: of a tree, how many leaves a query visits; None without a tree.
    """

    def __init__(self, searcher: Any, rows: int, dim: int, leaves_searched: int | None) -> None:
        self._searcher = searcher
        self.rows = rows
        self.dim = dim
        self.leaves_searched = leaves_searched

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows of each query.

        Args:
            queries: float32 `[queries, dim]`, finite.
            k: how many rows are wanted, at least 1.

        Returns:
            Row numbers int64 and scores float32 (dot products), both `[queries, min(k, rows)]`,
            best first. Where a tree found fewer, the number is -1 and the score -inf.

        Raises:
            ValueError: the queries have another shape or hold NaN, or k is below 1.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise ValueError(f"queries of shape {queries.shape}; expected [queries, {self.dim}]")
        if not np.isfinite(queries).all():
            raise ValueError("queries hold NaN or infinite numbers")
        if k < 1:
            raise ValueError(f"k is {k}, must be at least 1")
        k = min(k, self.rows)
        if not len(queries):
            return np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
        reordered = None
        if self.leaves_searched is not None:
            reordered = min(max(REORDERED, 4 * k), self.rows)
        indices, scores = self._searcher.search_batched(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=reordered,
            leaves_to_search=self.leaves_searched,
        )
        found = ~np.isnan(scores)
        return (
            np.where(found, indices.astype(np.int64), -1),
            np.where(found, scores, np.float32(-np.inf)),
        )


def open_exact(vectors: np.ndarray) -> Engine:
    """ScaNN's brute force over float32 `[rows, dim]`, at least one row."""
    from scann.scann_ops.py import scann_ops_pybind

    if len(vectors) == 0:
        raise ValueError("no vectors to search")
    vectors = np.ascontiguousarray(vectors, np.float32)
    searcher = scann_ops_pybind.builder(vectors, 10, "dot_product").score_brute_force().build()
    return Engine(searcher, len(vectors), vectors.shape[1], None)


def open_tree(folder: str, vectors_path: str, *, leaves: int, leaves_searched: int) -> Engine:
    """Loads what `build_tree` made, wherever it lies now.

    Args:
        folder: a local folder with `ALL_TREE_FILES`.
        vectors_path: the local `.npy` file of the vectors the tree was trained on.
        leaves: how many leaves the tree has.
        leaves_searched: how many of them a query visits.

    Raises:
        ValueError: the files don't belong together.

    The list of assets, which ScaNN writes with absolute paths, is made afresh from `TREE_FILES`: no
    path comes from a file, and ScaNN's own loader, which unpickles a file of ids where it finds
    one, is not used.
    """
    from google.protobuf import text_format
    from scann.scann_ops import scann_assets_pb2
    from scann.scann_ops.py import scann_ops_pybind

    rows, dim = np.load(vectors_path, mmap_mode="r", allow_pickle=False).shape
    _check_tree(folder, rows, leaves)
    assets = scann_assets_pb2.ScannAssets()
    names = {kind: os.path.join(folder, name) for kind, name in TREE_FILES.items()}
    for kind, path in {**names, "DATASET_NPY": vectors_path}.items():
        number = scann_assets_pb2.ScannAsset.AssetType.Value(kind)
        assets.assets.add(asset_type=number, asset_path=os.path.abspath(path))
    native = scann_ops_pybind.scann_pybind.ScannNumpy(folder, text_format.MessageToString(assets))
    return Engine(scann_ops_pybind.ScannSearcher(native), rows, dim, leaves_searched)


def _check_tree(folder: str, rows: int, leaves: int) -> None:
    """That the arrays of a tree are as long as the vectors, and point at leaves that exist."""
    expected = {"TOKENIZATION_NPY": (np.int32, 1), "AH_DATASET_NPY": (np.uint8, 2)}
    for kind, (dtype, dimensions) in expected.items():
        path = os.path.join(folder, TREE_FILES[kind])
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype != dtype or array.ndim != dimensions or len(array) != rows:
            raise ValueError(f"{path} holds {array.dtype} {array.shape}, made for other vectors")
        if kind == "TOKENIZATION_NPY" and not 0 <= array.min() <= array.max() < leaves:
            raise ValueError(f"{path} points at leaves that the tree doesn't have")


def recall_at_10(
    engine: Engine, vectors: np.ndarray, queries: np.ndarray, own: np.ndarray | None = None
) -> float:
    """How many of the ten nearest rows an engine finds, by comparison with every row.

    Args:
        engine: what is measured.
        vectors: float32 `[rows, dim]`, what it holds.
        queries: float32 `[queries, dim]`.
        own: int64 `[queries]`, the row that each query is, left out of both answers; None if the
            queries are no rows.

    Returns:
        A share between 0 and 1. A row that is found counts if it is no farther than the tenth
        nearest, so that it doesn't matter which of several equally near ones are returned.
    """
    k = min(10, len(vectors) - (own is not None))
    if k < 1 or not len(queries):
        return 1.0
    exact = queries @ vectors.T
    indices, scores = engine.search(queries, k + (own is not None))
    if own is not None:
        exact[np.arange(len(queries)), own] = -np.inf
        scores = np.where(indices == own[:, None], -np.inf, scores)
    tenth = np.partition(exact, -k, axis=1)[:, -k]
    found = np.minimum((scores >= tenth[:, None] - 1e-5).sum(axis=1), k)
    return float(found.mean() / k)
