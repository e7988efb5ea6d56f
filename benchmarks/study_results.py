"""The tables and the plot of a study, from the evaluations of its cells."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import storage
from scann_index.evaluation import Evaluation

if TYPE_CHECKING:
    from benchmarks.study_commands import Cell

# A column of the table: its title, the group of languages, the task and the value.
COLUMNS = {
    "speech→text R@1, seen": ("seen", "speech_to_text", "recall_at_1"),
    "unseen": ("unseen", "speech_to_text", "recall_at_1"),
    "WER, unseen": ("unseen", "speech_to_text", "word_error_rate"),
    "text→speech R@1, unseen": ("unseen", "text_to_speech", "recall_at_1"),
    "speech→English R@1, seen": ("seen", "speech_to_english", "recall_at_1"),
    "speech→English R@1, unseen": ("unseen", "speech_to_english", "recall_at_1"),
    "BLEU, seen": ("seen", "speech_to_english", "bleu"),
    "BLEU, unseen": ("unseen", "speech_to_english", "bleu"),
}


def write_results(output: str, data: dict[Cell, str], folders: dict[Cell, str]) -> dict[str, Any]:
    """Writes `results.md`, `results.json` and `results.svg`; returns what the JSON holds.

    Args:
        output: the folder to write to.
        data: of each cell the pairs that it was evaluated on.
        folders: of each cell its evaluation, complete or not.
    """
    opened = {
        cell: Evaluation.open(path, data=data[cell])
        for cell, path in folders.items()
        if storage.exists(storage.join(path, "COMPLETED"))
    }
    results = results_of(opened)
    results["missing"] = [cell.name for cell in folders if cell not in opened]
    storage.write_json(storage.join(output, "results.json"), results)
    storage.write_bytes(storage.join(output, "results.md"), page(results).encode())
    if opened:
        _write_plot(results, storage.join(output, "results.svg"))
    print(f"{output}/results.md: {len(opened)} cells, {len(results['missing'])} missing")
    return results


def _write_plot(results: dict[str, Any], path: str) -> None:
    try:
        from benchmarks.study_plot import dots
    except ModuleNotFoundError:
        print("no plot: `pip install babelear[figures]` brings matplotlib")
        return
    storage.write_bytes(path, dots(results).save("svg"))


def results_of(opened: dict[Cell, Evaluation]) -> dict[str, Any]:
    """What a study shows.

    Returns:
        `conditions`: of each its `seeds`, its `values` (by column: `mean` over seeds, `interval`,
        `by_seed`) and `cost`; `differences` of each from the first, seed by seed, where they share
        one; `languages`: of each its hours, tokens a character and recall@1 by condition.
    """
    grouped: dict[str, dict[int, Evaluation]] = defaultdict(dict)
    for cell, evaluation in opened.items():
        grouped[cell.condition][cell.seed] = evaluation
    conditions = {name: _condition(found) for name, found in grouped.items()}
    names = list(conditions)
    differences = {}
    for name in names[1:]:
        shared = [s for s in conditions[names[0]]["seeds"] if s in conditions[name]["seeds"]]
        differences[name] = {
            column: over_seeds(
                [
                    conditions[name]["values"][column]["by_seed"][str(seed)]
                    - conditions[names[0]]["values"][column]["by_seed"][str(seed)]
                    for seed in shared
                ]
            )
            for column in COLUMNS
            if shared and _has(conditions, (names[0], name), column, shared)
        }
    return {
        "conditions": conditions,
        "differences_from": names[0] if names else None,
        "differences": differences,
        "languages": _languages(grouped),
    }


def _has(conditions: Any, names: Any, column: str, seeds: list[int]) -> bool:
    return all(
        conditions[n]["values"][column]["by_seed"].get(str(s)) is not None
        for n in names
        for s in seeds
    )


def _condition(found: dict[int, Evaluation]) -> dict[str, Any]:
    values = {}
    for title, (group, task, key) in COLUMNS.items():
        by_seed, intervals = {}, []
        for seed, evaluation in found.items():
            mean = evaluation.report["means"][group].get(task) or {}
            by_seed[str(seed)] = mean.get(key)
            intervals.append(mean.get(f"{key}_interval"))
        known = [value for value in by_seed.values() if value is not None]
        own = intervals[0] if len(known) == 1 else None
        values[title] = {**over_seeds(known, own), "by_seed": by_seed}
    runs = [e.sources["run"].stats for e in found.values() if "run" in e.sources]
    keys = ("parameters", "steps", "tokens", "flops", "wall_seconds", "cpu_seconds")
    cost = {k: float(np.mean([r[k] for r in runs])) for k in keys if runs and k in runs[0]}
    devices = sorted({run["device"] for run in runs if "device" in run})
    return {"seeds": list(found), "values": values, "cost": cost, "devices": devices}


def over_seeds(values: list[float], own: list[float] | None = None) -> dict[str, Any]:
    """The mean over seeds and its 95% interval.

    Args:
        values: of each seed.
        own: the interval of a single evaluation, of its queries; taken if there is one seed.

    Returns:
        `mean`, `interval` (None if unknown) and `interval_of`: `seeds` (Student's t) or `queries`.
    """
    if not values:
        return {"mean": None, "interval": None, "interval_of": None}
    mean = float(np.mean(values))
    if len(values) == 1:
        return {"mean": mean, "interval": own, "interval_of": "queries" if own else None}
    from scipy import stats

    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return {"mean": mean, "interval": [mean - half, mean + half], "interval_of": "seeds"}


def _languages(grouped: dict[str, dict[int, Evaluation]]) -> dict[str, Any]:
    from scann_index.inequality import training_hours

    if not grouped:
        return {}
    first = next(iter(next(iter(grouped.values())).values()))
    hours = training_hours(first.sources["data"].stats) if "data" in first.sources else {}
    tokens = tokens_a_character(first) if {"data", "run"} <= set(first.sources) else {}
    languages = {}
    for code, language in first.report["languages"].items():
        recalls = {}
        for condition, found in grouped.items():
            rows = [e.report["languages"].get(code, {}) for e in found.values()]
            scored = [row.get("speech_to_text") for row in rows]
            known = [s["recall_at_1"] for s in scored if s]
            own = scored[0]["recall_at_1_interval"] if len(known) == 1 and scored[0] else None
            recalls[condition] = over_seeds(known, own)
        languages[code] = {
            **{key: language[key] for key in ("name", "script", "seen")},
            "hours_heard": hours.get(code, 0.0),
            "tokens_a_character": tokens.get(code),
            "recall_at_1": recalls,
        }
    return languages


def tokens_a_character(evaluation: Evaluation) -> dict[str, float]:
    """Tokens of the run's vocabulary for a character of each language's test texts."""
    import tensorflow as tf

    from model.dual_encoder import DualEncoder
    from pipelines.pairs import read_pairs

    vocabulary = DualEncoder.from_preset(evaluation.sources["run"].file("preset")).vocabulary
    texts: dict[str, set[str]] = defaultdict(set)
    for pair in read_pairs(evaluation.sources["data"], "test"):
        if pair.task == "transcription":
            texts[pair.target_language].add(pair.target_text)
    found = {}
    for code, own in texts.items():
        ordered = sorted(own)
        count = int(tf.size(vocabulary.text_tokens(tf.constant(ordered)).values))
        found[code] = count / sum(len(unicodedata.normalize("NFC", text)) for text in ordered)
    return found


def page(results: dict[str, Any]) -> str:
    """The tables as Markdown."""
    titles = " | ".join(COLUMNS)
    lines = [f"| condition | seeds | {titles} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, condition in results["conditions"].items():
        cells = [shown(condition["values"][column], column) for column in COLUMNS]
        lines.append(f"| {name} | {len(condition['seeds'])} | " + " | ".join(cells) + " |")
    if results["differences"]:
        lines += ["", f"Less {results['differences_from']}, of the same seeds:", ""]
        lines += [f"| condition | {titles} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, columns in results["differences"].items():
        cells = [shown(columns.get(column), column, sign="+") for column in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", _INTERVALS, "", *_language_lines(results), "", *_cost_lines(results)]
    if results["missing"]:
        lines += ["", "Not run, or not complete: " + ", ".join(results["missing"]) + "."]
    return "\n".join(lines) + "\n"


_INTERVALS = (
    "In brackets 95% intervals: over seeds (Student's t) where there are several, else of the one "
    "evaluation's queries; none where neither is known."
)


def shown(value: dict[str, Any] | None, column: str, sign: str = "") -> str:
    """A mean and its interval: shares as percent, BLEU as it is."""
    if not value or value["mean"] is None:
        return "–"
    scale = 1 if column.startswith("BLEU") else 100
    text = f"{scale * value['mean']:{sign}.1f}"
    if value["interval"]:
        low, high = (scale * end for end in value["interval"])
        text += f" ({low:.1f} to {high:.1f})"
    return text


def _language_lines(results: dict[str, Any]) -> list[str]:
    names = list(results["conditions"])
    lines = [
        "| language | script | hours heard | tokens a character | R@1: " + " | ".join(names) + " |",
        "|---" * (4 + len(names)) + "|",
    ]
    for code, row in results["languages"].items():
        tokens = "–" if row["tokens_a_character"] is None else f"{row['tokens_a_character']:.2f}"
        recalls = [shown(row["recall_at_1"].get(name), "") for name in names]
        heard = f"{row['hours_heard']:.2f}" if row["seen"] else "none"
        lines.append(
            f"| {row['name']} ({code}) | {row['script']} | {heard} | {tokens} | "
            + " | ".join(recalls)
            + " |"
        )
    return lines


def _cost_lines(results: dict[str, Any]) -> list[str]:
    lines = [
        "| condition | parameters | steps | tokens | operations | device | hours | CPU hours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, condition in results["conditions"].items():
        cost = condition["cost"]
        cells = [f"{cost[k]:,.0f}" if k in cost else "–" for k in ("parameters", "steps", "tokens")]
        cells.append(f"{cost['flops']:.2g}" if "flops" in cost else "–")
        cells.append(", ".join(condition["devices"]) or "–")
        for key in ("wall_seconds", "cpu_seconds"):
            cells.append(f"{cost[key] / 3600:.2f}" if key in cost else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines
