"""An evaluation's charts for a paper, to be read in one column, in grey as well as in colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator

from scann_index.charts import Line
from scann_index.drawing import (
    COLOURS,
    GREEN,
    MARKERS,
    ORANGE,
    Drawing,
    key,
    name_points,
    style,
)
from scann_index.inequality import hours_axis, recalls

ROWS_A_COLUMN = 45
"""More languages stand in several columns side by side."""


def recall_by_language(languages: Mapping[str, Mapping[str, Any]], width: float) -> Drawing:
    """Speech→text recall@1 of every language with its interval, the best at the top.

    Args:
        languages: as in `report.json`.
        width: in inches; that of a column, doubled for more languages than fit into one.
    """
    recall = recalls(languages)
    codes = sorted(recall, key=lambda code: (-recall[code], code))
    panels = -(-len(codes) // ROWS_A_COLUMN)
    rows = -(-len(codes) // panels)
    wide = width if panels == 1 else max(width, 6.9)
    drawing = Drawing(wide, 0.55 + 0.135 * rows, panels=panels, sharex=True)
    with style():
        for number, axes in enumerate(drawing.axes):
            own = codes[number * rows : (number + 1) * rows]
            _rows_of_languages(axes, own, languages)
            axes.set_ylim(rows - 0.4, -0.6)
        drawing.figure.supxlabel("recall@1, speech→text (%)", fontsize=7)
        kinds = [k for k in ("seen", "unseen") if _of_kind(codes, languages, k)]
        key(drawing.figure, kinds)
    return drawing


def _rows_of_languages(
    axes: Any, codes: Sequence[str], languages: Mapping[str, Mapping[str, Any]]
) -> None:
    for kind in COLOURS:
        places = [i for i, code in enumerate(codes) if _kind(languages[code]) == kind]
        if not places:
            continue
        scores = [languages[codes[i]]["speech_to_text"] for i in places]
        middle = 100 * np.array([score["recall_at_1"] for score in scores])
        ends = 100 * np.array([score["recall_at_1_interval"] for score in scores])
        axes.errorbar(
            middle,
            places,
            xerr=np.abs(ends.T - middle),
            fmt=MARKERS[kind],
            color=COLOURS[kind],
            markersize=3.2,
            elinewidth=0.9,
            capsize=1.5,
            capthick=0.7,
        )
    axes.set_yticks(range(len(codes)), [languages[code]["name"] for code in codes])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.grid(axis="x", linewidth=0.4, color="#d9d9d9")
    axes.set_axisbelow(True)


def recall_by_hours(
    languages: Mapping[str, Mapping[str, Any]], hours: Mapping[str, float], width: float
) -> Drawing:
    """Each language's hours of speech in training against its recall@1, with names.

    Args:
        languages: as in `report.json`.
        hours: as `scann_index.inequality.training_hours` gives them.
        width: in inches.
    """
    recall = recalls(languages)
    axis = hours_axis([hours.get(code, 0.0) for code in recall])
    drawing = Drawing(width, 0.72 * width)
    (axes,) = drawing.axes
    with style():
        points = []
        for code in sorted(recall):
            kind = _kind(languages[code])
            x, y = axis.place(hours.get(code, 0.0)), 100 * recall[code]
            axes.plot(x, y, MARKERS[kind], color=COLOURS[kind], markersize=3.6, clip_on=False)
            points.append((x, y, languages[code]["name"] if len(recall) <= 30 else code))
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(0, 100)
        axes.set_xticks([axis.place(mark) for mark in axis.marks], [f"{m:g}" for m in axis.marks])
        axes.set_xlabel(axis.title)
        axes.set_ylabel("recall@1, speech→text (%)")
        axes.grid(linewidth=0.4, color="#e3e3e3")
        axes.set_axisbelow(True)
        key(drawing.figure, [k for k in ("seen", "unseen") if _of_kind(recall, languages, k)])
        name_points(drawing, axes, points)
    return drawing


def sweep(
    shard: Mapping[str, Any],
    trials: Sequence[Mapping[str, Any]],
    target: float | None,
    width: float,
) -> Drawing:
    """The settings that were tried for a shard: their cost against their recall@10.

    Args:
        shard: as in the index's `info.json`.
        trials: its sweep.
        target: the recall to reach, drawn as a line.
        width: in inches.
    """
    drawing = Drawing(width, 0.68 * width)
    (axes,) = drawing.axes
    lines: dict[int, list[Mapping[str, Any]]] = {}
    for trial in sorted(trials, key=lambda trial: (trial["reordered"], trial["work"])):
        lines.setdefault(trial["reordered"], []).append(trial)
    with style():
        shades = np.linspace(0.15, 0.7, max(len(lines), 2))
        for (reordered, own), shade, marker in zip(lines.items(), shades, "osDv^<>", strict=False):
            axes.plot(
                [trial["work"] for trial in own],
                [100 * trial["recall_at_10"] for trial in own],
                marker=marker,
                color=str(round(float(shade), 3)),
                markersize=3,
                linewidth=0.8,
                label=f"{reordered:,}",
            )
        used = next(trial for trial in trials if trial["chosen"])
        axes.plot(
            used["work"],
            100 * used["recall_at_10"],
            "*",
            color=ORANGE,
            markersize=9,
            markeredgewidth=0.4,
            markeredgecolor="white",
            label="in use",
            zorder=5,
        )
        if target is not None:
            axes.axhline(
                100 * target, color=GREEN, linewidth=0.8, linestyle=(0, (4, 3)), label="target"
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter("{x:,.0f}")
        axes.xaxis.set_minor_locator(LogLocator(subs=(1.5, 2, 3, 4, 6), numticks=8))
        axes.tick_params(axis="x", which="minor", labelsize=6.5, length=2.5, width=0.6)
        axes.set_xlabel("comparisons with whole vectors a query")
        axes.set_ylabel(f"recall@10 (%), {shard['rows']:,} rows")
        axes.grid(linewidth=0.4, color="#e3e3e3")
        axes.set_axisbelow(True)
        axes.legend(title="reordered", title_fontsize=6.5, loc="lower right")
    return drawing


def training(curves: Mapping[str, Sequence[Line]], width: float) -> Drawing:
    """Loss, and dev recall@1 by step: single languages thin, means thick.

    Args:
        curves: as `scann_index.provenance.curves` gives them.
        width: in inches.
    """
    titles = {"loss": "loss", "recall": "dev recall@1 (%)"}
    shown = [name for name in titles if any(line.points for line in curves[name])]
    drawing = Drawing(width, 0.45 * width * len(shown), above=len(shown), sharex=True)
    with style():
        for axes, name in zip(drawing.axes, shown, strict=True):
            for line in sorted(curves[name], key=lambda line: line.strong):
                steps, values = zip(*line.points, strict=True)
                axes.plot(
                    steps,
                    values,
                    color=COLOURS[line.kind],
                    marker=MARKERS[line.kind] if line.strong else "",
                    markersize=3,
                    linewidth=1.3 if line.strong else 0.5,
                    alpha=1.0 if line.strong else 0.5,
                )
            axes.set_ylabel(titles[name])
            axes.set_ylim(0, 100 if name == "recall" else None)
            axes.set_xlim(0, None)
            axes.grid(linewidth=0.4, color="#e3e3e3")
        drawing.axes[-1].set_xlabel("training step")
        key(drawing.figure, [line.name for line in curves["recall"] if line.strong])
    return drawing


def _kind(language: Mapping[str, Any]) -> str:
    return "seen" if language["seen"] else "unseen"


def _of_kind(codes: Iterable[str], languages: Mapping[str, Mapping[str, Any]], kind: str) -> bool:
    return any(_kind(languages[code]) == kind for code in codes)
