"""One encoder for speech and text: prefix, backbone, pooling, unit length (section 3)."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from model.pooling import POOLINGS, Standardization
from model.vocabulary import PADDING, PREFIX_LENGTH, Vocabulary
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.codebook import Codebook

import keras  # isort: skip
from keras import ops  # isort: skip

BATCH = 256
WEIGHTS = "model.weights.h5"
MANIFEST = "preset.json"


class DualEncoder(keras.Model):
    """Maps speech and text to one space in which renderings of a sentence lie close together.

    Args:
        backbone: a KerasHub backbone with an embedding row for every id of the vocabulary.
        vocabulary: turns texts and audio tokens into ids.
        codebook: turns speech-encoder features into audio tokens; None if only tokens are encoded.
        pooling: `mean` or `last` (the paper's).
        standardize: whether to standardize pooled states per modality (see `Standardization`).
        dim: size of the embeddings; 0 leaves the projection out.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling {pooling!r} is none of {', '.join(POOLINGS)}")
        self.backbone = backbone
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

        Args:
            speech: for each utterance either its audio tokens (any integer type, `[frames]`) or its
                waveform (float32 `[samples]`, mono, 16 kHz).
            languages: the language of each, where known; it goes into the prefix.

        Returns:
            float32 `[utterances, width]`.

        Raises:
            ValueError: a waveform is given and the model has no codebook.
        """
        import tensorflow as tf

        return self._encode(
            self.vocabulary.speech_ids(_ragged(part), tf.constant(named))
            for part, named in _batches(self._tokenize(speech), languages)
        )

    def similarity(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Cosines of two sets of unit vectors: `[n, dim]`, `[m, dim]` to float32 `[n, m]`."""
        cosines: np.ndarray = one @ other.T
        return cosines

    def _tokenize(self, speech: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Waveforms to audio tokens; what is tokens already stays as it is."""
        tokens = list(speech)
        waveforms = [i for i, s in enumerate(speech) if np.issubdtype(s.dtype, np.floating)]
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

    @cached_property
    def _embed(self) -> Any:
        import tensorflow as tf

        return tf.function(self, input_signature=[tf.TensorSpec([None, None], tf.int32)])

    def _encode(self, batches: Iterator[Any]) -> np.ndarray:
        vectors = [np.zeros((0, self.width), np.float32)]
        for ids in batches:
            longest = int((ids.numpy() != PADDING).sum(axis=1).max())
            vectors.append(self._embed(ids[:, :longest]).numpy().astype(np.float32))
        return np.concatenate(vectors)

    def save_to_preset(self, folder: str) -> None:
        """Writes `config.json`, the weights, the codebook, and last of all their hashes."""
        backbone = {"class": type(self.backbone).__name__, "config": self.backbone.get_config()}
        config = {
            "backbone": backbone,
            "vocabulary": dataclasses.asdict(self.vocabulary),
            "pooling": self.pooling,
            "standardize": self.standardize,
            "dim": self.width if self.projection is not None else 0,
        }
        names = ["config.json", WEIGHTS]
        storage.write_json(storage.join(folder, "config.json"), config)
        with tempfile.TemporaryDirectory() as temporary:
            local = str(Path(temporary, WEIGHTS))
            self.save_weights(local)
            storage.write_bytes(storage.join(folder, WEIGHTS), storage.read_bytes(local))
        if self.codebook is not None:
            self.codebook.save(storage.join(folder, "codebook"))
            names += ["codebook/codebook.npz", "codebook/card.json"]
        hashes = {n: storage.sha256(storage.read_bytes(storage.join(folder, n))) for n in names}
        storage.write_json(storage.join(folder, MANIFEST), hashes)

    @classmethod
    def from_preset(cls, folder: str) -> DualEncoder:
        """Loads what `save_to_preset` wrote, as data only: no code in it is run.

        Raises:
            ValueError: there is no preset, or a file of it is missing or damaged.
        """
        import keras_hub

        hashes = _verified(folder)
        config = storage.read_json(storage.join(folder, "config.json"))
        name = config["backbone"]["class"]
        backbone_class: Any = getattr(keras_hub.models, name, None)
        if backbone_class is None or not name.endswith("Backbone"):
            raise ValueError(f"{folder}: {name!r} is no backbone of keras_hub.models")
        vocabulary: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in config["vocabulary"].items()
        }
        has_codebook = "codebook/card.json" in hashes
        encoder = cls(
            backbone_class.from_config(config["backbone"]["config"]),
            Vocabulary(**vocabulary),
            Codebook.load(storage.join(folder, "codebook")) if has_codebook else None,
            pooling=config["pooling"],
            standardize=config["standardize"],
            dim=config["dim"],
        )
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary, WEIGHTS)
            local.write_bytes(storage.read_bytes(storage.join(folder, WEIGHTS)))
            encoder.load_weights(str(local))
        return encoder


def modality(token_ids: Any) -> Any:
    """The index into `pooling.MODALITIES` that each sequence's first token names: `[batch]`."""
    return token_ids[:, 0] - 1


def preset_digest(folder: str) -> str:
    """What identifies a preset: the hash of its files' hashes.

    Raises:
        ValueError: there is no preset.
    """
    path = storage.join(folder, MANIFEST)
    if not storage.exists(path):
        raise ValueError(f"{folder} holds no preset (no {MANIFEST}); give a run's preset folder")
    return storage.sha256(storage.read_bytes(path))


def _verified(folder: str) -> dict[str, str]:
    """The hashes a preset names, each found right."""
    preset_digest(folder)
    hashes: dict[str, str] = storage.read_json(storage.join(folder, MANIFEST))
    required = {"config.json", WEIGHTS}
    if not required <= set(hashes):
        raise ValueError(f"{folder}/{MANIFEST} must name {' and '.join(sorted(required))}")
    allowed = {*required, "codebook/codebook.npz", "codebook/card.json"}
    for name, expected in hashes.items():
        if name not in allowed:
            raise ValueError(f"{folder}/{MANIFEST} names {name!r}, which is no part of a preset")
        path = storage.join(folder, name)
        if not storage.exists(path) or storage.sha256(storage.read_bytes(path)) != expected:
            raise ValueError(f"{path} is missing or damaged: its hash is not the one in {MANIFEST}")
    return hashes


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
