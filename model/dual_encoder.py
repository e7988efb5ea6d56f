"""One encoder for speech and text: prefix, backbone, pooling, unit length (section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from model import preset_folder
from model.pooling import POOLINGS, Standardization
from model.preset_folder import MANIFEST, WEIGHTS, preset_digest
from model.text_table import TextTable
from model.vocabulary import PADDING, PREFIX_LENGTH, Vocabulary
from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.codebook import Codebook

import keras  # isort: skip
from keras import ops  # isort: skip

__all__ = ["MANIFEST", "WEIGHTS", "DualEncoder", "modality", "preset_digest"]

BATCH = 256


class DualEncoder(keras.Model):
    """Maps speech and text to one space in which renderings of a sentence lie close together.

    Args:
        backbone: a KerasHub backbone with an embedding row for every id of the vocabulary.
        vocabulary: turns texts and audio tokens into ids.
        codebook: turns speech-encoder features into audio tokens; None if only tokens are encoded.
        pooling: `mean` or `last` (the paper's).
        standardize: whether to standardize pooled states per modality (see `Standardization`).
        dim: size of the embeddings; 0 leaves the projection out.
        text_table: the text rows, where the backbone's own table lacks them (`join_tables`).
        storage: `float32` or `bfloat16`, what a preset's matrices are written in.

    Attributes:
        speeds: at which speeds waveforms are heard beside their own; no part of a preset, but of
            what a model is used for: an index has them (`scann_index.build --speeds`).

    Example:
        >>> encoder = DualEncoder.from_preset("demo/run/preset")
        >>> texts = encoder.encode_text(["red apple", "pomme rouge"], ["en", "fr"])
        >>> speech = encoder.encode_speech([waveform])
        >>> encoder.similarity(speech, texts)
    """

    def __init__(
        self,
        backbone: Any,
        vocabulary: Vocabulary,
        codebook: Codebook | None = None,
        *,
        pooling: str = "mean",
        standardize: bool = True,
        dim: int = 0,
        text_table: TextTable | None = None,
        storage: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling {pooling!r} is none of {', '.join(POOLINGS)}")
        self.backbone = backbone
        self.text_table = text_table
        self.storage = storage
        self.vocabulary = vocabulary
        self.codebook = codebook
        self.pooling = pooling
        self.standardize = standardize
        self.width = dim or backbone.hidden_dim
        self.standardization = Standardization(backbone.hidden_dim) if standardize else None
        if self.standardization is not None:
            self.standardization.build()
        self.projection = keras.layers.Dense(dim, use_bias=False) if dim else None
        if self.projection is not None:
            self.projection.build((None, backbone.hidden_dim))
        self.speeds: tuple[float, ...] = ()
        self.built = True

    def pooled(self, token_ids: Any) -> Any:
        """Token ids int32 `[batch, tokens]` to pooled states float32 `[batch, hidden_dim]`."""
        mask = ops.cast(token_ids != PADDING, "int32")
        states = self.backbone({"token_ids": token_ids, "padding_mask": mask})
        prefix = ops.zeros_like(mask[:, :PREFIX_LENGTH])
        counts = ops.concatenate([prefix, mask[:, PREFIX_LENGTH:]], axis=1)
        return POOLINGS[self.pooling](ops.cast(states, "float32"), counts)

    def call(self, token_ids: Any) -> Any:
        """Token ids int32 `[batch, tokens]` to unit vectors float32 `[batch, width]`."""
        vectors = self.pooled(token_ids)
        if self.standardization is not None:
            vectors = self.standardization(vectors, modality(token_ids))
        if self.projection is not None:
            vectors = self.projection(vectors)
        return ops.normalize(vectors, axis=-1)

    def encode_text(
        self, texts: Sequence[str], languages: Sequence[str] | None = None
    ) -> np.ndarray:
        """Texts to unit vectors.

        Args:
            texts: any number of strings.
            languages: the language of each, where known; it goes into the prefix.

        Returns:
            float32 `[texts, width]`.
        """
        import tensorflow as tf

        return self._encode(
            self.vocabulary.text_ids(tf.constant(part), tf.constant(named))
            for part, named in _batches(texts, languages)
        )

    def encode_speech(
        self, speech: Sequence[np.ndarray], languages: Sequence[str] | None = None
    ) -> np.ndarray:
        """Speech to unit vectors.

        Waveforms are heard at each of `self.speeds` too, and the vectors of one are averaged: other
        speeds are other audio tokens of the same words, and what they have in common is the words.

        Args:
            speech: for each utterance either its audio tokens (any integer type, `[frames]`) or its
                waveform (float32 `[samples]`, mono, 16 kHz).
            languages: the language of each, where known; it goes into the prefix.

        Returns:
            float32 `[utterances, width]`.

        Raises:
            ValueError: a waveform is given and the model has no codebook.
        """
        return self.encode_heard(self.hear(speech), languages)

    def hear(self, speech: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Waveforms to audio tokens, at their own speed and at each of `self.speeds`.

        Args:
            speech: as in `encode_speech`; what is audio tokens already is the same at any speed.

        Returns:
            A list for each speed, the own one first, parallel to `speech`: `[frames]` each.

        Raises:
            ValueError: a waveform is given and the model has no codebook.
        """
        from pipelines.audio import at_speed

        heard = [self._tokenize(speech)]
        for speed in self.speeds:
            played = [at_speed(s, speed) if _is_waveform(s) else s for s in speech]
            heard.append(self._tokenize(played))
        return heard

    def encode_heard(
        self, heard: Sequence[Sequence[np.ndarray]], languages: Sequence[str] | None = None
    ) -> np.ndarray:
        """What `hear` gave to unit vectors, the mean over speeds: float32 `[utterances, width]`."""
        import tensorflow as tf

        each = [
            self._encode(
                self.vocabulary.speech_ids(_ragged(part), tf.constant(named))
                for part, named in _batches(tokens, languages)
            )
            for tokens in heard
        ]
        if len(each) == 1:
            return each[0]
        vectors = sum(each[1:], each[0])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        means: np.ndarray = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return means

    def similarity(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Cosines of two sets of unit vectors: `[n, dim]`, `[m, dim]` to float32 `[n, m]`."""
        cosines: np.ndarray = one @ other.T
        return cosines

    def _tokenize(self, speech: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Waveforms to audio tokens; what is tokens already stays as it is."""
        tokens = list(speech)
        waveforms = [i for i, s in enumerate(speech) if _is_waveform(s)]
        if not waveforms:
            return tokens
        if self.codebook is None:
            raise ValueError("this model has no codebook: give audio tokens instead of waveforms")
        from pipelines.speech_encoder import load_speech_encoder

        encoder = load_speech_encoder(self.codebook.card["speech_encoder"])
        features = encoder.encode([np.asarray(speech[i], np.float32) for i in waveforms])
        for i, frames in zip(waveforms, features, strict=True):
            tokens[i] = self.codebook.assign(frames)
        return tokens

    def encode_ids(self, token_ids: np.ndarray) -> np.ndarray:
        """Token ids int32 `[n, tokens]`, each with its prefix, to unit vectors `[n, width]`."""
        parts = [token_ids[start : start + BATCH] for start in range(0, len(token_ids), BATCH)]
        vectors = [ops.convert_to_numpy(self._embed(ops.convert_to_tensor(ids))) for ids in parts]
        return np.concatenate([np.zeros((0, self.width), np.float32), *vectors])

    @cached_property
    def _embed(self) -> Any:
        if keras.backend.backend() == "jax":
            return compiled_by_jax(self, self)
        import tensorflow as tf

        return tf.function(self, input_signature=[tf.TensorSpec([None, None], tf.int32)])

    def _encode(self, batches: Iterator[Any]) -> np.ndarray:
        vectors = [np.zeros((0, self.width), np.float32)]
        for ids in batches:
            longest = int((ids.numpy() != PADDING).sum(axis=1).max())
            vectors.append(self._embed(ids[:, :longest]).numpy().astype(np.float32))
        return np.concatenate(vectors)

    def save_to_preset(self, folder: str) -> None:
        """Writes everything into a folder of its own (see `model.preset_folder`)."""
        preset_folder.save(self, folder)

    @classmethod
    def from_preset(cls, folder: str, *, for_arrays: bool = False) -> DualEncoder:
        """Loads what `save_to_preset` wrote, as data only: no code in it is run.

        Args:
            folder: of the preset.
            for_arrays: without a tokenizer that works, to train on arrays (`model.arrays`).

        Raises:
            ValueError: there is no preset, or a file of it is missing or damaged.
        """
        return preset_folder.load(cls, folder, for_arrays=for_arrays)


def _is_waveform(speech: np.ndarray) -> bool:
    return bool(np.issubdtype(speech.dtype, np.floating))


def modality(token_ids: Any) -> Any:
    """The index into `pooling.MODALITIES` that each sequence's first token names: `[batch]`."""
    return token_ids[:, 0] - 1


def compiled_by_jax(encoder: DualEncoder, function: Any) -> Any:
    """A function of token ids and the encoder's present weights, compiled: once for each shape."""
    import jax

    @jax.jit
    def run(values: Any, token_ids: Any) -> Any:
        with keras.StatelessScope(zip(encoder.variables, values, strict=True)):
            return function(token_ids)

    def call(token_ids: Any) -> Any:
        return run([variable.value for variable in encoder.variables], token_ids)

    return call


def _batches(
    items: Sequence[Any], languages: Sequence[str] | None
) -> Iterator[tuple[list[Any], list[str]]]:
    named = list(languages) if languages is not None else [""] * len(items)
    if len(named) != len(items):
        raise ValueError(f"{len(items)} items but {len(named)} languages")
    for start in range(0, len(items), BATCH):
        yield list(items[start : start + BATCH]), named[start : start + BATCH]


def _ragged(tokens: Sequence[np.ndarray]) -> Any:
    """Audio tokens as a ragged int32 tensor `[utterances, (frames)]`."""
    import tensorflow as tf

    values = np.concatenate([np.zeros(0, np.int32), *tokens]).astype(np.int32)
    return tf.RaggedTensor.from_row_lengths(values, [len(t) for t in tokens])
