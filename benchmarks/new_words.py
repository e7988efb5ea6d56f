"""python -m benchmarks.new_words: what is found by how many of its words are new to the model.

For each evaluated language that was trained on: of its queries, those whose text has no new word,
some, or only such. A word is new if no training text of its language has it, in the folders given.

    python -m benchmarks.new_words --evaluation demo/evaluation --data demo/data
    python -m benchmarks.new_words --evaluation more/evaluation --data demo/data,demo/data-words
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines import options as command_line
from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.options import option
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, read_pairs
from pipelines.utterance import LANGUAGES
from pipelines.verb import verb
from scann_index.evaluation import Evaluation
from scann_index.query_ranks import read_queries
from scann_index.scoring import has_spaces

_WORD = re.compile(r"\w+")
NEW = ("none", "some", "all")


@dataclass(frozen=True)
class NewWordsOptions:
    """The options of `benchmarks.new_words`."""

    evaluation: str = option(help="folder written by scann_index.evaluate")
    data: tuple[str, ...] = option(
        help="folders whose training words are not new; the first has the queries' texts"
    )


class Found(NamedTuple):
    """Queries of one language that are alike in how many of their words are new.

    Args:
        queries: how many there are.
        first: of how many a right answer came first, speech→text.
    """

    queries: int
    first: int


def words(text: str) -> list[str]:
    """The words of a text, whatever their case."""
    return _WORD.findall(text.casefold())


def found_by_new_words(evaluation: str, data: Sequence[str]) -> dict[str, dict[str, Found]]:
    """By language and by one of `NEW`, what was found.

    Args:
        evaluation: its folder.
        data: folders of pairs; the first has the evaluated queries.

    Returns:
        Of the evaluated languages with training recordings that are written with spaces.

    Raises:
        OutputError: a folder is not complete.
        ValueError: the first folder has other queries.
    """
    report = Evaluation.open(evaluation).report
    folders = [OutputDir.open(folder, kind=KIND) for folder in data]
    known: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for pair in read_pairs(folder, "train"):
            if pair.task == "transcription" and has_spaces(pair.source_language):
                known[pair.source_language].update(words(pair.target_text))
    test = read_pairs(folders[0], report["split"])
    text = {pair.id: pair.target_text for pair in test if pair.task == "transcription"}
    found = {}
    for language in sorted(known.keys() & report["languages"].keys()):
        queries = read_queries(evaluation, language)
        if not text.keys() >= set(queries["id"]):
            raise ValueError(f"{data[0]} has other queries than {evaluation}: name its data first")
        found[language] = _found(queries, text, known[language])
    return found


def _found(queries: dict[str, Any], text: dict[str, str], known: set[str]) -> dict[str, Found]:
    first = queries["rank"] == 1
    new = np.array([_share(words(text[id]), known) for id in queries["id"]])
    kinds = {"none": new == 0, "some": (new > 0) & (new < 1), "all": new == 1}
    return {name: Found(int(of.sum()), int(first[of].sum())) for name, of in kinds.items()}


def _share(found: Sequence[str], known: set[str]) -> float:
    return sum(word not in known for word in found) / max(1, len(found))


@verb("new_words")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        NewWordsOptions, argv, prog="python -m benchmarks.new_words", description=str(__doc__)
    )
    found = found_by_new_words(options.evaluation, options.data)
    table = Table("new words", box=box.SIMPLE, title="speech→text R@1, queries")
    for name in NEW:
        table.add_column(name, justify="right")
    for language, kinds in found.items():
        table.add_row(LANGUAGES[language].name, *(_cell(kinds[name]) for name in NEW))
    table.add_section()
    table.add_row("all", *(_cell(_sum([kinds[name] for kinds in found.values()])) for name in NEW))
    Console().print(table)


def _sum(found: Sequence[Found]) -> Found:
    return Found(sum(f.queries for f in found), sum(f.first for f in found))


def _cell(found: Found) -> str:
    return f"{100 * found.first / found.queries:.1f} {found.queries:5}" if found.queries else "–"


if __name__ == "__main__":
    sys.exit(main())
