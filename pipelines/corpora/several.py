"""Several corpora as one: their rows one after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.corpora import Corpus, Row
from pipelines.utterance import Utterance


class SeveralCorpora:
    """The rows of several corpora, in the order given.

    Args:
        corpora: at least one. Ids have to differ between them; of two alike the first is kept.
    """

    def __init__(self, corpora: Sequence[Corpus]) -> None:
        self._corpora = list(corpora)
        self.name = "+".join(corpus.name for corpus in corpora)
        self.in_archives = any(getattr(corpus, "in_archives", False) for corpus in corpora)

    def rows(self) -> Iterator[Row]:
        """Every row of the first, then every row of the next."""
        for corpus in self._corpora:
            for row in corpus.rows():
                if isinstance(row, Utterance):
                    row = dataclasses.replace(row, corpus=row.corpus or corpus.name)
                yield row

    def card(self) -> dict[str, Any]:
        """The cards of all."""
        return {"name": self.name, "corpora": [corpus.card() for corpus in self._corpora]}
