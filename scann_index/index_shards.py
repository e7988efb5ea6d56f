"""Rows to index shards, in Beam: plan, group, embed, write, measure.

An index shard is the unit of work. It is embedded and written in one go and then marked finished,
so that a run that was interrupted goes on with the next one.
"""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from scann_index.bundle import IndexShard, ShardCard, shard_name, write_shard
from scann_index.embed import Embedded, PresetHandler
from scann_index.recipe import EXACT, Choice
from scann_index.row import Row, unique
from scann_index.sweep import sweep

import apache_beam as beam  # isort: skip
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference  # isort: skip

RECALL_QUERIES = 400
QUERY_SHARDS = 4


@dataclasses.dataclass
class CountRows(beam.PTransform):
    """How many rows of different content each modality and language has, written as JSON.

    Args:
        path: where to write it: `{"text/en": 380, …}`.
    """

    path: str

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Counts hashes, so that no row travels."""
        path = self.path

        def write(counts: list[tuple[str, int]]) -> None:
            storage.write_json(path, dict(sorted(counts)))

        return (
            rows
            | "Content" >> beam.Map(lambda row: (f"{row.modality}/{row.language}", row.content))
            | beam.Distinct()
            | "Group" >> beam.Keys()
            | beam.combiners.Count.PerElement()
            | beam.combiners.ToList()
            | "WriteCounts" >> beam.Map(write)
        )


def parts_of(counts: Mapping[str, int], shard_rows: int) -> dict[str, int]:
    """Into how many shards each `modality/language` goes, of about `shard_rows` rows at most."""
    return {group: -(-rows // shard_rows) for group, rows in counts.items()}


def names_of(parts: Mapping[str, int]) -> list[str]:
    """The names of all shards."""
    names = []
    for group, count in parts.items():
        modality, language = group.split("/")
        names += [shard_name(modality, language, part, count) for part in range(count)]
    return names


def shard_of(row: Row, parts: Mapping[str, int]) -> str:
    """The shard a row belongs to, by its `place`: equal contents meet there."""
    count = parts[f"{row.modality}/{row.language}"]
    return shard_name(row.modality, row.language, row.place % count, count)


def finished_path(folder: str, name: str) -> str:
    """The card that marks a shard as written."""
    return storage.join(folder, "finished", f"{name}.json")


def measured_path(folder: str, name: str) -> str:
    """The card with the recall added, and the sweep that found it."""
    return storage.join(folder, "measured", f"{name}.json")


@dataclasses.dataclass
class WriteIndexShards(beam.PTransform):
    """Rows to the files of those index shards that are not finished; yields their names.

    Args:
        folder: the bundle.
        parts: see `parts_of`.
        preset: folder of the model.
        digest: its `preset_digest`.
        choice: which engine a shard gets.
        speeds: at which speeds recordings are heard beside their own.
        cache: where their audio tokens are kept.
    """

    folder: str
    parts: Mapping[str, int]
    preset: str
    digest: str
    choice: Choice
    speeds: Sequence[float] = ()
    cache: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Drops finished shards before anything is grouped or embedded."""
        names = names_of(self.parts)
        left = {n for n in names if not storage.exists(finished_path(self.folder, n))}
        parts = dict(self.parts)
        preset = PresetHandler(self.preset, self.digest, self.speeds, self.cache)
        return (
            rows
            | "KeyByShard" >> beam.Map(lambda row: (shard_of(row, parts), row))
            | "SkipFinished" >> beam.Filter(lambda keyed: keyed[0] in left)
            | beam.GroupByKey()
            | "Unique" >> beam.MapTuple(lambda name, group: (name, unique(list(group))))
            | beam.Reshuffle()
            | "Embed" >> RunInference(KeyedModelHandler(preset))
            | "WriteShard" >> beam.MapTuple(self._write)
        )

    def _write(self, name: str, embedded: Embedded) -> str:
        return finish(self.folder, name, embedded.rows, embedded.vectors, self.choice)


def finish(folder: str, name: str, rows: Sequence[Row], vectors: np.ndarray, choice: Choice) -> str:
    """Writes an index shard and marks it finished; returns its name."""
    started = time.time()
    card = write_shard(folder, name, rows, vectors, choice=choice)
    record = {
        "card": dataclasses.asdict(card),
        "dim": vectors.shape[1],
        "build_seconds": time.time() - started,
    }
    storage.write_json(finished_path(folder, name), record)
    return name


class MeasureRecall(beam.DoFn):
    """Names of written shards to cards with the recall they reach, and the settings that takes.

    Args:
        folder: the bundle.
        names: of all shards written there.
        target: the recall@10 for which the settings of an engine are swept.
        others: further shards whose rows may serve as queries.
    """

    def __init__(
        self, folder: str, names: Iterable[str], target: float, others: Sequence[IndexShard] = ()
    ) -> None:
        self.folder = folder
        self.names = sorted(names)
        self.target = target
        # By their folders: an appended shard has the name of the one it is appended to.
        self.others = {shard.folder: shard for shard in others}

    def process(self, name: str) -> Iterator[str]:
        """Yields the name once the measured card is written."""
        shard = self._shard(name)
        own, queries, source = self._queries(shard)
        trials = sweep(shard.engine, shard.vectors, queries, self.target, own)
        (best,) = (trial for trial in trials if trial.chosen)
        card = dataclasses.replace(
            shard.card,
            leaves_searched=best.leaves_searched,
            reordered=best.reordered,
            recall_at_10=best.recall_at_10,
            recall_queries=source,
        )
        table = [trial.as_dict() for trial in trials] if card.engine != EXACT else []
        record = {"card": dataclasses.asdict(card), "sweep": table}
        storage.write_json(measured_path(self.folder, name), record)
        yield name

    def _shard(self, name: str) -> IndexShard:
        if name in self.others:
            return self.others[name]
        record = storage.read_json(finished_path(self.folder, name))
        return IndexShard(self.folder, ShardCard(**record["card"]), record["dim"])

    def _queries(self, shard: IndexShard) -> tuple[np.ndarray | None, np.ndarray, str]:
        """Vectors to measure with: rows of other shards, of the other modality if there is one.

        That is what an index is asked: a query lies farther from the rows than they from each
        other, and measured with its own rows a tree looks better than it is. A shard that is alone
        is measured with its own rows all the same, each left out of its own answer.
        """
        others = [name for name in [*self.names, *self.others] if name != shard.name]
        crossing = [name for name in others if self._shard(name).modality != shard.modality]
        rng = np.random.default_rng(zlib.crc32(shard.name.encode()))
        candidates = crossing or others
        if not candidates:
            own = np.sort(rng.choice(len(shard), min(RECALL_QUERIES, len(shard)), replace=False))
            return own, shard.vectors[own], f"{len(own)} of its own"
        count = min(QUERY_SHARDS, len(candidates))
        chosen = sorted(rng.choice(candidates, count, replace=False).tolist())
        samples = []
        for name in chosen:
            vectors = self._shard(name).vectors
            size = min(RECALL_QUERIES // count, len(vectors))
            samples.append(vectors[np.sort(rng.choice(len(vectors), size, replace=False))])
        queries = np.concatenate(samples)
        names = [self._shard(name).name for name in chosen]
        return None, queries, f"{len(queries)} of {' '.join(names)}"
