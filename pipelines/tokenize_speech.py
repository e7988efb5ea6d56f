"""Speech to audio tokens in Beam: read, group into shards, decode, encode and assign, write."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from pipelines.pairs import Pair, shard_name, write_shard
from pipelines.shard import Row, Shard, archive_name
from pipelines.shard_coder import ShardCoder  # noqa: F401  (registers itself)
from pipelines.stats import counters, summarize
from pipelines.utterance import SPLITS

import apache_beam as beam  # isort: skip
from apache_beam.metrics import Metrics  # isort: skip

METRICS = "babelear"
"""The namespace of the counters that a runner shows: of this run, while `stats.json` counts all."""


@dataclasses.dataclass
class ReadCorpus(beam.PTransform):
    """The rows of a corpus, numbered in its order: `(number, Utterance | Pair | Reject)`.

    Args:
        corpus: anything with a `rows()` generator that can be pickled.
        limit: stop after so many rows; None for all.
    """

    corpus: Any
    limit: int | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> Any:
        """Reads in a worker, so that a big manifest never passes through the launcher."""
        limit = self.limit

        def rows(corpus: Any) -> Iterator[tuple[int, Row]]:
            yield from enumerate(itertools.islice(corpus.rows(), limit))

        return pbegin | beam.Create([self.corpus]) | beam.FlatMap(rows)


@beam.typehints.with_output_types(Shard)
class DecodeAudio(beam.DoFn):
    """A shard's audio references to waveforms, 16 kHz mono; what can't be decoded is a reject.

    Args:
        max_seconds: longer recordings are rejected.
        folder: the output directory; what of a shard is finished there is left out.
    """

    def __init__(self, max_seconds: float, folder: str = "") -> None:
        self.max_seconds = max_seconds
        self.folder = folder

    def process(self, shard: Shard) -> Iterator[Shard]:
        """Yields one shard or, of what is too much for memory, several; never changes its input."""
        from pipelines.cut_shards import decoded_shards

        yield from decoded_shards(shard, self.max_seconds, self._finished_rows)

    def _finished_rows(self, shard: Shard) -> int | None:
        path = finished_path(self.folder, shard.name)
        if not self.folder or not storage.exists(path):
            return None
        return int(storage.read_json(path)["rows"])


class WriteShard(beam.DoFn):
    """A tokenized shard to TFRecords (one a split), rejects, and a summary that marks it finished.

    Args:
        folder: the output directory.
        count: how many shards there are.
        provenance: goes into every pair.
    """

    def __init__(self, folder: str, count: int, provenance: str) -> None:
        self.folder = folder
        self.count = count
        self.provenance = provenance

    def process(self, shard: Shard) -> Iterator[int]:
        """Yields the index of the shard once it is on disk."""
        pairs = shard.pairs + list(speech_pairs(shard, self.provenance))
        files = {}
        for split in SPLITS:
            chosen = [p for p in pairs if p.split == split]
            if chosen:
                name = self._file_name(split, shard)
                files[name] = storage.sha256(write_shard(storage.join(self.folder, name), chosen))
        if shard.rejects:
            name = self._file_name("rejects", shard).replace(".tfrecord", ".jsonl")
            lines = [
                json.dumps(dataclasses.asdict(r), ensure_ascii=False) + "\n" for r in shard.rejects
            ]
            data = "".join(lines).encode("utf-8", "backslashreplace")
            storage.write_bytes(storage.join(self.folder, name), data)
            files[name] = storage.sha256(data)
        summary = summarize(shard, pairs, files)
        storage.write_json(finished_path(self.folder, shard.name), summary)
        for name, count in counters(summary):
            Metrics.counter(METRICS, name).inc(count)
        yield shard.index

    def _file_name(self, split: str, shard: Shard) -> str:
        # How many parts an archive or a shard is cut into is not known before its end.
        if shard.archive:
            return f"{split}-{shard.name}.tfrecord"
        name = shard_name(split, shard.index, self.count)
        return name.replace(".tfrecord", f"-{shard.part:05d}.tfrecord") if shard.part else name


def speech_pairs(shard: Shard, provenance: str) -> Iterator[Pair]:
    """A `transcription` pair for each tokenized utterance, a `translation` pair for each of its
    translations."""
    for utterance, tokens, seconds in zip(
        shard.utterances, shard.arrays, shard.seconds, strict=True
    ):
        pair = Pair(
            id=utterance.id,
            task="transcription",
            source_tokens=tokens,
            source_language=utterance.language,
            target_text=utterance.transcript,
            target_language=utterance.language,
            sentence_id=utterance.sentence_id,
            split=utterance.split,
            audio=utterance.audio,
            speaker=utterance.speaker,
            seconds=seconds,
            provenance=utterance.corpus or provenance,
            gender=utterance.gender,
        )
        yield pair
        for language, text in utterance.translations:
            yield dataclasses.replace(
                pair,
                id=f"{pair.id}>{language}",
                task="translation",
                target_text=text,
                target_language=language,
            )


def finished_path(folder: str, name: str) -> str:
    """The summary that marks a shard finished; `name` is `Shard.name`."""
    return storage.join(folder, "finished", f"{name}.json")


def is_finished(shard: Shard, folder: str) -> bool:
    """Whether an earlier run wrote all of a shard, or all shards of its archive."""
    finished = storage.join(folder, "finished")
    unit = archive_name(shard.archive) if shard.archive else shard.name
    paths = storage.list_files(finished, f"{unit}.json")
    paths += storage.list_files(finished, f"{unit}-*.json")
    return shard.rows == sum(int(storage.read_json(path)["rows"]) for path in paths)
