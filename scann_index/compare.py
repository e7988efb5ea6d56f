"""python -m scann_index.compare: two or more evaluations side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.verb import verb
from scann_index.evaluation import Evaluation

if TYPE_CHECKING:
    from rich.table import Table

DESCRIPTION = """\
Compares evaluations of the same queries with the first of them: recall@1 of speech→text in each
language with the difference and its 95% interval, the options that differ, and the cost. Prints a
table and writes a page and, beside it, the same as JSON. Differences are paired, query by query,
where the evaluations keep their queries. The better one is named where the interval leaves out 0.

usage: python -m scann_index.compare EVALUATION EVALUATION [...] --output compare.html [--names A,B]

examples:
  python -m scann_index.compare base/evaluation new/evaluation --output compare.html
  python -m scann_index.compare a b c --names adam,muon,bf16 --output compare.html
"""

_MANY = 5
"""With fewer languages there is no need to warn of intervals that leave out 0 by luck."""


@dataclass(frozen=True)
class CompareOptions:
    """The options of `scann_index.compare`, besides the folders of the evaluations."""

    output: str = option(help="the page to write, ending in .html; its numbers go into .json")
    names: tuple[str, ...] = option((), help="what to call them, in their order")
    dry_run: bool = option(False, help="compare and print the table, write nothing")

    def __post_init__(self) -> None:
        if not self.output.endswith(".html"):
            raise ValueError("--output must end in .html")
        if len(set(self.names)) < len(self.names):
            raise ValueError("--names must all be different")


@verb("compare")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    count = next((i for i, a in enumerate(arguments) if a.startswith("-")), len(arguments))
    folders, flags = arguments[:count], arguments[count:]
    options, _ = command_line.parse(
        CompareOptions, flags, prog="python -m scann_index.compare", description=DESCRIPTION
    )
    compare_folders(folders, options)


def compare_folders(folders: Sequence[str], options: CompareOptions) -> dict[str, Any]:
    """Compares, prints the table and, unless dry, writes the page and the JSON.

    Returns:
        What the JSON holds, see `scann_index.comparison.compare`.

    Raises:
        OutputError: a folder is not a complete evaluation, or they don't belong together.
        ValueError: there are fewer than two, or another number of names.
    """
    from rich.console import Console

    from scann_index.compare_page import render
    from scann_index.comparison import compare

    if len(folders) < 2:
        raise ValueError("name two evaluations or more, before the flags")
    if options.names and len(options.names) != len(folders):
        raise ValueError(f"{len(folders)} evaluations, but {len(options.names)} --names")
    names = options.names or names_of(folders)
    compared = compare([Evaluation.open(folder) for folder in folders], names)
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table(compared))
    for line in summary(compared):
        console.print(line, style="dim", highlight=False, markup=False)
    if options.dry_run:
        print(f"would write {options.output}")
        return compared
    storage.write_bytes(options.output, render(compared).encode("utf-8"))
    storage.write_json(options.output.removesuffix(".html") + ".json", compared)
    print(f"comparison: {options.output}")
    return compared


def names_of(folders: Sequence[str]) -> tuple[str, ...]:
    """What tells some folders apart: of each the last part of its path that not all share.

    Raises:
        ValueError: two of them are the same.
    """
    paths = [f if storage.is_remote(f) else os.path.abspath(f) for f in folders]
    parts = [path.rstrip("/").split("/") for path in paths]
    if len({tuple(part) for part in parts}) < len(parts):
        raise ValueError("the same evaluation is named twice")
    while len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    names = [part[-1] for part in parts]
    return tuple(names if len(set(names)) == len(names) else folders)


def table(compared: Mapping[str, Any]) -> Table:
    """The comparison for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    names = [evaluation["name"] for evaluation in compared["evaluations"]]
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    result.add_column("R@1, speech→text")
    for name in names:
        result.add_column(escape(name), justify="right")
    for name in names[1:]:
        title = f"{escape(name)} − {escape(names[0])}" if len(names) > 2 else "difference, 95%"
        result.add_column(title, justify="right", no_wrap=True)
    for title, codes in by_kind(compared["languages"]).items():
        result.add_row(f"[bold]{title}[/]")
        for code in codes:
            entry = compared["languages"][code]
            result.add_row(f"{escape(entry['name'])} [dim]{code}[/]", *_cells(entry))
        result.add_section()
    result.add_row("[bold]mean over languages[/]")
    for group, entry in compared["means"].items():
        result.add_row(f"{group} ({len(entry['languages'])})", *_cells(entry))
    return result


def by_kind(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The languages seen, unseen, and seen by some evaluations only; most gained first."""

    def gain(code: str) -> float:
        return -float(languages[code]["differences"][1]["difference"])

    kinds: dict[str, list[str]] = {"seen": [], "unseen": [], "seen by some": []}
    for code in sorted(languages, key=gain):
        seen = set(languages[code]["seen"])
        kinds["seen by some" if len(seen) > 1 else "seen" if True in seen else "unseen"].append(
            code
        )
    return {kind: codes for kind, codes in kinds.items() if codes}


def _cells(entry: Mapping[str, Any]) -> list[str]:
    cells = [f"{100 * score['recall_at_1']:.1f}" for score in entry["scores"]]
    for found in entry["differences"][1:]:
        low, high = found["interval"]
        sure = "\u00a0" if found["better"] is None else "▼" if found["better"] == 0 else "▲"
        text = f"{100 * found['difference']:+.1f} \\[{100 * low:+.1f}, {100 * high:+.1f}] {sure}"
        cells.append(text if found["better"] is None else f"[bold]{text}[/]")
    return cells


def summary(compared: Mapping[str, Any]) -> list[str]:
    """What differs, how sure the differences are, and what to bear in mind: a line each."""
    names = [evaluation["name"] for evaluation in compared["evaluations"]]
    lines = []
    for option_name, values in compared["options"].items():
        told = ", ".join(f"{n} {told_value(v)}" for n, v in zip(names, values, strict=True))
        lines.append(f"{option_name}: {told}")
    if not compared["options"]:
        lines.append("No option is known to differ.")
    lines += [f"▲ ▼: better, worse than {names[0]}; the interval leaves out 0.", method(compared)]
    if compared["left_out"]:
        lines.append(f"Not in all of them, left out: {', '.join(compared['left_out'])}.")
    return [*lines, *compared["notes"]]


def told_value(value: Any) -> str:
    """The value of an option for a person."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "–" if value is None or value == "" else str(value)


def method(compared: Mapping[str, Any]) -> str:
    """How the intervals were made, and how many of them leave out 0 by luck."""
    count = len(compared["languages"])
    by_luck = (
        f" Of {count} languages in which nothing differs, {count / 20:.1g} on average would have "
        "an interval that leaves out 0."
        if count >= _MANY
        else ""
    )
    how = (
        "Intervals are paired: of the same queries, one by one, sentences drawn again 2,000 times."
        if compared["paired"]
        else "Intervals take the evaluations for independent, as not all of them keep their "
        "queries; paired ones would be narrower. Evaluate again to have them."
    )
    return how + by_luck


if __name__ == "__main__":
    sys.exit(main())
