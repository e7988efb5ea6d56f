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
        the quantiles of recall@1 `lowest`, `tenth`, `median`, `ninetieth` and `highest`, and
        `deviation`, as `speaker_spread` gives them; `speakers`, those shown.
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
    """How far the speakers of a language lie apart.

    Args:
        speakers: of one language, without `UNKNOWN`.

    Returns:
        As in `by_speaker`. Few queries spread the quantiles by luck alone; `deviation` is the
        standard deviation between speakers without that part: the root of the variance of their
        recall@1 less its mean sampling variance, at least 0; None with fewer than two speakers.
    """
    everyone = list(speakers)
    counted = [s for s in everyone if s["queries"] >= LEAST_QUERIES]
    shares = np.array([s["recall_at_1"] for s in counted])
    names = ("lowest", "tenth", "median", "ninetieth", "highest")
    ends = np.quantile(shares, [0, 0.1, 0.5, 0.9, 1]) if counted else [None] * len(names)
    deviation = None
    if len(counted) > 1:
        queries = np.array([s["queries"] for s in counted])
        luck = float(np.mean(shares * (1 - shares) / (queries - 1)))
        deviation = max(0.0, float(shares.var(ddof=1)) - luck) ** 0.5
    return {
        "count": len(everyone),
        "least_queries": LEAST_QUERIES,
        "counted": len(counted),
        **{
            name: None if end is None else float(end) for name, end in zip(names, ends, strict=True)
        },
        "deviation": deviation,
    }


def all_speakers(speakers: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """How far speakers lie apart, over all languages.

    Args:
        speakers: of each language, `by_label` by speaker.

    Returns:
        As `by_speaker` without `speakers`; the quantiles are of all speakers, whose languages
        differ too, but `deviation` is that of speakers of the same language: the root of the mean
        of its square over so many `languages`, None where none has two speakers to compare.
    """
    known = [
        [group for name, group in groups.items() if name != UNKNOWN] for groups in speakers.values()
    ]
    own = [speaker_spread(groups)["deviation"] for groups in known]
    squares = [deviation**2 for deviation in own if deviation is not None]
    everyone = [group for groups in known for group in groups]
    unknown = [groups[UNKNOWN]["queries"] for groups in speakers.values() if UNKNOWN in groups]
    return {
        **speaker_spread(everyone),
        "queries": sum(group["queries"] for group in everyone),
        "unknown": sum(unknown),
        "languages": len(squares),
        "deviation": float(np.mean(squares)) ** 0.5 if squares else None,
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
    return {
        **grouped,
        "gender": by_gender(genders),
        "speaker": all_speakers(speakers),
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
