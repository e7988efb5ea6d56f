"""python -m scann_index.evaluate: how often speech finds its text, in each language of an index."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.train import KIND as RUN
from model.train import trained_languages
from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.pairs import KIND as PAIRS
from pipelines.verb import verb
from scann_index import results
from scann_index.evaluation import KIND as KIND
from scann_index.retrieval import POOL

if TYPE_CHECKING:
    from scann_index.bundle import Bundle

FORMAT = 2
"""Of what is kept; an evaluation of another one is neither finished nor shown again."""
DESCRIPTION = """\
Scores an index on held-out speech. In each language every test recording is a query and that
language's test texts are the pool; then the other way round; then recordings against English texts.
Prints recall, error rates and BLEU, and writes report.json and report.html, a page that needs no
network and plays its examples. Run it again after an interruption: finished languages are kept.

examples:
  python -m scann_index.evaluate --index demo/index --data demo/data --run demo/run \\
      --output demo/evaluation --report-prefix demo/report
  python -m scann_index.evaluate --index index --data data --output eval --languages it,ja
"""


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `scann_index.evaluate`."""

    index: str = option(help="folder written by scann_index.build")
    data: str = option(
        help="folder written by pipelines.prepare; a language is seen if the training split "
        "of it has its speech"
    )
    output: str = option(help="folder to write to, local or gs://")
    run: str = option("", help="folder written by model.train, for its curves in the report")
    report_prefix: str = option(
        "", help="also copy the report: demo/report makes demo/report.html and demo/report.json"
    )
    split: str = option("test", help="which rows are queries and pools", choices=("test", "dev"))
    languages: tuple[str, ...] = option((), help="score only these")
    limit: int | None = option(None, help="only so many queries of each kind a language")
    examples: int = option(3, help="hits, and misses, shown of each language")
    overwrite: bool = option(False, help="replace an evaluation of something else")
    dry_run: bool = option(False, help="print the sizes of the pools, then stop")

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")
        if self.examples < 0:
            raise ValueError("--examples can't be negative")

    def content(self) -> dict[str, Any]:
        """What decides the result, besides the inputs."""
        apart = ("index", "data", "output", "run", "report_prefix", "overwrite", "dry_run")
        return {k: v for k, v in command_line.as_dict(self).items() if k not in apart}


@verb("evaluate")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, beam_flags = command_line.parse(
        EvaluateOptions,
        argv,
        prog="python -m scann_index.evaluate",
        description=DESCRIPTION,
        beam=True,
    )
    if options.dry_run:
        print(plan(options))
    else:
        evaluate(options, beam_flags)


@dataclass(frozen=True)
class Inputs:
    """What an evaluation reads, opened and found to belong together.

    Args:
        bundle: the index.
        data: the pairs that the model was trained on; its training split decides what is seen.
        run: the training run, None if it wasn't given.
    """

    bundle: Bundle
    data: OutputDir
    run: OutputDir | None

    @classmethod
    def open(cls, options: EvaluateOptions) -> Inputs:
        """Opens the folders that the options name.

        Raises:
            OutputError: one of them is not complete or not what it should be.
            ValueError: the run made another model than the index's, or from other data.
        """
        from scann_index.bundle import Bundle

        bundle = Bundle.open(options.index)
        data = OutputDir.open(options.data, kind=PAIRS)
        if not options.run:
            return cls(bundle, data, None)
        run = OutputDir.open(options.run, kind=RUN)
        if run.info["files"].get("preset/preset.json") != bundle.model_digest:
            raise ValueError(
                f"{options.index} was built with another model than that of {options.run}: "
                f"build it again with --model {options.run}, or leave --run out"
            )
        if run.info["data"]["digest"] != data.digest:
            raise ValueError(
                f"{options.run} was trained on other data than {options.data}, which decides "
                f"what is seen: give --data {run.info['data']['path']}"
            )
        return cls(bundle, data, run)

    @property
    def digests(self) -> dict[str, str | None]:
        """What identifies each of them."""
        return {
            "index": self.bundle.digest,
            "data": self.data.digest,
            "run": self.run.digest if self.run else None,
        }

    @property
    def language_groups(self) -> dict[str, str]:
        """The name of each language's group, where the corpus groups its languages."""
        return dict(self.data.info.get("corpus", {}).get("groups", {}))

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """The stats of the stages before this one, in their order."""
        from scann_index.bundle import KIND as INDEX

        trained = {"train": self.run.stats} if self.run else {}
        built = {"build": OutputDir(self.bundle.path, kind=INDEX).stats}
        return {"prepare": self.data.stats, **trained, **built}


def evaluate(options: EvaluateOptions, beam_flags: Sequence[str] = ()) -> dict[str, Any]:
    """Makes or finishes an evaluation, prints its table and returns what `report.json` holds.

    Raises:
        OutputError: an input is not complete, or the output holds something else.
        ValueError: the inputs don't belong together, or hold no speech of a language asked for.
    """
    inputs = Inputs.open(options)
    out = OutputDir(options.output, kind=KIND)
    content = {"format": FORMAT, **options.content(), **inputs.digests}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
    else:
        started = time.time()
        languages = spoken_languages(inputs.bundle, options)
        scores = _score(options, languages, out, beam_flags)
        stats = {"languages": len(scores), "wall_seconds": time.time() - started}
        _publish(out, scores, inputs, options.split, stats)
    report: dict[str, Any] = storage.read_json(out.file("report.json"))
    _show(report)
    if options.report_prefix:
        for ending in ("html", "json"):
            copy = storage.read_bytes(out.file(f"report.{ending}"))
            storage.write_bytes(f"{options.report_prefix}.{ending}", copy)
    print(f"report: {options.report_prefix or out.file('report')}.html")
    return report


def spoken_languages(bundle: Bundle, options: EvaluateOptions) -> list[str]:
    """The languages to score: those asked for, or all that have speech in the split."""
    spoken = {
        shard.language
        for shard in bundle.shards(modality="speech")
        if any(row.split == options.split for row in shard.rows)
    }
    if not spoken:
        raise ValueError(f"{options.index} holds no speech of the {options.split} split")
    if missing := sorted(set(options.languages) - spoken):
        raise ValueError(
            f"{options.index} holds no {options.split} speech in {', '.join(missing)}; "
            f"there is {', '.join(sorted(spoken))}"
        )
    return sorted(set(options.languages) or spoken)


def _score(
    options: EvaluateOptions, languages: Sequence[str], out: OutputDir, beam_flags: Sequence[str]
) -> dict[str, Any]:
    """The scores of each language, those of an earlier run kept."""
    import apache_beam as beam

    from pipelines import beam_runner
    from scann_index.score_blocks import ScoreLanguages, scores_path

    paths = {language: scores_path(out.path, language) for language in languages}
    left = [language for language, path in paths.items() if not storage.exists(path)]
    score = ScoreLanguages(options.index, out.path, options.split, options.limit, options.examples)

    def build(pipeline: Any) -> None:
        _ = pipeline | beam.Create(left) | "Score" >> score

    with beam_runner.progress("evaluate", out.file("languages"), "*.json", len(languages)):
        if left:
            beam_runner.run(build, beam_flags)
    if not storage.is_remote(out.path):
        storage.remove(out.file("blocks"))
    return {language: storage.read_json(path) for language, path in paths.items()}


def _publish(
    out: OutputDir, scores: dict[str, Any], inputs: Inputs, split: str, stats: dict[str, Any]
) -> None:
    """Writes the two reports and completes the directory."""
    from scann_index.report import render

    shards = inputs.bundle.shards()
    report = {
        "split": split,
        "pool": POOL,
        **results.describe(scores, trained_languages(inputs.data), inputs.language_groups),
        "inputs": inputs.digests,
        "index": {
            "model": inputs.bundle.model_digest,
            "dimension": inputs.bundle.dim,
            "rows": sum(len(shard) for shard in shards),
            "engines": dict(Counter(shard.card.engine for shard in shards)),
            "speeds": list(inputs.bundle.speeds),
        },
    }
    page = render(
        report,
        examples={language: scored["examples"] for language, scored in scores.items()},
        data=inputs.data,
        run=inputs.run,
        stages={**inputs.stages, "evaluate": stats},
        index=inputs.bundle,
    )
    storage.write_json(out.file("report.json"), report)
    storage.write_bytes(out.file("report.html"), page.encode("utf-8"))
    files = [f"languages/{language}.json" for language in scores]
    files += [f"queries/{language}.parquet" for language in scores]
    out.complete(files=[*files, "report.html", "report.json"], stats=stats)


def _show(report: dict[str, Any]) -> None:
    """The table, 100 columns wide where the output is no terminal."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(results.table(report, console.width))
    console.print(results.footnote(report), style="dim", highlight=False)
    for line in results.further_lines(report):
        console.print(line, style="dim", highlight=False)
    for line in results.warnings(report):
        console.print(f"warning: {line}", style="bold yellow", highlight=False)


def plan(options: EvaluateOptions) -> str:
    """What `--dry-run` prints."""
    from scann_index.bundle import Bundle
    from scann_index.retrieval import Candidates

    bundle = Bundle.open(options.index)
    seen = trained_languages(OutputDir.open(options.data, kind=PAIRS))
    lines = [f"{options.index}: {options.split} split"]
    for language in spoken_languages(bundle, options):
        speech, text = (
            len(Candidates(bundle.shards(modality=m, language=language), options.split))
            for m in ("speech", "text")
        )
        mark = "seen" if language in seen else "unseen"
        lines.append(f"  {language:<4} {mark:<7} {speech:>7,} recordings, {text:>7,} texts")
    return "\n".join([*lines, f"  would write {options.output}"])


if __name__ == "__main__":
    sys.exit(main())
