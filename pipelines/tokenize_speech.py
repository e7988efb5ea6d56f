"""Speech to audio tokens in Beam: read, group into shards, decode, encode, assign, write."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from pipelines.codebook import Codebook
from pipelines.pairs import Pair, shard_name, write_shard
from pipelines.rejects import Rejected
from pipelines.shard import Row, Shard, archive_name, unit_of, validate
from pipelines.stats import counters, summarize
from pipelines.utterance import SPLITS

import apache_beam as beam  # isort: skip
from apache_beam.metrics import Metrics  # isort: skip
from apache_beam.ml.inference.base import ModelHandler, RunInference  # isort: skip

SAMPLE_RATE = 16_000
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


@dataclasses.dataclass
class GroupIntoShards(beam.PTransform):
    """Numbered rows to validated `Shard`s: `count` of them at most, and one for each archive."""

    count: int

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Groups by the hash of the id, or by the archive."""
        count = self.count

        def validated(unit: tuple[str, int], rows: Iterable[tuple[int, Row]]) -> Shard:
            return validate(unit[1], rows, archive=unit[0])

        return (
            rows
            | "KeyByShard" >> beam.Map(lambda row: (unit_of(row[1], count), row))
            | beam.GroupByKey()
            | "Validate" >> beam.MapTuple(validated)
        )


class DecodeAudio(beam.DoFn):
    """A shard's audio references to waveforms, 16 kHz mono; what can't be decoded is a reject.

    Args:
        max_seconds: longer recordings are rejected.
        folder: the output directory, where the shards of an archive that are finished are left out.
    """

    def __init__(self, max_seconds: float, folder: str = "") -> None:
        self.max_seconds = max_seconds
        self.folder = folder

    def process(self, shard: Shard) -> Iterator[Shard]:
        """Yields a new shard, or one after another from an archive; never changes its input."""
        if shard.archive:
            from pipelines.archive_shards import decoded_shards

            yield from decoded_shards(shard, self.max_seconds, self._is_finished)
        else:
            yield self._decoded(shard)

    def _is_finished(self, shard: Shard) -> bool:
        return bool(self.folder) and storage.exists(finished_path(self.folder, shard.name))

    def _decoded(self, shard: Shard) -> Shard:
        from pipelines.audio import load_audio_batch

        decoded = load_audio_batch(
            [u.audio for u in shard.utterances],
            claimed_seconds=[u.seconds for u in shard.utterances],
            max_seconds=self.max_seconds,
        )
        good = [not isinstance(d, Rejected) for d in decoded]
        rejects = [
            d.reject(u.id, u.audio, "decode")
            for u, d in zip(shard.utterances, decoded, strict=True)
            if isinstance(d, Rejected)
        ]
        waveforms = [d for d in decoded if not isinstance(d, Rejected)]
        return dataclasses.replace(
            shard,
            utterances=[u for u, ok in zip(shard.utterances, good, strict=True) if ok],
            rejects=shard.rejects + rejects,
            arrays=waveforms,
            seconds=[len(w) / SAMPLE_RATE for w in waveforms],
        )


class SpeechEncoderHandler(ModelHandler[Shard, Shard, Any]):
    """Waveforms to speech-encoder features, for `RunInference`; one model per worker process.

    Args:
        name: what `pipelines.speech_encoder.load_speech_encoder` takes.
        precision: what it computes in, `float32` or `bfloat16`.

    A shard is one element: its clips are sorted and batched by length inside the encoder, which
    wastes less padding than batches made of whatever arrives together.
    """

    def __init__(self, name: str, precision: str = "float32") -> None:
        super().__init__()
        self.name = name
        self.precision = precision

    def load_model(self) -> Any:
        """Loads the encoder once per process."""
        from pipelines.speech_encoder import load_speech_encoder

        return load_speech_encoder(self.name, self.precision)

    def run_inference(
        self, batch: Sequence[Shard], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Shard]:
        """Encodes each shard of the batch."""
        return [dataclasses.replace(s, arrays=model.encode(s.arrays)) for s in batch]

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """One shard at a time."""
        return {"min_batch_size": 1, "max_batch_size": 1}


def encode_speech(name: str, precision: str = "float32") -> Any:
    """The `RunInference` step that turns a shard's waveforms into features."""
    return RunInference(SpeechEncoderHandler(name, precision))


class AssignTokens(beam.DoFn):
    """Features to audio tokens, by the nearest centroid of a saved codebook.

    Args:
        folder: where `Codebook.save` wrote it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self) -> None:
        """Loads the codebook once per worker."""
        self.codebook = Codebook.load(self.folder)

    def process(self, shard: Shard) -> Iterator[Shard]:
        """Yields the shard with int16 tokens in its arrays."""
        yield dataclasses.replace(shard, arrays=self.codebook.assign_all(shard.arrays))


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
        # How many shards an archive makes is not known before its end.
        if shard.archive:
            return f"{split}-{shard.name}.tfrecord"
        return shard_name(split, shard.index, self.count)


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
    """Whether an earlier run wrote the shard, or all shards of its archive."""
    if not shard.archive:
        return storage.exists(finished_path(folder, shard.name))
    paths = storage.list_files(
        storage.join(folder, "finished"), f"{archive_name(shard.archive)}-*.json"
    )
    return shard.rows == sum(int(storage.read_json(path)["rows"]) for path in paths)


def sample_frames(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most `count` of one utterance's frames, chosen by the seed, in their order."""
    if len(features) <= count:
        return features
    chosen = np.random.default_rng(seed).choice(len(features), count, replace=False)
    sampled: np.ndarray = features[np.sort(chosen)]
    return sampled
