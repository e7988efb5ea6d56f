"""What the index loses against exact search of the same vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from scann_index.charts import percent
from scann_index.results import GROUPS, approximate

TASK = "speech_to_text"
MAX_ROWS = 10


def section(report: Mapping[str, Any]) -> Markup:
    """A sentence, and where speech→text differs a table of the languages that lose most.

    Args:
        report: what `report.json` holds; older ones know exact search only where it differs.
    """
    if not approximate(report):
        return Markup(
            "<p>In this evaluation every rank agrees with exact comparison of the same vectors.</p>"
        )
    rows = []
    for code, language in report["languages"].items():
        scores = language[TASK]
        if scores and scores["exact_search"] and scores.get("index_differs", True):
            exact = scores["exact_search"]["recall_at_1"]
            rows.append((language["name"], code, scores["recall_at_1"], exact))
    if not rows:
        return Markup(
            "<p>Some ranks differ from exact comparison of the same vectors, none of them of "
            "speech → text.</p>"
        )
    rows.sort(key=lambda row: (row[2] - row[3], row[0]))
    body = Markup("").join(
        Markup(
            '<tr><th scope="row">{} <small>{}</small></th><td>{}</td><td>{}</td>'
            "<td>{:+.2f}</td></tr>"
        ).format(name, code, percent(own), percent(exact), 100 * (own - exact))
        for name, code, own, exact in rows[:MAX_ROWS]
    )
    return Markup(
        "<p>In {} of {} languages some ranks of speech → text differ from exact comparison of the "
        'same vectors{}.{}</p><div class="scroll" tabindex="0"><table class="plain"><thead><tr><th>'
        "recall@1, %</th><th>by the index</th><th>by exact search</th><th>points</th></tr></thead>"
        "<tbody>{}</tbody></table></div>"
    ).format(
        len(rows),
        len(report["languages"]),
        "; those that lose most" if len(rows) > MAX_ROWS else "",
        _means(report),
        body,
    )


def _means(report: Mapping[str, Any]) -> str:
    """Recall@1 of the groups by exact search, where it is known."""
    parts = []
    for group, title in GROUPS.items():
        mean = report["means"][group][TASK]
        if mean and "exact_search" in mean:
            exact = percent(mean["exact_search"]["recall_at_1"], 2)
            parts.append(f"{title} {exact}% instead of {percent(mean['recall_at_1'], 2)}%")
    return f" By exact search the means would be: {', '.join(parts)}." if parts else ""
