"""A collection to blocks of distinct rows and their vectors, in Beam: count, group, embed, write.

    rows/left.json                     how many rows there are
    rejects-left.jsonl                 what could not be used
    blocks/left-00000-of-00002.npy     vectors, float32 [rows, dim]
                              .parquet what each stands for
                              .json    the ids that each stands for; marks the block as written

A block is the unit of work. What is written is not made again by a run that goes on.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from pipelines.rejects import Reject
from pipelines.right_fitting import with_model
from scann_index.bundle import KIND as INDEX
from scann_index.collection import Collection, Found, distinct, open_bundle
from scann_index.embed import Embedded, PresetHandler
from scann_index.row import read_parquet, to_parquet

import apache_beam as beam  # isort: skip
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference  # isort: skip

LEFT, RIGHT = "left", "right"


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two collections, and what of it is mined.

    Args:
        name: `left` or `right`.
        collection: what is read.
        limit: only so many rows, None for all.
        distractors: see `hidden_from`; 0 hides nothing.
    """

    name: str
    collection: Collection
    limit: int | None = None
    distractors: int = 0

    def rows(self, sources: Sequence[str]) -> Iterator[Found | Reject]:
        """The rows in some sources of the collection."""
        number = 0
        for source in sources:
            for found in self.collection.read(source):
                if number == self.limit:
                    return
                if self.distractors and isinstance(found, Found):
                    sentence = found.row.sentence_id
                    if hidden_from(sentence, self.distractors) == self.name:
                        continue
                number += 1
                yield found


def hidden_from(sentence_id: str, distractors: int) -> str:
    """The side that a sentence is taken away from, so that true pairs lie among distractors.

    Of `1 + 2 * distractors` sentences one stays on both sides, the others on one of them: each side
    has `distractors` times as many rows without a counterpart as with one.

    Returns:
        `left`, `right`, or an empty string: it stays on both.
    """
    digest = storage.sha256(f"hide {sentence_id}".encode("utf-8", "surrogatepass"))
    number = int(digest[:16], 16) % (1 + 2 * distractors)
    return "" if number == 0 else RIGHT if number <= distractors else LEFT


def blocks_of(side: str, rows: int, block_rows: int) -> list[str]:
    """The names of the blocks that so many distinct rows go into."""
    count = -(-rows // block_rows)
    return [f"{side}-{number:05d}-of-{count:05d}" for number in range(count)]


@dataclasses.dataclass
class ReadSide(beam.PTransform):
    """The rows and rejects of a side: `Found | Reject`."""

    side: Side

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> Any:
        """Reads each source in a worker; with a limit all of them in one, which has to count."""
        sources = self.side.collection.sources()
        parts = [[s] for s in sources] if self.side.limit is None else [sources]
        read = self.side.rows
        return pbegin | beam.Create(parts) | beam.Reshuffle() | beam.FlatMap(read)


@dataclasses.dataclass
class CountSide(beam.PTransform):
    """Counts the distinct rows of a side, and writes that and its rejects into `folder`."""

    folder: str
    side: Side

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> Any:
        """The rejects first: the count marks the end."""
        folder, name = self.folder, self.side.name

        def write(_: None, rejects: list[Reject], rows: int, different: int) -> None:
            lines = [json.dumps(dataclasses.asdict(r), ensure_ascii=False) for r in rejects]
            text = "".join(f"{line}\n" for line in sorted(lines))
            storage.write_bytes(storage.join(folder, f"rejects-{name}.jsonl"), text.encode())
            reasons = dict(sorted(Counter(r.reason for r in rejects).items()))
            counts = {"rows": rows, "distinct": different, "rejects": reasons}
            storage.write_json(storage.join(folder, "rows", f"{name}.json"), counts)

        read = pbegin | ReadSide(self.side)
        keys = (
            read
            | "Rows" >> beam.Filter(lambda found: isinstance(found, Found))
            | beam.Map(lambda found: found.key)
        )
        rejects = read | "Rejects" >> beam.Filter(lambda found: isinstance(found, Reject))
        counted = keys | "CountRows" >> beam.combiners.Count.Globally()
        different = keys | beam.Distinct() | "CountDistinct" >> beam.combiners.Count.Globally()
        return (
            pbegin
            | "Once" >> beam.Create([None])
            | beam.Map(
                write,
                beam.pvalue.AsList(rejects),
                beam.pvalue.AsSingleton(counted),
                beam.pvalue.AsSingleton(different),
            )
        )


@dataclasses.dataclass
class WriteBlocks(beam.PTransform):
    """A side to its blocks of distinct rows and their vectors; yields the names of new ones.

    Args:
        folder: of the mining.
        side: what is read.
        names: of its blocks.
        model: embeds them; unused where an index has the vectors already.
    """

    folder: str
    side: Side
    names: Sequence[str]
    model: PresetHandler

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> Any:
        """Drops what is finished before anything is grouped or embedded."""
        names, folder = list(self.names), self.folder
        left = {name for name in names if not storage.exists(block_path(folder, name, "json"))}

        def block(found: Found) -> str:
            return names[int(found.key[:16], 16) % len(names)]

        blocks = (
            pbegin
            | ReadSide(self.side)
            | "Rows" >> beam.Filter(lambda found: isinstance(found, Found))
            | beam.Map(lambda found: (block(found), found))
            | "Unfinished" >> beam.Filter(lambda keyed: keyed[0] in left)
            | beam.GroupByKey()
            | "Distinct" >> beam.MapTuple(lambda name, found: (name, distinct(found)))
            | beam.Reshuffle()
        )
        if self.side.collection.kind == INDEX:
            blocks |= "TakeVectors" >> beam.MapTuple(
                partial(_take_vectors, self.side.collection.path)
            )
        else:
            handler = KeyedModelHandler(self.model)
            blocks = (
                blocks
                | beam.MapTuple(lambda name, found: ((name, found), [one.row for one in found]))
                | "Embed" >> with_model(RunInference(handler))
            )
        return blocks | "WriteBlock" >> with_model(beam.MapTuple(partial(_write_block, folder)))


def _take_vectors(
    path: str, name: str, found: list[Found]
) -> tuple[tuple[str, list[Found]], Embedded]:
    shards = {shard.name: shard for shard in open_bundle(path).shards()}
    vectors = np.stack(
        [shards[shard].vectors[n] for shard, n in (one.place for one in found if one.place)]
    )
    return (name, found), Embedded([one.row for one in found], vectors)


def _write_block(folder: str, key: tuple[str, list[Found]], embedded: Embedded) -> str:
    name, found = key
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(embedded.vectors, np.float32), allow_pickle=False)
    storage.write_bytes(block_path(folder, name, "npy"), buffer.getvalue())
    storage.write_bytes(block_path(folder, name, "parquet"), to_parquet(embedded.rows))
    names = {"names": [one.names for one in found], "sentences": [one.sentences for one in found]}
    storage.write_json(block_path(folder, name, "json"), {"rows": len(found), **names})
    return name


def block_path(folder: str, name: str, ending: str) -> str:
    """One of a block's three files."""
    return storage.join(folder, "blocks", f"{name}.{ending}")


def read_vectors(folder: str, name: str) -> np.ndarray:
    """A block's vectors, float32 `[rows, dim]`."""
    data = storage.read_bytes(block_path(folder, name, "npy"))
    vectors: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return vectors


def read_rows(folder: str, name: str) -> Any:
    """A block's rows as a `pyarrow.Table`."""
    return read_parquet(storage.read_bytes(block_path(folder, name, "parquet")))
