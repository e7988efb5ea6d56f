"""python -m scann_index.compact: merges the shards that appends left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pipelines import local_copy, storage
from pipelines import options as command_line
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.verb import verb
from scann_index.append import PARTS, part_name, publish_part
from scann_index.bundle import KIND, Bundle, IndexShard
from scann_index.recipe import AUTO, ENGINES, REORDERS, Choice
from scann_index.row import Row, from_table
from scann_index.summary import count_lines, summary, sweep_table

DESCRIPTION = """\
Merges the shards of an index, so that each modality and language has as few as --shard-rows allows:
appends leave small ones behind, and one big shard answers faster than several. Engines are chosen
anew by the number of rows and swept to the index's recall; what isn't given stays as it was built.
Run it again after an interruption. Searches that are under way should open the index again.

examples:
  python -m scann_index.compact --index demo/index
  python -m scann_index.compact --index big/index --shard-rows 1000000 --reorder int8
"""

_ROWS_AT_ONCE = 2**15


@dataclass(frozen=True, kw_only=True)
class CompactOptions:
    """The options of `scann_index.compact`; None stands for what the index was built with."""

    index: str = option(help="folder written by scann_index.build")
    shard_rows: int | None = option(None, help="split a language with more rows than this")
    engine: str | None = option(
        None, help="how shards are searched; auto goes by their rows", choices=(AUTO, *ENGINES)
    )
    reorder: str | None = option(
        None, help="what candidates are compared by; int8 takes a quarter", choices=REORDERS
    )
    target_recall: float | None = option(None, help="the recall@10 that settings are swept for")
    overwrite: bool = option(False, help="drop what an interrupted run with other options made")
    dry_run: bool = option(False, help="print what would be merged, then stop")

    def __post_init__(self) -> None:
        if self.shard_rows is not None and self.shard_rows < 1:
            raise ValueError("--shard-rows must be at least 1")
        if self.target_recall is not None and not 0 < self.target_recall <= 1:
            raise ValueError("--target-recall is a share, above 0 and at most 1")

    def resolved(self, built: dict[str, Any]) -> dict[str, Any]:
        """All that decides the content: what is given here, else what `info.json` recorded."""
        names = [field.name for field in fields(Choice)]
        values = {n: built[n] for n in (*names, "shard_rows", "target_recall") if n in built}
        given = {n: getattr(self, n) for n in ("shard_rows", "engine", "reorder", "target_recall")}
        values = {"shard_rows": 200_000, "target_recall": 0.98, **values}
        return {**values, **{name: value for name, value in given.items() if value is not None}}


@verb("compact")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, beam_flags = command_line.parse(
        CompactOptions,
        argv,
        prog="python -m scann_index.compact",
        description=DESCRIPTION,
        beam=True,
    )
    compact(options, beam_flags)


def compact(options: CompactOptions, beam_flags: Sequence[str] = ()) -> Bundle:
    """Merges what can be merged, and removes what an earlier merge left behind, unless dry.

    Raises:
        OutputError: there is no complete index, or a run with other options was interrupted.
    """
    from scann_index.index_shards import names_of, parts_of
    from scann_index.making import finish_bundle, measure

    base = Bundle.open(options.index)
    if not options.dry_run:
        remove_leftovers(base)
    settings = options.resolved(base.info["options"])
    choice = Choice(**{f.name: settings[f.name] for f in fields(Choice) if f.name in settings})
    groups: dict[str, int] = {}
    for shard in base.shards():
        group = f"{shard.modality}/{shard.language}"
        groups[group] = groups.get(group, 0) + len(shard)
    parts = parts_of(dict(sorted(groups.items())), settings["shard_rows"])
    names = names_of(parts)
    there = {shard.card.name: shard.card.recipe for shard in base.shards()}
    rows = {shard.card.name: len(shard) for shard in base.shards()}
    if len(base.shards()) == len(names) == len(there) and all(
        there.get(name) == choice.recipe(rows[name], base.dim) for name in names if name in there
    ):
        print(f"{base.path} has nothing to merge: {len(names)} index shards")
        return base
    if options.dry_run:
        print(f"{base.path}: {len(base.shards())} index shards would become {len(names)}")
        print("\n".join(count_lines(dict(sorted(groups.items())))))
        return base
    part = part_name("c", base)
    out = OutputDir(storage.join(base.path, PARTS, part), kind=KIND)
    content = {**settings, "index": base.digest}
    if out.begin(content, overwrite=options.overwrite) is not State.COMPLETE:
        _merge(base, out, parts, choice, beam_flags)
        cards, sweeps = measure(out, names, settings["target_recall"], beam_flags)
        info: dict[str, Any] = {n: base.info[n] for n in ("model", "data") if n in base.info}
        finish_bundle(out, cards, info=info, sweeps=sweeps, stats={"groups": groups}, seconds={})
        print(summary(cards, base.path))
        for line in sweep_table(cards, sweeps):
            print(line)
    publish_part(base, [], out, part)
    merged = Bundle.open(base.path)
    remove_leftovers(merged)
    return merged


def _merge(
    base: Bundle, out: OutputDir, parts: dict[str, int], choice: Choice, beam_flags: Sequence[str]
) -> None:
    """Writes every merged shard that no earlier run finished."""
    import apache_beam as beam

    from pipelines import beam_runner
    from scann_index.index_shards import finish, finished_path, names_of

    shards = [IndexShard(base.path, shard.card, shard.dim) for shard in base.shards()]
    names = names_of(parts)
    left = [name for name in names if not storage.exists(finished_path(out.path, name))]

    def merge_one(name: str) -> str:
        group, number = name.rsplit("-of-", 1)
        modality, language, part = group.split("-")
        own = [s for s in shards if (s.modality, s.language) == (modality, language)]
        with local_copy.working_folder(out.path) as folder:
            rows, vectors = merged_rows(own, int(part), int(number), folder)
            return finish(out.path, name, rows, vectors, choice)

    def build(pipeline: Any) -> None:
        _ = pipeline | beam.Create(left) | beam.Reshuffle() | beam.Map(merge_one)

    with beam_runner.progress("merge", out.file("finished"), "*.json", len(names)):
        if left:
            beam_runner.run(build, beam_flags)


def merged_rows(
    shards: Sequence[IndexShard], part: int, parts: int, folder: str
) -> tuple[list[Row], np.ndarray]:
    """The rows of one merged shard, in the order a build gives them, and their vectors.

    Args:
        shards: all of a modality and language.
        part: which of the merged shards.
        parts: how many of them there will be.
        folder: a local one, where the vectors lie in a file as long as they are used.
    """
    chosen: list[tuple[str, int, int]] = []
    rows: dict[tuple[int, int], Row] = {}
    for owner, shard in enumerate(shards):
        for first in range(0, len(shard), _ROWS_AT_ONCE):
            for number, row in enumerate(from_table(shard.table[first : first + _ROWS_AT_ONCE])):
                if row.place % parts == part:
                    chosen.append((row.id, owner, first + number))
                    rows[owner, first + number] = row
    if not chosen:
        raise ValueError(f"no rows fall to part {part} of {parts}; give larger --shard-rows")
    chosen.sort()
    path = os.path.join(folder, "merged.npy")
    shape = (len(chosen), shards[0].dim)
    create: Any = np.lib.format.open_memmap
    vectors: np.ndarray = create(path, mode="w+", dtype=np.float32, shape=shape)
    for owner, shard in enumerate(shards):
        places = np.array([(to, o[2]) for to, o in enumerate(chosen) if o[1] == owner], np.int64)
        for first in range(0, len(places), _ROWS_AT_ONCE):
            to, source = places[first : first + _ROWS_AT_ONCE].T
            vectors[to] = shard.vectors[source]
    return [rows[owner, number] for _, owner, number in chosen], vectors


def remove_leftovers(bundle: Bundle) -> None:
    """Removes the shards of earlier states of an index, and parts that never became complete."""
    used = {shard.card.part for shard in bundle.shards()}
    generation = int(bundle.info.get("generation", 0))
    for part in _folders(storage.join(bundle.path, PARTS)):
        # A later number is that of a run that was interrupted and may go on.
        if part not in used and int(part[1:]) <= generation:
            _remove_folder(storage.join(bundle.path, PARTS, part))
    if "" not in used:
        _remove_folder(storage.join(bundle.path, "shards"))
    for folder in used - {""}:
        storage.remove_temporary_files(storage.join(bundle.path, PARTS, folder))


def _folders(parent: str) -> Iterator[str]:
    if storage.is_remote(parent):
        paths = storage.list_files(parent, "*/begun.json")
        names = [path.split("/")[-2] for path in paths]
    else:
        names = os.listdir(parent) if os.path.isdir(parent) else []
    yield from (name for name in names if name[:1] in "ac" and name[1:].isdigit())


def _remove_folder(folder: str) -> None:
    if not storage.is_remote(folder):
        storage.remove(folder)
        return
    for pattern in ("*", "*/*", "*/*/*"):
        for path in storage.list_files(folder, pattern):
            storage.remove(path)


if __name__ == "__main__":
    sys.exit(main())
