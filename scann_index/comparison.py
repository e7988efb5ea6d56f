"""Evaluations side by side: what was changed, what it changed, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.output_dir import OutputError
from scann_index import cost
from scann_index.confidence import (
    clusters,
    interval_of_difference,
    interval_of_mean,
    resampled_means,
)
from scann_index.evaluation import Evaluation
from scann_index.paired import paired_difference
from scann_index.query_ranks import queries_path, read_queries

TASK = "speech_to_text"
GROUPS = {"all": "all", "seen": "seen", "unseen": "unseen"}
_STAGES = {"data": "prepare", "run": "train", "index": "build"}
_DIGESTS = ("index", "data", "run", "model", "format")
"""What options hold besides options: what came out of the stage before, and versions."""


def compare(evaluations: Sequence[Evaluation], names: Sequence[str]) -> dict[str, Any]:
    """Compares speech→text recall@1 of evaluations with that of the first of them.

    Args:
        evaluations: at least two, of the same split, pools and queries.
        names: what they are called, all different.

    Returns:
        JSON values: `split`; `evaluations` (of each `name`, `path`, `digest`, `inputs`, `cost` as
        `scann_index.cost.of_stages` gives it, `sizes`); `options`, those that differ, by stage and
        name, with the value in each evaluation; `paired`, whether differences are of the same
        queries one by one; `languages` and `means`, both with the `scores` of each evaluation and
        the `differences` of all but the first, see `_compared`; `left_out`, languages that not all
        of them have; `notes` for a reader.

    Raises:
        OutputError: they don't belong together; the message says in what they differ.
    """
    _check(evaluations, names)
    reports = [evaluation.report for evaluation in evaluations]
    scored = [{c: e for c, e in r["languages"].items() if e[TASK]} for r in reports]
    codes = [code for code in scored[0] if all(code in one for one in scored)]
    if not codes:
        raise OutputError("the evaluations have no language in common")
    hits = _all_hits(evaluations, codes, names)
    languages = {}
    for code in codes:
        scores = [one[code][TASK] for one in scored]
        languages[code] = {
            **{key: scored[0][code][key] for key in ("name", "family", "script")},
            "seen": [one[code]["seen"] for one in scored],
            "queries": scores[0]["queries"],
            "scores": [_score(score) for score in scores],
            "differences": _compared(
                [_score(score) for score in scores], [hits[code]] if hits else None
            ),
        }
    return {
        "split": reports[0]["split"],
        "evaluations": [_about(*each) for each in zip(evaluations, names, strict=True)],
        "options": _differing_options(evaluations),
        "paired": hits is not None,
        "languages": languages,
        "means": _means(languages, hits),
        "left_out": sorted({code for one in scored for code in one} - set(codes)),
        "notes": _notes(evaluations, names, languages),
    }


def _check(evaluations: Sequence[Evaluation], names: Sequence[str]) -> None:
    """Refuses what can't be compared."""
    if len(evaluations) < 2:
        raise OutputError("a comparison takes two evaluations or more")
    first, first_name = evaluations[0], names[0]
    for other, name in zip(evaluations[1:], names[1:], strict=True):
        for key, what in (("split", "split"), ("pool", "pools are")):
            if other.report[key] != first.report[key]:
                raise OutputError(
                    f"{first_name} and {name} don't belong together: the {what} "
                    f"{first.report[key]!r} in the one and {other.report[key]!r} in the other"
                )
        for code, language in other.report["languages"].items():
            own = first.report["languages"].get(code)
            if own and own[TASK] and language[TASK]:
                _check_language(own[TASK], language[TASK], f"{first_name} and {name}", own["name"])


def _check_language(
    one: Mapping[str, Any], other: Mapping[str, Any], which: str, language: str
) -> None:
    for key, what in (("queries", "ask {} and {} queries"), ("pool", "search {} and {} texts")):
        if one[key] != other[key]:
            raise OutputError(
                f"{which} don't belong together: in {language} they "
                f"{what.format(f'{one[key]:,}', f'{other[key]:,}')}; evaluate both on the same "
                "data, with the same --limit"
            )
    if one.get("pool_digest") and other.get("pool_digest") not in (None, one["pool_digest"]):
        raise OutputError(
            f"{which} don't belong together: in {language} they search as many texts, but others"
        )


def _all_hits(
    evaluations: Sequence[Evaluation], codes: Sequence[str], names: Sequence[str]
) -> dict[str, tuple[list[np.ndarray], list[str]]] | None:
    """Of each language which queries each evaluation hit, bool `[queries]`, and their sentences;
    None if one of them was made before queries were kept.

    Raises:
        OutputError: the queries are others.
    """
    kept = [
        all(queries_path("", code).lstrip("/") in e.out.info["files"] for code in codes)
        for e in evaluations
    ]
    if not all(kept):
        return None
    hits = {}
    for code in codes:
        queries = [read_queries(evaluation.out.path, code, TASK) for evaluation in evaluations]
        for other, name in zip(queries[1:], names[1:], strict=True):
            if other["id"] != queries[0]["id"]:
                raise OutputError(
                    f"{names[0]} and {name} don't belong together: in {code} they ask other "
                    "queries; evaluate both on the same data, with the same --limit"
                )
        hits[code] = ([one["rank"] == 1 for one in queries], queries[0]["sentence_id"])
    return hits


_Hits = tuple[list[np.ndarray], list[str]]


def _score(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {"recall_at_1": scores["recall_at_1"], "interval": scores["recall_at_1_interval"]}


def _compared(
    scores: Sequence[Mapping[str, Any]], hits: Sequence[_Hits] | None
) -> list[dict[str, Any] | None]:
    """What each evaluation gained over the first, None for the first itself.

    Returns:
        Of each `difference` (a share), its 95% `interval`, and `better`: the place of the better
        of the two if the interval leaves out 0, else None; of one language and paired also
        `p_value`, `gained` and `lost` (queries).
    """
    compared: list[dict[str, Any] | None] = [None]
    for place in range(1, len(scores)):
        if hits is None:
            one, other = ((s["recall_at_1"], s["interval"]) for s in (scores[place], scores[0]))
            values: dict[str, Any] = {
                "difference": one[0] - other[0],
                "interval": list(interval_of_difference(*one, *other)),
            }
        elif len(hits) == 1:
            found = paired_difference(hits[0][0][0], hits[0][0][place], hits[0][1])
            values = {
                "difference": found.difference,
                "interval": list(found.interval),
                "p_value": found.p_value,
                "gained": found.gained,
                "lost": found.lost,
            }
        else:
            values = _paired_mean(hits, place)
        low, high = values["interval"]
        values["better"] = place if low > 0 else 0 if high < 0 else None
        compared.append(values)
    return compared


def _paired_mean(hits: Sequence[_Hits], place: int) -> dict[str, Any]:
    """The unweighted mean over languages, the sentences of each drawn again by themselves."""
    gains = [one[place].astype(float) - one[0].astype(float) for one, _ in hits]
    draws = [
        resampled_means(gain, clusters(sentences), seed=seed)
        for seed, (gain, (_, sentences)) in enumerate(zip(gains, hits, strict=True))
    ]
    interval = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
    return {
        "difference": float(np.mean([gain.mean() for gain in gains])),
        "interval": [float(end) for end in interval],
    }


def _means(
    languages: Mapping[str, Mapping[str, Any]], hits: Mapping[str, _Hits] | None
) -> dict[str, Any]:
    """Unweighted means over all languages, over those that all evaluations have seen, and over
    those that none of them has."""
    members = {
        "all": list(languages),
        "seen": [code for code, entry in languages.items() if all(entry["seen"])],
        "unseen": [code for code, entry in languages.items() if not any(entry["seen"])],
    }
    means = {}
    for group, codes in members.items():
        if not codes:
            continue
        scores = []
        for place in range(len(languages[codes[0]]["scores"])):
            own = [languages[code]["scores"][place] for code in codes]
            shares = [score["recall_at_1"] for score in own]
            ends = interval_of_mean(shares, [score["interval"] for score in own])
            scores.append({"recall_at_1": float(np.mean(shares)), "interval": list(ends)})
        own_hits = [hits[code] for code in codes] if hits else None
        means[group] = {
            "languages": codes,
            "scores": scores,
            "differences": _compared(scores, own_hits),
        }
    return means


def _about(evaluation: Evaluation, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": evaluation.out.path,
        "digest": evaluation.out.digest,
        "inputs": evaluation.report["inputs"],
        "cost": cost.of_stages(evaluation.stages),
        "sizes": dict(cost.sizes(evaluation.stages)),
    }


def _differing_options(evaluations: Sequence[Evaluation]) -> dict[str, list[Any]]:
    """Options whose values differ, by stage and name; where nothing is known to differ so far and
    yet a stage came out otherwise, what identifies its outcomes."""
    found: dict[str, list[Any]] = {}
    for source, stage in _STAGES.items():
        if any(source not in evaluation.sources for evaluation in evaluations):
            continue
        outs = [evaluation.sources[source] for evaluation in evaluations]
        infos = [out.info for out in outs]
        different = dict(_differing([info.get("options", {}) for info in infos], stage))
        if not found and not different and len({out.digest for out in outs}) > 1:
            different = {f"{stage}: digest": [out.digest[:12] for out in outs]}
        found |= different
    options = [evaluation.out.info["options"] for evaluation in evaluations]
    return found | dict(_differing(options, "evaluate"))


def _differing(options: Sequence[Mapping[str, Any]], stage: str) -> Iterator[tuple[str, list[Any]]]:
    for name in dict.fromkeys(name for one in options for name in one if name not in _DIGESTS):
        values = [one.get(name) for one in options]
        if any(value != values[0] for value in values):
            yield f"{stage}: {name}", values


def _notes(
    evaluations: Sequence[Evaluation],
    names: Sequence[str],
    languages: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """What a reader should know of these evaluations."""
    notes = []
    for source, stage in _STAGES.items():
        without = [
            name
            for evaluation, name in zip(evaluations, names, strict=True)
            if source not in evaluation.sources and evaluation.report["inputs"].get(source)
        ]
        if without:
            notes.append(
                f"The {source} of {', '.join(without)} is not beside it: options and cost of "
                f"{stage} are not compared."
            )
    if mixed := [entry["name"] for entry in languages.values() if len(set(entry["seen"])) > 1]:
        notes.append(
            f"Seen by some and unseen by others: {', '.join(mixed)}; they count in the mean over "
            "all languages only."
        )
    return notes
