"""What a paper's charts have in common: type, colours, names beside points, files that repeat.

The colours are Okabe & Ito's (2008, "Color Universal Design"), told apart by every kind of sight;
where two kinds of things meet, their shapes differ too.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#555555", "#009E73"
COLOURS = {"seen": BLUE, "unseen": ORANGE, "plain": GREY}
MARKERS = {"seen": "o", "unseen": "D", "plain": "s"}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.0,
    "lines.linewidth": 1.0,
    # A name with two dollar signs is a name.
    "text.parse_math": False,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    # Letters stay letters: to be searched, copied and set in another font.
    "svg.fonttype": "none",
    "svg.hashsalt": "babelear",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
}
# Without a date and the like, so that the same numbers give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "Babelear"},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": "Babelear", "Producer": None},
}


def style() -> Any:
    """The context in which everything is drawn."""
    return matplotlib.rc_context(_STYLE)


class Drawing:
    """A figure that can be saved.

    Args:
        width: in inches.
        height: in inches.
        panels: so many axes side by side.
        above: the same, one above the other.
        keywords: for `matplotlib.figure.Figure.subplots`.
    """

    def __init__(
        self, width: float, height: float, *, panels: int = 1, above: int = 1, **keywords: Any
    ) -> None:
        with style():
            self.figure = Figure(figsize=(width, height), layout="constrained")
            axes = self.figure.subplots(above, panels, squeeze=False, **keywords)
        self.axes: list[Any] = list(axes.flat)

    def save(self, ending: str) -> bytes:
        """The file, `svg`, `png` or `pdf`; the same bytes for the same numbers."""
        buffer = io.BytesIO()
        with style():
            self.figure.savefig(buffer, format=ending, dpi=300, metadata=_METADATA[ending])
        return buffer.getvalue()

    def close(self) -> None:
        """Frees it."""
        self.figure.clear()


def key(figure: Figure, kinds: Sequence[str]) -> None:
    """What the colours mean, above the plot."""
    if len(kinds) < 2:
        return
    handles = [
        Line2D([], [], color=COLOURS[k], marker=MARKERS[k], linestyle="", markersize=3.6, label=k)
        for k in kinds
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(kinds))


def name_points(drawing: Drawing, axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Writes names beside points, each where it covers least of the others."""
    canvas: Any = FigureCanvasAgg(drawing.figure)
    drawing.figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    places = [axes.transData.transform((x, y)) for x, y, _ in points]
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in places]
    for x, y, name in points:
        best: tuple[float, Any, tuple[float, ...]] | None = None
        for dx, dy, ha, va in _SIDES:
            text = axes.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=6
            )
            box = text.get_window_extent(renderer)
            extent = (box.x0, box.y0, box.x1, box.y1)
            covered = sum(_covered(extent, other) for other in taken)
            inside = _covered(extent, (frame.x0, frame.y0, frame.x1, frame.y1 + 4))
            covered += box.width * box.height - inside
            if best is None or covered < best[0] - 1e-6:
                if best:
                    best[1].remove()
                best = (covered, text, extent)
            else:
                text.remove()
        assert best is not None
        taken.append(best[2])  # type: ignore[arg-type]


_SIDES = (
    (4, 0, "left", "center"),
    (-4, 0, "right", "center"),
    (0, 4, "center", "bottom"),
    (0, -4, "center", "top"),
    (3, 3, "left", "bottom"),
    (3, -3, "left", "top"),
    (-3, 3, "right", "bottom"),
    (-3, -3, "right", "top"),
)


def _covered(one: Sequence[float], other: Sequence[float]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
