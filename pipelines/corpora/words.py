"""The commonest words of a language, spoken by eSpeak NG: a vocabulary to train on.

A small corpus holds few words, and what is said in others is found far less often: more than a
third of the demo corpus' English test names have no word that is trained on. Here are thousands
more in any of forty languages, one a recording, to be trained on beside it:

    python -m pipelines.prepare --corpus words --languages en,es --held-out demo/data \
        --codebook demo/data/codebook --output demo/data-words
    python -m model.train --config configs/demo/train-gemma.yaml --text-units subwords \
        --data demo/data,demo/data-words --output demo/run-words

Words and their order are wordfreq's, of subtitles, Wikipedia, news, books and the web up to 2021;
of these, such as have letters alone, in the language's own script. Names, loanwords and rude words
are among them.

Source: Robyn Speer, "rspeer/wordfreq: v3.0", doi:10.5281/zenodo.7199437. Licence: the package
Apache-2.0, its lists CC BY-SA 4.0.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

from pipelines.corpora import demo_speech
from pipelines.corpora.manifest import sentence_key
from pipelines.utterance import LANGUAGES, Utterance


class WordsCorpus:
    """Words as utterances, all of the training split.

    A word that two languages share is one sentence, and so no false negative of itself.

    Args:
        languages: keys of `LANGUAGES` that wordfreq and eSpeak know.
        words: how many of each, the commonest; 1 or more.
        voices: recordings of each, by different speakers; 1 or more.

    Raises:
        ValueError: no language is named, one is unknown or has no list or no voice; or wordfreq or
            eSpeak isn't installed.
    """

    name = "words"
    typical_seconds = 0.8

    def __init__(self, languages: Sequence[str], *, words: int = 4000, voices: int = 1) -> None:
        if words < 1 or voices < 1:
            raise ValueError("--words and --voices must be at least 1")
        self.languages = tuple(dict.fromkeys(languages))
        self.words = words
        self.voices = voices
        if importlib.util.find_spec("wordfreq") is None:
            raise ValueError("--corpus words needs wordfreq: pip install 'babelear[words]'")
        import wordfreq

        known = sorted(set(wordfreq.available_languages()) & set(LANGUAGES))
        if not self.languages or (unknown := sorted(set(self.languages) - set(known))):
            wrong = f"no words in {', '.join(unknown)}" if self.languages else "whose words?"
            raise ValueError(f"{wrong}; --languages takes some of {','.join(known)}")
        demo_speech.check_voices(self.languages)

    def rows(self) -> Iterator[Utterance]:
        """Every word in every voice: the commonest of all languages first, then the next."""
        lists = [_words(language, self.words) for language in self.languages]
        for words in itertools.zip_longest(*lists):
            for language, word in zip(self.languages, words, strict=True):
                if word is not None:
                    yield from self._utterances(language, word)

    def card(self) -> dict[str, Any]:
        """What was taken, and whose lists these are."""
        return {
            "name": self.name,
            "languages": list(self.languages),
            "words": self.words,
            "voices": self.voices,
            "sources": {p: metadata.version(p) for p in ("wordfreq", "espeakng-loader")},
        }

    def _utterances(self, language: str, word: str) -> Iterator[Utterance]:
        digest = hashlib.sha256(f"babelear word {language}|{word}".encode()).hexdigest()
        for take in range(self.voices):
            yield demo_speech.training_utterance(
                f"words-{language}-{digest[:16]}",
                word,
                language,
                f"words-{sentence_key(word)}",
                draw=int(digest, 16),
                take=take,
            )


def _words(language: str, most: int) -> Iterator[str]:
    import wordfreq

    found = (unicodedata.normalize("NFC", word) for word in wordfreq.iter_wordlist(language))
    script = LANGUAGES[language].script
    return itertools.islice(filter(lambda word: _is_word(word, script), found), most)


def _is_word(text: str, script: str) -> bool:
    """Whether it is letters alone, Latin ones just where the language has those.

    A letter by itself is a word where it stands for a syllable or more.
    """
    if any(unicodedata.category(c)[0] not in "LM" for c in text):
        return False
    latin = any("LATIN" in unicodedata.name(c, "") for c in text)
    return latin == (script == "Latn") and (len(text) > 1 or unicodedata.category(text) == "Lo")
