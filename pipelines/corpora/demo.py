"""The embedded corpus: the names of 1,923 emoji in 14 languages, spoken by eSpeak NG.

The names are Unicode CLDR's short names, as the `emoji` package carries them: n-way parallel
phrases, so that a sentence id is the emoji itself. Seven languages are *seen* (speech and
transcripts in training), seven *unseen* (evaluation only), as 21 of FLEURS' 102 languages are in
the paper (arXiv 2404.01616, section 4). It needs no download, and no more than pip.

What it is not: people's voices. Names come in families ("man: red hair", "woman: red hair"; flags;
clock times), and a family may have members on both sides of the split, as any corpus of short
phrases has; no two sentences share a name in any language.

Licences: the `emoji` package is BSD, CLDR under the Unicode licence. eSpeak NG and pykakasi, which
reads Japanese kanji, are GPL-3; only the `demo` extra installs them.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from pipelines.corpora import demo_speech
from pipelines.pairs import Pair
from pipelines.synthesis import espeak_uri
from pipelines.utterance import SPLITS, Utterance

SEEN = ("en", "es", "fr", "de", "ru", "tr", "ar")
UNSEEN = ("pt", "it", "id", "fa", "zh", "ja", "ko")
LANGUAGES = SEEN + UNSEEN
TEST_SENTENCES = 380
DEV_SENTENCES = 100

_SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")


class DemoCorpus:
    """The corpus as utterances and as translation pairs.

    Training: the seen languages, each sentence by several speakers. Development and test: all 14
    languages, each sentence once. No speaker, no eSpeak variant and no sentence is in two splits.

    Args:
        voices_per_sentence: recordings of each training sentence in each language, 1 or more.
    """

    name = "demo"
    typical_seconds = 1.1

    def __init__(self, voices_per_sentence: int = 2) -> None:
        if voices_per_sentence < 1:
            raise ValueError(f"voices_per_sentence is {voices_per_sentence}, must be 1 or more")
        self.voices_per_sentence = voices_per_sentence

    def rows(self) -> Iterator[Utterance | Pair]:
        """Yields every utterance and then every text–text pair, always in the same order."""
        yield from self.utterances()
        yield from self.bitext()

    def utterances(self) -> Iterator[Utterance]:
        """Yields every utterance.

        Nothing is spoken here: `Utterance.audio` is an `espeak:` URI. Sentences come in an order of
        their own, all recordings of one together, so that the first few hundred rows already hold
        every language and every split.
        """
        sentences = split_sentences()
        for number, sentence in enumerate(sorted(sentences, key=lambda s: _stable("order", s))):
            split = sentences[sentence]
            for language in SEEN if split == "train" else LANGUAGES:
                text = names()[sentence][language]
                draw = _stable("speaker", f"{sentence}|{language}")
                for take in range(self.voices_per_sentence if split == "train" else 1):
                    speaker = demo_speech.draw_speaker(split, draw, take)
                    yield Utterance(
                        id=f"demo-{language}-{split}-{number:05d}-{take}",
                        audio=espeak_uri(demo_speech.speech(text, language, speaker)),
                        language=language,
                        transcript=text,
                        sentence_id=sentence,
                        split=split,
                        speaker=speaker.name,
                    )

    def bitext(self) -> Iterator[Pair]:
        """Yields text–text pairs.

        Every seen language with English, training sentences only: text as the paper's WikiMatrix
        (section 5.2), and as free of evaluation sentences as the speech is.
        """
        training = (s for s, split in sorted(split_sentences().items()) if split == "train")
        for number, sentence in enumerate(training):
            name = names()[sentence]
            for language in SEEN:
                if language != "en":
                    yield Pair(
                        id=f"demo-{language}-en-{number:05d}",
                        task="bitext",
                        source_language=language,
                        source_text=name[language],
                        target_language="en",
                        target_text=name["en"],
                        sentence_id=sentence,
                        split="train",
                        provenance=self.name,
                    )

    def card(self) -> dict[str, Any]:
        """What the corpus holds and what it was made from."""
        sentences = Counter(split_sentences().values())
        return {
            "name": self.name,
            "sentences": {split: sentences[split] for split in SPLITS},
            "seen": list(SEEN),
            "unseen": list(UNSEEN),
            "voices_per_sentence": self.voices_per_sentence,
            "speakers": {split: len(demo_speech.SPEAKERS[split]) for split in SPLITS},
            "sources": {
                package: metadata.version(package)
                for package in ("emoji", "espeakng-loader", "pykakasi")
            },
        }


@functools.cache
def names() -> dict[str, dict[str, str]]:
    """The emoji and their names by language: those that have one in all 14.

    Variants in skin tone are left out: they are one picture and nearly one name.
    """
    import emoji

    for language in LANGUAGES:
        emoji.config.load_language(language)
    qualified = emoji.STATUS["fully_qualified"]
    return {
        sentence: {language: _name(entry[language]) for language in LANGUAGES}
        for sentence, entry in emoji.EMOJI_DATA.items()
        if entry["status"] == qualified
        and not _SKIN_TONE.search(sentence)
        and all(language in entry for language in LANGUAGES)
    }


def _name(code: str) -> str:
    # `emoji` writes names as codes, `:grinning_face:`.
    return unicodedata.normalize("NFC", code.strip(":").replace("_", " ")).strip()


@functools.cache
def split_sentences() -> dict[str, str]:
    """The split of every sentence: `TEST_SENTENCES`, `DEV_SENTENCES`, the rest for training."""
    ranked = sorted(names(), key=lambda sentence: _stable("split", sentence))
    dev = TEST_SENTENCES + DEV_SENTENCES
    return {
        sentence: "test" if rank < TEST_SENTENCES else "dev" if rank < dev else "train"
        for rank, sentence in enumerate(ranked)
    }


def _stable(purpose: str, text: str) -> int:
    # Python's own hash differs from process to process.
    return int.from_bytes(hashlib.sha256(f"babelear {purpose} {text}".encode()).digest(), "big")
