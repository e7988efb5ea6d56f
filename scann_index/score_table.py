"""Every language's scores in one table, shaded by how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from scann_index.charts import percent
from scann_index.results import GROUPS, TASKS, by_recall

# A header, the task, the value's name, and whether more is better (None: not shaded).
_Column = tuple[str, str, str, bool | None]
_COLUMNS: tuple[_Column, ...] = (
    ("queries", TASKS[0], "queries", None),
    ("R@1", TASKS[0], "recall_at_1", True),
    ("95% interval", TASKS[0], "recall_at_1_interval", None),
    ("R@5", TASKS[0], "recall_at_5", True),
    ("R@10", TASKS[0], "recall_at_10", True),
    ("MRR", TASKS[0], "mean_reciprocal_rank", True),
    ("WER", TASKS[0], "word_error_rate", False),
    ("CER", TASKS[0], "character_error_rate", False),
    ("xsim", TASKS[0], "xsim_error", False),
    ("R@1", TASKS[1], "recall_at_1", True),
    ("MRR", TASKS[1], "mean_reciprocal_rank", True),
    ("R@1", TASKS[2], "recall_at_1", True),
    ("BLEU", TASKS[2], "bleu", True),
    ("chrF", TASKS[2], "chrf", True),
)


def score_table(report: Mapping[str, Any]) -> Markup:
    """The table.

    Args:
        report: what `report.json` holds.
    """
    columns = _columns(report)
    spans = {task: sum(column[1] == task for column in columns) for task in TASKS}
    titles = {
        "speech_to_text": "speech → text",
        "text_to_speech": "text → speech",
        "speech_to_english": "speech → English text",
    }
    head = Markup("").join(
        Markup('<th colspan="{}" scope="colgroup">{}</th>').format(spans[task], titles[task])
        for task in TASKS
    )
    second = Markup("").join(
        Markup('<th scope="col">{}</th>').format(column[0]) for column in columns
    )
    languages = report["languages"]
    rows = [
        _score_row(columns, languages[code], languages[code]["name"], "seen" if seen else "unseen")
        for seen in (True, False)
        for code in by_recall(languages, seen=seen)
    ]
    means = [
        _score_row(columns, report["means"][group], f"Mean, {title}", "average")
        for group, title in GROUPS.items()
        if report["means"][group]["languages"]
    ]
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="All results"><table>'
        '<thead><tr><th rowspan="2" scope="col">Language</th>{}</tr><tr>{}</tr></thead>'
        "<tbody>{}</tbody><tfoot>{}</tfoot></table></div>"
    ).format(head, second, Markup("").join(rows), Markup("").join(means))


def _columns(report: Mapping[str, Any]) -> list[_Column]:
    """Those that anything is known of."""
    everyone = [*report["languages"].values(), *report["means"].values()]
    return [
        column
        for column in _COLUMNS
        if column[2] != "xsim_error"
        or any((scored[column[1]] or {}).get(column[2]) is not None for scored in everyone)
    ]


def _score_row(
    columns: Sequence[_Column], scored: Mapping[str, Any], name: str, kind: str
) -> Markup:
    cells = []
    for _, task, value_name, more_is_better in columns:
        value = (scored[task] or {}).get(value_name)
        if value is None:
            cells.append(Markup('<td class="none">–</td>'))
        elif value_name.endswith("_interval"):
            cells.append(Markup('<td class="mute">{}–{}</td>').format(*map(percent, value)))
        elif more_is_better is None:
            cells.append(Markup('<td class="mute">{:,}</td>').format(value))
        else:
            share = value / 100 if value_name in ("bleu", "chrf") else value
            heat = min(1.0, max(0.0, share if more_is_better else 1 - share))
            cells.append(
                Markup('<td style="--heat:{:.0f}%">{}</td>').format(100 * heat, percent(share))
            )
    return Markup('<tr class="{}"><th scope="row">{}</th>{}</tr>').format(
        kind, name, Markup("").join(cells)
    )
