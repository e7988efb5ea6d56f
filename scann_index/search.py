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
from pipelines.rejects import Rejected
from pipelines.utterance import LANGUAGES
from pipelines.verb import verb
from scann_index.row import MODALITIES
from scann_index.searcher import Answer
from scann_index.searcher import Searcher as Searcher

INDENT = 12
"""Cells before the renderings of a sentence."""

DESCRIPTION = """\
Searches an index by text or by speech, in any language, and prints the sentences found with their
renderings in all languages of the index. A recording that is much longer than those of the index is
searched passage by passage, each with its time.

examples:
  python -m scann_index.search --index demo/index --text "pomme rouge"
  python -m scann_index.search --index demo/index --audio question.mp3 --modality text --json
  python -m scann_index.search --index demo/index --audio lecture.flac -k 2
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
        None, help="what to look for, as speech: a sound file of any length, or an espeak: URI"
    )
    language: str = option("", help="the language of the query, where known")
    languages: tuple[str, ...] = option((), help="only results in these languages")
    modality: str = option("", help="only results of this kind", choices=MODALITIES)
    k: int | None = option(
        None, help="how many sentences to print: 10, or 1 for each passage; -k does as well"
    )
    json: bool = option(False, help="print JSON")

    def __post_init__(self) -> None:
        if (self.text is None) == (self.audio is None):
            raise ValueError("give --text or --audio, one of them")
        if self.text is not None and not self.text.strip():
            raise ValueError("--text is empty")
        if self.audio is not None and not self.audio.strip():
            raise ValueError("--audio is empty")
        if self.k is not None and self.k < 1:
            raise ValueError("-k must be at least 1")
        if self.language and self.language not in LANGUAGES:
            raise ValueError(f"--language {self.language!r} is none of {', '.join(LANGUAGES)}")


@verb("search")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    given = ["--k" if a == "-k" else a for a in (sys.argv[1:] if argv is None else argv)]
    options, _ = command_line.parse(
        SearchOptions, given, prog="python -m scann_index.search", description=DESCRIPTION
    )
    try:
        answers = _answers(options)
    except Rejected as rejected:
        raise ValueError(f"{options.audio}: {rejected}") from None
    if options.json:
        print(json.dumps([_plain(answer) for answer in answers], ensure_ascii=False, indent=2))
    else:
        show(answers)


def _answers(options: SearchOptions) -> list[Answer]:
    """What is found; passage by passage, in order of time, if the query is a long recording."""
    from rich.console import Console

    with Console(stderr=True).status("searching"):
        searcher = Searcher.open(options.index, options.model)
        where = {"language": options.language, "languages": options.languages}
        scope: dict[str, Any] = {**where, "modality": options.modality, "k": options.k or 10}
        if options.audio is None:
            return searcher.answers(text=options.text, **scope)
        passages = searcher.passages(audio=options.audio, **scope)
    if not passages:
        raise ValueError(f"{options.audio} is silent")
    if options.k is None and passages[0].answers[0].hit.start is not None:
        return [answer for passage in passages for answer in passage.answers[:1]]
    return [answer for passage in passages for answer in passage.answers]


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
        **({} if answer.hit.start is None else {"start": _round(answer.hit.start)}),
        **({} if answer.hit.end is None else {"end": _round(answer.hit.end)}),
    }


def _round(seconds: float) -> float:
    return round(seconds, 2)


def show(answers: Sequence[Answer]) -> None:
    """Prints answers, each sentence with its texts in all languages below it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    time = ""
    for answer in answers:
        hit, row = answer.hit, answer.hit.row
        if hit.start is not None and hit.end is not None:
            passage = f"{clock(hit.start)} – {clock(hit.end)}"
            if passage != time:
                console.print(Text(passage, "bold cyan"))
            time = passage
        line = Text(f"{answer.rank:>3}  {hit.score:.3f}  ")
        line.append(f"{row.language} ", "dim")
        line.append(_visible(row.text) or _visible(row.id), "bold")
        line.append(" (speech)" if row.modality == "speech" else "")
        line.append(f"  {_visible(row.sentence_id)}", "dim")
        console.print(line)
        others = [f"{name} {_visible(text)}" for name, text in answer.renderings.items()]
        for packed in packed_lines(others, console.width - INDENT):
            console.print(Text(" " * INDENT + packed, "dim"))


def packed_lines(items: Sequence[str], width: int) -> list[str]:
    """Puts items side by side into lines; none is broken unless it is wider than a line.

    Args:
        items: short texts in any script.
        width: of a line, in cells of the terminal: a Chinese character takes two.
    """
    from rich.cells import cell_len

    lines: list[str] = []
    for item in items:
        if lines and cell_len(lines[-1]) + cell_len(item) + 3 <= width:
            lines[-1] += f" · {item}"
        else:
            lines.append(item)
    return lines


def clock(seconds: float) -> str:
    """A time in a recording: `1:02:03.4`, `2:03.4`."""
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02d}.{rest % 10}"


def _visible(text: str) -> str:
    """The text without control characters: a terminal would obey those of a foreign index."""
    return "".join(c for c in text if unicodedata.category(c) != "Cc")


if __name__ == "__main__":
    sys.exit(main())
