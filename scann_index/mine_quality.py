"""How good mined pairs are where the true ones are known: precision and recall by threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import storage
from scann_index.margin import Matches

BY_SENTENCE = "sentence-ids"
CURVE_POINTS = 101


@dataclass(frozen=True, eq=False)
class Gold:
    """The true pairs of two collections, as labels: rows that share one belong together.

    Args:
        left: the labels of each left row.
        right: the labels of each right row.
    """

    left: Sequence[frozenset[str]]
    right: Sequence[frozenset[str]]

    def is_right(self, left: int, right: int) -> bool:
        """Whether two rows belong together."""
        return not self.left[left].isdisjoint(self.right[right])

    def judge(self, matches: Matches) -> np.ndarray:
        """Which of some pairs are true: bool `[pairs]`."""
        pairs = zip(matches.left.tolist(), matches.right.tolist(), strict=True)
        return np.fromiter((self.is_right(*pair) for pair in pairs), bool, len(matches))

    @property
    def matchable(self) -> np.ndarray:
        """Which left rows belong to any right row: bool `[left rows]`."""
        there = frozenset().union(*self.right)
        return np.array([not labels.isdisjoint(there) for labels in self.left], bool)


def read_gold(path: str) -> dict[str, set[str]]:
    """True pairs from a file: on each line a left id, a tab, a right id.

    Raises:
        ValueError: a line has another form.
    """
    pairs: dict[str, set[str]] = {}
    for number, line in enumerate(storage.read_bytes(path).splitlines(), 1):
        left, tab, right = line.decode("utf-8", "replace").strip().partition("\t")
        if not tab or not left or not right:
            raise ValueError(f"{path}:{number}: a left id, a tab and a right id expected")
        pairs.setdefault(left, set()).add(right)
    if not pairs:
        raise ValueError(f"{path} names no pairs")
    return pairs


def gold_of(
    given: str,
    left: Mapping[str, Sequence[Sequence[str]]],
    right: Mapping[str, Sequence[Sequence[str]]],
) -> Gold:
    """What is known of two collections.

    Args:
        given: `sentence-ids`, or the path of a file for `read_gold`.
        left: `names` (the ids) and `sentences` (the sentence ids) of each left row.
        right: the same of each right row.

    Raises:
        ValueError: nothing in the collections has a counterpart.
    """
    if given == BY_SENTENCE:
        gold = Gold(*([frozenset(ids) for ids in side["sentences"]] for side in (left, right)))
        fault = "no sentence id stands on both sides"
    else:
        pairs = read_gold(given)
        wanted = [frozenset().union(*(pairs.get(n, ()) for n in names)) for names in left["names"]]
        gold = Gold(wanted, [frozenset(names) for names in right["names"]])
        fault = f"no pair of {given} is in the collections: compare its ids with theirs"
    if not gold.matchable.any():
        raise ValueError(fault)
    return gold


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall of pairs by how many of the best of them are taken.

    Args:
        margins: float64 `[pairs]`, falling.
        right: bool `[pairs]`.
        first: bool `[pairs]`, true where a left row is rightly paired for the first time.
        matchable: how many left rows have a counterpart.
    """

    margins: np.ndarray
    right: np.ndarray
    first: np.ndarray
    matchable: int

    @classmethod
    def of(cls, matches: Matches, right: np.ndarray, matchable: np.ndarray) -> Curve:
        """The curve of sorted pairs.

        Args:
            matches: sorted as `scann_index.margin.match` returns them.
            right: which of them are true.
            matchable: of all left rows that are to be counted, which have a counterpart.
        """
        first = np.zeros(len(matches), bool)
        found = np.flatnonzero(right)
        first[found[np.unique(matches.left[found], return_index=True)[1]]] = True
        return cls(matches.margins, right, first, int(matchable.sum()))

    def at(self, threshold: float) -> dict[str, float | int]:
        """What is taken at a threshold, and how good it is.

        Returns:
            `threshold`; `pairs`: how many reach it; `right`: how many of them are true;
            `precision`: that share (1 where there are none); `recall`: the share of the left rows
            with a counterpart that are paired with one; `f1`: their harmonic mean.
        """
        taken = int(np.searchsorted(-self.margins, -threshold, side="right"))
        right = int(self.right[:taken].sum())
        precision = right / taken if taken else 1.0
        recall = int(self.first[:taken].sum()) / self.matchable if self.matchable else 0.0
        both = precision + recall
        return {
            "threshold": threshold,
            "pairs": taken,
            "right": right,
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / both if both else 0.0,
        }

    def best_threshold(self) -> float:
        """The threshold of the largest F1, half way to the next smaller margin."""
        if not len(self.margins):
            return 0.0
        taken = np.arange(1, len(self.margins) + 1)
        precision = self.right.cumsum() / taken
        recall = self.first.cumsum() / max(1, self.matchable)
        # Equal margins are taken together or not at all.
        ends = np.append(self.margins[1:] < self.margins[:-1], True)
        f1 = np.where(ends, 2 * precision * recall / np.maximum(precision + recall, 1e-12), -1)
        best = int(f1.argmax())
        below = self.margins[best + 1] if best + 1 < len(self.margins) else self.margins[best]
        return float(self.margins[best] + below) / 2

    def points(self) -> list[dict[str, float | int]]:
        """The curve at evenly spaced thresholds, rising."""
        if not len(self.margins):
            return []
        ends = np.linspace(self.margins[-1], self.margins[0], CURVE_POINTS)
        return [self.at(float(threshold)) for threshold in ends]


def quality(
    matches: Matches,
    gold: Gold,
    dev: np.ndarray,
    threshold: float | None,
) -> dict[str, Any]:
    """Precision, recall and F1 on held-out rows, at a threshold chosen on the others.

    Args:
        matches: all pairs, sorted, whatever their margin.
        gold: the true ones.
        dev: which left rows the threshold is chosen on: bool `[left rows]`.
        threshold: to use instead of one chosen.

    Returns:
        `threshold` and how it was `chosen`; the curve `at` it for the `dev` and the `test` part,
        `curve`: points of the test part; `rows` and `matchable` left rows of each part.
    """
    right, matchable = gold.judge(matches), gold.matchable
    curves = {
        name: Curve.of(
            matches.where(part[matches.left]), right[part[matches.left]], matchable[part]
        )
        for name, part in (("dev", dev), ("test", ~dev))
    }
    chosen = curves["dev"].best_threshold() if threshold is None else threshold
    return {
        "threshold": chosen,
        "chosen": "largest F1 on the dev part" if threshold is None else "given",
        **{
            name: {
                "rows": int(part.sum()),
                "matchable": int(matchable[part].sum()),
                **curves[name].at(chosen),
            }
            for name, part in (("dev", dev), ("test", ~dev))
        },
        "curve": curves["test"].points(),
    }
