"""The languages' scores put together: seen and unseen, their means, and the table of both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.utterance import LANGUAGES

if TYPE_CHECKING:
    from rich.table import Table

TASKS = ("speech_to_text", "text_to_speech", "speech_to_english")
GROUPS = {
    "seen": "seen",
    "unseen_seen_script": "unseen, seen script",
    "unseen": "unseen",
}
"""The means, and their names for a person."""

_AVERAGED = (
    "recall_at_1",
    "recall_at_5",
    "recall_at_10",
    "mean_reciprocal_rank",
    "word_error_rate",
    "character_error_rate",
    "bleu",
    "chrf",
    "chance",
)
# Header of a column, the task and the name of its value.
_COLUMNS = {
    "n": ("speech_to_text", "queries"),
    "R@1": ("speech_to_text", "recall_at_1"),
    "": ("speech_to_text", "recall_at_1_interval"),
    "R@5": ("speech_to_text", "recall_at_5"),
    "R@10": ("speech_to_text", "recall_at_10"),
    "MRR": ("speech_to_text", "mean_reciprocal_rank"),
    "WER": ("speech_to_text", "word_error_rate"),
    "CER": ("speech_to_text", "character_error_rate"),
    " text→\nspeech\n   R@1": ("text_to_speech", "recall_at_1"),
    "speech→\nEnglish\nR@1": ("speech_to_english", "recall_at_1"),
    "\n\nBLEU": ("speech_to_english", "bleu"),
}
_LEFT_OUT = ("n", "R@5", "MRR", "CER")
_WIDE = 100


def describe(scores: Mapping[str, Mapping[str, Any]], seen: Collection[str]) -> dict[str, Any]:
    """The part of `report.json` that holds scores.

    Args:
        scores: `scann_index.scoring.score_language` of each language.
        seen: the languages whose speech is in the training split.

    Returns:
        `languages`: of each, its name, family, script, `seen`, `pool` (of speech→text) and tasks;
        `means`: of each of `GROUPS`, its `languages` and the means of each task.
    """
    languages: dict[str, dict[str, Any]] = {}
    for code in sorted(scores, key=lambda c: (c not in seen, c)):
        to_text = scores[code]["speech_to_text"]
        languages[code] = {
            **LANGUAGES[code]._asdict(),
            "seen": code in seen,
            "pool": to_text["pool"] if to_text else 0,
            **{task: scores[code][task] for task in TASKS},
        }
    scripts = {LANGUAGES[code].script for code in seen}
    unseen = [code for code in languages if code not in seen]
    members = {
        "seen": [code for code in languages if code in seen],
        "unseen_seen_script": [code for code in unseen if LANGUAGES[code].script in scripts],
        "unseen": unseen,
    }
    means = {
        group: _means([languages[code] for code in codes], codes)
        for group, codes in members.items()
    }
    return {"languages": languages, "means": means}


def _means(languages: Sequence[Mapping[str, Any]], codes: Sequence[str]) -> dict[str, Any]:
    """Unweighted means over languages, of each value over those that have it."""
    result: dict[str, Any] = {"languages": list(codes)}
    for task in TASKS:
        having = [language[task] for language in languages if language[task]]
        if not having:
            result[task] = None
            continue
        means: dict[str, Any] = {"language_count": len(having)}
        for name in _AVERAGED:
            values = [scored[name] for scored in having if scored.get(name) is not None]
            if values:
                means[name] = float(np.mean(values))
        if task == "speech_to_text":
            means["recall_at_1_interval"] = _interval_of_mean(having)
        result[task] = means
    return result


def _interval_of_mean(having: Sequence[Mapping[str, Any]], rounds: int = 2000) -> list[float]:
    """95% bootstrap interval of the mean recall@1, each language's queries resampled by themselves.

    A resample of n hits and misses is a binomial draw.
    """
    rng = np.random.default_rng(0)
    means = np.zeros(rounds)
    for scored in having:
        hits = rng.binomial(scored["queries"], scored["recall_at_1"], rounds)
        means += hits / scored["queries"] / len(having)
    return [float(end) for end in np.quantile(means, [0.025, 0.975])]


def table(report: Mapping[str, Any], width: int = 100) -> Table:
    """The results for a terminal.

    Args:
        report: what `describe` returned.
        width: of the terminal, in characters; a narrow one gets fewer columns.
    """
    from rich import box
    from rich.table import Table

    columns = {k: v for k, v in _COLUMNS.items() if width >= _WIDE or k not in _LEFT_OUT}
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    result.add_column("", no_wrap=True)
    for name in columns:
        result.add_column(name, justify="right", no_wrap=True, vertical="bottom")

    def add(title: str, scored: Mapping[str, Any]) -> None:
        result.add_row(title, *(_cell(scored, *where) for where in columns.values()))

    languages = report["languages"]
    for seen, title in ((True, "[bold cyan]seen[/]"), (False, "[bold yellow]unseen[/]")):
        if codes := by_recall(languages, seen=seen):
            result.add_row(title)
        for code in codes:
            add(f"{languages[code]['name']} [dim]{code}[/]", languages[code])
        result.add_section()
    result.add_row("[bold]mean over languages[/]")
    for group, title in GROUPS.items():
        if report["means"][group]["languages"]:
            add(title, report["means"][group])
    return result


def by_recall(languages: Mapping[str, Any], *, seen: bool) -> list[str]:
    """The seen or the unseen languages, best speech→text recall@1 first."""

    def recall(code: str) -> float:
        scored = languages[code]["speech_to_text"]
        return scored["recall_at_1"] if scored else -1.0

    return sorted((c for c in languages if languages[c]["seen"] is seen), key=lambda c: -recall(c))


def _cell(scored: Mapping[str, Any], task: str, name: str) -> str:
    value = (scored[task] or {}).get(name)
    if value is None:
        return "–"
    if name == "recall_at_1_interval":
        return f"±{50 * (value[1] - value[0]):.1f}"
    if name in ("bleu", "chrf"):
        return f"{value:.1f}"
    return str(value) if name == "queries" else f"{100 * value:.1f}"


def footnote(report: Mapping[str, Any]) -> str:
    """What the table's numbers are, and the chance level."""
    scored = [language["speech_to_text"] for language in report["languages"].values()]
    chances = [s["chance"] for s in scored if s]
    chance = f" By chance R@1 would be {100 * float(np.mean(chances)):.1f}." if chances else ""
    differing = " ".join(approximate(report))
    note = f" Not as exact search in {differing}: see report.json." if differing else ""
    return (
        "In percent, BLEU 0–100. R@k, MRR, WER and CER: speech→text, n queries a language; "
        "± half the 95% bootstrap interval. WER needs spaces between words; MRR is the mean of "
        f"1/rank.{chance}{note}"
    )


def approximate(report: Mapping[str, Any]) -> list[str]:
    """The languages in which the index ranks otherwise than exact comparison does."""
    return [
        code
        for code, language in report["languages"].items()
        if any(language[task] and language[task]["exact_search"] for task in TASKS)
    ]
