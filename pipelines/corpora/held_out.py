"""A corpus without what another one tests: no test sentence is trained on, not even as a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.corpora import Corpus, Row
from pipelines.corpora.manifest import sentence_key
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.rejects import Reject


class HeldOut:
    """A corpus whose text pairs say nothing that is in dev or test of prepared folders.

    A pair is set aside, with the reason `held-out-sentence`, where a text on either side is a held
    out one, or one without its first word: "toucan" beside "A toucan." Case and punctuation don't
    count. Recordings are let through: their splits are their corpus' own.

    Args:
        corpus: any.
        folders: written by `pipelines.prepare`.

    Raises:
        OutputError: a folder is not complete.
    """

    def __init__(self, corpus: Corpus, folders: Sequence[str]) -> None:
        self.name = corpus.name
        self.in_archives = getattr(corpus, "in_archives", False)
        self._corpus = corpus
        self._folders = tuple(folders)
        self._keys = frozenset(_keys(self._folders))

    def rows(self) -> Iterator[Row]:
        """Every row of the corpus, held out pairs as rejects."""
        for row in self._corpus.rows():
            yield self._reject(row) if isinstance(row, Pair) and self._is_held_out(row) else row

    def card(self) -> dict[str, Any]:
        """The corpus' card, and what was held out."""
        return {**self._corpus.card(), "held_out": list(self._folders)}

    def _is_held_out(self, pair: Pair) -> bool:
        texts = pair.source_text, pair.target_text
        return any(text and sentence_key(text) in self._keys for text in texts)

    def _reject(self, pair: Pair) -> Reject:
        detail = f"{pair.target_text[:80]!r} or {pair.source_text[:80]!r} is to be tested"
        return Reject(pair.id, "", "read", "held-out-sentence", detail)


def _keys(folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        data = OutputDir.open(folder, kind=KIND)
        for split in ("dev", "test"):
            for pair in read_pairs(data, split):
                for text in (pair.source_text, pair.target_text):
                    yield from (sentence_key(t) for t in (text, text.partition(" ")[2]) if t)
