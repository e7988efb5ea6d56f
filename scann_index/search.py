"""python -m scann_index.search: say or type something, get the sentences nearest to it."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines import options as command_line
from pipelines.options import option
from pipelines.output_dir import OutputError
from pipelines.rejects import Rejected
from pipelines.utterance import LANGUAGES
from scann_index.row import MODALITIES
from scann_index.searcher import Answer
from scann_index.searcher import Searcher as Searcher

DESCRIPTION = """\
Searches an index by text or by speech, in any language, and prints the sentences found with their
renderings in all languages of the index.

examples:
  python -m scann_index.search --index demo/index --text "pomme rouge"
  python -m scann_index.search --index demo/index --audio question.mp3 --modality text --json
  python -m scann_index.search --index demo/index --text "red apple" --languages ja,ko -k 3
"""


@dataclass(frozen=True)
class SearchOptions:
    """The options of `scann_index.search`."""

    index: str = option(help="folder written by scann_index.build")
    model: str = option(
        "", help="run of model.train or a preset; left out, the one the index was built with"
    )
    text: str | None = option(None, help="what to look for, as text")
    audio: str | None = option(
        None, help="what to look for, as speech: a WAV, FLAC, OGG or MP3 file, or an espeak: URI"
    )
    language: str = option("", help="the language of the query, where known")
    languages: tuple[str, ...] = option((), help="only results in these languages")
    modality: str = option("", help="only results of this kind", choices=MODALITIES)
    k: int = option(10, help="how many sentences to print; -k does as well")
    json: bool = option(False, help="print JSON")

    def __post_init__(self) -> None:
        if (self.text is None) == (self.audio is None):
            raise ValueError("give --text or --audio, one of them")
        if self.text is not None and not self.text.strip():
            raise ValueError("--text is empty")
        if self.audio is not None and not self.audio.strip():
            raise ValueError("--audio is empty")
        if self.k < 1:
            raise ValueError("-k must be at least 1")
        if self.language and self.language not in LANGUAGES:
            raise ValueError(f"--language {self.language!r} is none of {', '.join(LANGUAGES)}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    given = ["--k" if a == "-k" else a for a in (sys.argv[1:] if argv is None else argv)]
    options, _ = command_line.parse(
        SearchOptions, given, prog="python -m scann_index.search", description=DESCRIPTION
    )
    try:
        answers = _answers(options)
    except Rejected as rejected:
        print(f"search: {options.audio}: {rejected}", file=sys.stderr)
        return 1
    except (OutputError, ValueError, OSError, ModuleNotFoundError) as error:
        print(f"search: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps([_plain(answer) for answer in answers], ensure_ascii=False, indent=2))
    else:
        show(answers)
    return 0


def _answers(options: SearchOptions) -> list[Answer]:
    from rich.console import Console

    with Console(stderr=True).status("searching"):
        return Searcher.open(options.index, options.model).answers(
            text=options.text,
            audio=options.audio,
            language=options.language,
            languages=options.languages,
            modality=options.modality,
            k=options.k,
        )


def _plain(answer: Answer) -> dict[str, Any]:
    """An answer for `--json`."""
    row = answer.hit.row
    return {
        "rank": answer.rank,
        "score": round(answer.hit.score, 4),
        "sentence_id": row.sentence_id,
        "language": row.language,
        "modality": row.modality,
        "text": row.text,
        "id": row.id,
        "audio": row.audio,
        "renderings": answer.renderings,
    }


def show(answers: Sequence[Answer]) -> None:
    """Prints answers as a table, each sentence with its texts in all languages."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("score", justify="right")
    table.add_column("sentence", style="bold")
    table.add_column("language")
    table.add_column("text, and the sentence in all languages")
    for answer in answers:
        row = answer.hit.row
        text = Text(_visible(row.text), "bold")
        if row.modality == "speech":
            text.append(" (speech)", "not bold")
        others = " · ".join(f"{name} {text}" for name, text in answer.renderings.items())
        text.append("\n" + _visible(others), "not bold dim")
        rank, score = str(answer.rank), f"{answer.hit.score:.3f}"
        table.add_row(rank, score, Text(_visible(row.sentence_id)), row.language, text)
    Console().print(table)


def _visible(text: str) -> str:
    """The text without control characters: a terminal would obey those of a foreign index."""
    return "".join(c for c in text if unicodedata.category(c) != "Cc")


if __name__ == "__main__":
    sys.exit(main())
