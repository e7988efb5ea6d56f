"""Recall@1 by groups: of speakers and genders within a language, of languages by kinship."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scann_index.confidence import interval_of_mean, share_interval

UNKNOWN = "unknown"
SPEAKERS_SHOWN = 20
LEAST_QUERIES = 10
"""A speaker with fewer has too wide an interval to be compared with others."""
_KINDS = ("family", "script", "corpus_group")


def by_label(
    hits: np.ndarray, labels: Sequence[str], sentences: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Recall@1 of each label's queries, those of most queries first.

    Args:
        hits: bool `[queries]`.
        labels: of each query; empty counts as `UNKNOWN`.
        sentences: the sentence id of each query.

    Returns:
        By label its `queries`, `sentences`, `recall_at_1` and `recall_at_1_interval`.
    """
    named = np.array([label or UNKNOWN for label in labels], object)
    groups = {}
    for label, count in sorted(Counter(named.tolist()).items(), key=lambda c: (-c[1], c[0])):
        own = np.flatnonzero(named == label)
        asked = [sentences[i] for i in own]
        groups[label] = {
            "queries": count,
            "sentences": len(set(asked)),
            "recall_at_1": float(np.mean(hits[own])),
            "recall_at_1_interval": list(share_interval(hits[own], asked)),
        }
    return groups


def by_speaker(speakers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How unequal speakers are.

    Args:
        speakers: as `by_label` gives them.

    Returns:
        `count`, `queries` and `unknown`; over the `counted` speakers with at least `least_queries`
        the quantiles of recall@1 `lowest`, `tenth`, `median`, `ninetieth` and `highest`, None
        without any; `speakers`, those shown.
    """
    known = {name: group for name, group in speakers.items() if name != UNKNOWN}
    unknown = speakers.get(UNKNOWN, {"queries": 0})["queries"]
    queries = sum(group["queries"] for group in known.values())
    return {
        **speaker_spread(known.values()),
        "queries": queries,
        "unknown": unknown,
        "speakers": dict(list(known.items())[:SPEAKERS_SHOWN]),
    }


def speaker_spread(speakers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The quantiles of `by_speaker`."""
    everyone = list(speakers)
    counted = [s["recall_at_1"] for s in everyone if s["queries"] >= LEAST_QUERIES]
    names = ("lowest", "tenth", "median", "ninetieth", "highest")
    ends = np.quantile(counted, [0, 0.1, 0.5, 0.9, 1]) if counted else [None] * len(names)
    values = [None if end is None else float(end) for end in ends]
    return {
        "count": len(everyone),
        "least_queries": LEAST_QUERIES,
        "counted": len(counted),
        **dict(zip(names, values, strict=True)),
    }


def all_groups(
    languages: Mapping[str, Mapping[str, Any]], speakers: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What `report.json` has under `groups`, of speech→text.

    Args:
        languages: as in `report.json`.
        speakers: of each language, every speaker as `by_label` gives them.
    """
    scored = {code: entry for code, entry in languages.items() if entry["speech_to_text"]}
    grouped: dict[str, Any] = {}
    for kind in _KINDS:
        members: dict[str, list[str]] = {}
        for code, entry in scored.items():
            if entry.get(kind):
                members.setdefault(entry[kind], []).append(code)
        grouped[kind.removesuffix("_group")] = {
            name: mean_of({code: scored[code]["speech_to_text"] for code in codes})
            for name, codes in sorted(members.items())
        }
    genders = {code: entry["groups"]["gender"] for code, entry in scored.items()}
    known = [
        group for groups in speakers.values() for name, group in groups.items() if name != UNKNOWN
    ]
    return {
        **grouped,
        "gender": by_gender(genders),
        "speaker": {
            **speaker_spread(known),
            "queries": sum(group["queries"] for group in known),
            "unknown": sum(
                groups[UNKNOWN]["queries"] for groups in speakers.values() if UNKNOWN in groups
            ),
        },
    }


def by_gender(genders: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Means over the languages in which all known genders speak, so that genders can be compared.

    Args:
        genders: of each language, `by_label` by gender.

    Returns:
        By gender as `mean_of` gives it, with `comparable`. Where no language has all genders, and
        for `UNKNOWN`, the mean is over whatever languages have it, and is not comparable.
    """
    names = sorted({name for groups in genders.values() for name in groups})
    known = [name for name in names if name != UNKNOWN]
    common = [code for code, groups in genders.items() if all(name in groups for name in known)]
    means = {}
    for name in [*known, *([UNKNOWN] if UNKNOWN in names else [])]:
        comparable = name != UNKNOWN and len(known) > 1 and bool(common)
        codes = common if comparable else [c for c, groups in genders.items() if name in groups]
        mean = mean_of({code: genders[code][name] for code in codes})
        means[name] = {**mean, "comparable": comparable}
    return means


def mean_of(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The unweighted mean of recall@1 over some languages.

    Args:
        scores: by language, at least one; each with `queries`, `recall_at_1` and its interval.
    """
    shares = [score["recall_at_1"] for score in scores.values()]
    intervals = [score["recall_at_1_interval"] for score in scores.values()]
    return {
        "languages": list(scores),
        "queries": sum(score["queries"] for score in scores.values()),
        "recall_at_1": float(np.mean(shares)),
        "recall_at_1_interval": list(interval_of_mean(shares, intervals)),
    }
