"""A corpus without what another one tests: no test sentence is trained on, not even as a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.corpora import Corpus, Row
from pipelines.corpora.manifest import sentence_key
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.rejects import Reject
from pipelines.utterance import Utterance


class HeldOut:
    """A corpus that says nothing in training that is in dev or test of prepared folders.

    A text pair is set aside, with the reason `held-out-sentence`, where a text on either side is a
    held out one, or one without its first word: "toucan" beside "A toucan." So is a training
    recording of one. Case, punctuation and language don't count.

    Args:
        corpus: any.
        folders: written by `pipelines.prepare`.

    Raises:
        OutputError: a folder is not complete.
    """

    def __init__(self, corpus: Corpus, folders: Sequence[str]) -> None:
        self.name = corpus.name
        self.in_archives = getattr(corpus, "in_archives", False)
        self.typical_seconds = getattr(corpus, "typical_seconds", None)
        self._corpus = corpus
        self._folders = tuple(folders)
        self._keys = frozenset(_keys(self._folders))

    def rows(self) -> Iterator[Row]:
        """Every row of the corpus, held out ones as rejects."""
        for row in self._corpus.rows():
            yield row if isinstance(row, Reject) else self._checked(row)

    def card(self) -> dict[str, Any]:
        """The corpus' card, and what was held out."""
        return {**self._corpus.card(), "held_out": list(self._folders)}

    def _checked(self, row: Utterance | Pair) -> Row:
        texts = [text for text in _trained_texts(row) if text]
        if not any(sentence_key(text) in self._keys for text in texts):
            return row
        detail = f"{' or '.join(repr(text[:80]) for text in texts)} is to be tested"
        return Reject(row.id, row.audio, "read", "held-out-sentence", detail)


def _trained_texts(row: Utterance | Pair) -> tuple[str, ...]:
    if isinstance(row, Pair):
        return row.target_text, row.source_text
    if row.split != "train":
        return ()
    return row.transcript, *(text for _, text in row.translations)


def _keys(folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        data = OutputDir.open(folder, kind=KIND)
        for split in ("dev", "test"):
            for pair in read_pairs(data, split):
                for text in (pair.source_text, pair.target_text):
                    yield from (sentence_key(t) for t in (text, text.partition(" ")[2]) if t)
