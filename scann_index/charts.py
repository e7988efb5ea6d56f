"""The report's charts: inline SVG that stretches with the page and takes its colours from it.

Every chart is sized in percent, its labels are HTML beside it, so that text stays legible on a
phone; each carries a sentence for those who can't see it, and stands beside a table of its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup


def percent(share: float | None, digits: int = 1) -> str:
    """`0.861` as `86.1`, None as a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f}"


def recall_bars(languages: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Speech→text recall@1 of every language with its interval, and recall@10 behind it.

    Args:
        languages: as in `report.json`; grouped here by family, the best first.
    """
    scored = {c: entry for c, entry in languages.items() if entry["speech_to_text"]}

    def recall(code: str) -> float:
        return float(scored[code]["speech_to_text"]["recall_at_1"])

    if not scored:
        return Markup("")
    families: dict[str, list[str]] = {}
    for code in sorted(scored, key=recall, reverse=True):
        families.setdefault(scored[code]["family"], []).append(code)
    groups = [
        Markup('<section class="family"><h3>{}</h3><div>{}</div></section>').format(
            family, Markup("").join(_bar(code, scored[code]) for code in codes)
        )
        for family, codes in families.items()
    ]
    best, worst = max(scored, key=recall), min(scored, key=recall)
    label = (
        f"Bars of speech to text recall at 1 in {len(scored)} languages, from "
        f"{percent(recall(best))} percent in {scored[best]['name']} to {percent(recall(worst))} "
        f"percent in {scored[worst]['name']}. The table below has every number."
    )
    return Markup('<div class="bars" role="img" aria-label="{}">{}{}</div>').format(
        label, Markup("").join(groups), _PERCENT_AXIS
    )


_PERCENT_AXIS = Markup(
    '<section class="family axis"><h3></h3><div><div class="bar"><span></span>'
    '<span class="ticks"><i>0</i><i>25</i><i>50</i><i>75</i><i>100%</i></span><b></b></div></div>'
    "</section>"
)
_BAR = Markup(
    '<div class="bar {kind}" title="{title}"><span lang="en">{name} <code>{code}</code></span>'
    '<svg width="100%" height="20" aria-hidden="true" focusable="false">'
    '<rect class="wide" y="5" width="{ten}%" height="10" rx="2"/>'
    '<rect class="narrow" y="5" width="{one}%" height="10" rx="2"/>'
    '<line class="chance" x1="{chance}%" x2="{chance}%" y1="2" y2="18"/>'
    '<g class="whisker"><line x1="{low}%" x2="{high}%" y1="10" y2="10"/>'
    '<line x1="{low}%" x2="{low}%" y1="6" y2="14"/>'
    '<line x1="{high}%" x2="{high}%" y1="6" y2="14"/></g></svg><b>{one}</b></div>'
)


def _bar(code: str, language: Mapping[str, Any]) -> Markup:
    scores = language["speech_to_text"]
    low, high = scores["recall_at_1_interval"]
    kind = "seen" if language["seen"] else "unseen"
    title = (
        f"{language['name']} ({kind}): recall@1 {percent(scores['recall_at_1'])}%, 95% interval "
        f"{percent(low)} to {percent(high)}, recall@10 {percent(scores['recall_at_10'])}%"
    )
    return _BAR.format(
        kind=kind,
        title=title,
        name=language["name"],
        code=code,
        one=percent(scores["recall_at_1"]),
        ten=percent(scores["recall_at_10"]),
        low=percent(low, 2),
        high=percent(high, 2),
        chance=percent(scores["chance"], 2),
    )


@dataclass(frozen=True)
class Line:
    """One line of a line chart.

    Args:
        name: shown when pointed at, and in the key if it is strong.
        points: (x, y), x ascending; drawn as dots too if it is strong.
        kind: a colour of the page: `seen`, `unseen` or `plain`.
        strong: thick, dotted and named, or thin and pale.
    """

    name: str
    points: Sequence[tuple[float, float]]
    kind: str
    strong: bool = True


def line_chart(title: str, lines: Sequence[Line], *, top: float | None = None) -> Markup:
    """Lines over training steps, from zero.

    Args:
        title: what the y axis is.
        lines: the strong ones are drawn last, on top.
        top: the end of the y axis; by default just above the highest point.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return Markup("")
    y_ticks = ticks(top or max(y for line in drawn for _, y in line.points))
    x_ticks = ticks(max(x for line in drawn for x, _ in line.points), whole=True)
    x_end = max(x for line in drawn for x, _ in line.points)
    y_end = top or y_ticks[-1]
    grid = Markup("").join(
        Markup('<line class="grid" x1="0" x2="100" y1="{0}" y2="{0}"/>').format(_place(y, y_end))
        for y in y_ticks
    )
    paths = Markup("").join(
        _path(line, x_end, y_end) for line in sorted(drawn, key=lambda line: line.strong)
    )
    strong = [line for line in drawn if line.strong]
    key = Markup("").join(
        Markup('<span class="{}">{}</span>').format(line.kind, line.name)
        for line in (strong if len(strong) > 1 else ())
    )
    label = f"{title} by training step. " + " ".join(
        f"{line.name}: {line.points[0][1]:.3g} at step {line.points[0][0]:g}, "
        f"{line.points[-1][1]:.3g} at step {line.points[-1][0]:g}."
        for line in strong
    )
    return Markup(
        '<figure class="chart"><figcaption>{} <span class="key">{}</span></figcaption>'
        '<div class="plot" role="img" aria-label="{}"><div class="y">{}</div>'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}{}</svg>'
        '<div class="x">{}</div></div><p class="unit across">training step →</p></figure>'
    ).format(
        title,
        key,
        label,
        Markup("").join(
            Markup('<i style="top:{}%">{:g}</i>').format(_place(y, y_end), y) for y in y_ticks
        ),
        grid,
        paths,
        Markup("").join(
            Markup('<i style="left:{:.2f}%">{:g}</i>').format(100 * x / x_end, x)
            for x in x_ticks
            if x <= x_end
        ),
    )


def _place(y: float, y_end: float) -> str:
    """Where y stands, in percent of the height from the top."""
    return f"{100 - 100 * y / y_end:.2f}"


def _path(line: Line, x_end: float, y_end: float) -> Markup:
    places = [f"{100 * x / x_end:.2f} {_place(y, y_end)}" for x, y in line.points]
    # A stroke without length has round ends only: a dot that the stretching leaves round.
    dots = "".join(f"M{place}h0" for place in places) if line.strong or len(places) == 1 else ""
    return Markup(
        '<g class="{} {}"><title>{}</title><path d="M{}"/><path class="dots" d="{}"/></g>'
    ).format(line.kind, "strong" if line.strong else "pale", line.name, "L".join(places), dots)


def ticks(highest: float, *, whole: bool = False) -> list[float]:
    """Zero and three to five round numbers, the last at or above `highest`."""
    if not highest > 0:
        return [0.0, 1.0]
    size = 10.0 ** math.floor(math.log10(highest))
    for step in (size / 5, size / 4, size / 2, size, 2 * size):
        if whole and step != int(step):
            continue
        if highest <= 5 * step:
            break
    return [step * i for i in range(math.ceil(highest / step - 1e-9) + 1)]
