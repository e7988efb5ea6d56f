"""Two evaluations compared query by query, so that the luck of the queries cancels out.

Two models that get 78% and 80% of the same queries right may differ surely although their intervals
overlap: most queries are right, or wrong, in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index.confidence import Z, clusters, resampled_means
from scann_index.query_ranks import read_queries

FLIPS = 10_000
_DRAWN_AT_ONCE = 2**22


@dataclass(frozen=True)
class Difference:
    """How much better the second of two evaluations is on the queries that both have.

    Args:
        queries: how many they share.
        sentences: of how many sentences.
        first: the share of hits of the first.
        second: that of the second.
        difference: second minus first.
        interval: of the difference, 95%: a paired bootstrap over sentences.
        p_value: of a difference as big or bigger if it were chance which of the two had which
            answers to a sentence (a randomization test, two-sided).
        gained: how many queries only the second has right.
        lost: how many only the first has right.
    """

    queries: int
    sentences: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    gained: int
    lost: int


def paired_difference(
    first: np.ndarray, second: np.ndarray, sentences: Sequence[str]
) -> Difference:
    """Compares the answers of two evaluations to the same queries.

    Args:
        first: bool `[queries]`, whether the first hit; at least one.
        second: bool `[queries]`, whether the second did.
        sentences: the sentence id of each query; recordings of a sentence are drawn together.
    """
    gains = np.asarray(second, float) - np.asarray(first, float)
    members = clusters(sentences)
    if gains.any():
        low, high = np.quantile(resampled_means(gains, members, seed=0), [0.025, 0.975])
    else:
        # Nothing to draw from. Bonett & Price (2012): a pair more of either kind, two more in all.
        high = Z * np.sqrt(2 / (len(set(members)) + 2) / (len(set(members)) + 2))
        low = -high
    return Difference(
        queries=len(gains),
        sentences=len(set(sentences)),
        first=float(np.mean(first)),
        second=float(np.mean(second)),
        difference=float(gains.mean()),
        interval=(float(low), float(high)),
        p_value=_p_value([(gains, members)]),
        gained=int((gains > 0).sum()),
        lost=int((gains < 0).sum()),
    )


def _p_value(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The share of sign flips, sentence by sentence, with as big a mean over the parts."""
    rng = np.random.default_rng(0)
    observed = float(np.mean([gains.mean() for gains, _ in parts]))
    flipped = np.zeros(FLIPS)
    for gains, members in parts:
        sums = np.bincount(members, gains)
        sums = sums[sums != 0] / len(gains) / len(parts)
        at_once = max(1, _DRAWN_AT_ONCE // max(1, len(sums)))
        for start in range(0, FLIPS, at_once):
            signs = rng.integers(0, 2, (min(at_once, FLIPS - start), len(sums))) * 2 - 1
            flipped[start : start + len(signs)] += signs @ sums
    # What is as big but for rounding counts.
    as_big = int((np.abs(flipped) >= abs(observed) - 1e-12).sum())
    return (1 + as_big) / (1 + FLIPS)


def compare_evaluations(
    first: str, second: str, task: str = "speech_to_text", *, cutoff: int = 1, exact: bool = False
) -> dict[str, Any]:
    """Compares two evaluations in the languages and queries they share.

    Args:
        first: folder of an evaluation.
        second: folder of another.
        task: as in `report.json`.
        cutoff: a hit is a right answer among so many.
        exact: compare the models by exact search instead of what the indexes found.

    Returns:
        JSON values. `languages`: of each a `Difference`, with `pools_differ`, whether the two
        searched different rows, so that part of the difference is the pool's. `mean`: `languages`
        (how many), `first`, `second`, `difference`, `interval` and `p_value` of the unweighted mean
        over them; None without any. `left_out`: of each language that can't be compared, why.

    Raises:
        OutputError: one of them is not a complete evaluation.
        FileNotFoundError: one of them was made before queries were kept.
    """
    from scann_index.evaluate import KIND

    reports = [
        storage.read_json(OutputDir.open(path, kind=KIND).file("report.json"))
        for path in (first, second)
    ]
    scored = [{c: e[task] for c, e in r["languages"].items() if e[task]} for r in reports]
    left_out = {c: f"no {task} in the second" for c in scored[0] if c not in scored[1]}
    left_out |= {c: f"no {task} in the first" for c in scored[1] if c not in scored[0]}
    languages: dict[str, Any] = {}
    parts: list[tuple[np.ndarray, np.ndarray, Sequence[str]]] = []
    for code in (c for c in scored[0] if c in scored[1]):
        hits = _shared_hits(first, second, code, task, "exact_rank" if exact else "rank", cutoff)
        if not hits[2]:
            left_out[code] = "no query in both"
            continue
        parts.append(hits)
        digests = {one[code].get("pool_digest") for one in scored}
        languages[code] = {**asdict(paired_difference(*hits)), "pools_differ": len(digests) > 1}
    return {
        "task": task,
        "cutoff": cutoff,
        "languages": languages,
        "mean": _mean(parts) if parts else None,
        "left_out": left_out,
    }


def _shared_hits(
    first: str, second: str, language: str, task: str, rank: str, cutoff: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Whether each query that both have was a hit in the first, in the second; and its sentence."""
    one, other = read_queries(first, language, task), read_queries(second, language, task)
    places = {key: i for i, key in enumerate(zip(other["id"], other["sentence_id"], strict=True))}
    shared = [
        (i, places[key], key[1])
        for i, key in enumerate(zip(one["id"], one["sentence_id"], strict=True))
        if key in places
    ]
    mine = np.array([i for i, _, _ in shared], np.int64)
    theirs = np.array([i for _, i, _ in shared], np.int64)
    sentences = [sentence for _, _, sentence in shared]
    return one[rank][mine] <= cutoff, other[rank][theirs] <= cutoff, sentences


def _mean(parts: Sequence[tuple[np.ndarray, np.ndarray, Sequence[str]]]) -> dict[str, Any]:
    """The unweighted mean over languages, each drawn by itself."""
    gains = [np.asarray(second, float) - np.asarray(first, float) for first, second, _ in parts]
    members = [clusters(sentences) for _, _, sentences in parts]
    draws = [
        resampled_means(gain, own, seed=seed)
        for seed, (gain, own) in enumerate(zip(gains, members, strict=True))
    ]
    low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
    return {
        "languages": len(parts),
        "first": float(np.mean([first.mean() for first, _, _ in parts])),
        "second": float(np.mean([second.mean() for _, second, _ in parts])),
        "difference": float(np.mean([gain.mean() for gain in gains])),
        "interval": (float(low), float(high)),
        "p_value": _p_value(list(zip(gains, members, strict=True))),
    }
