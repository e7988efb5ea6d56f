"""Where an evaluation's numbers come from: training, corpus, rejects and settings."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from model.train import trained_languages
from pipelines import storage
from pipelines.output_dir import OutputDir
from pipelines.utterance import LANGUAGES, SPLITS
from scann_index.charts import Line, line_chart

EXAMPLES_PER_REASON = 3


def training(run: OutputDir | None, data: OutputDir) -> Markup:
    """Loss and dev recall@1 by step, drawn and as a table.

    Args:
        run: with `log.jsonl`; None if it isn't known.
        data: what it was trained on; decides which languages are seen.
    """
    if run is None:
        return Markup('<p class="mute">No training run was given (--run).</p>')
    drawn = curves(run, trained_languages(data))
    means = [line for line in drawn["recall"] if line.strong]
    return Markup(
        '<p>Thin lines are single languages, thick ones their means.</p><div class="charts">{}{}'
        "</div><details><summary>The numbers</summary>{}</details>"
    ).format(
        line_chart("Loss", drawn["loss"]),
        line_chart("Dev recall@1, %", drawn["recall"], top=100),
        _log_table(_log(run), means),
    )


def curves(run: OutputDir, seen: Collection[str]) -> dict[str, list[Line]]:
    """A training run by step.

    Args:
        run: with `log.jsonl`.
        seen: the languages whose speech it was trained on.

    Returns:
        `loss`, and `recall`: dev recall@1 in percent, of each language and, strong, the means of
        those seen and unseen.
    """
    log = _log(run)
    evaluated = [entry for entry in log if entry.get("dev_recall_at_1")]
    codes = list(dict.fromkeys(code for entry in evaluated for code in entry["dev_recall_at_1"]))
    kinds = {code: "seen" if code in seen else "unseen" for code in codes}
    single = [
        Line(_name(code), _dev_recall(evaluated, [code]), kinds[code], strong=False)
        for code in codes
    ]
    means = [
        Line(kind, _dev_recall(evaluated, [c for c in codes if kinds[c] == kind]), kind)
        for kind in ("seen", "unseen")
        if kind in kinds.values()
    ]
    loss = Line("loss", [(entry["step"], entry["loss"]) for entry in log], "plain")
    return {"loss": [loss], "recall": [*single, *means]}


def _log(run: OutputDir) -> list[dict[str, Any]]:
    return [json.loads(line) for line in storage.read_bytes(run.file("log.jsonl")).splitlines()]


def _dev_recall(
    evaluated: Sequence[Mapping[str, Any]], codes: Sequence[str]
) -> list[tuple[float, float]]:
    """(step, mean recall@1 of these languages in percent), where any was evaluated."""
    points = []
    for entry in evaluated:
        recalls = [r for code, r in entry["dev_recall_at_1"].items() if code in codes]
        if recalls:
            points.append((entry["step"], 100 * float(np.mean(recalls))))
    return points


def _log_table(log: Sequence[Mapping[str, Any]], means: Sequence[Line]) -> Markup:
    by_step = [dict(line.points) for line in means]
    header = ["step", "seconds", "loss", "learning rate", *(line.name for line in means)]
    return _table(
        header,
        (
            [
                f"{entry['step']:,}",
                f"{entry['seconds']:,.0f}",
                f"{entry['loss']:.3f}",
                f"{entry['learning_rate']:.1e}",
                *(
                    f"{recall[entry['step']]:.1f}" if entry["step"] in recall else "–"
                    for recall in by_step
                ),
            ]
            for entry in log
        ),
    )


def corpus(data: OutputDir) -> Markup:
    """Recordings, hours and audio tokens of each language, and what the corpus says of itself."""
    groups = {
        tuple(name.split("/")): group
        for name, group in data.stats["groups"].items()
        if not name.startswith("bitext/")
    }
    languages = sorted({language for _, _, language in groups}, key=_name)

    def total(key: str, *, language: str | None = None, split: str | None = None) -> float:
        return sum(
            float(group[key])
            for (_, of_split, of_language), group in groups.items()
            if language in (None, of_language) and split in (None, of_split)
        )

    def row(title: str, language: str | None) -> list[str]:
        recordings = total("pairs", language=language)
        tokens = total("tokens", language=language)
        return [
            title,
            *(f"{total('pairs', language=language, split=split):,.0f}" for split in SPLITS),
            f"{total('seconds', language=language) / 3600:.2f}",
            f"{tokens:,.0f}",
            f"{tokens / max(recordings, 1):.1f}",
            f"{total('characters', language=language) / max(recordings, 1):.1f}",
        ]

    header = ["language", *SPLITS, "hours", "audio tokens", "tokens each", "characters each"]
    rows = [row(_name(language), language) for language in languages]
    bitext = sum(
        int(group["pairs"])
        for name, group in data.stats["groups"].items()
        if name.startswith("bitext/")
    )
    return Markup(
        "<p>{:,.0f} recordings, {:.2f} hours, {:,.0f} audio tokens in {} languages{}. A language "
        "that needs more tokens for a sentence costs more to train and to search.</p>{}"
    ).format(
        total("pairs"),
        total("seconds") / 3600,
        total("tokens"),
        len(languages),
        f"; {bitext:,} text pairs" if bitext else "",
        _table(header, rows, foot=row("all", None)),
    )


def rejects(data: OutputDir) -> Markup:
    """What was set aside in preparing the data: counts by reason, and a few of each."""
    counts = data.stats.get("rejects", {})
    if not counts:
        return Markup("<h3>Rejects</h3><p>None: every row could be used.</p>")
    found: dict[str, list[Mapping[str, Any]]] = {reason: [] for reason in counts}
    for reject in _read_rejects(data):
        examples = found.setdefault(reject["reason"], [])
        if len(examples) < EXAMPLES_PER_REASON:
            examples.append(reject)
        if all(len(found[r]) >= min(EXAMPLES_PER_REASON, counts[r]) for r in counts):
            break
    items = [
        Markup("<details><summary><b>{}</b> {:,}</summary><ul>{}</ul></details>").format(
            reason,
            count,
            _join(
                Markup("<li><code>{}</code> {} <code>{}</code></li>").format(
                    reject["id"], reject["detail"], reject["uri"]
                )
                for reject in found[reason]
            ),
        )
        for reason, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return Markup('<h3>Rejects</h3><p>{:,} of {:,} rows.</p><div class="rejects">{}</div>').format(
        sum(counts.values()), data.stats["rows"], _join(items)
    )


def _read_rejects(data: OutputDir) -> Iterator[Mapping[str, Any]]:
    for path in storage.list_files(data.path, "rejects-*.jsonl"):
        for line in storage.read_bytes(path).splitlines():
            yield json.loads(line)


def settings(report: Mapping[str, Any], data: OutputDir, run: OutputDir | None) -> Markup:
    """Model, index, corpus and codebook as they describe themselves."""
    parts: dict[str, Mapping[str, Any]] = {
        "Training": {**run.info["options"], **run.stats} if run else {},
        "Index": report.get("index", {}),
        "Cascade": report.get("cascade", {}),
        "Corpus": data.info.get("corpus", {}),
        "Codebook": data.info.get("codebook", {}),
    }
    return _join(
        Markup("<details><summary>{}</summary>{}</details>").format(title, _facts(facts))
        for title, facts in parts.items()
        if facts
    )


def _facts(facts: Mapping[str, Any]) -> Markup:
    return Markup('<dl class="facts">{}</dl>').format(
        _join(
            Markup("<dt>{}</dt><dd>{}</dd>").format(name, value) for name, value in _leaves(facts)
        )
    )


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, part in value.items():
        title = f"{prefix}{str(name).replace('_', ' ')}"
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{title}: ")
        elif isinstance(part, list):
            yield title, " ".join(map(str, part))
        else:
            yield title, _number(part) if isinstance(part, float) else str(part)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], foot: Sequence[str] = ()
) -> Markup:
    """A table of text, its first column a header of its row."""

    def row(cells: Sequence[str]) -> Markup:
        first, *others = cells
        return Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            first, _join(Markup("<td>{}</td>").format(cell) for cell in others)
        )

    return Markup(
        '<div class="scroll" tabindex="0"><table class="plain"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody><tfoot>{}</tfoot></table></div>"
    ).format(
        _join(Markup('<th scope="col">{}</th>').format(name) for name in header),
        _join(row(cells) for cells in rows),
        row(foot) if foot else "",
    )


def _name(code: str) -> str:
    return LANGUAGES[code].name if code in LANGUAGES else code


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
