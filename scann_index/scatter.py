"""Named points on two axes: HTML over a stretching grid, so that names stay legible on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from scann_index.charts import ticks

ALWAYS_NAMED = 30
"""With more points than this, a name that would lie on another is left out."""

# What the placing of names takes things for, in pixels.
_HEIGHT, _LETTER, _LINE, _DOT = 320.0, 7.4, 17.0, 7.0
_ZERO, _FIRST = 0.02, 0.12
_NAMES = ("name", "short")
_FACTORS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))


@dataclass(frozen=True)
class Axis:
    """Where values stand between the two ends of a side.

    Args:
        title: what is measured, with its unit.
        low: the value at the left or the bottom.
        high: the value at the right or the top.
        marks: the values that are written out.
        log: whether equal factors, not equal differences, are equally far apart.
        zero: of a logarithmic axis, whether zero has a place of its own before `low`.
    """

    title: str
    low: float
    high: float
    marks: Sequence[float]
    log: bool = False
    zero: bool = False

    def place(self, value: float) -> float:
        """From 0 at `low` to 1 at `high`; beyond them where the axis would go on."""
        if not self.log:
            return (value - self.low) / ((self.high - self.low) or 1.0)
        if value <= 0:
            return _ZERO
        share = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        return _FIRST + (1 - _FIRST) * share if self.zero else share


def from_zero(title: str, highest: float) -> Axis:
    """A linear axis from zero to a round number at or above the highest value."""
    marks = ticks(highest)
    return Axis(title, 0.0, marks[-1], marks)


def logarithmic(title: str, values: Sequence[float]) -> Axis:
    """An axis of factors of ten around some values, zeros among them set apart.

    Raises:
        ValueError: none of them is above zero.
    """
    positive = [value for value in values if value > 0]
    if not positive:
        raise ValueError("a logarithmic axis needs a value above zero")
    low, high = min(positive) / 1.3, max(positive) * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks: list[float] = []
    for factors in _FACTORS:
        marks = [f * 10.0**power for power in powers for f in factors]
        marks = [mark for mark in marks if low <= mark <= high]
        if len(marks) >= 3:
            break
    zero = len(positive) < len(values)
    return Axis(title, low, high, [0.0, *marks] if zero else marks, log=True, zero=zero)


@dataclass(frozen=True)
class Point:
    """One thing on the chart.

    Args:
        x: its value from left to right.
        y: its value from bottom to top.
        name: written beside it; empty for none.
        short: written instead where there is little room.
        kind: a colour of the page: `seen`, `unseen` or `plain`.
        note: shown when it is pointed at.
        marked: whether it stands out.
    """

    x: float
    y: float
    name: str
    short: str
    kind: str
    note: str
    marked: bool = False


def scatter(
    title: str,
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    told: str,
    target: float | None = None,
    series: Sequence[Sequence[Point]] = (),
    detail: str = "",
    width: float = 880.0,
) -> Markup:
    """The chart.

    Args:
        title: above it.
        points: later ones lie on earlier ones.
        x: the axis below.
        y: the axis at the left.
        told: the chart in a sentence, for those who can't see it.
        target: a value of y with a dashed line of its own.
        series: points that a thin line joins in their order.
        detail: behind the title.
        width: about how wide it will be, in pixels, which decides where names find room.
    """
    points = _named_together(points)
    sides = _sides(points, x, y, width)
    lines = [_LINE_AT.format("grid", _top(y, mark)) for mark in y.marks]
    if target is not None:
        lines.append(_LINE_AT.format("target", _top(y, target)))
    for joined in series:
        places = [f"{100 * x.place(p.x):.2f} {_top(y, p.y)}" for p in joined]
        lines.append(Markup('<path class="series" d="M{}"/>').format("L".join(places)))
    return _CHART.format(
        title=title,
        detail=detail,
        told=told,
        across=x.title,
        up=y.title,
        y=_join(Markup('<i style="top:{}%">{}</i>').format(_top(y, m), _text(m)) for m in y.marks),
        x=_join(
            Markup('<i style="left:{:.2f}%">{}</i>').format(100 * x.place(m), _text(m))
            for m in x.marks
        ),
        lines=_join(lines),
        points=_join(_dot(*each, x, y) for each in zip(points, sides, strict=True)),
    )


_LINE_AT = Markup('<line class="{0}" x1="0" x2="100" y1="{1}" y2="{1}"/>')
_CHART = Markup(
    '<figure class="chart scatter"><figcaption>{title} <small>{detail}</small></figcaption>'
    '<p class="unit">↑ {up}</p>'
    '<div class="plot" role="img" aria-label="{told}"><div class="y">{y}</div>'
    '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{lines}</svg>'
    '{points}<div class="x">{x}</div></div><p class="unit across">{across} →</p></figure>'
)
_DOT_AT = Markup(
    '<span class="point {kind}{marked}" style="left:{left:.2f}%;top:{top}%" title="{note}">'
    "{label}</span>"
)
_LABEL = Markup('<b class="{}"><span class="long">{}</span><span class="short">{}</span></b>')


def _dot(point: Point, side: str, x: Axis, y: Axis) -> Markup:
    return _DOT_AT.format(
        kind=point.kind,
        marked=" marked" if point.marked else "",
        left=100 * x.place(point.x),
        top=_top(y, point.y),
        note=point.note,
        label=_LABEL.format(side, point.name, point.short) if side else "",
    )


def _named_together(points: Sequence[Point]) -> list[Point]:
    """Points at the same place have one name, of all of them; whichever is pointed at tells all."""
    together: dict[tuple[float, float, str], list[Point]] = {}
    for point in points:
        together.setdefault((point.x, point.y, point.kind), []).append(point)
    named = []
    for point in points:
        there = together[point.x, point.y, point.kind]
        first = point is there[0]
        name, short = (", ".join(filter(None, (getattr(p, n) for p in there))) for n in _NAMES)
        note = "\n".join(p.note for p in there)
        named.append(replace(point, name=name * first, short=short * first, note=note))
    return named


def _sides(points: Sequence[Point], x: Axis, y: Axis, width: float) -> list[str]:
    """On which side of its point each name lies on fewest others: right, left, above or below."""
    places = [(width * x.place(p.x), _HEIGHT * (1 - y.place(p.y))) for p in points]
    taken = [(left - _DOT, top - _DOT, left + _DOT, top + _DOT) for left, top in places]
    sides: list[str] = []
    for point, (left, top) in zip(points, places, strict=True):
        if not point.name:
            sides.append("")
            continue
        wide = _LETTER * len(point.name)
        boxes = {
            "right": (left + _DOT + 3, top - _LINE / 2, left + _DOT + 3 + wide, top + _LINE / 2),
            "left": (left - _DOT - 3 - wide, top - _LINE / 2, left - _DOT - 3, top + _LINE / 2),
            "above": (left - wide / 2, top - _DOT - _LINE, left + wide / 2, top - _DOT - 1),
            "below": (left - wide / 2, top + _DOT + 1, left + wide / 2, top + _DOT + _LINE),
        }
        hidden = {
            side: sum(_shared(box, other) for other in taken) + _outside(box, width)
            for side, box in boxes.items()
        }
        side = min(hidden, key=lambda name: hidden[name])
        if hidden[side] > 0 and len(points) > ALWAYS_NAMED:
            sides.append("")
            continue
        taken.append(boxes[side])
        sides.append(side)
    return sides


_Box = tuple[float, float, float, float]


def _shared(one: _Box, other: _Box) -> float:
    """The area that two boxes have in common."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: _Box, width: float) -> float:
    """The area of a box that is outside of the plot."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _shared(box, (0.0, 0.0, width, _HEIGHT))


def _top(y: Axis, value: float) -> str:
    return f"{100 - 100 * y.place(value):.2f}"


def _text(mark: float) -> str:
    return f"{mark:,.0f}" if mark >= 1000 else f"{mark:g}"


def _join(parts: object) -> Markup:
    return Markup("").join(parts)  # type: ignore[arg-type]
