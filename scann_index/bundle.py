"""The index bundle: a folder with everything a search needs but the model, movable and checked.

    info.json                       the model's digest, dim, the shards, hashes of all files
    shards/text-en-00000-of-00001/
        vectors.npy                 float32 [rows, dim], unit length
        rows.parquet                what each vector stands for
        ah_codebook.pb …            the trained tree, where the shard is not searched exactly

The hashes are compared before anything is read: ScaNN loads damaged files without a word. Names of
files follow from the names of shards, which have one form, so that none leads out of the folder.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError
from scann_index.engine import (
    ALL_TREE_FILES,
    MIN_TREE_ROWS,
    Engine,
    build_tree,
    leaves_for,
    open_exact,
    open_tree,
)
from scann_index.row import MODALITIES, from_table, read_parquet, to_parquet
from scann_index.row import Row as Row

KIND = "index"
EXACT, TREE = "exact", "tree"
VECTORS, ROWS = "vectors.npy", "rows.parquet"

_NAME = re.compile(r"(speech|text)-([A-Za-z0-9_]{1,16})-([0-9]{5})-of-([0-9]{5})")


@dataclass(frozen=True)
class ShardCard:
    """What `info.json` says of an index shard.

    Args:
        name: its folder, `modality-language-part-of-parts`.
        rows: how many vectors it holds.
        engine: `exact` or `tree`.
        leaves: of a tree, else 0.
        leaves_searched: how many of them a query visits.
        recall_at_10: measured against comparison with every row, see `recall_queries`.
        recall_queries: what it was measured with: how many vectors, and of which shards.
    """

    name: str
    rows: int
    engine: str
    leaves: int = 0
    leaves_searched: int = 0
    recall_at_10: float | None = None
    recall_queries: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of an index shard")
        if self.engine not in (EXACT, TREE):
            raise ValueError(f"{self.name}: engine {self.engine!r} is neither {EXACT} nor {TREE}")
        if self.rows < 1 or (self.engine == TREE and not 1 <= self.leaves_searched <= self.leaves):
            raise ValueError(f"{self.name}: impossible numbers of rows or leaves")

    @property
    def files(self) -> list[str]:
        """Its files, relative to the bundle."""
        names = [VECTORS, ROWS, *(ALL_TREE_FILES if self.engine == TREE else ())]
        return [f"shards/{self.name}/{name}" for name in names]


def shard_name(modality: str, language: str, part: int, parts: int) -> str:
    """`text-en-00000-of-00001`."""
    return f"{modality}-{language}-{part:05d}-of-{parts:05d}"


class IndexShard:
    """The vectors of one modality and language, or a part of them; files are read when needed.

    Args:
        folder: of the bundle.
        card: what is known of it.
        dim: of the vectors.
    """

    def __init__(self, folder: str, card: ShardCard, dim: int) -> None:
        match = _NAME.fullmatch(card.name)
        assert match is not None
        self.modality, self.language = match[1], match[2]
        self.card = card
        self.dim = dim
        self.folder = storage.join(folder, "shards", card.name)

    def __len__(self) -> int:
        return self.card.rows

    @property
    def name(self) -> str:
        """`text-en-00000-of-00001`."""
        return self.card.name

    @cached_property
    def vectors(self) -> np.ndarray:
        """float32 `[rows, dim]`, unit length, not to be written to.

        Raises:
            OutputError: the file holds something else.
        """
        path = storage.join(self.folder, VECTORS)
        try:
            if storage.is_remote(path):
                vectors = np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False)
            else:
                vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise OutputError(f"{path} is no array: {error}") from None
        if vectors.dtype != np.float32 or vectors.shape != (len(self), self.dim):
            raise OutputError(
                f"{path} holds {vectors.dtype} {vectors.shape}, "
                f"info.json says float32 {(len(self), self.dim)}"
            )
        return np.asarray(vectors)

    @cached_property
    def table(self) -> Any:
        """What each vector stands for, as a `pyarrow.Table` with the fields of `Row`.

        Raises:
            OutputError: the file holds something else.
        """
        path = storage.join(self.folder, ROWS)
        try:
            table = read_parquet(storage.read_bytes(path))
        except ValueError as error:
            raise OutputError(f"{path}: {error}") from None
        if len(table) != len(self):
            raise OutputError(f"{path} holds {len(table)} rows, info.json says {len(self)}")
        return table

    @cached_property
    def rows(self) -> list[Row]:
        """What each vector stands for; for a few of a big shard use `rows_at`."""
        return from_table(self.table)

    def rows_at(self, indices: Sequence[int]) -> list[Row]:
        """The rows of some vectors."""
        return from_table(self.table.take(np.asarray(indices, np.int64)))

    def rows_of_sentences(self, sentence_ids: Iterable[str]) -> list[Row]:
        """Every row that renders one of some sentences."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(list(sentence_ids), pa.string())
        return from_table(self.table.filter(pc.is_in(self.table["sentence_id"], wanted)))

    @cached_property
    def engine(self) -> Engine:
        """ScaNN with this shard loaded."""
        vectors = self.vectors
        if self.card.engine == EXACT:
            return open_exact(vectors)
        try:
            if not storage.is_remote(self.folder):
                return self._open_tree(self.folder)
            with tempfile.TemporaryDirectory() as folder:
                for name in (VECTORS, *ALL_TREE_FILES):
                    data = storage.read_bytes(storage.join(self.folder, name))
                    storage.write_bytes(os.path.join(folder, name), data)
                return self._open_tree(folder)
        except ValueError as error:
            raise OutputError(str(error)) from None

    def _open_tree(self, folder: str) -> Engine:
        card = self.card
        path = os.path.join(folder, VECTORS)
        return open_tree(folder, path, leaves=card.leaves, leaves_searched=card.leaves_searched)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows of each query, found by ScaNN.

        Args:
            queries: float32 `[queries, dim]`, unit length.
            k: how many are wanted.

        Returns:
            Row numbers int64 and cosines float32, both `[queries, min(k, rows)]`, best first; -1
            and -inf where a tree found fewer.

        Raises:
            OutputError: the shard's files don't fit together.
            ValueError: the queries have another dimension or hold NaN.
        """
        return self.engine.search(queries, k)


class Bundle:
    """A complete index, opened by `Bundle.open`.

    Args:
        out: its folder.
        info: its `info.json`.
        shards: all its shards.
    """

    def __init__(self, out: OutputDir, info: dict[str, Any], shards: list[IndexShard]) -> None:
        self._out = out
        self.path = out.path
        self.info = info
        self.digest = out.digest
        self._shards = shards

    @classmethod
    def open(cls, path: str) -> Bundle:
        """Opens an index and verifies the hash of each of its files.

        Raises:
            OutputError: it is missing, unfinished or damaged, or names files that are not its own.
        """
        out = OutputDir.open(path, kind=KIND)
        info = out.info
        try:
            dim = int(info["dim"])
            cards = [ShardCard(**card) for card in info["shards"]]
            files = set(info["files"])
            str(info["model"]["digest"])
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"{path}/info.json describes no index: {error!r}") from None
        expected = {name for card in cards for name in card.files}
        if len({card.name for card in cards}) < len(cards) or not cards:
            raise OutputError(f"{path}/info.json describes no index: no shards, or one twice")
        if files != expected:
            odd = sorted(files ^ expected)[0]
            raise OutputError(f"{path}/info.json: {odd!r} is listed without its shard or hash")
        out.verify()
        return cls(out, info, [IndexShard(out.path, card, dim) for card in cards])

    @property
    def stats(self) -> dict[str, Any]:
        """`stats.json`: counts and times."""
        return self._out.stats

    @property
    def model_digest(self) -> str:
        """The `preset_digest` of the model whose vectors these are."""
        return str(self.info["model"]["digest"])

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self.info["dim"])

    @property
    def languages(self) -> list[str]:
        """The languages there are rows of."""
        return sorted({shard.language for shard in self._shards})

    @property
    def modalities(self) -> list[str]:
        """Those of `MODALITIES` there are rows of."""
        return [m for m in MODALITIES if any(shard.modality == m for shard in self._shards)]

    def shards(
        self, *, modality: str | None = None, language: str | Sequence[str] | None = None
    ) -> list[IndexShard]:
        """The shards of one modality, or of one or several languages; all without arguments."""
        wanted = [language] if isinstance(language, str) else language
        return [
            shard
            for shard in self._shards
            if modality in (None, shard.modality) and (wanted is None or shard.language in wanted)
        ]


def write_shard(
    folder: str, name: str, rows: Sequence[Row], vectors: np.ndarray, *, exact_below: int
) -> ShardCard:
    """Writes the files of an index shard.

    Args:
        folder: of the bundle.
        name: see `shard_name`.
        rows: what each vector stands for.
        vectors: float32 `[rows, dim]`, unit length.
        exact_below: a shard with fewer rows gets no tree.

    Raises:
        ValueError: a vector is not of unit length.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    odd = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if len(odd):
        raise ValueError(
            f"the model gives {rows[odd[0]].id} a vector of length {lengths[odd[0]]}, not 1"
        )
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    files = {VECTORS: buffer.getvalue(), ROWS: to_parquet(rows)}
    card = ShardCard(name, len(rows), EXACT)
    if len(rows) >= max(exact_below, MIN_TREE_ROWS):
        files |= build_tree(vectors, None if storage.is_remote(folder) else folder)
        leaves = leaves_for(len(rows))
        card = ShardCard(name, len(rows), TREE, leaves, leaves)
    for file, data in files.items():
        storage.write_bytes(storage.join(folder, "shards", name, file), data)
    return card
