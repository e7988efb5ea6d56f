"""Which rows of two collections belong together, by the ratio margin of their cosines.

Artetxe & Schwenk (2019), "Margin-based Parallel Corpus Mining with Multilingual Sentence
Embeddings", equation 2 with the margin a / b. A cosine by itself says little: some rows lie near to
everything. So it is divided by how near the two rows' nearest neighbours are on average,

    margin(x, y) = cos(x, y) / (mean of cos(x, z) over z in NN_k(x) / 2
                                + mean of cos(y, z) over z in NN_k(y) / 2).

About 1 for a pair no nearer than any other neighbour, more for one that stands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RETRIEVALS = ("intersection", "max", "forward", "backward")
SCORES = ("margin", "cosine")
FORWARD, BACKWARD = 1, 2
DEFAULT_THRESHOLD = 1.06
"""The margin at which mined bitext is commonly cut where nothing is known of the collections."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The rows of the other collection that lie nearest to each row of this one.

    Args:
        indices: int64 `[rows, k]`, numbers of rows there, best first; -1 where there is none.
        cosines: float32 `[rows, k]`, -inf where there is none.
    """

    indices: np.ndarray
    cosines: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The mean cosine of each row's neighbours: float64 `[rows]`, NaN where it has none."""
        found = self.indices >= 0
        total = np.where(found, self.cosines.astype(np.float64), 0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = total / found.sum(axis=1)
        return mean


def nearest(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """The k nearest of all that several searches found for the same rows.

    Args:
        parts: of the same rows, each with its neighbours in another part of the other collection.
        k: how many are kept; fewer where fewer were found.
    """
    indices = np.concatenate([part.indices for part in parts], axis=1)
    cosines = np.concatenate([part.cosines for part in parts], axis=1)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return Neighbours(
        np.take_along_axis(indices, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    )


def ratio_margins(found: Neighbours, others: np.ndarray) -> np.ndarray:
    """The margin of each row with each of its neighbours.

    Args:
        found: the neighbours in the other collection.
        others: float64 `[rows of the other collection]`, their `Neighbours.mean`.

    Returns:
        float64, the shape of `found.indices`; -inf where there is no neighbour. Where the
        neighbourhood lies at right angles or beyond (a mean of 0 or less), nothing is alike and
        the margin, which would be a ratio of signs, is 0.
    """
    there = found.indices >= 0
    around = (found.mean[:, None] + others[np.where(there, found.indices, 0)]) / 2
    ratio = np.zeros(found.indices.shape)
    np.divide(found.cosines.astype(np.float64), around, out=ratio, where=there & (around > 0))
    return np.where(there, ratio, -np.inf)


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of rows, those of the largest margin first.

    Args:
        left: int64 `[pairs]`, numbers of rows in the left collection.
        right: int64 `[pairs]`, numbers of rows in the right collection.
        margins: float64 `[pairs]`; the cosines where they were asked for instead.
        cosines: float32 `[pairs]`.
        directions: uint8 `[pairs]`: `FORWARD` if the right row is the best for the left one,
            `BACKWARD` if the left row is the best for the right one, their sum if both.
    """

    left: np.ndarray
    right: np.ndarray
    margins: np.ndarray
    cosines: np.ndarray
    directions: np.ndarray

    def __len__(self) -> int:
        return len(self.left)

    def where(self, chosen: np.ndarray) -> Matches:
        """Some of them, by a mask or by numbers."""
        return Matches(
            self.left[chosen],
            self.right[chosen],
            self.margins[chosen],
            self.cosines[chosen],
            self.directions[chosen],
        )


def match(
    forward: Neighbours, backward: Neighbours, retrieval: str, score: str = "margin"
) -> Matches:
    """Pairs up the rows of two collections (section 3.3 of the paper).

    Args:
        forward: for each left row its neighbours in the right collection.
        backward: for each right row its neighbours in the left collection.
        retrieval: `forward`: the best right row of each left one. `backward`: the best left row of
            each right one. `intersection`: pairs that are both. `max`: all of both, the largest
            margin first, no row twice.
        score: `margin`, or `cosine` to see what the margin is good for.

    Raises:
        ValueError: there is no such retrieval or score.
    """
    if retrieval not in RETRIEVALS:
        raise ValueError(f"retrieval {retrieval!r} is none of {', '.join(RETRIEVALS)}")
    if score not in SCORES:
        raise ValueError(f"score {score!r} is none of {', '.join(SCORES)}")

    def scores(found: Neighbours, others: Neighbours) -> np.ndarray:
        if score == "cosine":
            return found.cosines.astype(np.float64)
        return ratio_margins(found, others.mean)

    there = _best(forward, scores(forward, backward), FORWARD)
    back = _best(backward, scores(backward, forward), BACKWARD)
    back = Matches(back.right, back.left, back.margins, back.cosines, back.directions)
    if retrieval == "forward":
        return _sorted(there)
    if retrieval == "backward":
        return _sorted(back)
    both = _sorted(_union(there, back))
    if retrieval == "intersection":
        return both.where(both.directions == FORWARD + BACKWARD)
    return both.where(_one_to_one(both, len(forward.indices), len(backward.indices)))


def _best(found: Neighbours, margins: np.ndarray, direction: int) -> Matches:
    """The neighbour of the largest margin of each row that has one."""
    rows = np.flatnonzero((margins > -np.inf).any(axis=1))
    column = margins[rows].argmax(axis=1)
    return Matches(
        rows,
        found.indices[rows, column],
        margins[rows, column],
        found.cosines[rows, column],
        np.full(len(rows), direction, np.uint8),
    )


def _union(one: Matches, other: Matches) -> Matches:
    """Both, with a pair that stands in both once, and so marked."""
    order = np.lexsort(
        (
            np.concatenate([one.directions, other.directions]),
            np.concatenate([one.right, other.right]),
            np.concatenate([one.left, other.left]),
        )
    )
    left, right, margins, cosines, directions = (
        np.concatenate([getattr(one, name), getattr(other, name)])[order]
        for name in ("left", "right", "margins", "cosines", "directions")
    )
    again = np.zeros(len(left), bool)
    again[1:] = (left[1:] == left[:-1]) & (right[1:] == right[:-1])
    directions[np.flatnonzero(again) - 1] += BACKWARD
    return Matches(left, right, margins, cosines, directions).where(~again)


def _sorted(matches: Matches) -> Matches:
    order = np.lexsort((matches.right, matches.left, -matches.cosines, -matches.margins))
    return matches.where(order)


def _one_to_one(matches: Matches, left_rows: int, right_rows: int) -> np.ndarray:
    """Which of some sorted pairs remain if each row goes to its first."""
    left_taken, right_taken = bytearray(left_rows), bytearray(right_rows)
    kept = np.zeros(len(matches), bool)
    for place, (left, right) in enumerate(
        zip(matches.left.tolist(), matches.right.tolist(), strict=True)
    ):
        if not (left_taken[left] or right_taken[right]):
            left_taken[left] = right_taken[right] = kept[place] = True
    return kept
