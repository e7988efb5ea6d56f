"""Precision, recall and F1 by threshold as one SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 44, 48
LINES = {"precision": "#2266c9", "recall": "#c4620a", "f1": "#1a7f45"}
NAMES = {"precision": "precision", "recall": "recall", "f1": "F1"}

_SVG = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
    'aria-label="{title}" font-family="system-ui, sans-serif" font-size="13">\n'
    "<style>text{{fill:#16202c}}.mute{{fill:#5c6877}}.grid{{stroke:#8a96a5;stroke-opacity:.3}}"
    "@media (prefers-color-scheme: dark){{text{{fill:#e6ebf1}}.mute{{fill:#98a5b4}}}}</style>\n"
    '<text x="{left}" y="22" font-size="15" font-weight="600">{title}</text>\n{body}\n</svg>\n'
)
_LINE = Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"{}/>')
_TEXT = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>')
_PATH = Markup('<path d="{}" fill="none" stroke="{}" stroke-width="2.5" stroke-linejoin="round"/>')
_MUTE = Markup(' class="mute"')


def chart(quality: Mapping[str, Any], title: str) -> str:
    """The SVG.

    Args:
        quality: what `scann_index.mine_quality.quality` returned, with points in its curve.
        title: above the plot.
    """
    points: Sequence[Mapping[str, float]] = quality["curve"]
    low, high = points[0]["threshold"], points[-1]["threshold"]
    span = (high - low) or 1.0

    def x(threshold: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (threshold - low) / span

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    body: list[Markup] = []
    for tenth in range(0, 11, 2):
        height = y(tenth / 10)
        body.append(_LINE.format(LEFT, f"{height:.1f}", WIDTH - RIGHT, f"{height:.1f}", ""))
        body.append(_TEXT.format(LEFT - 8, height + 4, "end", _MUTE, f"{tenth / 10:.1f}"))
    for step in range(5):
        threshold = low + span * step / 4
        body.append(_TEXT.format(x(threshold), HEIGHT - 26, "middle", _MUTE, f"{threshold:.2f}"))
    body.append(_TEXT.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", _MUTE, "threshold"))
    chosen = x(min(max(quality["threshold"], low), high))
    dashes = Markup(' stroke-dasharray="4 4" style="stroke-opacity:1"')
    body.append(_LINE.format(f"{chosen:.1f}", TOP - 8, f"{chosen:.1f}", HEIGHT - BOTTOM, dashes))
    body.append(_TEXT.format(chosen + 6, TOP, "start", _MUTE, f"{quality['threshold']:.3f}"))
    for name, colour in LINES.items():
        steps = " L".join(f"{x(p['threshold']):.1f} {y(p[name]):.1f}" for p in points)
        body.append(_PATH.format("M" + steps, colour))
    for place, (name, label) in zip(_apart(points[-1], y), NAMES.items(), strict=True):
        tone = Markup(' style="fill:{}" font-weight="600"').format(LINES[name])
        body.append(_TEXT.format(WIDTH - RIGHT + 8, place, "start", tone, label))
    joined = Markup("\n").join(body)
    return str(_SVG.format(width=WIDTH, height=HEIGHT, left=LEFT, title=title, body=joined))


def _apart(last: Mapping[str, float], y: Any) -> list[float]:
    """Heights for the lines' names, near the lines' ends, none on another."""
    heights = {name: y(last[name]) + 4 for name in NAMES}
    lowest = HEIGHT - BOTTOM + 4
    for name in sorted(heights, key=lambda name: -heights[name]):
        heights[name] = min(heights[name], lowest)
        lowest = heights[name] - 18
    return [heights[name] for name in NAMES]
