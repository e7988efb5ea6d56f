"""One vocabulary for text and speech: prefix tokens, text tokens, then the new audio tokens.

Section 3.2 of the paper: the embedding table of t text rows grows by a audio rows, and every
sequence starts with a prefix that names its language and modality. Here:

    0            padding
    1, 2         the modality: speech, text
    3            a language that is unknown or was never trained on
    4 …          one token for each language trained on
    then         the text tokens: 256 bytes of UTF-8, or those of a preset's tokenizer
    then         the audio tokens
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from model.tokenization import NORMALIZATIONS, ByteTokenizer, TextTokenizer
from pipelines import quiet  # noqa: F401  (before TensorFlow)

PADDING, SPEECH, TEXT, ANY_LANGUAGE = 0, 1, 2, 3
PREFIX_LENGTH = 2


@dataclass(frozen=True)
class Vocabulary:
    """Turns texts and audio tokens into token ids, eagerly or inside a TensorFlow graph.

    Args:
        audio_tokens: size of the codebook.
        trained_languages: those with a prefix token of their own, in a fixed order; the others get
            that of an unknown language, trained by leaving the language out now and then.
        normalization: `none` puts text into NFKC; `casefold` then lower-cases it; `romanize` then
            also spells every script in Latin letters, which lets languages share what is learned
            about spelling.
        max_speech_tokens: longer sequences of audio tokens are cut, prefix included.
        max_text_tokens: longer texts are cut, prefix included.
        tokenizer: splits text; None for the bytes of the normalized text.

    Example:
        >>> vocabulary = Vocabulary(audio_tokens=1024, trained_languages=("en",))
        >>> vocabulary.text_ids(tf.constant(["hi"]), tf.constant(["en"]))
    """

    audio_tokens: int
    trained_languages: tuple[str, ...] = ()
    normalization: str = "romanize"
    max_speech_tokens: int = 64
    max_text_tokens: int = 64
    tokenizer: TextTokenizer | None = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.normalization not in NORMALIZATIONS:
            known = ", ".join(NORMALIZATIONS)
            raise ValueError(f"normalization {self.normalization!r} is none of {known}")

    @property
    def first_text(self) -> int:
        """The id of the first text token: as many prefix tokens stand before it."""
        return ANY_LANGUAGE + 1 + len(self.trained_languages)

    @property
    def first_byte(self) -> int:
        """The id of byte 0, where text is bytes."""
        return self.first_text

    @property
    def text_size(self) -> int:
        """t: rows of the table before the audio tokens, those of the prefix among them."""
        return self.first_text + self._tokenizer.size

    @property
    def size(self) -> int:
        """t + a: rows of the whole embedding table."""
        return self.text_size + self.audio_tokens

    def prefix(self, modality: int, languages: Any) -> Any:
        """The prefix tokens: languages string `[batch]` to int32 `[batch, 2]`."""
        import tensorflow as tf

        trained = tf.constant(list(self.trained_languages) or [""])
        matches = tf.equal(languages[:, None], trained[None, :])
        own = ANY_LANGUAGE + 1 + tf.argmax(tf.cast(matches, tf.int32), axis=1, output_type=tf.int32)
        is_trained = tf.reduce_any(matches, axis=1) & (languages != "")
        language = tf.where(is_trained, own, ANY_LANGUAGE)
        return tf.stack([tf.fill(tf.shape(language), modality), language], axis=1)

    def language_token(self, language: str) -> int:
        """The prefix token of one language."""
        if language not in self.trained_languages:
            return ANY_LANGUAGE
        return ANY_LANGUAGE + 1 + self.trained_languages.index(language)

    def text_tokens(self, texts: Any) -> Any:
        """Texts, string `[batch]`, to text tokens from 0 on: ragged int32 `[batch, (tokens)]`."""
        return self._tokenizer.split(texts)

    def text_ids(self, texts: Any, languages: Any) -> Any:
        """Token ids of texts.

        Args:
            texts: string tensor `[batch]`, UTF-8.
            languages: string tensor `[batch]`; an empty string where unknown.

        Returns:
            int32 `[batch, max_text_tokens]`, padded with 0.
        """
        return self._finish(
            self.text_tokens(texts) + self.first_text, TEXT, languages, self.max_text_tokens
        )

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

    def config(self) -> dict[str, Any]:
        """Every argument but the tokenizer, as `dataclasses.asdict` has them."""
        fields = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in fields if name != "tokenizer"}

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        return self.tokenizer or ByteTokenizer(self.normalization)
