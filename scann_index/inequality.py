"""How unequal the languages are: best and worst, seen and unseen, and what speech they had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from scann_index.charts import percent
from scann_index.confidence import interval_of_difference
from scann_index.scatter import Axis, Point, from_zero, logarithmic, scatter

_ENOUGH = 5
"""Fewer seen languages have no correlation worth printing."""
_SPREAD = 20.0
"""Hours that differ by more than this factor are drawn on a logarithmic axis."""


def measures(report: Mapping[str, Any]) -> dict[str, Any]:
    """How recall@1 of speech→text differs between languages.

    Args:
        report: what `report.json` holds.

    Returns:
        `best` and `worst`, language codes; `range` between them, `deviation` (the standard
        deviation over languages), `worst_quarter` (the mean over the worst quarter of them, at
        least one), all shares; `gap` of the means of seen and unseen and its `gap_interval`, None
        unless there are both. Empty with fewer than two scored languages.
    """
    recall = recalls(report["languages"])
    if len(recall) < 2:
        return {}
    ordered = sorted(recall, key=lambda code: (-recall[code], code))
    values = np.array([recall[code] for code in ordered])
    seen, unseen = (report["means"][group]["speech_to_text"] for group in ("seen", "unseen"))
    gap = interval = None
    if seen and unseen:
        gap = seen["recall_at_1"] - unseen["recall_at_1"]
        interval = list(
            interval_of_difference(
                seen["recall_at_1"],
                seen["recall_at_1_interval"],
                unseen["recall_at_1"],
                unseen["recall_at_1_interval"],
            )
        )
    return {
        "best": ordered[0],
        "worst": ordered[-1],
        "range": float(values[0] - values[-1]),
        "deviation": float(values.std()),
        "worst_quarter": float(values[-max(1, len(values) // 4) :].mean()),
        "gap": gap,
        "gap_interval": interval,
    }


def recalls(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Speech→text recall@1 of each language that has it."""
    return {
        code: float(entry["speech_to_text"]["recall_at_1"])
        for code, entry in languages.items()
        if entry["speech_to_text"]
    }


def training_hours(stats: Mapping[str, Any]) -> dict[str, float]:
    """Hours of speech in the training split, by language.

    Args:
        stats: `stats.json` of the prepared pairs.
    """
    hours: dict[str, float] = {}
    for name, group in stats["groups"].items():
        task, split, language = name.split("/")
        if task != "bitext" and split == "train":
            hours[language] = hours.get(language, 0.0) + float(group["seconds"]) / 3600
    return hours


def hours_axis(hours: Sequence[float]) -> Axis:
    """Linear from zero, or logarithmic if some languages had many times the speech of others."""
    title = "hours of speech in training"
    positive = [h for h in hours if h > 0]
    if positive and max(positive) > _SPREAD * min(positive):
        return logarithmic(title, hours)
    return from_zero(title, max(positive, default=1.0))


def section(report: Mapping[str, Any], hours: Mapping[str, float]) -> Markup:
    """The measures in words, and each language's hours of training speech against its recall.

    Args:
        report: what `report.json` holds.
        hours: as `training_hours` gives them; languages without speech in training may be missing.
    """
    languages, measured = report["languages"], measures(report)
    if not measured:
        return Markup('<p class="mute">It takes two languages to be unequal.</p>')
    recall = recalls(languages)
    return Markup('<div class="facts-row">{}</div>{}{}').format(
        Markup("").join(
            _FACT.format(value=value, unit=unit, text=text)
            for value, unit, text in _facts(languages, recall, measured)
        ),
        _chart(languages, recall, hours),
        _order(languages, recall, hours),
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: 1 if both have the same order, -1 if the opposite; nan if one has none."""
    ranks = []
    for values in (np.asarray(one), np.asarray(other)):
        below = (values[:, None] > values[None, :]).sum(axis=1)
        equal = (values[:, None] == values[None, :]).sum(axis=1)
        ranks.append(below + (equal - 1) / 2)
    if any(rank.std() == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _order(
    languages: Mapping[str, Mapping[str, Any]],
    recall: Mapping[str, float],
    hours: Mapping[str, float],
) -> Markup:
    """Whether, among seen languages, more hours go with more recall."""
    seen = [code for code in recall if languages[code]["seen"] and hours.get(code)]
    if len(seen) < _ENOUGH:
        return Markup("")
    value = rank_correlation([hours[code] for code in seen], [recall[code] for code in seen])
    if not np.isfinite(value):
        return Markup("")
    return Markup(
        '<p class="mute">Among the {} seen languages, hours and recall@1 have a rank correlation '
        "of {:+.2f} (1: the same order, 0: none){}.</p>"
    ).format(len(seen), value, "; so few languages prove little" if len(seen) < 20 else "")


_FACT = Markup(
    '<div class="fact"><p class="big">{value}<small>{unit}</small></p><p>{text}</p></div>'
)


def _facts(
    languages: Mapping[str, Mapping[str, Any]],
    recall: Mapping[str, float],
    measured: Mapping[str, Any],
) -> list[tuple[str, str, str]]:
    best, worst = measured["best"], measured["worst"]
    facts = [
        (
            percent(measured["range"]),
            "points",
            f"between the best, {languages[best]['name']} ({percent(recall[best])}%), and the "
            f"worst, {languages[worst]['name']} ({percent(recall[worst])}%)",
        )
    ]
    if measured["gap"] is not None:
        low, high = measured["gap_interval"]
        facts.append(
            (
                percent(measured["gap"]),
                "points",
                "between the means of seen and unseen languages, 95% interval "
                f"{percent(low)} to {percent(high)}",
            )
        )
    quarter = max(1, len(recall) // 4)
    facts.append(
        (
            percent(measured["worst_quarter"]),
            "%",
            f"in the worst quarter of the languages ({quarter} of {len(recall)}); standard "
            f"deviation over languages {percent(measured['deviation'])} points",
        )
    )
    return facts


def _chart(
    languages: Mapping[str, Mapping[str, Any]],
    recall: Mapping[str, float],
    hours: Mapping[str, float],
) -> Markup:
    points = [
        Point(
            x=hours.get(code, 0.0),
            y=100 * recall[code],
            name=languages[code]["name"],
            short=code,
            kind="seen" if languages[code]["seen"] else "unseen",
            note=f"{languages[code]['name']}: {hours.get(code, 0.0):.2f} hours of speech in "
            f"training, recall@1 {percent(recall[code])}%",
        )
        for code in sorted(recall, key=lambda code: recall[code])
    ]
    most = max(points, key=lambda point: point.x)
    told = (
        f"Recall at 1 of {len(points)} languages by their hours of speech in training, from 0 to "
        f"{most.x:.2f} in {most.name}. The tables have every number."
    )
    return scatter(
        "Does more speech in training mean better retrieval?",
        points,
        hours_axis([point.x for point in points]),
        Axis("recall@1, %", 0.0, 100.0, [0, 25, 50, 75, 100]),
        told=told,
    )
