"""python -m scann_index.cascade: the other way, to compare with: transcribe, then match text."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.train import trained_languages
from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.pairs import KIND as PAIRS
from pipelines.pairs import read_pairs
from pipelines.verb import verb
from scann_index import results, scoring
from scann_index.evaluation import KIND
from scann_index.ngrams import ngram_vectors, text_key
from scann_index.query_ranks import queries_path, write_queries
from scann_index.retrieval import POOL, Candidates, Retrieval, retrieve
from scann_index.row import Row, rows_of, unique
from scann_index.transcribe import Transcriber, Transcript
from scann_index.vector_table import VectorTable

FORMAT = "cascade 1"
"""Of what is kept, as in `scann_index.evaluate`."""
DESCRIPTION = """\
Scores what one would do without a joint encoder: transcribe each recording with Whisper, told its
language, and look up the text whose character n-grams are most alike (TF-IDF, cosine). Same
queries, same pools, same output as scann_index.evaluate, so that the two can be compared query by
query. Needs the extra `cascade`. Run it again after an interruption: transcripts are kept.

examples:
  python -m scann_index.cascade --data demo/data --output demo/cascade --limit 60
  python -m scann_index.compare demo/cascade demo/evaluation --output compare.html
"""


@dataclass(frozen=True)
class CascadeOptions:
    """The options of `scann_index.cascade`."""

    data: str = option(help="folder written by pipelines.prepare; its recordings must be at hand")
    output: str = option(help="folder to write to, local or gs://")
    whisper: str = option(
        "wheel",
        help="wheel: Whisper-base, from the extra demo; or what faster-whisper takes: small, … or "
        "a CTranslate2 folder",
    )
    precision: str = option(
        "int8", help="what Whisper computes in", choices=("int8", "float32", "bfloat16")
    )
    beams: int = option(5, help="hypotheses kept while decoding; 1 is greedy, and faster")
    threads: int = option(0, help="of the processor, for Whisper; 0: all there are")
    translate: bool = option(
        False, help="also speech→English: Whisper translates each recording, which takes as long"
    )
    split: str = option("test", help="which rows are queries and pools", choices=("test", "dev"))
    languages: tuple[str, ...] = option((), help="score only these")
    limit: int | None = option(None, help="only so many queries of each kind a language")
    examples: int = option(3, help="hits, and misses, shown of each language")
    overwrite: bool = option(False, help="replace a cascade of something else")
    dry_run: bool = option(False, help="print how much there is to transcribe, then stop")

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")
        if self.beams < 1:
            raise ValueError("--beams must be at least 1")

    def content(self) -> dict[str, Any]:
        """What decides the result, besides the inputs."""
        apart = ("data", "output", "threads", "overwrite", "dry_run")
        return {k: v for k, v in command_line.as_dict(self).items() if k not in apart}


@verb("cascade")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        CascadeOptions, argv, prog="python -m scann_index.cascade", description=DESCRIPTION
    )
    if options.dry_run:
        print(plan(options))
    else:
        cascade(options)


def cascade(options: CascadeOptions) -> dict[str, Any]:
    """Makes or finishes an evaluation of the cascade; returns what `report.json` holds.

    Raises:
        OutputError: an input is not complete, or the output holds something else.
        ValueError: there is no speech of a language asked for, or Whisper is not what was named.
        ImportError: the extra `cascade` is not installed.
    """
    data = OutputDir.open(options.data, kind=PAIRS)
    out = OutputDir(options.output, kind=KIND)
    content = {"format": FORMAT, **options.content(), "data": data.digest}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
    else:
        _score(options, data, out)
    report: dict[str, Any] = storage.read_json(out.file("report.json"))
    _show(report)
    return report


def _score(options: CascadeOptions, data: OutputDir, out: OutputDir) -> None:
    from rich.progress import track

    from scann_index.report import render

    started = time.time()
    rows = _rows(data, options)
    meaning = {row.sentence_id: row.text for row in rows["en"]} if "en" in rows else {}
    transcriber = Transcriber(options.whisper, options.precision, options.beams, options.threads)
    scores, spent = {}, {"seconds": 0.0, "cpu_seconds": 0.0, "queries": 0}
    for language in track(_spoken(rows, options), "transcribe", disable=not sys.stderr.isatty()):
        said = _transcripts(transcriber, rows[language], language, "transcribe", options, out)
        for one in said.values():
            spent["seconds"] += one.wall_seconds
            spent["cpu_seconds"] += one.cpu_seconds
            spent["queries"] += 1
        found = dict(_match(rows[language], rows[language], said, options.limit))
        if options.translate and language != "en" and "en" in rows:
            english = _transcripts(transcriber, rows[language], language, "translate", options, out)
            task = _match(rows[language], rows["en"], english, options.limit)["speech_to_text"]
            found["speech_to_english"] = task
        scores[language] = scoring.describe(found, language, meaning, options.examples)
        write_queries(queries_path(out.path, language), found)
        storage.write_json(out.file("languages", f"{language}.json"), scores[language])
    groups = dict(data.info.get("corpus", {}).get("groups", {}))
    report = {
        "split": options.split,
        "pool": POOL,
        **results.describe(scores, trained_languages(data), groups),
        "inputs": {"index": None, "data": data.digest, "run": None},
        "cascade": {
            **{"transcriber": transcriber.name, "matcher": "TF-IDF of character n-grams"},
            "queries": spent["queries"],
            "cpu_seconds_per_query": spent["cpu_seconds"] / max(1, spent["queries"]),
            "seconds_per_query": spent["seconds"] / max(1, spent["queries"]),
        },
    }
    stats = {
        "languages": len(scores),
        "wall_seconds": time.time() - started,
        "cpu_seconds": spent["cpu_seconds"],
    }
    examples = {language: scored["examples"] for language, scored in scores.items()}
    stages = {"prepare": data.stats, "evaluate": stats}
    page = render(report, examples=examples, data=data, run=None, stages=stages)
    storage.write_json(out.file("report.json"), report)
    storage.write_bytes(out.file("report.html"), page.encode("utf-8"))
    files = [f"languages/{language}.json" for language in scores]
    files += [f"queries/{language}.parquet" for language in scores]
    out.complete(files=[*files, "report.html", "report.json"], stats=stats)


def _rows(data: OutputDir, options: CascadeOptions) -> dict[str, list[Row]]:
    """The rows of the split by language, each once, as an index would have them."""
    rows: dict[str, list[Row]] = {}
    for row in unique([r for p in read_pairs(data, options.split) for r in rows_of(p)]):
        rows.setdefault(row.language, []).append(row)
    return rows


def _spoken(rows: Mapping[str, Sequence[Row]], options: CascadeOptions) -> list[str]:
    spoken = sorted(c for c, found in rows.items() if any(r.modality == "speech" for r in found))
    if missing := sorted(set(options.languages) - set(spoken)):
        raise ValueError(
            f"{options.data} holds no {options.split} speech in {', '.join(missing)}; "
            f"there is {', '.join(spoken)}"
        )
    return [code for code in spoken if code in (options.languages or spoken)]


def _asked(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """The recordings that are queries, in the order of `retrieval.answerable`."""
    speech = sorted((row for row in rows if row.modality == "speech"), key=lambda row: row.id)
    return speech[:limit]


def _transcripts(
    transcriber: Transcriber,
    rows: Sequence[Row],
    language: str,
    task: str,
    options: CascadeOptions,
    out: OutputDir,
) -> dict[str, Transcript]:
    """What Whisper hears in each recording, by row id; kept from an earlier run."""
    path = out.file("transcripts", f"{task}-{language}.json")
    if not storage.exists(path):
        heard = {r.id: transcriber.hear(r, task) for r in _asked(rows, options.limit)}
        storage.write_json(path, {id: one._asdict() for id, one in heard.items()})
    return {id: Transcript(**one) for id, one in storage.read_json(path).items()}


def _match(
    rows: Sequence[Row],
    pool: Sequence[Row],
    heard: Mapping[str, Transcript],
    limit: int | None,
) -> dict[str, Retrieval | None]:
    """Speech to text, and back, by what was heard."""
    speech = [row for row in rows if row.id in heard]
    text = [row for row in pool if row.modality == "text"]
    vectors = ngram_vectors(
        [text_key(row.text) for row in text], [text_key(heard[row.id].text) for row in speech]
    )
    sides = [
        Candidates([VectorTable(side, part)], side[0].split) if side else None
        for side, part in zip((text, speech), vectors, strict=True)
    ]
    texts, recordings = sides
    if texts is None or recordings is None:
        return {"speech_to_text": None, "text_to_speech": None}
    found = {"speech_to_text": retrieve(recordings, texts, limit)}
    if len(speech) == sum(row.modality == "speech" for row in rows):
        # With a part of the recordings the pool would be another.
        found["text_to_speech"] = retrieve(texts, recordings, limit)
    return found


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(results.table(report, console.width))
    about = report["cascade"]
    console.print(
        f"{about['transcriber']}, then {about['matcher']}: {about['cpu_seconds_per_query']:.2f} "
        f"CPU seconds, {about['seconds_per_query']:.2f} s a recording",
        style="dim",
        highlight=False,
    )


def plan(options: CascadeOptions) -> str:
    """What `--dry-run` prints."""
    data = OutputDir.open(options.data, kind=PAIRS)
    rows = _rows(data, options)
    lines, total = [f"{options.data}: {options.split} split"], 0.0
    for language in _spoken(rows, options):
        asked = _asked(rows[language], options.limit)
        texts = sum(row.modality == "text" for row in rows[language])
        seconds = sum(row.seconds for row in asked)
        lines.append(
            f"  {language:<4} {len(asked):>7,} recordings, {seconds:,.0f} s; {texts:,} texts"
        )
        total += len(asked)
    lines.append(f"  {total:,.0f} recordings to transcribe, one to several CPU seconds each")
    return "\n".join([*lines, f"  would write {options.output}"])


if __name__ == "__main__":
    sys.exit(main())
