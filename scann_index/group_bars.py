"""Recall by script, language group, gender and speaker: who is found, and who is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from scann_index.charts import percent
from scann_index.groups import UNKNOWN

_TITLES = {
    "script": "Script (ISO 15924)",
    "corpus": "Language group, as the corpus has it",
    "gender": "Gender of the speaker",
}


def section(report: Mapping[str, Any]) -> Markup:
    """Bars for every grouping that has two groups or more; nothing for older reports.

    Args:
        report: what `report.json` holds.
    """
    found = report.get("groups", {})
    parts = [
        _grouping(title, found[kind], kind)
        for kind, title in _TITLES.items()
        if len([name for name in found.get(kind, {}) if name != UNKNOWN]) > 1
    ]
    if (found.get("speaker") or {}).get("counted", 0) > 1:
        parts.append(_speakers(found["speaker"]))
    return Markup('<div class="groups">{}</div>').format(Markup("").join(parts))


_GROUP = Markup('<section class="grouping"><h3>{}</h3>{}{}</section>')
_BAR = Markup(
    '<div class="bar plain" title="{title}"><span>{name}</span>'
    '<svg width="100%" height="20" aria-hidden="true" focusable="false">'
    '<rect class="narrow" y="5" width="{one}%" height="10" rx="2"/>'
    '<g class="whisker"><line x1="{low}%" x2="{high}%" y1="10" y2="10"/>'
    '<line x1="{low}%" x2="{low}%" y1="6" y2="14"/>'
    '<line x1="{high}%" x2="{high}%" y1="6" y2="14"/></g></svg><b>{one}</b></div>'
)


def _grouping(title: str, groups: Mapping[str, Mapping[str, Any]], kind: str) -> Markup:
    ordered = sorted(groups.items(), key=lambda group: (-group[1]["recall_at_1"], group[0]))
    bars = Markup("").join(_bar(name, group) for name, group in ordered)
    note = ""
    if kind == "gender":
        first = next(group for name, group in groups.items() if name != UNKNOWN)
        count = len(first["languages"])
        note = (
            f"Means over the {count} languages that have all of them."
            if first["comparable"]
            else "Not of the same languages: no comparison of genders."
        )
    return _GROUP.format(title, bars, Markup('<p class="mute">{}</p>').format(note))


def _bar(name: str, group: Mapping[str, Any]) -> Markup:
    low, high = group["recall_at_1_interval"]
    languages = group["languages"]
    return _BAR.format(
        name=name,
        title=f"{name}: recall@1 {percent(group['recall_at_1'])}%, 95% interval {percent(low)} to "
        f"{percent(high)}; mean over {', '.join(languages)}, {group['queries']:,} queries",
        one=percent(group["recall_at_1"]),
        low=percent(low, 2),
        high=percent(high, 2),
    )


_SPREAD = Markup(
    '<div class="bar plain"><span>{count:,} speakers</span>'
    '<svg width="100%" height="20" role="img" aria-label="{told}">'
    '<line class="range" x1="{lowest}%" x2="{highest}%" y1="10" y2="10"/>'
    '<rect class="narrow" x="{tenth}%" y="5" width="{wide}%" height="10" rx="2"/>'
    '<line class="median" x1="{median}%" x2="{median}%" y1="2" y2="18"/></svg><b>{median}</b></div>'
)


def _speakers(speaker: Mapping[str, Any]) -> Markup:
    """One strip from the worst to the best speaker."""
    ends = {n: percent(speaker[n]) for n in ("lowest", "tenth", "median", "ninetieth", "highest")}
    told = (
        "recall@1 of a tenth of the speakers is below {tenth}%, of half of them below {median}%, "
        "of a tenth above {ninetieth}%; the worst has {lowest}%, the best {highest}%"
    ).format(**ends)
    strip = _SPREAD.format(
        count=speaker["counted"],
        told=told,
        wide=f"{100 * (speaker['ninetieth'] - speaker['tenth']):.1f}",
        **ends,
    )
    note = (
        f"{told[0].upper()}{told[1:]}. Speakers with {speaker['least_queries']} queries or more: "
        f"{speaker['counted']:,} of {speaker['count']:,}. With few queries each, much of the "
        "spread is luck"
    )
    if (deviation := speaker.get("deviation")) is not None:
        note += (
            f"; without it, speakers of one language differ by {percent(deviation)} points "
            "(standard deviation)"
        )
    note += "."
    return _GROUP.format("Speakers", strip, Markup('<p class="mute">{}</p>').format(note))
