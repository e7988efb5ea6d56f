"""What a search finds: rows, sentences, passages of a recording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scann_index.row import Row


@dataclass(frozen=True, slots=True)
class Hit:
    """A row found.

    Args:
        rank: 1 for the nearest.
        score: cosine with the query, -1 to 1.
        row: what was found.
        start: where in a long recording that was the query, in seconds; None for a short one.
        end: where that ends.
    """

    rank: int
    score: float
    row: Row
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence found, by whichever of its renderings is nearest.

    Args:
        rank: 1 for the nearest.
        hit: the rendering.
        renderings: its texts by language, as far as the index has them.
    """

    rank: int
    hit: Hit
    renderings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a recording and the sentences nearest to it.

    Args:
        start: in seconds from the start of the recording.
        end: where it ends.
        answers: best first.
    """

    start: float
    end: float
    answers: list[Answer]


def ranked(hits: Iterable[Hit]) -> list[Hit]:
    """Hits of several windows as one list, each row where it is nearest."""
    best: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.row.id)):
        best.setdefault(hit.row.id, hit)
    return [replace(hit, rank=rank) for rank, hit in enumerate(best.values(), 1)]


def first_of_each_sentence(hits: Sequence[Hit]) -> list[Hit]:
    """Of hits in order, those that are the first of their sentence."""
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.row.sentence_id, hit)
    return list(best.values())
