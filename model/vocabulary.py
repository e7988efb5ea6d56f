"""One vocabulary for text and speech: prefix tokens, text tokens, then the new audio tokens.

Section 3.2 of the paper: the embedding table of t text rows grows by a audio rows, and every
sequence starts with a prefix that names its language and modality. Here:

    0            padding
    1, 2         the modality: speech, text
    3            a language that is unknown or was never trained on
    4 …          one token a language
    then         256 bytes of UTF-8 text
    then         the audio tokens
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.utterance import LANGUAGES

PADDING, SPEECH, TEXT, ANY_LANGUAGE = 0, 1, 2, 3
PREFIX_LENGTH = 2
NORMALIZATIONS = ("romanize", "casefold")
# The highest code point that anyascii has a spelling for lies below this.
CODE_POINTS = 0x20000
# anyascii drops these letters, which carry most of the vowels that Arabic script writes at all.
LONG_VOWELS = {"ا": "a", "أ": "a", "إ": "i", "آ": "a", "ٱ": "a", "ى": "a", "ع": "a"}


@dataclass(frozen=True)
class Vocabulary:
    """Turns texts and audio tokens into token ids, eagerly or inside a TensorFlow graph.

    Args:
        audio_tokens: size of the codebook.
        languages: the languages with a prefix token of their own, in a fixed order.
        trained_languages: those seen in training; the others get the prefix of an unknown language,
            whose embedding was trained by leaving the language out now and then.
        normalization: `casefold` lower-cases NFKC text; `romanize` then also spells every script in
            Latin letters, which lets languages share what is learned about spelling.
        max_speech_tokens: longer sequences of audio tokens are cut, prefix included.
        max_text_tokens: longer texts are cut, prefix included.

    Example:
        >>> vocabulary = Vocabulary(audio_tokens=1024, trained_languages=("en",))
        >>> vocabulary.text_ids(tf.constant(["hi"]), tf.constant(["en"]))
    """

    audio_tokens: int
    languages: tuple[str, ...] = tuple(LANGUAGES)
    trained_languages: tuple[str, ...] = ()
    normalization: str = "romanize"
    max_speech_tokens: int = 64
    max_text_tokens: int = 64

    @property
    def first_byte(self) -> int:
        """The id of byte 0."""
        return ANY_LANGUAGE + 1 + len(self.languages)

    @property
    def text_size(self) -> int:
        """t: rows of the table before the audio tokens."""
        return self.first_byte + 256

    @property
    def size(self) -> int:
        """t + a: rows of the whole embedding table."""
        return self.text_size + self.audio_tokens

    def prefix(self, modality: int, languages: Any) -> Any:
        """The prefix tokens: languages string `[batch]` to int32 `[batch, 2]`."""
        import tensorflow as tf

        trained = tf.constant(list(self.trained_languages) or [""])
        ids = [ANY_LANGUAGE + 1 + self.languages.index(name) for name in self.trained_languages]
        matches = tf.equal(languages[:, None], trained[None, :])
        own = tf.reduce_sum(tf.where(matches, tf.constant(ids or [0], tf.int32), 0), axis=1)
        language = tf.where(tf.reduce_any(matches, axis=1), own, ANY_LANGUAGE)
        return tf.stack([tf.fill(tf.shape(language), modality), language], axis=1)

    def text_ids(self, texts: Any, languages: Any) -> Any:
        """Token ids of texts.

        Args:
            texts: string tensor `[batch]`, UTF-8.
            languages: string tensor `[batch]`; an empty string where unknown.

        Returns:
            int32 `[batch, max_text_tokens]`, padded with 0.
        """
        import tensorflow as tf
        import tensorflow_text as tf_text

        folded = tf_text.case_fold_utf8(tf_text.normalize_utf8(texts, "NFKC"))
        if self.normalization == "romanize":
            points = tf.strings.unicode_decode(folded, "UTF-8", errors="replace")
            points = tf.where(points < CODE_POINTS, points, 0xFFFD)
            spelled = tf.gather(self._romanized, points)
            letters = spelled.merge_dims(1, 2)
        else:
            letters = tf.cast(tf_text.ByteSplitter().split(folded), tf.int32)
        return self._finish(letters + self.first_byte, TEXT, languages, self.max_text_tokens)

    def speech_ids(self, tokens: Any, languages: Any) -> Any:
        """Token ids of audio tokens, each run of one token collapsed to a single one.

        Args:
            tokens: ragged integer tensor `[batch, (frames)]` in `[0, audio_tokens)`.
            languages: string tensor `[batch]`; an empty string where unknown.

        Returns:
            int32 `[batch, max_speech_tokens]`, padded with 0.
        """
        import tensorflow as tf

        tokens = tf.cast(tokens, tf.int32)
        values, rows = tokens.values, tokens.value_rowids()
        changes = tf.logical_or(values[1:] != values[:-1], rows[1:] != rows[:-1])
        starts = tf.concat([tf.ones_like(values[:1], tf.bool), changes], axis=0)
        collapsed = tf.ragged.boolean_mask(tokens, tokens.with_values(starts))
        ids = collapsed + self.text_size
        return self._finish(ids, SPEECH, languages, self.max_speech_tokens)

    def _finish(self, ids: Any, modality: int, languages: Any, length: int) -> Any:
        import tensorflow as tf

        dense = ids.to_tensor(default_value=PADDING, shape=[None, length - PREFIX_LENGTH])
        return tf.concat([self.prefix(modality, languages), tf.cast(dense, tf.int32)], axis=1)

    @cached_property
    def _romanized(self) -> Any:
        """The Latin spelling of every code point: ragged int32 `[CODE_POINTS, (bytes)]`."""
        import tensorflow as tf
        from anyascii import anyascii

        points = (chr(p) if _is_scalar(p) else "" for p in range(CODE_POINTS))
        spelled = [(LONG_VOWELS.get(p) or anyascii(p)).lower().encode() for p in points]
        values = np.frombuffer(b"".join(spelled), np.uint8).astype(np.int32)
        lengths = np.array([len(s) for s in spelled], np.int64)
        # Built outside any graph, so that every graph can hold it as a constant.
        with tf.init_scope():
            return tf.RaggedTensor.from_row_lengths(values, lengths)


def _is_scalar(point: int) -> bool:
    """Whether a code point is a character: surrogates are not."""
    return not 0xD800 <= point <= 0xDFFF
