"""Training batches from the files of `model.arrays`, in NumPy: the same as `model.data`'s in law.

Not the same numbers: random choices come from another generator.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.data import Augmentation
from model.metrics import ranks, recall_at
from model.vocabulary import PADDING, PREFIX_LENGTH, SPEECH, TEXT, Vocabulary
from pipelines import storage
from pipelines.output_dir import OutputDir

MAX_FILE_BYTES = 512 << 20


@dataclass(frozen=True)
class Sequences:
    """n sequences end to end.

    Args:
        values: int32 `[tokens]`.
        lengths: int32 `[n]`.
    """

    values: np.ndarray
    lengths: np.ndarray

    def take(self, rows: np.ndarray) -> Sequences:
        """The sequences at some places, in their order."""
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        lengths = self.lengths[rows]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Sequences(self.values[np.repeat(starts, lengths) + offsets], lengths)

    def row_ids(self) -> np.ndarray:
        """The sequence of each token: int64 `[tokens]`."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def keep(self, chosen: np.ndarray) -> Sequences:
        """Those tokens for which `chosen`, bool `[tokens]`, is true."""
        rows = self.row_ids()[chosen]
        lengths = np.bincount(rows, minlength=len(self.lengths)).astype(np.int32)
        return Sequences(self.values[chosen], lengths)

    def collapsed(self) -> Sequences:
        """Each run of one token as a single one."""
        rows, values = self.row_ids(), self.values
        starts = np.ones(len(values), bool)
        starts[1:] = (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])
        return self.keep(starts)

    def padded(self, length: int) -> np.ndarray:
        """int32 `[n, length]`, cut or padded with -1."""
        matrix = np.full((len(self.lengths), length), -1, np.int32)
        rows = self.row_ids()
        places = np.arange(len(rows)) - np.repeat(
            np.cumsum(self.lengths) - self.lengths, self.lengths
        )
        inside = places < length
        matrix[rows[inside], places[inside]] = self.values[inside]
        return matrix


@dataclass(frozen=True)
class ArrayPairs:
    """The pairs of one split; the fields are those that `model.arrays` describes."""

    source: Sequences
    target: Sequences
    source_prefix: np.ndarray
    target_prefix: np.ndarray
    sentence: np.ndarray
    is_text: np.ndarray
    language: np.ndarray

    @classmethod
    def load(cls, arrays: OutputDir, split: str) -> ArrayPairs:
        """Reads the files of a split; no code in them is run.

        Raises:
            ValueError: a file is damaged.
        """
        names = [name for name in arrays.info["files"] if name.startswith(f"{split}-")]
        parts = [_load(arrays, name) for name in names]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        source, target = (
            Sequences(joined.pop(side), joined.pop(f"{side}_lengths"))
            for side in ("source", "target")
        )
        return cls(source, target, **joined)


def _load(arrays: OutputDir, name: str) -> dict[str, np.ndarray]:
    data = storage.read_bytes(arrays.file(name))
    if len(data) > MAX_FILE_BYTES or storage.sha256(data) != arrays.info["files"][name]:
        raise ValueError(f"{arrays.file(name)} is damaged: its hash is not the one in info.json")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return dict(file)


class BatchMaker:
    """Makes batches of fixed shape, so that they are compiled once.

    Args:
        pairs: of the training split.
        vocabulary: of the model; its tokenizer is not used.
        batch_size: pairs a batch.
        seed: decides order and augmentation.
        bitext: share of each batch taken from text–text pairs.
        augmentation: as in `model.data`.

    Raises:
        ValueError: the split has no pairs of a kind that is asked for.
    """

    def __init__(
        self,
        pairs: ArrayPairs,
        vocabulary: Vocabulary,
        *,
        batch_size: int,
        seed: int,
        bitext: float = 0.0,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.pairs, self.vocabulary, self.seed = pairs, vocabulary, seed
        self.augmentation = augmentation or Augmentation()
        text_rows = round(batch_size * bitext)
        counts = {False: batch_size - text_rows, True: text_rows}
        self.streams = [
            (np.flatnonzero(pairs.is_text == is_text), count)
            for is_text, count in counts.items()
            if count
        ]
        if any(len(rows) == 0 for rows, _ in self.streams):
            raise ValueError("the arrays have no training pairs of a kind that is asked for")
        longest = {side: int(getattr(pairs, side).lengths.max()) for side in ("source", "target")}
        speech = min(vocabulary.max_speech_tokens, longest["source"] + PREFIX_LENGTH)
        text = min(vocabulary.max_text_tokens, longest["target"] + PREFIX_LENGTH)
        self.lengths = {"source": max(speech, text) if text_rows else speech, "target": text}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, a function of the seed and the step alone.

        Returns:
            `source` and `target`, int32 `[batch_size, tokens]`, and `sentence`, int32
            `[batch_size]`, their rows from the shortest to the longest.
        """
        rng = np.random.default_rng([self.seed, step])
        rows = np.concatenate([self._rows(step, *stream) for stream in self.streams])
        pairs, dropout = self.pairs, self.augmentation.language_dropout
        is_text = pairs.is_text[rows]
        source = pairs.source.take(rows)
        source = self._augmented(source, np.repeat(is_text, source.lengths), rng)
        source_prefix = _without_language(pairs.source_prefix[rows], dropout, rng)
        target_prefix = _without_language(pairs.target_prefix[rows], dropout, rng)
        batch = {
            "source": source_ids(source, source_prefix, is_text, self.vocabulary, self.lengths),
            "target": target_ids(
                pairs.target.take(rows), target_prefix, self.vocabulary, self.lengths
            ),
        }
        lengths = sum((ids != PADDING).sum(axis=1) for ids in batch.values())
        order = np.argsort(lengths, kind="stable")
        batch["sentence"] = pairs.sentence[rows]
        return {name: values[order] for name, values in batch.items()}

    def batches(self, first_step: int = 0) -> Iterator[tuple[dict[str, np.ndarray]]]:
        """Endless batches, from a step on, as `fit` takes them."""
        while True:
            yield (self.batch(first_step),)
            first_step += 1

    def _rows(self, step: int, rows: np.ndarray, count: int) -> np.ndarray:
        """The rows of a step: `count` after another from endless shuffled passes."""
        places = np.arange(step * count, (step + 1) * count)
        passes = {
            number: np.random.default_rng([self.seed, len(rows), number]).permutation(rows)
            for number in np.unique(places // len(rows))
        }
        chosen = [passes[place // len(rows)][place % len(rows)] for place in places]
        return np.array(chosen, np.int64)

    def _augmented(self, source: Sequences, fixed: np.ndarray, rng: Any) -> Sequences:
        """Audio tokens replaced and left out; those that are `fixed`, bool `[tokens]`, are not."""
        augmentation, values = self.augmentation, source.values
        if augmentation.token_jitter:
            draw = rng.random(len(values)) / augmentation.token_jitter
            count = augmentation.neighbors.shape[1]
            which = np.minimum((draw * count).astype(np.int64), count - 1)
            places = np.where(fixed, 0, values)
            replaced = augmentation.neighbors[places, which]
            values = np.where((draw < 1) & ~fixed, replaced, values).astype(np.int32)
        keep = (rng.random(len(values)) >= augmentation.token_dropout) | fixed
        return Sequences(values, source.lengths).keep(keep)


def source_ids(
    source: Sequences,
    prefix: np.ndarray,
    is_text: np.ndarray,
    vocabulary: Vocabulary,
    lengths: dict[str, int],
) -> np.ndarray:
    """Token ids int32 `[n, lengths["source"]]` as `Vocabulary` makes them of speech or text."""
    speech = np.flatnonzero(~is_text)
    text = np.flatnonzero(is_text)
    ids = np.zeros((len(is_text), lengths["source"]), np.int32)
    limit = min(vocabulary.max_speech_tokens, lengths["source"])
    heard = source.take(speech).collapsed()
    ids[speech, :limit] = _with_prefix(heard, vocabulary.text_size, SPEECH, prefix[speech], limit)
    if len(text):
        limit = min(vocabulary.max_text_tokens, lengths["source"])
        read = source.take(text)
        ids[text, :limit] = _with_prefix(read, vocabulary.first_text, TEXT, prefix[text], limit)
    return ids


def target_ids(
    target: Sequences, prefix: np.ndarray, vocabulary: Vocabulary, lengths: dict[str, int]
) -> np.ndarray:
    """Token ids int32 `[n, lengths["target"]]` as `Vocabulary` makes them of text."""
    return _with_prefix(target, vocabulary.first_text, TEXT, prefix, lengths["target"])


def _with_prefix(
    sequences: Sequences, first: int, modality: int, prefix: np.ndarray, length: int
) -> np.ndarray:
    tokens = sequences.padded(length - PREFIX_LENGTH)
    tokens = np.where(tokens < 0, PADDING, tokens + first).astype(np.int32)
    heads = np.stack([np.full(len(prefix), modality), prefix], axis=1).astype(np.int32)
    return np.concatenate([heads, tokens], axis=1)


def _without_language(prefix: np.ndarray, rate: float, rng: Any) -> np.ndarray:
    from model.vocabulary import ANY_LANGUAGE

    dropped: np.ndarray = np.where(rng.random(len(prefix)) < rate, ANY_LANGUAGE, prefix)
    return dropped


def dev_recall(encoder: Any, pairs: ArrayPairs) -> dict[str, float]:
    """As `model.training_run.dev_recall`, of arrays."""
    vocabulary = encoder.vocabulary
    lengths = {"source": vocabulary.max_speech_tokens, "target": vocabulary.max_text_tokens}
    rows = np.flatnonzero(~pairs.is_text)
    heard, read = pairs.source.take(rows), pairs.target.take(rows)
    # All at once: every other shape would be compiled for itself.
    speech = encoder.encode_ids(
        source_ids(heard, pairs.source_prefix[rows], pairs.is_text[rows], vocabulary, lengths)
    )
    text = encoder.encode_ids(target_ids(read, pairs.target_prefix[rows], vocabulary, lengths))
    recalls = {}
    for language in sorted(set(pairs.language[rows].tolist())):
        own = np.flatnonzero(pairs.language[rows] == language)
        sentences = [str(s) for s in pairs.sentence[rows][own]]
        scores = encoder.similarity(speech[own], text[own])
        recalls[language] = recall_at(ranks(scores, sentences, sentences), 1)
    return recalls
