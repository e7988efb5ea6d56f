"""Rows that an index doesn't have yet, in Beam: the others are set aside with the reason."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from pipelines.rejects import Reject
from scann_index.row import Row

import apache_beam as beam  # isort: skip

REJECTS = "rejects-00000-of-00001.jsonl"
_REJECTED = "rejected"


@dataclasses.dataclass
class NewRows(beam.PTransform):
    """Rows to those of them whose id no shard of an index has.

    Args:
        tables: the `rows.parquet` files of the index.
        rejects: where the others are written, as JSON lines; empty for nowhere.
    """

    tables: Sequence[str]
    rejects: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Tells them apart by a set of ids that each worker reads for itself."""
        sorted_rows = rows | "IsNew" >> beam.ParDo(_IsNew(tuple(self.tables))).with_outputs(
            _REJECTED, main="new"
        )
        if self.rejects:
            path = self.rejects

            def write(lines: list[str]) -> None:
                storage.write_bytes(path, "".join(sorted(lines)).encode("utf-8"))

            _ = (
                sorted_rows[_REJECTED]
                | "Lines" >> beam.Map(_line)
                | beam.Distinct()
                | beam.combiners.ToList()
                | "WriteRejects" >> beam.Map(write)
            )
        return sorted_rows["new"]


class _IsNew(beam.DoFn):
    def __init__(self, tables: Sequence[str]) -> None:
        self.tables = tables
        self.known: set[str] = set()

    def setup(self) -> None:
        """Reads the ids."""
        self.known = known_ids(self.tables)

    def process(self, row: Row) -> Iterator[Any]:
        """Yields the row, to one output or the other."""
        yield beam.pvalue.TaggedOutput(_REJECTED, row) if row.id in self.known else row


def known_ids(tables: Sequence[str]) -> set[str]:
    """The ids in some `rows.parquet` files."""
    import pyarrow.parquet as pq

    known: set[str] = set()
    for path in tables:
        table = pq.read_table(io.BytesIO(storage.read_bytes(path)), columns=["id"])
        known.update(table["id"].to_pylist())
    return known


def _line(row: Row) -> str:
    detail = f"the index has a {row.modality} row {row.id!r} already; that one is kept"
    reject = Reject(row.id, row.audio, "append", "duplicate-id", detail)
    return json.dumps(dataclasses.asdict(reject), ensure_ascii=False) + "\n"
