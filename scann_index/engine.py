"""ScaNN over the vectors of one index shard: exact, hashed, or hashed behind a tree.

ScaNN 1.3.2 ends the process, or answers wrongly without a word, when it is given too few rows or
damaged files, and fills up a short answer with row 0 and a score of NaN. It stays behind this
module, which checks what goes in and cleans what comes out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before TensorFlow)
from scann_index.recipe import EXACT, FLOAT32, HASH, MIN_HASH_ROWS, Recipe

TRAINING_ROWS = 100_000
"""So many rows at most train the tree and the hash."""
DIMS_PER_CODE = 2
"""So many dimensions share a 4-bit code; with 3 or 4 the codes are faster and much less exact."""
PARALLEL_FROM = 512
"""So many queries at once are spread over the processor's cores."""

HASH_FILES = {"AH_CENTERS": "ah_codebook.pb", "AH_DATASET_NPY": "hashed_dataset.npy"}
TREE_FILES = {
    "PARTITIONER": "serialized_partitioner.pb",
    "TOKENIZATION_NPY": "datapoint_to_token.npy",
}
SPILL_FILES = {"AH_DATASET_SOAR_NPY": "hashed_dataset_soar.npy"}
REORDER_FILES: dict[str, dict[str, str]] = {
    "float32": {},
    "int8": {
        "INT8_DATASET_NPY": "int8_dataset.npy",
        "INT8_MULTIPLIERS_NPY": "int8_multipliers.npy",
        "INT8_NORMS_NPY": "dp_norms.npy",
    },
    "bfloat16": {"BF16_DATASET_NPY": "bfloat16_dataset.npy"},
}
CONFIG_FILE = "scann_config.pb"

_GATHERED_AT_ONCE = 2**24
_ROWS_AT_ONCE = 2**16


def assets_of(recipe: Recipe) -> dict[str, str]:
    """The files that ScaNN needs beside the vectors, by its names for them; none if exact."""
    if recipe.engine == EXACT:
        return {}
    tree = {} if recipe.engine == HASH else TREE_FILES
    spill = SPILL_FILES if recipe.spill else {}
    return {**HASH_FILES, **tree, **spill, **REORDER_FILES[recipe.reorder]}


def files_of(recipe: Recipe) -> list[str]:
    """The names of all files that `train` makes."""
    return [*assets_of(recipe).values(), CONFIG_FILE] if recipe.engine != EXACT else []


def train(vectors: np.ndarray, recipe: Recipe, folder: str) -> None:
    """Trains what a recipe asks for and writes `files_of` it, the same bytes for the same vectors.

    Args:
        vectors: float32 `[rows, dim]`, unit length, at least `MIN_HASH_ROWS` of them.
        recipe: not an exact one.
        folder: local and empty, with room for the vectors; other files may be left there too.

    Raises:
        ValueError: there are too few rows.
    """
    from scann.scann_ops.py import scann_ops_pybind
    from scann.scann_ops.py.scann_builder import ReorderType

    rows = len(vectors)
    if rows < MIN_HASH_ROWS:
        raise ValueError(f"hashing {rows} rows; it takes at least {MIN_HASH_ROWS}")
    sample = min(rows, TRAINING_ROWS)
    vectors = np.ascontiguousarray(vectors[:, : recipe.dims] if recipe.dims else vectors)
    builder = scann_ops_pybind.builder(vectors, 10, "dot_product")
    if recipe.leaves:
        # k-means++ draws from a generator with a fixed seed; the random start that is ScaNN's
        # default does not, and every build would answer differently.
        builder.tree(
            num_leaves=recipe.leaves,
            num_leaves_to_search=recipe.leaves,
            training_sample_size=sample,
            min_partition_size=10,
            random_init=False,
            soar_lambda=1.0 if recipe.spill else None,
            overretrieve_factor=2.0 if recipe.spill else None,
        )
    builder.score_ah(
        DIMS_PER_CODE, anisotropic_quantization_threshold=0.2, training_sample_size=sample
    )
    if not recipe.dims:
        builder.reorder(100, ReorderType[recipe.reorder.upper()])
    builder.build().serialize(folder)


class Engine:
    """Answers queries over one set of vectors; made by `open_exact` or `open_trained`.

    Args:
        searcher: a `ScannSearcher`.
        vectors: float32 `[rows, dim]`, what it holds.
        recipe: how it was trained.

    Attributes:
        leaves_searched: of a tree, how many leaves a query visits.
        reordered: how many candidates of the hashing are compared by their vectors, when ten
            neighbours are asked for; with more, in proportion.
    """

    def __init__(self, searcher: Any, vectors: np.ndarray, recipe: Recipe) -> None:
        self._searcher = searcher
        self._vectors = vectors
        self.recipe = recipe
        self.rows, self.dim = vectors.shape
        self.leaves_searched = recipe.leaves
        self.reordered = 100

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows of each query.

        Args:
            queries: float32 `[queries, dim]`, finite.
            k: how many rows are wanted, at least 1.

        Returns:
            Row numbers int64 and scores float32 (dot products), both `[queries, min(k, rows)]`,
            best first, equally near ones in their order if the search is exact. Where a tree found
            fewer, the number is -1 and the score -inf.

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
        if self.recipe.engine == EXACT:
            return self._exact(queries, k)
        reordered = min(self.rows, max(k, self.reordered * k // 10, self.reordered))
        if self.recipe.dims:
            candidates, _ = self._ask(queries[:, : self.recipe.dims], reordered)
            return self._rescored(queries, candidates, k)
        if self.recipe.reorder != FLOAT32:
            # Rounded vectors confuse near neighbours: a few more are asked for, and compared.
            candidates, _ = self._ask(queries, min(self.rows, 2 * k + 10), reordered)
            return self._rescored(queries, candidates, k)
        return self._ask(queries, k, reordered)

    def _ask(
        self, queries: np.ndarray, count: int, reordered: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """ScaNN's own answer, what it didn't find marked."""
        settings = {
            "final_num_neighbors": count,
            "pre_reorder_num_neighbors": max(count, reordered) if reordered else None,
            "leaves_to_search": self.leaves_searched or None,
        }
        if len(queries) >= PARALLEL_FROM:
            search = self._searcher.search_batched_parallel
        else:
            search = self._searcher.search_batched
        indices, scores = search(np.ascontiguousarray(queries), **settings)
        found = ~np.isnan(scores)
        return (
            np.where(found, indices.astype(np.int64), -1),
            np.where(found, scores, np.float32(-np.inf)),
        )

    def _exact(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Of equally near rows the first ones, which ScaNN doesn't care for."""
        depth = k
        while True:
            depth = min(self.rows, depth + 1)
            indices, scores = self._ask(queries, depth)
            if depth == self.rows or bool((scores[:, k - 1] > scores[:, -1]).all()):
                break
            depth *= 4
        order = np.lexsort((indices, -scores), axis=1)[:, :k]
        return np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def _rescored(
        self, queries: np.ndarray, candidates: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best k of some candidates by their real vectors."""
        scores = np.full(candidates.shape, -np.inf, np.float32)
        at_once = max(1, _GATHERED_AT_ONCE // (candidates.shape[1] * self.dim))
        for first in range(0, len(queries), at_once):
            part = slice(first, first + at_once)
            gathered = self._vectors[candidates[part]]
            scores[part] = np.einsum("qcd,qd->qc", gathered, queries[part])
        scores[candidates < 0] = -np.inf
        order = np.lexsort((candidates, -scores), axis=1)[:, :k]
        indices = np.take_along_axis(candidates, order, axis=1)
        return indices, np.take_along_axis(scores, order, axis=1)


def open_exact(vectors: np.ndarray) -> Engine:
    """ScaNN's brute force over float32 `[rows, dim]`, at least one row."""
    from scann.scann_ops.py import scann_ops_pybind

    if len(vectors) == 0:
        raise ValueError("no vectors to search")
    vectors = np.ascontiguousarray(vectors, np.float32)
    searcher = scann_ops_pybind.builder(vectors, 10, "dot_product").score_brute_force().build()
    return Engine(searcher, vectors, Recipe(EXACT))


def open_trained(folder: str, vectors_path: str, recipe: Recipe) -> Engine:
    """Loads what `train` wrote, wherever it lies now.

    Args:
        folder: a local folder with `files_of` the recipe.
        vectors_path: the local `.npy` file of the vectors it was trained on.
        recipe: how it was trained.

    Raises:
        ValueError: the files don't belong together.

    The list of assets, which ScaNN writes with absolute paths, is made afresh: no path comes from a
    file, and ScaNN's own loader, which unpickles a file of ids where it finds one, is not used.
    """
    from google.protobuf import text_format
    from scann.scann_ops import scann_assets_pb2
    from scann.scann_ops.py import scann_ops_pybind

    vectors = np.load(vectors_path, mmap_mode="r", allow_pickle=False)
    names = {kind: os.path.join(folder, name) for kind, name in assets_of(recipe).items()}
    _check_files(names, recipe, *vectors.shape)
    if not recipe.dims and recipe.reorder == FLOAT32:
        names["DATASET_NPY"] = vectors_path
    assets = scann_assets_pb2.ScannAssets()
    for kind, path in names.items():
        number = scann_assets_pb2.ScannAsset.AssetType.Value(kind)
        assets.assets.add(asset_type=number, asset_path=os.path.abspath(path))
    native = scann_ops_pybind.scann_pybind.ScannNumpy(folder, text_format.MessageToString(assets))
    return Engine(scann_ops_pybind.ScannSearcher(native), np.asarray(vectors), recipe)


def over(vectors: np.ndarray, recipe: Recipe) -> Engine:
    """An engine over vectors that are not kept in a file; as `open_exact` and `train`."""
    if recipe.engine == EXACT:
        return open_exact(vectors)
    with tempfile.TemporaryDirectory(prefix="babelear-") as folder:
        train(vectors, recipe, folder)
        path = os.path.join(folder, "vectors.npy")
        np.save(path, vectors, allow_pickle=False)
        # The maps of the files outlive their names.
        return open_trained(folder, path, recipe)


def _check_files(names: Mapping[str, str], recipe: Recipe, rows: int, dim: int) -> None:
    """That the arrays fit the vectors, and point at leaves that exist."""
    width = recipe.dims or dim
    codes = -(-width // DIMS_PER_CODE)
    expected: dict[str, tuple[type, tuple[int, ...]]] = {
        "AH_DATASET_NPY": (np.uint8, (rows, codes)),
        "AH_DATASET_SOAR_NPY": (np.uint8, (rows, codes)),
        "TOKENIZATION_NPY": (np.int32, (rows * (2 if recipe.spill else 1),)),
        "INT8_DATASET_NPY": (np.int8, (rows, width)),
        "INT8_MULTIPLIERS_NPY": (np.float32, (width,)),
        "BF16_DATASET_NPY": (np.int16, (rows, width)),
    }
    for kind, path in names.items():
        if kind not in expected:
            continue
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if (array.dtype, array.shape) != expected[kind]:
            raise ValueError(f"{path} holds {array.dtype} {array.shape}, made for other vectors")
        # Where rows spill, each has two leaves, the second -1 if there is none.
        lowest = -1 if recipe.spill else 0
        if kind == "TOKENIZATION_NPY" and not lowest <= array.min() <= array.max() < recipe.leaves:
            raise ValueError(f"{path} points at leaves that the tree doesn't have")


def nearest_scores(
    vectors: np.ndarray, queries: np.ndarray, k: int, own: np.ndarray | None = None
) -> np.ndarray:
    """The scores of the k nearest rows by comparison with every row, in blocks.

    Args:
        vectors: float32 `[rows, dim]`.
        queries: float32 `[queries, dim]`.
        k: how many, at most the rows there are.
        own: int64 `[queries]`, the row that each query is, left out; None if they are no rows.

    Returns:
        float32 `[queries, k]`, in no order.
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    for first in range(0, len(vectors), _ROWS_AT_ONCE):
        block = queries @ vectors[first : first + _ROWS_AT_ONCE].T
        if own is not None:
            inside = np.flatnonzero((own >= first) & (own < first + block.shape[1]))
            block[inside, own[inside] - first] = -np.inf
        best = np.partition(np.concatenate([best, block], axis=1), -k, axis=1)[:, -k:]
    return best


def recall(
    engine: Engine, nearest: np.ndarray, queries: np.ndarray, own: np.ndarray | None = None
) -> np.ndarray:
    """How many of the nearest rows an engine finds, for each query.

    Args:
        engine: what is measured.
        nearest: what `nearest_scores` gives.
        queries: float32 `[queries, dim]`.
        own: as in `nearest_scores`.

    Returns:
        float64 `[queries]`, shares between 0 and 1. A row that is found counts if it is no farther
        than the k-th nearest, so that it doesn't matter which of several equally near ones are
        returned.
    """
    k = nearest.shape[1]
    indices, scores = engine.search(queries, k + (own is not None))
    if own is not None:
        scores = np.where(indices == own[:, None], -np.inf, scores)
    farthest = nearest.min(axis=1)
    found = np.minimum((scores >= farthest[:, None] - 1e-5).sum(axis=1), k)
    return np.asarray(found / k, np.float64)
