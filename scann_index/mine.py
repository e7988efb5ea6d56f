"""python -m scann_index.mine: pairs of speech and text, or of texts, out of two collections."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.output_dir import OutputDir, OutputError, State
from pipelines.rejects import TooManyRejects
from pipelines.utterance import SPLITS
from pipelines.verb import verb
from scann_index.bundle import KIND as INDEX
from scann_index.collection import Collection
from scann_index.margin import DEFAULT_THRESHOLD, RETRIEVALS
from scann_index.mine_quality import BY_SENTENCE
from scann_index.row import MODALITIES

if TYPE_CHECKING:
    from scann_index.embed import PresetHandler
    from scann_index.mine_blocks import Side

KIND = "mined"
DESCRIPTION = """\
Finds the pairs that two collections have in common, though nobody says where: a recording and a
text, or two texts, that mean the same. Every row of one side is searched in the other; a pair is
kept if it stands out from its neighbours (ratio margin, Artetxe & Schwenk 2019). A side is an
index, a folder of pipelines.prepare, or a text file: .txt with one sentence a line, .tsv with an
id, a tab and a sentence. Runs in this process; pass Beam's own flags to run elsewhere. Run it again
after an interruption: finished blocks are kept.

examples:
  python -m scann_index.mine --model run --left data --left-modality speech \\
      --right news.txt --right-modality text --right-languages fr --output mined
  python -m scann_index.mine --left index --left-modality speech --left-languages it \\
      --right index --right-modality text --right-languages en --output mined
  python -m scann_index.mine --left index --left-modality speech --right index \\
      --right-modality text --gold sentence-ids --distractors 10 --output quality
"""


@dataclass(frozen=True)
class MineOptions:
    """The options of `scann_index.mine`."""

    left: str = option(help="an index, a folder of pipelines.prepare, or a .txt or .tsv file")
    right: str = option(help="the other collection, as --left")
    output: str = option(help="folder to write to, local or gs://")
    model: str = option("", help="run of model.train or a preset; not needed where an index is")
    left_modality: str = option("", help="only rows of this kind", choices=MODALITIES)
    right_modality: str = option("", help="only rows of this kind", choices=MODALITIES)
    left_languages: tuple[str, ...] = option((), help="only these; of a text file the one it is in")
    right_languages: tuple[str, ...] = option((), help="as --left-languages")
    splits: tuple[str, ...] = option(("test",), help="of prepared data: which splits are read")
    neighbours: int = option(4, help="so many neighbours of a row make up its neighbourhood")
    retrieval: str = option(
        "max",
        help="forward: the best right row of each left one; backward: the other way round; "
        "intersection: what both agree on; max: all, the best first, no row twice",
        choices=RETRIEVALS,
    )
    threshold: float | None = option(
        None,
        help=f"the least margin of a pair; left out, {DEFAULT_THRESHOLD}, or with --gold what "
        "gives the largest F1 on the dev part",
    )
    gold: str = option(
        "",
        help="what is true, to measure precision and recall: sentence-ids (rows that share one), "
        "or a file with a left id, a tab and a right id a line",
    )
    distractors: int = option(
        0,
        help="with --gold sentence-ids: take most sentences away from one side, so that each side "
        "has so many times as many rows without a counterpart as with one",
    )
    dev_share: float = option(
        0.3, help="with --gold: share of left rows the threshold is chosen on"
    )
    format: str = option("jsonl", help="of the pairs", choices=("jsonl", "parquet"))
    block_rows: int = option(100_000, help="rows embedded, and searched, at a time")
    exact_below: int = option(20_000, help="blocks with fewer rows are searched exactly")
    target_recall: float = option(0.98, help="recall@10 that the tree of a bigger block reaches")
    max_rejects: float = option(0.05, help="fail if a larger share of a side is rejected")
    limit: int | None = option(None, help="read only so many rows of each side")
    overwrite: bool = option(False, help="replace what was mined with other options")
    dry_run: bool = option(False, help="print what would be read and written, then stop")

    def __post_init__(self) -> None:
        if not self.splits or set(self.splits) - set(SPLITS):
            raise ValueError(f"--splits takes one or more of {','.join(SPLITS)}")
        for name in ("neighbours", "block_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")
        if not 0 <= self.max_rejects <= 1 or not 0 < self.target_recall <= 1:
            raise ValueError("--max-rejects and --target-recall are shares between 0 and 1")
        if not 0 < self.dev_share < 1:
            raise ValueError("--dev-share is a share above 0 and below 1")
        if self.distractors < 0 or (self.distractors and self.gold != BY_SENTENCE):
            raise ValueError(f"--distractors hides true pairs: give --gold {BY_SENTENCE}")

    def content(self) -> dict[str, Any]:
        """What decides the result, besides the inputs."""
        apart = ("left", "right", "output", "model", "max_rejects", "overwrite", "dry_run")
        return {k: v for k, v in command_line.as_dict(self).items() if k not in apart}

    def sides(self) -> list[Side]:
        """Both collections, left first."""
        from scann_index.mine_blocks import LEFT, RIGHT, Side

        left = Collection(self.left, self.left_modality, self.left_languages, self.splits)
        right = Collection(self.right, self.right_modality, self.right_languages, self.splits)
        return [
            Side(name, collection, self.limit, self.distractors)
            for name, collection in ((LEFT, left), (RIGHT, right))
        ]


@verb("mine")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, beam_flags = command_line.parse(
        MineOptions, argv, prog="python -m scann_index.mine", description=DESCRIPTION, beam=True
    )
    if options.dry_run:
        print(plan(options, beam_flags))
    else:
        mine(options, beam_flags)


def mine(options: MineOptions, beam_flags: Sequence[str] = ()) -> OutputDir:
    """Mines two collections, or finishes what was begun.

    Raises:
        OutputError: an input is not complete, or the output holds something else.
        TooManyRejects: too much of a text file can't be used.
        ValueError: the inputs don't fit together, or hold no such rows.
    """
    from scann_index.mine_select import select

    sides = options.sides()
    for side in sides:
        side.collection.check()
    model = find_model(options, sides)
    inputs = {side.name: side.collection.digest for side in sides} | {"model": model.digest}
    out = OutputDir(options.output, kind=KIND)
    if out.begin({**options.content(), **inputs}, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    started = time.time()
    counts = _count(options, out, sides, beam_flags)
    blocks = _embed(options, out, sides, counts, model, beam_flags)
    embedded = time.time()
    _search(options, out, blocks, beam_flags)
    searched = time.time()
    files, facts = select(options, out, blocks)
    seconds = {"embed": embedded - started, "search": searched - embedded}
    seconds["select"] = time.time() - searched
    stats = {**counts, **facts, "wall_seconds": seconds}
    schema = f"a pair of rows a line, the largest margin first, {options.format}"
    out.complete(files=files, stats=stats, info={"schema": schema, "inputs": inputs})
    for folder in ("rows", "blocks", "neighbours"):
        for path in storage.list_files(out.file(folder)):
            storage.remove(path)
    print(summary(stats, out.path))
    return out


def find_model(options: MineOptions, sides: Sequence[Side]) -> PresetHandler:
    """The model that embeds what is not embedded yet, hearing it as an index beside it was heard.

    Raises:
        OutputError: an index was built with another model than the other side.
        ValueError: there is none, and it is needed.
    """
    from scann_index.build import find_model as find_preset
    from scann_index.collection import open_bundle
    from scann_index.embed import PresetHandler
    from scann_index.searcher import Searcher

    indexes = [side.collection.path for side in sides if side.collection.kind == INDEX]
    if len(indexes) == 2:
        one, other = (open_bundle(path).model_digest for path in indexes)
        if one != other:
            raise OutputError(f"{indexes[0]} and {indexes[1]} were built with different models")
        return PresetHandler("", one)
    if indexes:
        searcher = Searcher.open(indexes[0], options.model)
        bundle = searcher.bundle
        return PresetHandler(searcher.preset, bundle.model_digest, bundle.speeds)
    if not options.model:
        raise ValueError("say with which --model to embed the collections")
    return PresetHandler(*find_preset(options.model))


def _run(transform: Any, beam_flags: Sequence[str]) -> None:
    from pipelines import beam_runner

    beam_runner.run(lambda pipeline: pipeline | transform, beam_flags)


def _count(
    options: MineOptions, out: OutputDir, sides: Sequence[Side], beam_flags: Sequence[str]
) -> dict[str, Any]:
    """How many rows each side has, distinct ones and rejects among them, counted once."""
    from scann_index.mine_blocks import CountSide

    counts = {}
    for side in sides:
        path = out.file("rows", f"{side.name}.json")
        if not storage.exists(path):
            _run(CountSide(out.path, side), beam_flags)
        counts[side.name] = counted = storage.read_json(path)
        rejected = sum(counted["rejects"].values())
        if rejected > options.max_rejects * (rejected + counted["rows"]):
            reasons = ", ".join(f"{n} {reason}" for reason, n in counted["rejects"].items())
            raise TooManyRejects(
                f"{rejected} of {rejected + counted['rows']} rows of {side.collection.path} were "
                f"rejected ({reasons}); see {out.path}/rejects-{side.name}.jsonl, mend them and "
                f"--overwrite, or run again with a higher --max-rejects "
                f"(now {options.max_rejects:g})"
            )
        if not counted["rows"]:
            raise ValueError(f"{side.collection.path} has no such rows")
    return counts


def _embed(
    options: MineOptions,
    out: OutputDir,
    sides: Sequence[Side],
    counts: dict[str, Any],
    model: PresetHandler,
    beam_flags: Sequence[str],
) -> dict[str, list[str]]:
    """Writes the blocks that no earlier run wrote; returns the names of each side's."""
    from pipelines import beam_runner
    from scann_index.mine_blocks import WriteBlocks, block_path, blocks_of

    blocks = {}
    for side in sides:
        names = blocks_of(side.name, counts[side.name]["distinct"], options.block_rows)
        if not all(storage.exists(block_path(out.path, name, "json")) for name in names):
            write = WriteBlocks(out.path, side, names, model)
            pattern = f"{side.name}-*.json"
            with beam_runner.progress(
                f"embed {side.name}", out.file("blocks"), pattern, len(names)
            ):
                _run(write, beam_flags)
        # Rows go to blocks by hash: of many small blocks one may get none.
        blocks[side.name] = [n for n in names if storage.exists(block_path(out.path, n, "json"))]
    return blocks


def _search(
    options: MineOptions, out: OutputDir, blocks: dict[str, list[str]], beam_flags: Sequence[str]
) -> None:
    """Searches each block of a side for the neighbours of the other side's rows."""
    import apache_beam as beam

    from pipelines import beam_runner
    from scann_index.mine_search import FindNeighbours

    left, right = blocks.values()
    find = FindNeighbours(
        out.path, blocks, options.neighbours, options.exact_below, options.target_recall
    )

    def build(pipeline: Any) -> None:
        _ = pipeline | beam.Create([*left, *right]) | beam.Reshuffle() | beam.ParDo(find)

    total = 2 * len(left) * len(right)
    with beam_runner.progress("search", out.file("neighbours"), "*.npz", total):
        if len(storage.list_files(out.file("neighbours"), "*.npz")) < total:
            beam_runner.run(build, beam_flags)


def summary(stats: dict[str, Any], path: str) -> str:
    """A few lines for the terminal."""
    sizes = [f"{stats[side]['distinct']:,} distinct rows" for side in ("left", "right")]
    lines = [
        f"{path}: {stats['pairs']:,} pairs of margin {stats['threshold']:.3f} or more "
        f"out of {sizes[0]} and {sizes[1]}"
    ]
    lines.append("  found " + ", ".join(f"{by}: {n:,}" for by, n in stats["found_by"].items()))
    if "quality" in stats:
        test = stats["quality"]["test"]
        lines.append(
            f"  of the test part's {test['rows']:,} left rows {test['matchable']:,} have a "
            f"counterpart: {test['pairs']:,} pairs mined, {test['right']:,} of them right"
        )
        for name, part in (("margin", test), ("cosine", stats["quality"]["by_cosine"])):
            lines.append(
                f"  by {name}: precision {part['precision']:.3f}, recall {part['recall']:.3f}, "
                f"F1 {part['f1']:.3f} at {part['threshold']:.3f}"
            )
    return "\n".join(lines)


def plan(options: MineOptions, beam_flags: Sequence[str] = ()) -> str:
    """What `--dry-run` prints: the rows of each side, and what would be written."""
    import tempfile

    sides = options.sides()
    for side in sides:
        side.collection.check()
    digest = find_model(options, sides).digest
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, counted in _count(
            options, OutputDir(folder, kind=KIND), sides, beam_flags
        ).items():
            path = options.left if name == "left" else options.right
            rejected = sum(counted["rejects"].values())
            lines.append(
                f"{name:<5} {path}: {counted['rows']:,} rows, {counted['distinct']:,} distinct, "
                f"{rejected:,} rejected"
            )
    lines += [f"  model {digest[:12]}, {options.retrieval} of {options.neighbours} neighbours"]
    return "\n".join([*lines, f"  would write {options.output}"])


if __name__ == "__main__":
    sys.exit(main())
