"""Adds rows to an index: new shards beside the old ones, which stay as they are.

    parts/a00001/       what a build makes of the new rows, by itself a complete index
    info.json           names its shards too, once it is complete

A run that is killed anywhere leaves the index as it was, or with all of the new rows; run again, it
goes on where it was. Rows whose id the index has already are set aside in the part's rejects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pipelines import storage
from pipelines.output_dir import OutputBusyError, OutputDir, OutputError, State
from pipelines.pairs import KIND as PAIRS
from scann_index.bundle import KIND, Bundle, ShardCard
from scann_index.making import SWEEP_RATES
from scann_index.publish import replace_info

if TYPE_CHECKING:
    from scann_index.build import BuildOptions

PARTS = "parts"


def append(options: BuildOptions, beam_flags: Sequence[str] = ()) -> Bundle:
    """Adds the rows of prepared data to a complete index, unless that was done before.

    Raises:
        OutputError: there is no complete index, another model made it, or an append of other data
            was interrupted.
        ValueError: there is no model, or it doesn't fit the data.
    """
    from scann_index.build import check_data, find_model
    from scann_index.making import Making

    data = OutputDir.open(options.data, kind=PAIRS)
    preset, digest = find_model(options.model)
    check_data(options, preset, data)
    base = Bundle.open(options.output)
    if digest != base.model_digest:
        raise OutputError(
            f"{options.output} was built with model {base.model_digest[:12]}, {options.model} is "
            f"{digest[:12]}: vectors of two models can't be compared; give the index's own model, "
            "or build another index"
        )
    if options.speeds != base.speeds:
        raise ValueError(
            f"{options.output} was built with --speeds {_listed(base.speeds)}: append with the same"
        )
    content = {**options.content(), "model": digest, "data": data.digest}
    if content in [added["options"] for added in base.info.get("appended", [])]:
        print(f"{options.output} has these rows already; nothing to do")
        return base
    part = part_name("a", base)
    out = OutputDir(storage.join(options.output, PARTS, part), kind=KIND)
    state = _begin(out, {**content, "index": base.digest}, options.overwrite)
    making = Making(options, out, preset, digest, beam_flags, base)
    if state is not State.COMPLETE:
        cards = making.make()
        _say_rejects(out)
        if not cards:
            print(f"{options.data} has nothing new for {options.output}")
            return base
        making.publish(cards, {"digest": digest}, data)
    added = {"part": part, "data": {"path": data.path, "digest": data.digest}, "options": content}
    publish_part(base, [shard.card for shard in base.shards()], out, part, [added])
    grown = Bundle.open(options.output)
    print(f"{grown.path}: {grown.stats['rows']:,} rows in {len(grown.shards())} index shards now")
    return grown


def _listed(speeds: Sequence[float]) -> str:
    return ",".join(f"{speed:g}" for speed in speeds) or "none"


def _begin(out: OutputDir, content: dict[str, Any], overwrite: bool) -> State:
    try:
        return out.begin(content, overwrite=overwrite)
    except OutputBusyError:
        raise
    except OutputError as error:
        raise OutputError(
            f"an append with other options was interrupted: {error}. Run it again as it was, or "
            "drop what it made with --overwrite"
        ) from None


def part_name(kind: str, base: Bundle) -> str:
    """The folder of the next part.

    Args:
        kind: `a` for what is appended, `c` for what is compacted.
        base: the index as it is.
    """
    return f"{kind}{int(base.info.get('generation', 0)) + 1:05d}"


def publish_part(
    base: Bundle,
    kept: Sequence[ShardCard],
    out: OutputDir,
    part: str,
    added: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Makes an index one of some of its shards and those of a complete part.

    Args:
        base: the index as it is.
        kept: the cards of the shards that stay.
        out: the part.
        part: its name.
        added: what is to be noted of an append.
    """
    new = out.info
    cards = [replace(ShardCard(**card), part=part) for card in new["shards"]]
    files = {name: base.info["files"][name] for card in kept for name in card.files}
    files |= {storage.join(PARTS, part, name): sha for name, sha in new["files"].items()}

    def with_new(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        """By shard: of those that stay, and of the new ones, which get a longer name."""
        there = old.get(key, {}) if kept else {}
        return {**there, **{f"{part}/{n}": of_shard for n, of_shard in new.get(key, {}).items()}}

    info = {
        **base.info,
        "generation": int(base.info.get("generation", 0)) + 1,
        "shards": [asdict(card) for card in [*kept, *cards]],
        "sweeps": with_new("sweeps", base.info, new),
        "appended": [*base.info.get("appended", []), *added],
        "files": files,
    }
    groups: dict[str, int] = {}
    for card in [*kept, *cards]:
        group = "/".join(card.group)
        groups[group] = groups.get(group, 0) + card.rows
    stats = {**out.stats, "rows": sum(groups.values()), "groups": groups}
    stats[SWEEP_RATES] = with_new(SWEEP_RATES, base.stats, out.stats)
    replace_info(OutputDir(base.path, kind=KIND), info, stats)


def _say_rejects(out: OutputDir) -> None:
    from scann_index.new_rows import REJECTS

    if storage.exists(out.file(REJECTS)):
        count = storage.read_bytes(out.file(REJECTS)).count(b"\n")
        if count:
            print(f"{count:,} rows rejected as duplicate-id: {out.file(REJECTS)}")
