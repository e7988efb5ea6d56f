"""Corpus readers: each yields `Utterance`s (and text pairs, and rejects) in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from pipelines.pairs import Pair
from pipelines.rejects import Reject
from pipelines.utterance import Utterance


class Corpus(Protocol):
    """What a reader offers; it is pickled to the worker that reads."""

    name: str

    def rows(self) -> Iterator[Utterance | Pair | Reject]:
        """Every row of the corpus, the bad ones as rejects, in the same order each time."""
        ...

    def card(self) -> dict[str, Any]:
        """Facts about the corpus that go into `info.json`."""
        ...


def open_corpus(name: str, *, audio_root: str = "", voices: int = 2) -> Corpus:
    """The reader for what `--corpus` says.

    Args:
        name: `demo`, or the path of a `.jsonl`, `.csv` or `.tsv` manifest.
        audio_root: where a manifest's relative audio paths start; its own folder if empty.
        voices: recordings of each training sentence and language in the demo corpus.

    Raises:
        ValueError: there is no such corpus.
    """
    if name == "demo":
        from pipelines.corpora.demo import DemoCorpus

        return DemoCorpus(voices_per_sentence=voices)
    if name.endswith((".jsonl", ".csv", ".tsv")):
        from pipelines.corpora.manifest import ManifestCorpus

        return ManifestCorpus(name, audio_root=audio_root or None)
    raise ValueError(f"--corpus {name!r}: give demo, or a manifest ending in .jsonl, .csv or .tsv")
