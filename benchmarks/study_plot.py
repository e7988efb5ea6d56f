"""The plot of a study: recall@1 of each language, a dot for each condition, its interval a line."""

from __future__ import annotations

from typing import Any

from scann_index.drawing import Drawing, style

COLOURS = ("#0f6e84", "#c8553d", "#7a9e3a", "#8b5fbf", "#b8860b", "#4a4a4a", "#d17ab0", "#3a6ea5")
MARKERS = "osD^vPX*"
LEGEND_CHARACTERS = 100
"""So many fit side by side."""


def dots(results: dict[str, Any]) -> Drawing:
    """Seen languages above, unseen below, the best of the first condition on top of each."""
    names = list(results["conditions"])

    def order(item: tuple[str, Any]) -> tuple[bool, float]:
        first = item[1]["recall_at_1"].get(names[0], {}).get("mean")
        return not item[1]["seen"], -(first or 0.0)

    rows = sorted(results["languages"].items(), key=order)
    drawing = Drawing(6.0, 1.0 + 0.2 * len(rows))
    axes = drawing.axes[0]
    with style():
        for number, name in enumerate(names):
            shift = (number - (len(names) - 1) / 2) * 0.6 / max(len(names), 1)
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            label: str | None = name
            for place, (_, row) in enumerate(rows):
                value = row["recall_at_1"].get(name, {})
                if value.get("mean") is None:
                    continue
                if value["interval"]:
                    ends = [100 * end for end in value["interval"]]
                    axes.plot(ends, [place + shift] * 2, color=colour, linewidth=0.8, alpha=0.6)
                axes.plot(
                    100 * value["mean"], place + shift, marker, color=colour, ms=3.4, label=label
                )
                label = None
        seen = sum(row["seen"] for _, row in rows)
        if 0 < seen < len(rows):
            axes.axhline(seen - 0.5, color="#999999", linewidth=0.6)
            beside = {"ha": "left", "transform": axes.get_yaxis_transform(), "fontsize": 6}
            axes.text(1.01, seen - 0.55, "seen", va="bottom", **beside)
            axes.text(1.01, seen - 0.45, "unseen", va="top", **beside)
        axes.set_yticks(range(len(rows)), [row["name"] for _, row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("recall@1, speech→text (%)")
        columns = LEGEND_CHARACTERS // (4 + max(map(len, names), default=0))
        drawing.figure.legend(loc="outside upper center", ncols=min(len(names), max(columns, 1)))
    return drawing
