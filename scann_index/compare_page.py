"""A comparison of evaluations as one HTML page that needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from markupsafe import Markup

from pipelines.output_dir import VERSION
from scann_index import dumbbell
from scann_index.compare import by_kind, method, told_value
from scann_index.cost import duration


def render(compared: Mapping[str, Any]) -> str:
    """The page.

    Args:
        compared: what `scann_index.comparison.compare` returned.
    """
    names = [evaluation["name"] for evaluation in compared["evaluations"]]
    kinds = by_kind(compared["languages"])
    headline = _headline(compared, names)
    left_out = ", ".join(compared["left_out"])
    page = Markup(_asset("compare.html")).format(
        version=VERSION,
        title=f"Babelear: {headline}",
        css=Markup(_asset("report.css") + _asset("compare.css")),
        headline=headline,
        lead=_lead(compared, names),
        key=_join(
            Markup('<span class="e{}">{}</span>').format(n % dumbbell.COLOURS, name)
            for n, name in enumerate(names)
        ),
        means=_scores(compared["means"], {"": list(compared["means"])}, names, _mean_title),
        first=names[0],
        chart=dumbbell.chart(compared["languages"], kinds, names),
        left_out=Markup('<p class="mute">Not in all of them, left out: {}.</p>').format(left_out)
        if left_out
        else "",
        options=_options(compared["options"], names),
        cost=_cost(compared["evaluations"]),
        table=_scores(compared["languages"], kinds, names, _language_title),
        method=method(compared),
        notes=_join(Markup("<p>{}</p>").format(note) for note in compared["notes"]),
    )
    return str(page)


def _asset(name: str) -> str:
    return (resources.files("scann_index") / "report_assets" / name).read_text("utf-8")


def _join(parts: Any) -> Markup:
    return Markup("").join(parts)


def _headline(compared: Mapping[str, Any], names: Sequence[str]) -> str:
    if len(names) > 2:
        return f"{len(names)} evaluations compared"
    found = compared["means"]["all"]["differences"][1]
    points = f"{100 * abs(found['difference']):.1f} points"
    if found["better"] is None:
        return f"{names[1]} and {names[0]}: no sure difference on average"
    return f"{names[1]} is {points} {'better' if found['better'] else 'worse'} than {names[0]}"


def _lead(compared: Mapping[str, Any], names: Sequence[str]) -> Markup:
    """For each evaluation but the first, a sentence on the mean and one on the languages."""
    count = len(compared["languages"])
    sentences = []
    for place, name in enumerate(names[1:], start=1):
        found = compared["means"]["all"]["differences"][place]
        low, high = (100 * end for end in found["interval"])
        better = [e["differences"][place]["better"] for e in compared["languages"].values()]
        sentences.append(
            Markup(
                "{} puts the right text first <b>{:.1f} points</b> {} often than {} (95% interval "
                "{:+.1f} to {:+.1f}), averaged over {} {}; it is better in <b>{}</b> of them, "
                "worse in <b>{}</b>, and in {} they can’t be told apart."
            ).format(
                name,
                abs(100 * found["difference"]),
                "less" if found["difference"] < 0 else "more",
                names[0],
                low,
                high,
                count,
                "language" if count == 1 else "languages",
                better.count(place),
                better.count(0),
                better.count(None),
            )
        )
    return Markup("<br>").join(sentences)


def _mean_title(group: str, entry: Mapping[str, Any]) -> Markup:
    titles = {"all": "All", "seen": "Seen by all of them", "unseen": "Unseen by all of them"}
    return Markup("{} <small>{} languages</small>").format(titles[group], len(entry["languages"]))


def _language_title(code: str, entry: Mapping[str, Any]) -> Markup:
    return Markup("{} <small>{}</small>").format(entry["name"], code)


def _scores(
    entries: Mapping[str, Mapping[str, Any]],
    kinds: Mapping[str, Sequence[str]],
    names: Sequence[str],
    title: Any,
) -> Markup:
    """A table of the scores of each evaluation and the differences."""
    head = _join(
        [
            *(Markup('<th scope="col">{}</th>').format(name) for name in names),
            *(
                Markup('<th scope="col">{}</th>').format(f"{name} − {names[0]}")
                for name in names[1:]
            ),
        ]
    )
    rows = []
    for kind, keys in kinds.items():
        if kind:
            rows.append(Markup('<tr><th scope="rowgroup" class="mute">{}</th></tr>').format(kind))
        for key in keys:
            entry = entries[key]
            cells = [Markup("<td>{}</td>").format(dumbbell.score(s)) for s in entry["scores"]]
            cells += [
                Markup("<td>{}</td>").format(dumbbell.change(n, found))
                for n, found in enumerate(entry["differences"][1:], start=1)
            ]
            rows.append(
                Markup('<tr><th scope="row">{}</th>{}</tr>').format(title(key, entry), _join(cells))
            )
    return Markup(
        '<div class="scroll" tabindex="0"><table class="plain"><thead><tr><th></th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, _join(rows))


def _options(options: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Markup:
    if not options:
        return Markup("<p>No option is known to differ.</p>")
    rows = _join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            name.replace("_", " "),
            _join(Markup('<td class="value">{}</td>').format(told_value(v)) for v in values),
        )
        for name, values in options.items()
    )
    return _table(names, rows)


def _table(names: Sequence[str], rows: Markup) -> Markup:
    head = _join(Markup('<th scope="col">{}</th>').format(name) for name in names)
    return Markup(
        '<div class="scroll" tabindex="0"><table class="plain"><thead><tr><th></th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, rows)


def _cost(evaluations: Sequence[Mapping[str, Any]]) -> Markup:
    """Time, processor time, memory and sizes, as far as each recorded them."""
    stages = list(dict.fromkeys(row["stage"] for one in evaluations for row in one["cost"]))
    by_stage = [{row["stage"]: row for row in one["cost"]} for one in evaluations]
    lines: list[tuple[str, list[str]]] = []
    for stage in stages:
        for key, title, tell in _COSTS:
            values = [one.get(stage, {}).get(key) for one in by_stage]
            if any(value is not None for value in values):
                lines.append((f"{stage}: {title}", ["–" if v is None else tell(v) for v in values]))
    for name in dict.fromkeys(name for one in evaluations for name in one["sizes"]):
        lines.append((name, [one["sizes"].get(name, "–") for one in evaluations]))
    rows = _join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            title, _join(Markup("<td>{}</td>").format(value) for value in values)
        )
        for title, values in lines
    )
    return _table([evaluation["name"] for evaluation in evaluations], rows)


_COSTS = (
    ("wall_seconds", "time", duration),
    ("cpu_seconds", "processor time", duration),
    ("peak_memory_bytes", "peak memory", lambda size: f"{size / 1e9:.2f} GB"),
)
