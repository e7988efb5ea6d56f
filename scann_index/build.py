"""python -m scann_index.build: embeds prepared pairs and indexes them with ScaNN."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines import options as command_line
from pipelines import storage
from pipelines.codebook import Codebook
from pipelines.options import option
from pipelines.output_dir import OutputDir, OutputError, State
from pipelines.pairs import KIND as PAIRS
from pipelines.pairs import shard_paths
from pipelines.utterance import SPLITS
from scann_index.bundle import KIND, TREE, ShardCard
from scann_index.row import MODALITIES

DESCRIPTION = """\
Embeds the speech and the texts of prepared data with a trained model and builds an index of them:
one ScaNN shard for each modality and language, exact where it is small, a tree with asymmetric
hashing where it is big, with its recall measured. The index may be moved and copied. Runs in this
process; pass Beam's own flags (--runner=DataflowRunner …) to run elsewhere. Run it again after an
interruption: finished shards are kept.

examples:
  python -m scann_index.build --model demo/run --data demo/data --output demo/index
  python -m scann_index.build --model demo/run --data demo/data --output all --splits train,dev,test
"""


@dataclass(frozen=True)
class BuildOptions:
    """The options of `scann_index.build`."""

    model: str = option(help="run of model.train, or the folder of a preset")
    data: str = option(help="folder written by pipelines.prepare")
    output: str = option(help="folder to write to, local or gs://")
    splits: tuple[str, ...] = option(("test",), help="which of train, dev, test to index")
    modalities: tuple[str, ...] = option(MODALITIES, help="what to index: speech, text")
    exact_below: int = option(20_000, help="shards with fewer rows are searched exactly")
    shard_rows: int = option(200_000, help="a language with more rows is split into several shards")
    target_recall: float = option(
        0.98, help="bigger shards search as much of their tree as this recall@10 takes"
    )
    limit: int | None = option(None, help="read only so many pairs")
    overwrite: bool = option(False, help="replace an index made with other options")
    dry_run: bool = option(False, help="print what would be read and written, then stop")

    def __post_init__(self) -> None:
        for flag, given, known in (
            ("--splits", self.splits, SPLITS),
            ("--modalities", self.modalities, MODALITIES),
        ):
            if not given or set(given) - set(known) or len(set(given)) < len(given):
                raise ValueError(f"{flag} takes one or more of {','.join(known)}, each once")
        if self.exact_below < 0 or self.shard_rows < 1:
            raise ValueError("--exact-below must be at least 0, --shard-rows at least 1")
        if not 0 < self.target_recall <= 1:
            raise ValueError("--target-recall is a share, above 0 and at most 1")
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")

    def content(self) -> dict[str, Any]:
        """What decides the content, beside the model and the data."""
        apart = ("model", "data", "output", "overwrite", "dry_run")
        return {k: v for k, v in command_line.as_dict(self).items() if k not in apart}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options, beam_flags = command_line.parse(
        BuildOptions, argv, prog="python -m scann_index.build", description=DESCRIPTION, beam=True
    )
    try:
        if options.dry_run:
            print(plan(options, beam_flags))
        else:
            build(options, beam_flags)
    except (OutputError, ValueError, FileNotFoundError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


def build(options: BuildOptions, beam_flags: Sequence[str] = ()) -> OutputDir:
    """Makes or finishes an index.

    Raises:
        OutputError: the data is not complete, or the output holds something else.
        ValueError: there is no model, it doesn't fit the data, or the data has no such rows.
    """
    data = OutputDir.open(options.data, kind=PAIRS)
    preset, digest = find_model(options.model)
    _check_data(options, preset, data)
    out = OutputDir(options.output, kind=KIND)
    content = {**options.content(), "model": digest, "data": data.digest}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    started = time.time()
    parts = _parts(options, out, beam_flags)
    planned = time.time()
    _write_shards(options, out, preset, digest, parts, beam_flags)
    written = time.time()
    cards = _measure(options, out, parts, beam_flags)
    seconds = {"plan": planned - started, "embed and index": written - planned}
    seconds["measure"] = time.time() - written
    _publish(options, out, cards, {"digest": digest, **_whereabouts(preset, out)}, data, seconds)
    print(summary(cards, out.path))
    return out


def find_model(path: str) -> tuple[str, str]:
    """The preset that `--model` means, and its digest.

    Args:
        path: a run of model.train, which holds its preset, or a preset's own folder.

    Raises:
        ValueError: there is none.
    """
    from model.dual_encoder import preset_digest
    from model.export import find_preset

    preset = find_preset(path)
    return preset, preset_digest(preset)


def _check_data(options: BuildOptions, preset: str, data: OutputDir) -> None:
    """That the data has the splits asked for, and audio tokens of the model's own codebook."""
    missing = [split for split in options.splits if not shard_paths(data, split)]
    if missing:
        there = [split for split in SPLITS if shard_paths(data, split)]
        raise ValueError(
            f"{data.path} has no split {' or '.join(missing)}; give --splits {','.join(there)}"
        )
    if "speech" not in options.modalities:
        return
    folders = [storage.join(preset, "codebook"), data.file("codebook")]
    if not all(storage.exists(storage.join(folder, "card.json")) for folder in folders):
        return
    model_codebook, data_codebook = (Codebook.load(folder) for folder in folders)
    if model_codebook.sha256 != data_codebook.sha256:
        raise ValueError(
            f"the audio tokens of {data.path} are of another codebook than the model's; "
            f"prepare the data with --codebook {folders[0]}, or index --modalities text"
        )


def _count(options: BuildOptions, path: str, beam_flags: Sequence[str]) -> dict[str, int]:
    """Rows by `modality/language`, counted once and kept at `path`."""
    from pipelines import beam_runner
    from scann_index.embed import ReadRows
    from scann_index.index_shards import CountRows

    if not storage.exists(path):
        read = ReadRows(options.data, options.splits, options.modalities, options.limit)
        beam_runner.run(lambda pipeline: pipeline | read | CountRows(path), beam_flags)
    counts: dict[str, int] = storage.read_json(path)
    if not counts:
        raise ValueError(f"{options.data} has no {' or '.join(options.modalities)} in these splits")
    return counts


def _parts(options: BuildOptions, out: OutputDir, beam_flags: Sequence[str]) -> dict[str, int]:
    from scann_index.index_shards import parts_of

    counts = _count(options, out.file("counts.json"), beam_flags)
    return parts_of(counts, options.shard_rows)


def _write_shards(
    options: BuildOptions,
    out: OutputDir,
    preset: str,
    digest: str,
    parts: dict[str, int],
    beam_flags: Sequence[str],
) -> None:
    """Embeds and writes every shard that no earlier run finished."""
    from pipelines import beam_runner
    from scann_index.embed import ReadRows
    from scann_index.index_shards import WriteIndexShards, finished_path, names_of

    names = names_of(parts)
    if all(storage.exists(finished_path(out.path, name)) for name in names):
        return
    read = ReadRows(options.data, options.splits, options.modalities, options.limit)
    write = WriteIndexShards(out.path, parts, preset, digest, options.exact_below)
    with beam_runner.progress("embed and index", out.file("finished"), "*.json", len(names)):
        beam_runner.run(lambda pipeline: pipeline | read | write, beam_flags)


def _measure(
    options: BuildOptions, out: OutputDir, parts: dict[str, int], beam_flags: Sequence[str]
) -> list[ShardCard]:
    """Measures every shard that no earlier run measured, and returns the cards of all."""
    import apache_beam as beam

    from pipelines import beam_runner
    from scann_index.index_shards import MeasureRecall, measured_path, names_of

    names = names_of(parts)
    left = [name for name in names if not storage.exists(measured_path(out.path, name))]
    if left:
        measure = MeasureRecall(out.path, names, options.target_recall)

        def build_pipeline(pipeline: Any) -> None:
            _ = pipeline | beam.Create(left) | beam.Reshuffle() | beam.ParDo(measure)

        with beam_runner.progress("measure recall", out.file("measured"), "*.json", len(names)):
            beam_runner.run(build_pipeline, beam_flags)
    return [ShardCard(**storage.read_json(measured_path(out.path, name))) for name in names]


def _whereabouts(preset: str, out: OutputDir) -> dict[str, str]:
    """Where a search may look for the model: `path`, and `relative` to the index."""
    if storage.is_remote(preset) or storage.is_remote(out.path):
        return {"path": preset}
    path = os.path.abspath(preset)
    return {"path": path, "relative": os.path.relpath(path, out.path)}


def _publish(
    options: BuildOptions,
    out: OutputDir,
    cards: list[ShardCard],
    model: dict[str, str],
    data: OutputDir,
    seconds: dict[str, float],
) -> None:
    from scann_index.index_shards import finished_path

    finished = [storage.read_json(finished_path(out.path, card.name)) for card in cards]
    info = {
        "schema": "scann_index.bundle: float32 vectors, rows as Parquet, ScaNN 1.3 trees",
        "model": model,
        "data": {"path": data.path, "digest": data.digest},
        "dim": finished[0]["dim"],
        "shards": [asdict(card) for card in cards],
    }
    stats = {
        "rows": sum(card.rows for card in cards),
        "groups": storage.read_json(out.file("counts.json")),
        "build_seconds": sum(record["build_seconds"] for record in finished),
        "wall_seconds": seconds,
    }
    out.complete(files=[name for card in cards for name in card.files], stats=stats, info=info)


def summary(cards: Sequence[ShardCard], path: str) -> str:
    """A few lines for the terminal."""
    trees = [card for card in cards if card.engine == TREE]
    recall = min(card.recall_at_10 or 0.0 for card in cards)
    rows = sum(card.rows for card in cards)
    return (
        f"{path}: {rows:,} rows in {len(cards)} index shards, {len(cards) - len(trees)} exact, "
        f"{len(trees)} with a tree\n"
        f"  recall@10 against exact search: {recall:.3f} or more"
    )


def plan(options: BuildOptions, beam_flags: Sequence[str] = ()) -> str:
    """What `--dry-run` prints: the rows by modality and language, and what would be written."""
    from scann_index.index_shards import names_of, parts_of

    preset, digest = find_model(options.model)
    _check_data(options, preset, OutputDir.open(options.data, kind=PAIRS))
    with tempfile.TemporaryDirectory() as folder:
        counts = _count(options, storage.join(folder, "counts.json"), beam_flags)
    names = names_of(parts_of(counts, options.shard_rows))
    lines = [
        f"{options.data}: {sum(counts.values()):,} rows of {','.join(options.splits)}, "
        f"into {len(names)} index shards"
    ]
    for modality in MODALITIES:
        own = {g.split("/")[1]: n for g, n in counts.items() if g.startswith(f"{modality}/")}
        if own:
            each = " ".join(f"{language}:{n:,}" for language, n in own.items())
            lines.append(f"  {modality:<8} {sum(own.values()):>9,}  {each}")
    lines += [f"  model {preset} ({digest[:12]}), exact below {options.exact_below:,} rows"]
    lines += [f"  would write {options.output}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
