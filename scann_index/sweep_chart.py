"""Recall against the index's parameters: what was tried for each shard, and what was chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from scann_index.charts import percent, ticks
from scann_index.recipe import EXACT
from scann_index.scatter import Axis, Point, logarithmic, scatter

MAX_CHARTS = 4
"""So many shards are drawn, the largest; all have a table."""

_NAMES = {"hash": "asymmetric hashing", "tree": "a tree and asymmetric hashing"}


def section(info: Mapping[str, Any]) -> Markup:
    """Each swept shard drawn and as a table, and which shards there was nothing to try for.

    Args:
        info: `info.json` of the index.
    """
    shards, options = info["shards"], info.get("options", {})
    target = options.get("target_recall")
    tried = swept(info)
    parts = [_summary(shards, options)]
    if tried:
        charts = [_chart(shard, trials, target) for shard, trials in tried[:MAX_CHARTS]]
        parts.append(_READING)
        parts.append(Markup('<div class="charts">{}</div>').format(Markup("").join(charts)))
        tables = Markup("").join(_table(shard, trials) for shard, trials in tried)
        parts.append(
            Markup("<details><summary>The numbers of {}</summary>{}</details>").format(
                f"{len(tried):,} shards" if len(tried) > 1 else "the shard", tables
            )
        )
    return Markup("").join(parts)


def swept(
    info: Mapping[str, Any],
) -> list[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
    """The shards that settings were tried for, the largest first, with what was tried.

    Args:
        info: `info.json` of the index.
    """
    sweeps: Mapping[str, Sequence[Mapping[str, Any]]] = info.get("sweeps", {})
    found = [
        (shard, sweeps[name_of(shard)])
        for shard in info["shards"]
        if shard["engine"] != EXACT and sweeps.get(name_of(shard))
    ]
    return sorted(found, key=lambda pair: (-pair[0]["rows"], name_of(pair[0])))


def name_of(shard: Mapping[str, Any]) -> str:
    """What a shard's sweep is filed under: its name, behind its part if it was appended."""
    return f"{shard['part']}/{shard['name']}" if shard.get("part") else str(shard["name"])


_READING = Markup(
    "<p>Each dot is a setting that was tried: how much of what exact comparison finds it finds "
    "(recall@10), against what a query costs. Up and to the left is better. A line joins settings "
    "that compare equally many candidates with the query and search more and more leaves of the "
    "tree. The filled dot is in use: the cheapest that reaches the target, the dashed line, with "
    "either half of the queries.</p>"
)


def _summary(shards: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Markup:
    """What engines there are, in a sentence for each kind of shard."""
    total = len(shards)
    lines = []
    for engine, number in sorted(Counter(shard["engine"] for shard in shards).items()):
        one, all_of_them = number == 1, number == total
        who = f"All {total:,} shards" if all_of_them else f"{number:,} of {total:,} shards"
        who = "The one shard" if total == 1 else who
        verb, pronoun, have, find = (
            ("is", "it", "has", "finds") if one else ("are", "they", "have", "find")
        )
        if engine == EXACT:
            few = (
                f", as {pronoun} {have} fewer than {options['exact_below']:,} rows"
                if options.get("engine", "auto") == "auto" and "exact_below" in options
                else ""
            )
            lines.append(
                f"{who} {verb} searched exactly{few}: there is nothing to tune, and every recall "
                "there is the model’s own."
            )
            continue
        lowest = min(s["recall_at_10"] or 0.0 for s in shards if s["engine"] == engine)
        lines.append(
            f"{who} {verb} searched by {_NAMES.get(engine, engine)} and {find} "
            f"{percent(lowest)}% or more of the ten nearest rows that exact comparison finds."
        )
    return Markup("").join(Markup("<p>{}</p>").format(line) for line in lines)


def _chart(
    shard: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], target: float | None
) -> Markup:
    by_reordered: dict[int, list[Point]] = {}
    for trial in sorted(trials, key=lambda trial: (trial["reordered"], trial["work"])):
        own = by_reordered.setdefault(trial["reordered"], [])
        own.append(_point(trial, first=not own))
    points = [point for own in by_reordered.values() for point in own]
    used = next(trial for trial in trials if trial["chosen"])
    told = (
        f"{len(points)} settings of {name_of(shard)}; the one in use, {_setting(used)}, has a "
        f"recall at 10 of {percent(used['recall_at_10'], 2)} percent at {used['work']:,} "
        "comparisons a query."
    )
    return scatter(
        name_of(shard),
        sorted(points, key=lambda point: point.marked),
        logarithmic("comparisons with whole vectors a query", [max(1, p.x) for p in points]),
        _recall_axis([point.y for point in points], target),
        told=told,
        target=None if target is None else 100 * target,
        series=list(by_reordered.values()),
        detail=f"in use: {_setting(used)}",
        width=420.0,
    )


def _point(trial: Mapping[str, Any], *, first: bool) -> Point:
    """A setting; the first of those that compare equally many candidates is named by that."""
    number = f"{trial['reordered']:,}"
    return Point(
        x=max(1, trial["work"]),
        y=100 * trial["recall_at_10"],
        name=f"{number} reordered" if first else "",
        short=number,
        kind="seen" if trial["chosen"] else "plain",
        note=f"{_setting(trial)}: recall@10 {percent(trial['recall_at_10'], 2)}%, "
        f"{trial['work']:,} comparisons a query",
        marked=bool(trial["chosen"]),
    )


def _recall_axis(values: Sequence[float], target: float | None) -> Axis:
    """From just below the lowest to 100, as the settings that matter lie close to it."""
    lowest = min([*values, 100 * target if target is not None else 100.0])
    step = ticks(max(100 - lowest, 0.5))[1]
    low = 100 - step * -(-(100 - lowest) // step)
    low = low - step if low == lowest else low
    count = round((100 - low) / step)
    return Axis("recall@10, %", low, 100.0, [round(low + step * i, 6) for i in range(count + 1)])


def _setting(trial: Mapping[str, Any]) -> str:
    leaves, reordered = trial["leaves_searched"], trial["reordered"]
    parts = [f"{leaves:,} leaves"] if leaves else []
    parts += [f"{reordered:,} reordered"] if reordered else []
    return ", ".join(parts) or "all rows"


def _table(shard: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> Markup:
    rows = Markup("").join(
        Markup(
            '<tr{}><th scope="row">{}</th><td>{:,}</td><td>{:,}</td><td>{}</td><td>{}</td>'
            "<td>{:,}</td></tr>"
        ).format(
            Markup(' class="chosen"') if trial["chosen"] else "",
            "in use" if trial["chosen"] else "",
            trial["leaves_searched"],
            trial["reordered"],
            percent(trial["recall_at_10"], 2),
            percent(trial["lower_half"], 2),
            trial["work"],
        )
        for trial in trials
    )
    leaves = f", {shard['leaves']:,} leaves" if shard["leaves"] else ""
    return Markup(
        "<h3>{} <small>{}, {:,} rows{}</small></h3>"
        '<div class="scroll" tabindex="0"><table class="plain"><thead><tr><th></th>'
        "<th>leaves searched</th><th>reordered</th><th>recall@10</th><th>of the worse half</th>"
        "<th>comparisons a query</th></tr></thead><tbody>{}</tbody></table></div>"
    ).format(name_of(shard), shard["engine"], shard["rows"], leaves, rows)
