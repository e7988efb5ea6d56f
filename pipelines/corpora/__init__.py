"""Corpus readers: each yields `Utterance`s (and text pairs, and rejects) in a fixed order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from pipelines import storage
from pipelines.pairs import Pair
from pipelines.rejects import Reject
from pipelines.utterance import Utterance

Row = Utterance | Pair | Reject


class Corpus(Protocol):
    """What a reader offers; it is pickled to the worker that reads.

    One whose sound lies in tar archives has an `in_archives` that is true; one whose rows don't say
    how long they are may have `typical_seconds`.
    """

    name: str

    def rows(self) -> Iterator[Row]:
        """Every row of the corpus, the bad ones as rejects, in the same order each time."""
        ...

    def card(self) -> dict[str, Any]:
        """Facts about the corpus that go into `info.json`."""
        ...


PUBLISHED = ("fleurs", "covost", "wikimatrix", "opus", "cldr", "lhotse", "nemo", "tuxpaint")
"""Corpora and formats that `--corpus` names, and `--corpus-path` finds."""
_MANIFESTS = (".jsonl", ".csv", ".tsv", ".jsonl.gz", ".csv.gz", ".tsv.gz")


def open_corpus(
    name: str,
    *,
    path: str = "",
    languages: Sequence[str] = (),
    splits: Sequence[str] = (),
    audio_root: str = "",
    voices: int = 2,
    words: int = 4000,
    min_score: float = 1.04,
    also: Sequence[str] = (),
    train_languages: Sequence[str] = (),
    speeds: Sequence[float] = (),
    synthetic: int = 0,
    synthetic_languages: Sequence[str] = (),
    synthetic_only: bool = False,
    held_out: Sequence[str] = (),
) -> Corpus:
    """The reader for what `--corpus` says.

    Args:
        name: `demo`, `words`, one of `PUBLISHED`, or the path of a manifest.
        path: where a published corpus lies.
        languages: which of its languages; what a name may be, its reader says.
        splits: which of train, dev and test.
        audio_root: where a manifest's relative audio paths start; its own folder if empty.
        voices: recordings of each training sentence and language in the demo corpus, of each word.
        words: how many of each language.
        min_score: of a WikiMatrix pair.
        also: further corpora, `wikimatrix=PATH`, with all languages and splits they have.
        train_languages: as in `TrainingSpeech`, like the four below; none for the corpus' own
            choice, if it has one.
        speeds: copies of training recordings.
        synthetic: voices that speak training sentences.
        synthetic_languages: in which languages.
        synthetic_only: nothing but what they say.
        held_out: folders whose dev and test texts are set aside.

    Raises:
        ValueError: there is no such corpus, or it lacks something that it needs.
    """
    if name == "words":
        from pipelines.corpora.words import WordsCorpus

        corpus: Corpus = WordsCorpus(languages, words=words, voices=voices)
    else:
        corpus = _open(name, path, languages, splits, audio_root, voices, min_score)
    train_languages = train_languages or getattr(corpus, "train_languages", ())
    if train_languages or speeds or synthetic:
        from pipelines.corpora.training_speech import TrainingSpeech

        corpus = TrainingSpeech(
            corpus,
            languages=train_languages,
            speeds=speeds,
            synthetic=synthetic,
            synthetic_languages=synthetic_languages,
            synthetic_only=synthetic_only,
        )
    if also:
        from pipelines.corpora.several import SeveralCorpora

        named = [other.partition("=") for other in also]
        others = [open_corpus(n, path=p, min_score=min_score) for n, _, p in named]
        corpus = SeveralCorpora([corpus, *others])
    if held_out:
        from pipelines.corpora.held_out import HeldOut

        corpus = HeldOut(corpus, held_out)
    return corpus


def _open(
    name: str,
    path: str,
    languages: Sequence[str],
    splits: Sequence[str],
    audio_root: str,
    voices: int,
    min_score: float,
) -> Corpus:
    if name == "demo":
        from pipelines.corpora.demo import DemoCorpus

        return DemoCorpus(voices_per_sentence=voices)
    if name.endswith(_MANIFESTS):
        from pipelines.corpora.manifest import ManifestCorpus

        return ManifestCorpus(name, audio_root=audio_root or None)
    if name not in PUBLISHED:
        raise ValueError(
            f"--corpus {name!r}: give demo, words, {', '.join(PUBLISHED)}, or a manifest ending in "
            f"{', '.join(_MANIFESTS[:3])}"
        )
    if not path:
        raise ValueError(f"--corpus {name} needs --corpus-path: where it lies")
    # Pairs say where their sound is, to whoever reads them from another folder.
    path, audio_root = _absolute(path), _absolute(audio_root)
    return _published(name, path, languages, splits, audio_root, min_score)


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path and not storage.is_remote(path) else path


def _published(
    name: str,
    path: str,
    languages: Sequence[str],
    splits: Sequence[str],
    audio_root: str,
    min_score: float,
) -> Corpus:
    if name == "fleurs":
        from pipelines.corpora.fleurs import FleursCorpus

        return FleursCorpus(path, languages=languages, splits=splits)
    if name == "covost":
        from pipelines.corpora.covost import CovostCorpus

        return CovostCorpus(path, pairs=languages, splits=splits)
    if name == "wikimatrix":
        from pipelines.corpora.wikimatrix import WikiMatrixCorpus

        return WikiMatrixCorpus(path, pairs=languages, min_score=min_score)
    if name == "opus":
        from pipelines.corpora.opus import OpusCorpus

        return OpusCorpus(path, pairs=languages)
    if name == "cldr":
        from pipelines.corpora.cldr import CldrCorpus

        return CldrCorpus(path, languages=languages)
    if name == "tuxpaint":
        from pipelines.corpora.tuxpaint import TuxPaintCorpus

        return TuxPaintCorpus(path, languages=languages, splits=splits)
    from pipelines.corpora.speech_manifest import LhotseCorpus, NemoCorpus

    reader = LhotseCorpus if name == "lhotse" else NemoCorpus
    return reader(path, audio_root=audio_root, languages=languages, splits=splits)
