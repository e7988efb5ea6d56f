"""Scores of several evaluations on one line a language, their differences with intervals beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from scann_index.charts import percent, ticks

_ROW = Markup(
    '<div class="pair-row"><span lang="en">{name} <code>{code}</code></span>'
    '<div class="track" role="img" aria-label="{told}">{join}{marks}</div>'
    '<div class="track forest" style="height:{height}px" aria-hidden="true">{forest}</div>'
    '<div class="change">{changes}</div></div>'
)
_MARK = Markup('<i class="mark e{n}" style="left:{left:.2f}%" title="{note}"></i>')
_JOIN = Markup('<i class="join" style="left:{:.2f}%;width:{:.2f}%"></i>')
_DIFFERENCE = Markup(
    '<i class="whisk e{n}" style="left:{low:.2f}%;width:{wide:.2f}%;top:{top:.1f}px"></i>'
    '<i class="mark e{n}{sure}" style="left:{left:.2f}%;top:{top:.1f}px"></i>'
)
_LANE = 18
COLOURS = 6
"""Further evaluations take the colours again from the first."""


def chart(
    languages: Mapping[str, Mapping[str, Any]],
    kinds: Mapping[str, Sequence[str]],
    names: Sequence[str],
) -> Markup:
    """The chart.

    Args:
        languages: as `scann_index.comparison.compare` gives them.
        kinds: their codes in the order to show them, by a title.
        names: of the evaluations.
    """
    reach = _reach(languages)
    sections = [
        Markup("<h3>{}</h3>{}").format(
            title,
            Markup("").join(_row(code, languages[code], names, reach) for code in codes),
        )
        for title, codes in kinds.items()
    ]
    return Markup('<div class="pairs">{}{}</div>').format(
        _head(names, reach), Markup("").join(sections)
    )


def _reach(languages: Mapping[str, Mapping[str, Any]]) -> float:
    """Points to either side of 0 that hold every interval."""
    ends = [
        abs(end)
        for entry in languages.values()
        for found in entry["differences"][1:]
        for end in found["interval"]
    ]
    return ticks(100 * max(ends, default=0.01))[-1]


def _head(names: Sequence[str], reach: float) -> Markup:
    scores = Markup("").join(
        Markup('<i style="left:{0}%">{0}</i>').format(at) for at in (0, 25, 50, 75, 100)
    )
    differences = Markup("").join(
        Markup('<i style="left:{:.0f}%">{}</i>').format(50 + 50 * share, text)
        for share, text in ((-1, f"−{reach:g}"), (0, "0"), (1, f"+{reach:g}"))
    )
    return Markup(
        '<div class="pair-row head"><span></span><div class="scale">{}</div>'
        '<div class="scale ends">{}</div><div class="change">{}</div></div>'
    ).format(scores, differences, f"points from {names[0]}")


def _row(code: str, entry: Mapping[str, Any], names: Sequence[str], reach: float) -> Markup:
    shares = [100 * score["recall_at_1"] for score in entry["scores"]]
    found = entry["differences"][1:]
    told = ", ".join(f"{name} {share:.1f}%" for name, share in zip(names, shares, strict=True))
    forest = Markup("").join(
        _difference(place, one, reach) for place, one in enumerate(found, start=1)
    )
    return _ROW.format(
        name=entry["name"],
        code=code,
        told=f"{entry['name']}: {told}",
        join=_JOIN.format(min(shares), max(shares) - min(shares)),
        # The first evaluation on top, so that it is seen where nothing changed.
        marks=Markup("").join(
            _MARK.format(n=n % COLOURS, left=share, note=f"{name}: {share:.1f}%")
            for n, (name, share) in reversed(list(enumerate(zip(names, shares, strict=True))))
        ),
        height=max(24, _LANE * len(found)),
        forest=forest,
        changes=Markup("").join(change(n, one) for n, one in enumerate(found, start=1)),
    )


def _difference(n: int, found: Mapping[str, Any], reach: float) -> Markup:
    low, high = found["interval"]
    return _DIFFERENCE.format(
        n=n % COLOURS,
        left=50 + 50 * 100 * found["difference"] / reach,
        low=50 + 50 * 100 * low / reach,
        wide=50 * 100 * (high - low) / reach,
        top=12 + _LANE * (n - 1),
        sure="" if found["better"] is not None else " unsure",
    )


def change(n: int, found: Mapping[str, Any]) -> Markup:
    """A difference in points with its interval, bold where that leaves out 0.

    Args:
        n: which evaluation's, for its colour.
        found: one of the `differences` of `scann_index.comparison.compare`.
    """
    low, high = found["interval"]
    text = f"{100 * found['difference']:+.1f}".replace("-", "−")
    ends = f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−")
    number = Markup("<b>{}</b>" if found["better"] is not None else "{}").format(text)
    return Markup('<span class="e{}">{} <small>{}</small></span>').format(n % COLOURS, number, ends)


def score(value: Mapping[str, Any]) -> str:
    """A recall@1 for a table."""
    return percent(value["recall_at_1"])
