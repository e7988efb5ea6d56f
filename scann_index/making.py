"""The steps that turn prepared data into the shards of a folder: plan, embed, sweep, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index.bundle import Bundle, IndexShard, ShardCard
from scann_index.publish import complete
from scann_index.summary import summary, sweep_table

if TYPE_CHECKING:
    from scann_index.build import BuildOptions

T = TypeVar("T")

SWEEP_RATES = "sweep_queries_per_second"
_RATE = "queries_per_second"


class Making:
    """The steps that make the shards of a folder: plan, embed and index, measure, publish.

    Args:
        options: of the build.
        out: the folder, begun.
        preset: folder of the model.
        digest: its `preset_digest`.
        beam_flags: for Beam.
        base: the index that the shards are to be added to, None if there is none.
    """

    def __init__(
        self,
        options: BuildOptions,
        out: OutputDir,
        preset: str,
        digest: str,
        beam_flags: Sequence[str] = (),
        base: Bundle | None = None,
    ) -> None:
        self.options = options
        self.out = out
        self.preset = preset
        self.digest = digest
        self.beam_flags = beam_flags
        self.base = base
        self.seconds: dict[str, float] = {}
        self.sweeps: dict[str, list[dict[str, Any]]] = {}

    def make(self) -> list[ShardCard]:
        """Makes what no earlier run made; returns the cards of all shards, none without rows."""
        from scann_index.index_shards import parts_of

        parts = parts_of(self._timed("plan", self.count), self.options.shard_rows)
        if not parts:
            return []
        self._timed("embed and index", lambda: self._write_shards(parts))
        return self._timed("measure", lambda: self._measure(parts))

    def _timed(self, step: str, run: Callable[[], T]) -> T:
        started = time.time()
        result = run()
        self.seconds[step] = time.time() - started
        return result

    def _rows(self, rejects: str = "") -> Any:
        """Reads the rows that are to be indexed."""
        from scann_index.embed import ReadRows

        options = self.options
        read = ReadRows(options.data, options.splits, options.modalities, options.limit)
        if self.base is None:
            return read
        from scann_index.new_rows import NewRows

        tables = [storage.join(self.base.path, name) for name in self.base.row_files]
        return ChainedTransforms(read, NewRows(tables, rejects))

    def count(self, path: str = "") -> dict[str, int]:
        """Rows by `modality/language`, counted once and kept, unless another path is given."""
        from pipelines import beam_runner
        from scann_index.index_shards import CountRows
        from scann_index.new_rows import REJECTS

        rejects = "" if path or self.base is None else self.out.file(REJECTS)
        path = path or self.out.file("counts.json")
        if not storage.exists(path) or (rejects and not storage.exists(rejects)):
            count = CountRows(path)
            rows = self._rows(rejects)
            beam_runner.run(lambda pipeline: pipeline | rows | count, self.beam_flags)
        counts: dict[str, int] = storage.read_json(path)
        if not counts and self.base is None:
            wanted = " or ".join(self.options.modalities)
            raise ValueError(f"{self.options.data} has no {wanted} in these splits")
        return counts

    def _write_shards(self, parts: dict[str, int]) -> None:
        """Embeds and writes every shard that no earlier run finished."""
        from pipelines import beam_runner
        from pipelines.right_fitting import with_model
        from scann_index.heard_tokens import unreadable
        from scann_index.index_shards import WriteIndexShards, finished_path, names_of

        out, names = self.out, names_of(parts)
        if all(storage.exists(finished_path(out.path, name)) for name in names):
            return
        rows = self._rows()
        write = WriteIndexShards(
            out.path,
            parts,
            self.preset,
            self.digest,
            self.options.choice,
            speeds=self.options.speeds,
            cache=self.options.cache,
        )
        with beam_runner.progress("embed and index", out.file("finished"), "*.json", len(names)):
            result = beam_runner.run(
                lambda pipeline: pipeline | rows | with_model(write), self.beam_flags
            )
        if lost := unreadable(result):
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(lost.items()))
            print(
                f"recordings that can't be read again: {reasons}; their vectors are those of their "
                "audio tokens, at their own speed"
            )

    def _measure(self, parts: dict[str, int]) -> list[ShardCard]:
        from scann_index.index_shards import names_of

        others = self.base.shards() if self.base else []
        target = self.options.target_recall
        cards, self.sweeps = measure(
            self.out, names_of(parts), target, self.beam_flags, self._remote(others)
        )
        return cards

    def _remote(self, shards: Sequence[IndexShard]) -> list[IndexShard]:
        """The shards as workers on any machine find them, not as copied to this one."""
        assert self.base is not None or not shards
        path = self.base.path if self.base else ""
        return [IndexShard(path, shard.card, shard.dim) for shard in shards]

    def publish(self, cards: list[ShardCard], model: dict[str, str], data: OutputDir) -> None:
        """Completes the folder and prints what is in it."""
        finish_bundle(
            self.out,
            cards,
            info={
                "model": model,
                "data": {"path": data.path, "digest": data.digest},
                **({"speeds": list(self.options.speeds)} if self.options.speeds else {}),
            },
            sweeps=self.sweeps,
            stats={"groups": storage.read_json(self.out.file("counts.json"))},
            seconds=self.seconds,
        )
        print(summary(cards, self.out.path))
        for line in sweep_table(cards, self.sweeps):
            print(line)


class ChainedTransforms:
    """Several transforms, one behind the other, as one: `pipeline | ChainedTransforms(a, b)`."""

    def __init__(self, *transforms: Any) -> None:
        self.transforms = transforms

    def __ror__(self, rows: Any) -> Any:
        for transform in self.transforms:
            rows = rows | transform
        return rows


def measure(
    out: OutputDir,
    names: Sequence[str],
    target: float,
    beam_flags: Sequence[str],
    others: Sequence[IndexShard] = (),
) -> tuple[list[ShardCard], dict[str, list[dict[str, Any]]]]:
    """Sweeps every shard that no earlier run swept.

    Args:
        out: the folder they are in.
        names: of all its shards.
        target: the recall@10 to reach.
        beam_flags: for Beam.
        others: further shards whose rows may serve as queries.

    Returns:
        The cards of all shards, and the tables of their sweeps by name.
    """
    import apache_beam as beam

    from pipelines import beam_runner
    from scann_index.index_shards import MeasureRecall, measured_path

    left = [name for name in names if not storage.exists(measured_path(out.path, name))]
    if left:
        sweep_all = MeasureRecall(out.path, names, target, others)

        def build_pipeline(pipeline: Any) -> None:
            _ = pipeline | beam.Create(left) | beam.Reshuffle() | beam.ParDo(sweep_all)

        with beam_runner.progress("measure recall", out.file("measured"), "*.json", len(names)):
            beam_runner.run(build_pipeline, beam_flags)
    records = [storage.read_json(measured_path(out.path, name)) for name in names]
    cards = [ShardCard(**record["card"]) for record in records]
    return cards, {c.name: r["sweep"] for c, r in zip(cards, records, strict=True) if r["sweep"]}


def finish_bundle(
    out: OutputDir,
    cards: Sequence[ShardCard],
    *,
    info: dict[str, Any],
    sweeps: dict[str, list[dict[str, Any]]],
    stats: dict[str, Any],
    seconds: dict[str, float],
) -> None:
    """Completes a folder of shards that are written and measured.

    Args:
        out: the folder.
        cards: of all its shards.
        info: what else `info.json` is to hold: `model`, `data`.
        sweeps: the tables of the shards' sweeps, by name. What was measured in seconds goes into
            `stats.json`, so that the same data gives the same `info.json`.
        stats: what else `stats.json` is to hold.
        seconds: the time each step took.
    """
    from scann_index.index_shards import finished_path

    finished = [storage.read_json(finished_path(out.path, card.name)) for card in cards]
    files = {name: storage.file_sha256(out.file(name)) for card in cards for name in card.files}
    info = {
        "schema": "scann_index.bundle: float32 vectors, rows as Parquet, ScaNN 1.3",
        **info,
        "dim": finished[0]["dim"],
        "shards": [asdict(card) for card in cards],
        "sweeps": {
            name: [{k: v for k, v in row.items() if k != _RATE} for row in table]
            for name, table in sweeps.items()
        },
    }
    stats = {
        "rows": sum(card.rows for card in cards),
        **stats,
        "build_seconds": sum(record["build_seconds"] for record in finished),
        "wall_seconds": seconds,
        SWEEP_RATES: {name: [row[_RATE] for row in table] for name, table in sweeps.items()},
    }
    complete(out, files, info, stats)
