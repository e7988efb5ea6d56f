"""python -m pipelines.translate: pairs in, the same sentences in other languages out."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.output_dir import OutputDir, State
from pipelines.pairs import KIND, shard_paths
from pipelines.rejects import Rejected, TooManyRejects
from pipelines.stats import merge
from pipelines.translate_options import TASKS, TranslateOptions
from pipelines.translation.engine import Engine, EngineOptions, open_engine
from pipelines.translation.filters import (
    Filters,
    identifiable,
    require_language_identification,
)
from pipelines.translation.job import Direction, Job
from pipelines.verb import verb

UNIT_TEXTS = 256
"""Texts that are translated, and kept in the cache, in one go."""
DESCRIPTION = """\
Translates the transcripts of a prepared directory and writes new pairs beside it: the same audio
tokens with translated text (translation), and transcripts with their translations (bitext), which
model.train mixes in. Bad translations are rejected with their reason. What was translated once is
kept in a cache: a second run, with other filters or a grown corpus, asks only for what is new.

examples:
  python -m pipelines.translate --data data --engine apertium --languages es --output translated
  python -m pipelines.translate --data data --engine ctranslate2:nllb --output translated
  python -m pipelines.translate --data data --engine keras_hub:translategemma_4b_it --dry-run \\
      --output translated
  python -m model.train --data data,translated --bitext 0.25 --output run

docs/translation.md tells where the engines come from and what the filters do.
"""


@verb("translate")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, beam_flags = command_line.parse(
        TranslateOptions,
        argv,
        prog="python -m pipelines.translate",
        description=DESCRIPTION,
        beam=True,
    )
    if options.dry_run:
        print(plan(options))
    else:
        translate(options, beam_flags)


def translate(options: TranslateOptions, beam_flags: Sequence[str] = ()) -> OutputDir:
    """Makes or finishes a directory of translated pairs.

    Raises:
        OutputError: the data is not complete, or `options.output` holds something else.
        TooManyRejects: the share of rejects passed `options.max_rejects`; nothing is published.
        ValueError: the engine can't do what is asked.
    """
    data = OutputDir.open(options.data, kind=KIND)
    job, left_out = _job(options, data)
    out = OutputDir(options.output, kind=KIND)
    content = {
        **options.content(),
        "shards": len(job.shards),
        "units": _units(job),
        "data": data.digest,
        "engines": {d.name: d.identity for d in job.directions},
    }
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    for why in left_out:
        print(f"left out: {why}")
    try:
        _finish(options, data, job, out, beam_flags)
    finally:
        out.release()
    return out


def _finish(
    options: TranslateOptions,
    data: OutputDir,
    job: Job,
    out: OutputDir,
    beam_flags: Sequence[str],
) -> None:
    """Makes what a directory lacks, and publishes it."""
    started = time.time()
    for name in ("codebook/codebook.npz", "codebook/card.json"):
        storage.write_bytes(out.file(name), storage.read_bytes(data.file(name)))
    _run(job, out, beam_flags)

    shards = _parts(out.file("finished"))
    stats = {**merge(shards), "translation": _sum(_parts(out.file("translated")))}
    stats["wall_seconds"] = {"translate": time.time() - started}
    _check_rejects(stats, options.max_rejects, out.path)
    files = [name for shard in shards for name in shard["files"]]
    info = {
        "schema": "pipelines.pairs.Pair as tf.train.Example in TFRecord",
        "corpus": data.info.get("corpus", {}),
        "codebook": storage.read_json(data.file("codebook/card.json")),
        "data": {"path": data.path, "digest": data.digest},
    }
    files += ["codebook/codebook.npz", "codebook/card.json"]
    out.complete(files=sorted(files), stats=stats, info=info)
    print(summary(stats, out.path))


def _job(options: TranslateOptions, data: OutputDir) -> tuple[Job, list[str]]:
    """What is to be done, and why some directions are left out.

    Raises:
        ValueError: nothing is left, or a direction that was asked for is not possible.
    """
    if options.min_language_confidence:
        require_language_identification()
    engine = open_engine(
        EngineOptions(
            engine=options.engine,
            prompt=options.prompt,
            batch_size=options.batch_size,
            max_tokens=options.max_tokens,
            beam_size=options.beam_size,
            precision=options.precision,
        )
    )
    directions, left_out = _directions(options, data, engine)
    score = engine.min_score if options.min_score is None else options.min_score
    job = Job(
        shards=[path for split in options.splits for path in shard_paths(data, split)],
        directions=directions,
        tasks=options.tasks,
        engine=engine.options,
        filters=Filters(
            max_length_ratio=options.max_length_ratio,
            min_language_confidence=options.min_language_confidence,
            min_score=score,
            drop_copies=not options.keep_copies,
        ),
        cache=options.cache or _beside(options.output, "translation-cache"),
        output=options.output.rstrip("/"),
        max_characters=options.max_characters,
        limit=options.limit,
        accelerator=options.accelerator,
    )
    return job, left_out


def _directions(
    options: TranslateOptions, data: OutputDir, engine: Engine
) -> tuple[list[Direction], list[str]]:
    counts = _recordings(data, options.splits)
    missing = [language for language in options.languages if language not in counts]
    if missing:
        raise ValueError(
            f"{data.path} has no speech of {', '.join(missing)} in {', '.join(options.splits)}; "
            f"it has {', '.join(sorted(counts)) or 'none'}"
        )
    directions, left_out = [], []
    for source in options.languages or sorted(counts):
        for target in options.into:
            if source == target:
                continue
            try:
                identity = engine.identity(source, target)
            except Rejected as rejected:
                if options.languages:
                    raise ValueError(f"{source} into {target}: {rejected.detail}") from None
                left_out.append(f"{source} into {target}: {rejected.detail}")
                continue
            wanted = min(counts[source], options.limit or counts[source])
            units = math.ceil(wanted / UNIT_TEXTS)
            directions.append(Direction(source, target, identity, units))
    if not directions:
        why = "; ".join(left_out) or f"speech of {', '.join(sorted(counts)) or 'no language'}"
        raise ValueError(f"nothing to translate into {', '.join(options.into)}: {why}")
    return directions, left_out


def _recordings(data: OutputDir, splits: Sequence[str]) -> dict[str, int]:
    """How many transcribed recordings there are of each language."""
    counts: dict[str, int] = {}
    for name, group in data.stats["groups"].items():
        task, split, language = name.split("/")
        if task == "transcription" and split in splits:
            counts[language] = counts.get(language, 0) + int(group["pairs"])
    return counts


def _run(job: Job, out: OutputDir, beam_flags: Sequence[str]) -> None:
    """Translates and writes every shard that no earlier run finished."""
    from pipelines import beam_runner
    from pipelines.translation import graph

    if all(graph.is_finished(out.path, number) for number in range(len(job.shards))):
        return
    with beam_runner.progress("translate", out.file("translated"), "*.json", _units(job)):
        beam_runner.run(lambda pipeline: graph.build(pipeline, job), beam_flags)


def _units(job: Job) -> int:
    """How many units of work there are; hashing may leave one without a text."""
    return sum(direction.units for direction in job.directions)


def _parts(folder: str) -> list[dict[str, Any]]:
    return [storage.read_json(path) for path in storage.list_files(folder, "*.json")]


def _sum(units: Sequence[dict[str, int]]) -> dict[str, int]:
    names = ("texts", "cached", "translated", "failed", "characters")
    return {name: sum(unit[name] for unit in units) for name in names}


def _check_rejects(stats: dict[str, Any], threshold: float, path: str) -> None:
    rejected = sum(stats["rejects"].values())
    if rejected > threshold * stats["rows"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in stats["rejects"].items())
        raise TooManyRejects(
            f"{rejected} of {stats['rows']} pairs were rejected ({reasons}); see "
            f"{path}/rejects-*.jsonl. Loosen the filters with --overwrite (translations are kept "
            f"in the cache), or run again with a higher --max-rejects (now {threshold:g})"
        )


def _beside(output: str, name: str) -> str:
    head, slash, _ = output.rstrip("/").rpartition("/")
    return f"{head}{slash}{name}"


def summary(stats: dict[str, Any], path: str) -> str:
    """A few lines for the terminal."""
    texts = stats["translation"]
    rejected = sum(stats["rejects"].values())
    by_task = {
        task: sum(int(g["pairs"]) for n, g in stats["groups"].items() if n.startswith(f"{task}/"))
        for task in TASKS
    }
    lines = [
        f"{path}: {by_task['translation']:,} speech–text and {by_task['bitext']:,} text–text pairs "
        f"of {stats['rows']:,}, {rejected:,} rejected",
        f"  {texts['texts']:,} distinct texts: {texts['translated']:,} translated, "
        f"{texts['cached']:,} cached, {texts['failed']:,} failed",
    ]
    lines += [f"  rejected: {count:,} {reason}" for reason, count in stats["rejects"].items()]
    return "\n".join(lines)


def plan(options: TranslateOptions) -> str:
    """What `--dry-run` prints: texts and characters of each direction, and what the cache has."""
    data = OutputDir.open(options.data, kind=KIND)
    job, left_out = _job(options, data)
    recordings = sum(_recordings(data, options.splits).values())
    lines = [f"{data.path}: {recordings:,} recordings of {', '.join(options.splits)}"]
    lines += list(_counts(job))
    lines += [f"  left out: {why}" for why in left_out]
    if options.min_language_confidence:
        unsure = [language for language in options.into if not identifiable(language)]
        lines += [
            f"  language not checked: {language}, which lingua doesn't know" for language in unsure
        ]
    return "\n".join([*lines, f"  would write {options.output}, keep translations in {job.cache}"])


def _counts(job: Job) -> Iterator[str]:
    from pipelines.translation.cache import read_part
    from pipelines.translation.translated_pairs import transcripts

    texts: dict[str, set[str]] = {}
    for number in range(len(job.shards)):
        for pair, text in transcripts(job, number):
            texts.setdefault(pair.source_language, set()).add(text)
    for direction in job.directions:
        wanted = texts.get(direction.source, set())
        parts = direction.cache(job.cache).parts()
        known = {text for path in parts for text, _ in read_part(path)}
        new = wanted - known
        yield (
            f"  {direction.source} into {direction.target}: {len(wanted):,} distinct texts, "
            f"{len(wanted) - len(new):,} cached, {len(new):,} to translate "
            f"({sum(map(len, new)):,} characters) by {direction.provenance}"
        )


if __name__ == "__main__":
    sys.exit(main())
