"""Pairs to training batches in tf.data: shuffled, tokenized by tensorflow-text, resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from model.vocabulary import Vocabulary
from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.output_dir import OutputDir
from pipelines.pairs import parse_examples, shard_paths

SPEECH_TASKS = ("transcription", "translation")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes to training sequences, a function of the seed and the step alone.

    Args:
        token_dropout: share of audio tokens left out.
        token_jitter: share of audio tokens replaced by one of `neighbors`, as another speaker's
            voice would.
        neighbors: int32 `[audio_tokens, n]`, the audio tokens that sound most alike.
        language_dropout: share of sequences whose prefix leaves the language out, so that the
            prefix of an unknown language is trained too.
    """

    token_dropout: float = 0.1
    token_jitter: float = 0.0
    neighbors: Any = None
    language_dropout: float = 0.5


def training_batches(
    data: OutputDir | Sequence[OutputDir],
    vocabulary: Vocabulary,
    *,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    bitext: float = 0.0,
    augmentation: Augmentation | None = None,
) -> Any:
    """An endless, deterministic `tf.data.Dataset` of training batches, languages mixed.

    Args:
        data: a complete directory of pairs, or several of one codebook.
        vocabulary: makes token ids.
        batch_size: pairs a batch.
        seed: decides order and augmentation; the same seed gives the same batches.
        first_step: skips so many batches, to resume.
        bitext: share of each batch taken from text–text pairs (the paper mixes in 25%).
        augmentation: None for the default.

    Returns:
        Batches of `source` and `target`, int32 `[batch_size, tokens]`, and `sentence`, int64
        `[batch_size]`, their rows from the shortest to the longest.

    Raises:
        ValueError: the training split has no pairs of a kind that is asked for.
    """
    import tensorflow as tf

    augmentation = augmentation or Augmentation()
    text_rows = round(batch_size * bitext)
    streams = [_examples(data, SPEECH_TASKS, batch_size - text_rows, seed)]
    if text_rows:
        streams.append(_examples(data, ("bitext",), text_rows, seed + 1))

    def tokenize(step: Any, parts: Any) -> dict[str, Any]:
        batches = [
            tokenize_batch(
                part,
                vocabulary,
                augmentation,
                tf.stack([tf.constant(seed + i, tf.int64), step]),
                is_speech=i == 0,
            )
            for i, part in enumerate(parts)
        ]
        length = max(b["source"].shape[1] for b in batches)
        for b in batches:
            b["source"] = tf.pad(b["source"], [[0, 0], [0, length - b["source"].shape[1]]])
        batch = {name: tf.concat([b[name] for b in batches], 0) for name in batches[0]}
        lengths = sum(tf.math.count_nonzero(batch[side], axis=1) for side in ("source", "target"))
        order = tf.argsort(lengths, stable=True)
        return {name: tf.gather(rows, order) for name, rows in batch.items()}

    mixed = tf.data.Dataset.zip(tuple(streams))
    return (
        mixed.enumerate()
        .skip(first_step)
        .map(tokenize, num_parallel_calls=2, deterministic=True)
        .map(lambda b: {k: tf.ensure_shape(v, [batch_size, *v.shape[1:]]) for k, v in b.items()})
        .prefetch(4)
    )


def _examples(
    data: OutputDir | Sequence[OutputDir], tasks: tuple[str, ...], rows: int, seed: int
) -> Any:
    """Endless batches of serialized training examples of some tasks, reshuffled each epoch."""
    import tensorflow as tf

    paths = shard_paths(data, "train")
    wanted = tf.constant(tasks)

    def is_wanted(serialized: Any) -> Any:
        task = parse_examples(serialized[None])["task"]
        return tf.reduce_any(task == wanted)

    examples = tf.data.TFRecordDataset(paths).filter(is_wanted).cache()
    count = int(examples.reduce(0, lambda n, _: n + 1))
    if count == 0:
        where = ", ".join(sorted({path.rpartition("/")[0] for path in paths})) or "the data"
        raise ValueError(f"{where} has no training pairs of the tasks {', '.join(tasks)}")
    shuffled = examples.shuffle(min(count, 200_000), seed=seed, reshuffle_each_iteration=True)
    return shuffled.repeat().batch(rows, drop_remainder=True)


def tokenize_batch(
    serialized: Any,
    vocabulary: Vocabulary,
    augmentation: Augmentation | None,
    seed: Any,
    *,
    is_speech: bool,
) -> dict[str, Any]:
    """Serialized pairs with sources of one kind, string `[rows]`, to token ids, inside a graph."""
    import tensorflow as tf

    pairs = parse_examples(serialized)
    source_language, target_language = pairs["source_language"], pairs["target_language"]
    tokens = pairs["source_tokens"]
    if augmentation is not None:
        seeds = tf.unstack(tf.random.experimental.stateless_split(tf.cast(seed, tf.int64), 4))
        if augmentation.token_jitter:
            tokens = _jitter(tokens, augmentation, seeds[3])
        keep = _uniform(tf.shape(tokens.values), seeds[0]) >= augmentation.token_dropout
        tokens = tf.ragged.boolean_mask(tokens, tokens.with_values(keep))
        source_language = _drop(source_language, augmentation.language_dropout, seeds[1])
        target_language = _drop(target_language, augmentation.language_dropout, seeds[2])
    if is_speech:
        source = vocabulary.speech_ids(tokens, source_language)
    else:
        source = vocabulary.text_ids(pairs["source_text"], source_language)
    return {
        "source": source,
        "target": vocabulary.text_ids(pairs["target_text"], target_language),
        "sentence": tf.strings.to_hash_bucket_fast(pairs["sentence_id"], 2**62),
    }


def _jitter(tokens: Any, augmentation: Augmentation, seed: Any) -> Any:
    """Replaces some audio tokens by neighbours of theirs."""
    import tensorflow as tf

    draw = _uniform(tf.shape(tokens.values), seed) / augmentation.token_jitter
    neighbors = tf.constant(augmentation.neighbors, tf.int64)
    count = neighbors.shape[1]
    which = tf.minimum(tf.cast(draw * count, tf.int64), count - 1)
    replaced = tf.gather_nd(neighbors, tf.stack([tokens.values, which], axis=1))
    return tokens.with_values(tf.where(draw < 1.0, replaced, tokens.values))


def _uniform(shape: Any, seed: Any) -> Any:
    import tensorflow as tf

    return tf.random.stateless_uniform(shape, seed)


def _drop(languages: Any, rate: float, seed: Any) -> Any:
    import tensorflow as tf

    return tf.where(_uniform(tf.shape(languages), seed) < rate, "", languages)
