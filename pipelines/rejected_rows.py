"""Preparing again what a directory of pairs rejected, once it was mended, and nothing else.

A row is told by its id: whatever has no pair in the directory is prepared. So it doesn't matter how
a row was mended (its file replaced, its line corrected, the rest of a cut table added), nor at
which stage it had failed. What is still bad is rejected again, in the new directory.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines import storage
from pipelines.corpora import Corpus, Row
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import KIND, read_pairs
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import SPLITS


class RejectedRows:
    """The rows of a corpus of which a directory has no pair.

    Args:
        corpus: what the directory was made of, mended.
        data: a complete directory of pairs. If it holds the rejects of yet another, that one's
            pairs count as well.
        limit: how many rows of the corpus were read.

    Raises:
        OutputError: there is no such directory, or it isn't complete.
    """

    def __init__(self, corpus: Corpus, data: str, limit: int | None = None) -> None:
        self._corpus = corpus
        self._limit = limit
        self.data = [OutputDir.open(data, kind=KIND)]
        while before := self.data[-1].info["options"].get("only_rejects"):
            self.data.append(OutputDir.open(before, kind=KIND))
        self.name = corpus.name
        self.in_archives = getattr(corpus, "in_archives", False)

    @property
    def rows_in_all(self) -> int:
        """How many rows there were when everything was prepared."""
        return int(self.data[-1].stats["rows"])

    def rows(self) -> Iterator[Row]:
        """In the order of the corpus; memory for the ids of all pairs."""
        prepared = {
            pair.id for data in self.data for split in SPLITS for pair in read_pairs(data, split)
        }
        met: set[str] = set()
        for row in itertools.islice(self._corpus.rows(), self._limit):
            if isinstance(row, Reject) or row.id not in prepared:
                yield row
            elif row.id in met:
                detail = f"another row has the id {row.id!r}; {self.data[0].path} has the first one"
                yield Rejected("duplicate-id", detail).reject(row.id, row.audio, "validate")
            else:
                met.add(row.id)

    def card(self) -> dict[str, Any]:
        """The corpus' card, and which pairs are left out."""
        left_out = [{"path": data.path, "digest": data.digest} for data in self.data]
        return {**self._corpus.card(), "without": left_out}


def recorded_options(
    data: str, options_class: type, unrecorded: Mapping[str, Any]
) -> dict[str, Any]:
    """The options that a directory was made with, so that they needn't be given again.

    Args:
        data: a complete directory of pairs.
        options_class: the dataclass of them.
        unrecorded: the values of options that are not written down if they have these.

    Returns:
        A value for each field that decided the content, and the directory's own `codebook`.

    Raises:
        OutputError: there is no such directory, or it isn't complete.
    """
    info = OutputDir.open(data, kind=KIND).info
    if "engine" in info["options"]:
        raise OutputError(f"{data} holds translations: run pipelines.translate with other filters")
    fields = {field.name for field in dataclasses.fields(options_class)} - {"only_rejects"}
    recorded = {**unrecorded, **info["options"]}
    values = {name: value for name, value in recorded.items() if name in fields}
    values["codebook"] = storage.join(data, "codebook")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
