"""The languages' scores put together: seen and unseen, their means, and the table of both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.utterance import LANGUAGES
from scann_index import groups
from scann_index.confidence import interval_of_mean
from scann_index.scoring import TASKS as TASKS
from scann_index.scoring import has_spaces

if TYPE_CHECKING:
    from rich.table import Table

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
    "xsim_error",
)
INTERVALS = {
    "recall": "Wilson's 95% score interval; recordings of one sentence count as fewer queries the "
    "more they agree",
    "mean_reciprocal_rank": "95% bootstrap interval, 2,000 draws of sentences with all their "
    "queries",
    "mean": "the languages' own intervals put together; the set of languages is taken as given",
}
LOSS_TO_WARN_OF = 0.005
"""Of recall@1, by which an index may fall behind exact search without a word."""
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
    "xsim": ("speech_to_text", "xsim_error"),
    " text→\nspeech\n   R@1": ("text_to_speech", "recall_at_1"),
    "speech→\nEnglish\nR@1": ("speech_to_english", "recall_at_1"),
    "\n\nBLEU": ("speech_to_english", "bleu"),
}
_FROM_WIDTH = {"n": 100, "R@5": 100, "MRR": 100, "CER": 100, "xsim": 108}
"""A column that a narrower terminal has no room for."""


def describe(
    scores: Mapping[str, Mapping[str, Any]],
    seen: Collection[str],
    language_groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The part of `report.json` that holds scores.

    Args:
        scores: `scann_index.scoring.describe` of each language.
        seen: the languages whose speech is in the training split.
        language_groups: the name of each language's group, where the corpus has such.

    Returns:
        `languages`: of each, its name, family, script, `spaces`, `corpus_group`, `seen`, `pool` (of
        speech→text), tasks and `groups` of speakers; `means`: of each of `GROUPS`, its `languages`
        and the means of each task; `groups`, as `groups.all_groups` gives them; `intervals`.
    """
    languages: dict[str, dict[str, Any]] = {}
    for code in sorted(scores, key=lambda c: (c not in seen, c)):
        to_text, grouped = scores[code]["speech_to_text"], scores[code]["groups"]
        languages[code] = {
            **LANGUAGES[code]._asdict(),
            "spaces": has_spaces(code),
            "corpus_group": (language_groups or {}).get(code),
            "seen": code in seen,
            "pool": to_text["pool"] if to_text else 0,
            **{task: scores[code][task] for task in TASKS},
            "groups": {
                "gender": grouped["gender"],
                "speaker": groups.by_speaker(grouped["speaker"]),
            },
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
    speakers = {code: scores[code]["groups"]["speaker"] for code in languages}
    return {
        "languages": languages,
        "means": means,
        "groups": groups.all_groups(languages, speakers),
        "intervals": INTERVALS,
    }


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
            shares = [scored["recall_at_1"] for scored in having]
            intervals = [scored["recall_at_1_interval"] for scored in having]
            means["recall_at_1_interval"] = list(interval_of_mean(shares, intervals))
        exact = [scored["exact_search"]["recall_at_1"] for scored in having]
        means["exact_search"] = {"recall_at_1": float(np.mean(exact))}
        result[task] = means
    return result


def table(report: Mapping[str, Any], width: int = 100) -> Table:
    """The results for a terminal.

    Args:
        report: what `describe` returned.
        width: of the terminal, in characters; a narrow one gets fewer columns.
    """
    from rich import box
    from rich.table import Table

    columns = {k: v for k, v in _COLUMNS.items() if width >= _FROM_WIDTH.get(k, 0)}
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
    languages = report["languages"]
    scored = [language["speech_to_text"] for language in languages.values()]
    chances = [s["chance"] for s in scored if s]
    chance = f" By chance R@1 would be {100 * float(np.mean(chances)):.1f}." if chances else ""
    unspaced = [language["name"] for language in languages.values() if not language["spaces"]]
    words = f" No WER in {', '.join(unspaced)}: no spaces between words." if unspaced else ""
    return (
        "In percent, BLEU 0–100. R@k, MRR, WER and CER: speech→text, n queries a language; ± half "
        f"the 95% interval. MRR is the mean of 1/rank.{words}{chance}{_signatures(report)}"
    )


def _signatures(report: Mapping[str, Any]) -> str:
    translated = [s for entry in report["languages"].values() if (s := entry["speech_to_english"])]
    if not translated:
        return ""
    bleu, chrf = translated[0]["bleu_signature"], translated[0]["chrf_signature"]
    return f"\nsacrebleu: BLEU {bleu}\n           chrF {chrf}"


def further_lines(report: Mapping[str, Any]) -> list[str]:
    """What the table has no room for: xsim, and the groups that say something, in a line each."""
    found, lines = report["groups"], _xsim_lines(report)
    for kind, title in (("family", "family"), ("corpus", "language group")):
        if len(found[kind]) > 1:
            lines.append(f"R@1 by {title}: {_shares(found[kind])}")
    known = [name for name in found["gender"] if name != groups.UNKNOWN]
    if known:
        genders = {name: found["gender"][name] for name in known}
        first = genders[known[0]]
        how = (
            f" (mean over the {len(first['languages'])} languages that have all of them)"
            if first["comparable"]
            else " (not of the same languages)"
        )
        lines.append(f"R@1 by gender: {_shares(genders)}{how if len(known) > 1 else ''}")
    speaker = found["speaker"]
    if speaker["deviation"] is not None:
        lines.append(
            f"R@1 by speaker: within a language they differ by {100 * speaker['deviation']:.1f} "
            f"(standard deviation, luck taken out; {speaker['counted']:,} speakers with "
            f"{speaker['least_queries']} queries or more)"
        )
    return lines


def _xsim_lines(report: Mapping[str, Any]) -> list[str]:
    """The means of the error rates by ratio margin."""
    parts = []
    for task, title in (("speech_to_text", "speech→text"), ("speech_to_english", "speech→English")):
        means = {name: report["means"][group][task] for group, name in GROUPS.items()}
        each = [f"{100 * mean['xsim_error']:.1f} {name}" for name, mean in means.items() if mean]
        if each:
            parts.append(f"{title} {' · '.join(each)}")
    return [f"xsim error (ratio margin, k = 4): {'; '.join(parts)}"] if parts else []


def _shares(found: Mapping[str, Mapping[str, Any]]) -> str:
    best_first = sorted(found.items(), key=lambda group: -group[1]["recall_at_1"])
    return " · ".join(
        f"{name} {100 * group['recall_at_1']:.1f} {_cell({'': group}, '', 'recall_at_1_interval')}"
        for name, group in best_first
    )


def warnings(report: Mapping[str, Any]) -> list[str]:
    """Where the index hides what the model can do: a line for each language and task."""
    lines = []
    for code, language in report["languages"].items():
        for task in TASKS:
            scored = language[task]
            if scored and scored["index_loss_at_1"] > LOSS_TO_WARN_OF:
                lines.append(
                    f"{language['name']} ({code}) {task.replace('_to_', '→')}: the index finds "
                    f"{100 * scored['recall_at_1']:.1f} where exact search finds "
                    f"{100 * scored['exact_search']['recall_at_1']:.1f} (R@1): build it with a "
                    "higher --target-recall"
                )
    return lines


def approximate(report: Mapping[str, Any]) -> list[str]:
    """The languages in which the index ranks otherwise than exact comparison does."""
    return [
        code
        for code, language in report["languages"].items()
        if any(language[task] and _differs(language[task]) for task in TASKS)
    ]


def _differs(scored: Mapping[str, Any]) -> bool:
    """Older reports hold `exact_search` only where it differs."""
    return bool(scored.get("index_differs", scored.get("exact_search")))
