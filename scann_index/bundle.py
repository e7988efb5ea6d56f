"""The index bundle: a folder with everything a search needs but the model, movable and checked.

    info.json                       the model's digest, dim, the shards, their sweeps, all hashes
    shards/text-en-00000-of-00001/
        vectors.npy                 float32 [rows, dim], unit length
        rows.parquet                what each vector stands for
        ah_codebook.pb …            what ScaNN trained, where the shard is not searched exactly
    parts/a00001/shards/…           shards that were appended, or merged from others

The hashes are compared before anything is read: ScaNN loads damaged files without a word. Names of
files follow from the names of shards, which have one form, so that none leads out of the folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from pipelines import local_copy, storage
from pipelines.audio_reference import check_speeds
from pipelines.output_dir import OutputDir, OutputError
from scann_index.engine import Engine, files_of, open_exact, open_trained, train
from scann_index.publish import read_info
from scann_index.recipe import EXACT as EXACT
from scann_index.recipe import TREE as TREE
from scann_index.recipe import Choice
from scann_index.row import MODALITIES, from_table, read_parquet, to_parquet
from scann_index.row import Row as Row
from scann_index.shard_card import ROWS, VECTORS
from scann_index.shard_card import ShardCard as ShardCard
from scann_index.shard_card import shard_name as shard_name

KIND = "index"
_CHECKED_AT_ONCE = 2**16


class IndexShard:
    """The vectors of one modality and language, or a part of them; files are read when needed.

    Args:
        folder: of the bundle. From a remote one, files are copied when they are needed.
        card: what is known of it.
        dim: of the vectors.
    """

    def __init__(self, folder: str, card: ShardCard, dim: int) -> None:
        self.modality, self.language = card.group
        self.card = card
        self.dim = dim
        self.folder = storage.join(folder, card.folder)

    def __len__(self) -> int:
        return self.card.rows

    @property
    def name(self) -> str:
        """`text-en-00000-of-00001`, behind its part if it has one."""
        return f"{self.card.part}/{self.card.name}" if self.card.part else self.card.name

    @cached_property
    def _copy(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="babelear-")

    def _path(self, name: str) -> str:
        """The local path of a file."""
        path = storage.join(self.folder, name)
        if not storage.is_remote(path):
            return path
        local = os.path.join(self._copy.name, name)
        if not os.path.exists(local):
            local_copy.download(path, local)
        return local

    @cached_property
    def vectors(self) -> np.ndarray:
        """float32 `[rows, dim]`, unit length, not to be written to.

        Raises:
            OutputError: the file holds something else.
        """
        path = self._path(VECTORS)
        try:
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
        path = self._path(ROWS)
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

    def ids_at(self, indices: Sequence[int]) -> list[str]:
        """The ids of some vectors' rows."""
        ids: list[str] = self.table["id"].take(np.asarray(indices, np.int64)).to_pylist()
        return ids

    @property
    def seconds(self) -> np.ndarray:
        """How long each recording is: float64 `[rows]`, 0 for text."""
        return np.asarray(self.table["seconds"].to_numpy(), np.float64)

    def rows_of_sentences(self, sentence_ids: Iterable[str]) -> list[Row]:
        """Every row that renders one of some sentences."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(list(sentence_ids), pa.string())
        return from_table(self.table.filter(pc.is_in(self.table["sentence_id"], wanted)))

    @cached_property
    def engine(self) -> Engine:
        """ScaNN with this shard loaded."""
        vectors, recipe = self.vectors, self.card.recipe
        if recipe.engine == EXACT:
            return open_exact(vectors)
        paths = [self._path(name) for name in files_of(recipe)]
        try:
            engine = open_trained(os.path.dirname(paths[0]), self._path(VECTORS), recipe)
        except ValueError as error:
            raise OutputError(str(error)) from None
        engine.leaves_searched = self.card.leaves_searched
        engine.reordered = self.card.reordered
        return engine

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
        path: its folder.
        info: its `info.json`.
        digest: what identifies it: the hash of that.
        shards: all its shards.
    """

    def __init__(
        self, path: str, info: dict[str, Any], digest: str, shards: list[IndexShard]
    ) -> None:
        self.path = path
        self.info = info
        self.digest = digest
        self._shards = shards

    @classmethod
    def open(cls, path: str) -> Bundle:
        """Opens an index and verifies the hash of each of its files.

        Args:
            path: its folder; a remote one is copied to this machine, see `local_copy.fetch`.

        Raises:
            OutputError: it is missing, unfinished or damaged, or names files that are not its own.
        """
        out, info, digest = read_info(path, KIND)
        try:
            dim = int(info["dim"])
            cards = [ShardCard(**card) for card in info["shards"]]
            files = dict(info["files"])
            str(info["model"]["digest"])
            check_speeds([float(speed) for speed in info.get("speeds", ())])
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"{path}/info.json describes no index: {error!r}") from None
        expected = {name for card in cards for name in card.files}
        if len({card.folder for card in cards}) < len(cards) or not cards:
            raise OutputError(f"{path}/info.json describes no index: no shards, or one twice")
        if set(files) != expected:
            odd = sorted(set(files) ^ expected)[0]
            raise OutputError(f"{path}/info.json: {odd!r} is listed without its shard or hash")
        local = out.path
        try:
            if storage.is_remote(out.path):
                local = local_copy.fetch(out.path, files, digest)
            for name, sha256 in files.items():
                if storage.file_sha256(storage.join(local, name)) != sha256:
                    raise OutputError(
                        f"{out.file(name)} is damaged: its SHA-256 is not the one in info.json"
                    )
        except FileNotFoundError as error:
            raise OutputError(f"{error.filename or error} is missing") from None
        except OSError as error:
            raise OutputError(f"{out.path} can't be read: {error}") from None
        return cls(out.path, info, digest, [IndexShard(local, card, dim) for card in cards])

    @property
    def stats(self) -> dict[str, Any]:
        """`stats.json`: counts and times."""
        return OutputDir(self.path, kind=KIND).stats

    @property
    def row_files(self) -> list[str]:
        """The files that say what the vectors stand for, relative to the bundle."""
        return [storage.join(shard.card.folder, ROWS) for shard in self._shards]

    @property
    def model_digest(self) -> str:
        """The `preset_digest` of the model whose vectors these are."""
        return str(self.info["model"]["digest"])

    @property
    def speeds(self) -> tuple[float, ...]:
        """At which speeds recordings were heard beside their own: `DualEncoder.speeds`."""
        return tuple(float(speed) for speed in self.info.get("speeds", ()))

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
    folder: str,
    name: str,
    rows: Sequence[Row],
    vectors: np.ndarray,
    *,
    choice: Choice | None = None,
    exact_below: int | None = None,
) -> ShardCard:
    """Writes the files of an index shard.

    Args:
        folder: of the bundle.
        name: see `shard_name`.
        rows: what each vector stands for.
        vectors: float32 `[rows, dim]`, unit length; a memory map of a file saves memory.
        choice: which engine it gets; None for the usual one.
        exact_below: short for `Choice(exact_below=…)`.

    Raises:
        ValueError: a vector is not of unit length.
    """
    if exact_below is not None:
        choice = Choice(exact_below=exact_below)
    _check_lengths(rows, vectors)
    recipe = (choice or Choice()).recipe(*vectors.shape)
    shards = storage.join(folder, "shards")
    with local_copy.working_folder(shards) as working:
        path = os.path.join(working, VECTORS)
        np.save(path, np.asarray(vectors, np.float32), allow_pickle=False)
        if recipe.engine != EXACT:
            os.mkdir(os.path.join(working, "trained"))
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            train(mapped, recipe, os.path.join(working, "trained"))
            del mapped
        for file in files_of(recipe):
            local = os.path.join(working, "trained", file)
            local_copy.move(local, storage.join(shards, name, file))
        storage.write_bytes(storage.join(shards, name, ROWS), to_parquet(rows))
        local_copy.move(path, storage.join(shards, name, VECTORS))
    reordered = 100 if recipe.engine != EXACT else 0
    return ShardCard(
        name,
        len(rows),
        **asdict(recipe),
        leaves_searched=recipe.leaves,
        reordered=reordered,
    )


def _check_lengths(rows: Sequence[Row], vectors: np.ndarray) -> None:
    for first in range(0, len(vectors), _CHECKED_AT_ONCE):
        lengths = np.linalg.norm(vectors[first : first + _CHECKED_AT_ONCE], axis=1)
        odd = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
        if len(odd):
            raise ValueError(
                f"the model gives {rows[first + odd[0]].id} a vector of length "
                f"{lengths[odd[0]]}, not 1"
            )
