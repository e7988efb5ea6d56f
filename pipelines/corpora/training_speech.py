"""What is trained on, where that is to differ from the recordings there are.

Three changes to the training split of any corpus; dev and test stay as they are.

- *Languages*: of some, no speech is trained on. They are the unseen ones of the paper (arXiv
  2404.01616, section 4), and serve dev and test alone.
- *Speed*: recordings again, played faster or slower, pitch and all. Source: Ko et al., "Audio
  augmentation for speech recognition", Interspeech 2015.
- *Synthetic speech*: training sentences, spoken by eSpeak NG in several voices, beside the
  recordings. In a language without training recordings it makes the difference between one that
  was never heard, and one that no person was heard speaking.

Provenance tells them apart: `tuxpaint`, `tuxpaint/speed`, `tuxpaint/synthetic`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import audio_reference
from pipelines.corpora import Corpus, Row, demo_speech
from pipelines.corpora.manifest import sentence_key
from pipelines.pairs import Pair
from pipelines.utterance import LANGUAGES, Utterance

_Text = tuple[str, str, str, str]
"""Sentence id, split, language, text."""


class TrainingSpeech:
    """A corpus with other training speech than its own.

    Args:
        corpus: any; if it has `texts()`, these are spoken, else its transcripts, translations and
            bitext.
        languages: the only ones whose training recordings are kept; all if empty.
        speeds: one more copy of each training recording at each speed.
        synthetic: so many voices speak each training sentence in each language.
        synthetic_languages: which languages they speak; `languages` if empty, or else all that have
            training recordings.
        synthetic_only: leave out the corpus' own rows, to have a folder to train on beside another.

    Raises:
        ValueError: a language or a speed is impossible, or eSpeak can't speak it.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        languages: Sequence[str] = (),
        speeds: Sequence[float] = (),
        synthetic: int = 0,
        synthetic_languages: Sequence[str] = (),
        synthetic_only: bool = False,
    ) -> None:
        if unknown := sorted({*languages, *synthetic_languages} - set(LANGUAGES)):
            raise ValueError(f"{', '.join(unknown)}: no language known here")
        audio_reference.check_speeds(speeds)
        if synthetic < 0:
            raise ValueError("synthetic speech in fewer than 0 voices")
        self.name = corpus.name
        self.in_archives = getattr(corpus, "in_archives", False)
        self._corpus = corpus
        self._languages = tuple(languages)
        self._speeds = tuple(dict.fromkeys(speeds))
        self._synthetic = synthetic
        self._synthetic_only = synthetic_only
        self._spoken = tuple(synthetic_languages) or self._languages
        if synthetic:
            demo_speech.check_voices(self._spoken)

    def rows(self) -> Iterator[Row]:
        """The corpus' rows, each training recording before its copies; then what eSpeak says."""
        for row in () if self._synthetic_only else self._corpus.rows():
            if isinstance(row, Utterance) and row.split == "train":
                if self._languages and row.language not in self._languages:
                    continue
                yield row
                yield from self._copies(row)
            else:
                yield row
        if self._synthetic:
            yield from self._synthetic_speech()

    def card(self) -> dict[str, Any]:
        """The corpus' card, and what was changed."""
        changes = {
            "languages": list(self._languages),
            "speeds": list(self._speeds),
            "synthetic_voices": self._synthetic,
            "synthetic_languages": list(self._spoken) if self._synthetic else [],
            "synthetic_only": self._synthetic_only,
        }
        return {**self._corpus.card(), "training_speech": changes}

    def _copies(self, row: Utterance) -> Iterator[Utterance]:
        reference = audio_reference.parse(row.audio)
        for speed in self._speeds:
            yield dataclasses.replace(
                row,
                id=f"{row.id}~{speed:g}",
                audio=str(reference._replace(speed=reference.speed * speed)),
                corpus=f"{row.corpus or self.name}/speed",
            )

    def _synthetic_speech(self) -> Iterator[Utterance]:
        held_out: set[tuple[str, str]] = set()
        recorded: set[str] = set()
        for _, split, language, text in self._texts():
            if split != "train":
                held_out.add((language, sentence_key(text)))
        if not self._spoken:
            rows = (row for row in self._corpus.rows() if isinstance(row, Utterance))
            recorded = {row.language for row in rows if row.split == "train"}
        done: set[tuple[str, str, str]] = set()
        for sentence, split, language, text in self._texts():
            words = sentence_key(text)
            if split != "train" or language not in (self._spoken or recorded):
                continue
            # Two sentences may be one in this language: what is tested must not be heard.
            if (language, words) in held_out or (sentence, language, words) in done:
                continue
            done.add((sentence, language, words))
            draw = _number(f"{sentence}|{language}|{words}")
            for take in range(self._synthetic):
                yield demo_speech.training_utterance(
                    f"{self.name}-synthetic-{language}-{draw:016x}",
                    text,
                    language,
                    sentence,
                    draw=draw,
                    take=take,
                    corpus=f"{self.name}/synthetic",
                )

    def _texts(self) -> Iterator[_Text]:
        texts = getattr(self._corpus, "texts", None)
        return texts() if texts else _texts_of(self._corpus.rows())


def _texts_of(rows: Iterator[Row]) -> Iterator[_Text]:
    for row in rows:
        if isinstance(row, Utterance):
            yield row.sentence_id, row.split, row.language, row.transcript
            for language, text in row.translations:
                yield row.sentence_id, row.split, language, text
        elif isinstance(row, Pair):
            if row.source_text:
                yield row.sentence_id, row.split, row.source_language, row.source_text
            yield row.sentence_id, row.split, row.target_language, row.target_text


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"babelear speaker {text}".encode()).digest()[:8], "big")
