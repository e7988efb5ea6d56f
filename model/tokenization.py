"""Texts to the ids of text tokens: bytes for a model from scratch, a preset's own pieces else."""

from __future__ import annotations

import inspect
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipelines import quiet  # noqa: F401  (before TensorFlow)

NORMALIZATIONS = ("romanize", "casefold", "none")
UNITS = ("subwords", "characters", "both")
# The highest code point that anyascii has a spelling for lies below this.
CODE_POINTS = 0x20000
# anyascii drops these letters, which carry most of the vowels that Arabic script writes at all.
LONG_VOWELS = {"ا": "a", "أ": "a", "إ": "i", "آ": "a", "ٱ": "a", "ى": "a", "ع": "a"}


class TextTokenizer(Protocol):
    """What a vocabulary needs of a tokenizer."""

    @property
    def size(self) -> int:
        """How many ids there are."""

    def split(self, texts: Any) -> Any:
        """Texts, string `[batch]`, to ids in `[0, size)`: ragged int32 `[batch, (tokens)]`."""


class ByteTokenizer:
    """The UTF-8 bytes of normalized text: 256 ids.

    Args:
        normalization: `casefold` lower-cases NFKC text; `romanize` then also spells every script in
            Latin letters; `none` only puts the text into NFKC.
    """

    size = 256

    def __init__(self, normalization: str) -> None:
        self.normalization = normalization

    def split(self, texts: Any) -> Any:
        """See `TextTokenizer`; eagerly or inside a TensorFlow graph."""
        import tensorflow as tf
        import tensorflow_text as tf_text

        if self.normalization == "romanize":
            return romanized_bytes(texts)
        return tf.cast(
            tf_text.ByteSplitter().split(normalized(texts, self.normalization)), tf.int32
        )


class PresetTokenizer:
    """The tokenizer of a KerasHub preset, run as TensorFlow operations everywhere.

    KerasHub tokenizes by other code outside a graph than inside one. Here both are the graph, so
    that training, search and an exported model read a text alike.

    Args:
        tokenizer: a `keras_hub.tokenizers.Tokenizer` with its vocabulary.
        size: rows of the preset's embedding table; some have more than the tokenizer has ids.
        normalization: one of `NORMALIZATIONS`; `none` keeps what the model was trained on.
        units: `subwords`, or `characters`: each character by itself, as the pieces it has alone;
            or `both`: the subwords of the text as it was written, for what the model knows of them,
            then the characters of the normalized text, for how it sounds.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        size: int = 0,
        normalization: str = "none",
        units: str = "subwords",
    ) -> None:
        if units not in UNITS:
            raise ValueError(f"text units {units!r} are none of {', '.join(UNITS)}")
        self.tokenizer = tokenizer
        self.normalization = normalization
        self.units = units
        self.size: int = size or tokenizer.vocabulary_size()

    @property
    def first_token(self) -> int | None:
        """The id the model expects in front of a text; its end token where there is no such one."""
        start: int | None = getattr(self.tokenizer, "start_token_id", None)
        return start if start is not None else getattr(self.tokenizer, "end_token_id", None)

    def split(self, texts: Any) -> Any:
        """See `TextTokenizer`."""
        import tensorflow as tf

        self._revive()
        spelled = normalized(texts, self.normalization)
        if self.units == "subwords":
            return self._pieces(spelled)
        if self.units == "characters":
            return self._characters(spelled)
        written = self._pieces(normalized(texts, "none"))
        return tf.concat([written, self._characters(spelled)], axis=1)

    def _characters(self, texts: Any) -> Any:
        import tensorflow as tf

        characters = tf.strings.unicode_split(texts, "UTF-8", errors="replace")
        pieces = self._pieces(characters.values)
        return characters.with_values(pieces).merge_dims(1, 2)

    @cached_property
    def _pieces(self) -> Any:
        import tensorflow as tf

        def pieces(texts: Any) -> Any:
            ids = tf.cast(self.tokenizer(texts), tf.int32)
            # A byte pair tokenizer answers -1 for a byte its vocabulary lacks.
            return tf.ragged.boolean_mask(ids, ids >= 0)

        return tf.function(pieces, input_signature=[tf.TensorSpec([None], tf.string)])

    def _revive(self) -> None:
        """Makes SentencePiece's resource again if it is gone.

        TensorFlow Text leaves it to the cache of eager kernels, which `tf.random.set_seed` empties.
        """
        import tensorflow as tf

        if not hasattr(self.tokenizer, "proto"):
            return
        with tf.init_scope():
            try:
                self._pieces(tf.constant(["a"]))
            except tf.errors.NotFoundError:
                self.tokenizer._set_proto_tf(self.tokenizer.proto)
                self.__dict__.pop("_pieces")

    @property
    def resources(self) -> Any:
        """What an exported graph must hold on to: the tables the operations look into."""
        return self.tokenizer

    def config(self) -> dict[str, Any]:
        """What `load` takes, as JSON values."""
        parameters = inspect.signature(type(self.tokenizer).__init__).parameters
        ours = self.tokenizer.get_config()
        config = {k: ours[k] for k in ("has_vision_tokens", "add_prefix_space") if k in ours}
        if "bos_token" in parameters:
            config["bos_token"] = self.tokenizer.start_token
            config["eos_token"] = self.tokenizer.end_token
        if ours.get("unsplittable_tokens"):
            # They come as a set, in another order each time.
            config["unsplittable_tokens"] = sorted(ours["unsplittable_tokens"])
        name = type(self.tokenizer).__name__
        return {"class": name, "config": config, "units": self.units, "size": self.size}

    def save_assets(self, folder: str) -> list[str]:
        """Writes the vocabulary's files into a local folder; returns their names."""
        self.tokenizer.save_assets(folder)
        return sorted(path.name for path in Path(folder).iterdir())

    @classmethod
    def load(cls, config: dict[str, Any], folder: str, *, normalization: str) -> PresetTokenizer:
        """The tokenizer that `config` and `save_assets` describe; no code in them is run.

        Raises:
            ValueError: the class is no tokenizer of KerasHub.
        """
        import keras_hub

        name = config["class"]
        tokenizer_class: Any = getattr(keras_hub.tokenizers, name, None)
        if tokenizer_class is None or not name.endswith("Tokenizer"):
            raise ValueError(f"{name!r} is no tokenizer of keras_hub.tokenizers")
        folder_path = Path(folder)
        if (folder_path / "vocabulary.spm").exists():
            assets: dict[str, Any] = {"proto": (folder_path / "vocabulary.spm").read_bytes()}
        else:
            merges = (folder_path / "merges.txt").read_text(encoding="utf-8")
            vocabulary = (folder_path / "vocabulary.json").read_text(encoding="utf-8")
            assets = {"vocabulary": json.loads(vocabulary), "merges": merges.splitlines()}
        tokenizer = tokenizer_class(**assets, **config["config"])
        return cls(
            tokenizer, size=config["size"], normalization=normalization, units=config["units"]
        )


def normalized(texts: Any, normalization: str) -> Any:
    """Texts, string `[batch]`, put into one of `NORMALIZATIONS`."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    composed = tf_text.normalize_utf8(texts, "NFKC")
    if normalization == "none":
        return composed
    if normalization == "casefold":
        return tf_text.case_fold_utf8(composed)
    letters = romanized_bytes(texts)
    spelled = tf.gather(_BYTES.tensor, letters.values)
    return tf.strings.reduce_join(letters.with_values(spelled), axis=1)


def romanized_bytes(texts: Any) -> Any:
    """Texts spelled in small Latin letters: string `[batch]` to ragged int32 `[batch, (bytes)]`."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    folded = tf_text.case_fold_utf8(tf_text.normalize_utf8(texts, "NFKC"))
    points = tf.strings.unicode_decode(folded, "UTF-8", errors="replace")
    points = tf.where(points < CODE_POINTS, points, 0xFFFD)
    return tf.gather(_ROMANIZED.tensor, points).merge_dims(1, 2)


class _Romanized:
    """The Latin spelling of every code point: ragged int32 `[CODE_POINTS, (bytes)]`."""

    @cached_property
    def tensor(self) -> Any:
        import tensorflow as tf
        from anyascii import anyascii

        points = (chr(p) if _is_scalar(p) else "" for p in range(CODE_POINTS))
        spelled = [(LONG_VOWELS.get(p) or anyascii(p)).lower().encode() for p in points]
        values = np.frombuffer(b"".join(spelled), np.uint8).astype(np.int32)
        lengths = np.array([len(s) for s in spelled], np.int64)
        # Built outside any graph, so that every graph can hold it as a constant.
        with tf.init_scope():
            return tf.RaggedTensor.from_row_lengths(values, lengths)


class _Bytes:
    """Every byte as a string: `[256]`."""

    @cached_property
    def tensor(self) -> Any:
        import tensorflow as tf

        with tf.init_scope():
            return tf.constant([bytes([b]) for b in range(256)])


_ROMANIZED, _BYTES = _Romanized(), _Bytes()


def _is_scalar(point: int) -> bool:
    """Whether a code point is a character: surrogates are not."""
    return not 0xD800 <= point <= 0xDFFF
