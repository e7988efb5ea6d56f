"""The training record: a source (audio tokens or text) and the text that matches it.

A `Pair` is stored as a `tf.train.Example` in TFRecord shards, its audio tokens as an `int64_list`,
which protocol buffers pack into one or two bytes a token.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError

KIND = "pairs"
TASKS = ("transcription", "translation", "bitext")


def _no_tokens() -> np.ndarray:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two renderings of one sentence.

    Args:
        id: unique within the corpus.
        task: `transcription` (speech, its transcript), `translation` (speech, text of another
            language) or `bitext` (text, text of another language).
        source_tokens: audio tokens, int16 `[frames]`, 25 a second, in `[0, codebook size)`;
            empty for `bitext`.
        source_text: the text of a `bitext` source, else empty.
        source_language: ISO 639 code.
        target_text: never empty.
        target_language: ISO 639 code.
        sentence_id: shared by every rendering of the sentence, in any language.
        split: `train`, `dev` or `test`.
        audio: where the sound is (`Utterance.audio`), empty for `bitext`.
        speaker: who speaks, where known.
        seconds: duration of the sound.
        provenance: where the pair comes from: corpus, translation engine.
        gender: of the speaker, as in `Utterance.gender`; a record says nothing where it is empty,
            and so holds the bytes of one from before there was this field.
    """

    id: str
    task: str
    source_language: str
    target_text: str
    target_language: str
    sentence_id: str
    split: str
    source_tokens: np.ndarray = field(default_factory=_no_tokens)
    source_text: str = ""
    audio: str = ""
    speaker: str = ""
    seconds: float = 0.0
    provenance: str = ""
    gender: str = ""


_FEATURES = [f.name for f in dataclasses.fields(Pair)]
_OPTIONAL = ("gender",)


def to_example(pair: Pair) -> bytes:
    """A serialized `tf.train.Example`, the same bytes for the same pair."""
    import tensorflow as tf

    def feature(name: str, value: Any) -> Any:
        if name == "seconds":
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        if name == "source_tokens":
            return tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode("utf-8")]))

    features = {
        name: feature(name, getattr(pair, name))
        for name in _FEATURES
        if name not in _OPTIONAL or getattr(pair, name)
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def from_example(serialized: bytes) -> Pair:
    """The inverse of `to_example`."""
    import tensorflow as tf

    example = tf.train.Example.FromString(serialized)
    values: dict[str, Any] = {}
    for name in _FEATURES:
        if name in _OPTIONAL and name not in example.features.feature:
            continue
        feature = example.features.feature[name]
        if name == "seconds":
            values[name] = feature.float_list.value[0]
        elif name == "source_tokens":
            values[name] = np.array(feature.int64_list.value, np.int16)
        else:
            values[name] = feature.bytes_list.value[0].decode("utf-8")
    return Pair(**values)


def parse_examples(serialized: Any) -> dict[str, Any]:
    """`from_example` inside a TensorFlow graph, for a batch.

    Args:
        serialized: string tensor `[batch]`.

    Returns:
        A string tensor `[batch]` for each text field, `seconds` float32 `[batch]`, and
        `source_tokens`, a ragged int64 tensor `[batch, (frames)]`.
    """
    import tensorflow as tf

    def spec(name: str) -> Any:
        if name == "source_tokens":
            return tf.io.RaggedFeature(tf.int64)
        if name in _OPTIONAL:
            return tf.io.FixedLenFeature([], tf.string, default_value="")
        return tf.io.FixedLenFeature([], tf.float32 if name == "seconds" else tf.string)

    parsed: dict[str, Any] = tf.io.parse_example(serialized, {n: spec(n) for n in _FEATURES})
    return parsed


def shard_name(split: str, index: int, count: int) -> str:
    """`train-00003-of-00016.tfrecord`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def write_shard(path: str, pairs: Iterable[Pair]) -> bytes:
    """Writes one TFRecord shard in one step and returns its bytes."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "shard")
        with tf.io.TFRecordWriter(local) as writer:
            for pair in pairs:
                writer.write(to_example(pair))
        data = storage.read_bytes(local)
    storage.write_bytes(path, data)
    return data


def open_together(paths: Sequence[str]) -> list[OutputDir]:
    """Opens directories of pairs that are to be used together.

    Raises:
        OutputError: one of them is not complete, or their audio tokens are of different codebooks.
        ValueError: there is none, or one is named twice.
    """
    found = [OutputDir.open(path, kind=KIND) for path in paths]
    if not found or len({data.digest for data in found}) < len(found):
        raise ValueError(f"{','.join(paths) or 'nothing'}: name one or more folders, each once")
    books = [data.info["files"].get("codebook/codebook.npz") for data in found]
    for data, book in zip(found, books, strict=True):
        if book != books[0]:
            raise OutputError(
                f"{data.path} has another codebook than {found[0].path}, so its audio tokens mean "
                f"other sounds: prepare it again with --codebook {found[0].path}/codebook"
            )
    return found


def shard_paths(data: OutputDir | Sequence[OutputDir], split: str) -> list[str]:
    """The shards of one split of a prepared directory, or of several, in order."""
    several = [data] if isinstance(data, OutputDir) else data
    named = [(one, name) for one in several for name in one.info["files"]]
    return [one.file(name) for one, name in named if name.startswith(f"{split}-")]


def read_pairs(data: OutputDir | Sequence[OutputDir], split: str) -> Iterator[Pair]:
    """Every pair of a split, in the order of its shards."""
    yield from read_shards(shard_paths(data, split))


def read_shards(paths: list[str]) -> Iterator[Pair]:
    """Every pair of some shards, in their order."""
    import tensorflow as tf

    for serialized in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        yield from_example(serialized)
