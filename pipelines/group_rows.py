"""The rows of a corpus, brought together in shards: Beam's shuffle, with little to carry."""

from __future__ import annotations

import itertools
import pickle
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from pipelines import quiet  # noqa: F401  (before Beam)
from pipelines.shard import Row, Shard, unit_of, validate

import apache_beam as beam  # isort: skip
from apache_beam.transforms.window import GlobalWindow  # isort: skip
from apache_beam.utils.windowed_value import WindowedValue  # isort: skip

MOST_BUFFERED = 8192
"""Rows in memory before they are packed, about 1 kB each."""


class GroupIntoShards(beam.PTransform):
    """Numbered rows to validated `Shard`s: `count` of them at most, and one for each archive.

    A runner on one machine keeps what it groups in memory, several times over. Rows are alike, so
    several of them packed together are a tenth of their size, and passed on faster.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def expand(self, rows: Any) -> Any:
        """Groups by the hash of the id, or by the archive."""

        def validated(unit: tuple[str, int], packed: Iterable[bytes]) -> Shard:
            return validate(unit[1], map_unpacked(packed), archive=unit[0])

        return (
            rows
            | "PackByShard" >> beam.ParDo(_PackByShard(self._count))
            | beam.GroupByKey()
            | "Validate" >> beam.MapTuple(validated)
        )


def map_unpacked(packed: Iterable[bytes]) -> Iterator[tuple[int, Row]]:
    """The numbered rows in several packs; the pipeline's own bytes, so that pickle is safe."""
    return itertools.chain.from_iterable(pickle.loads(zlib.decompress(p)) for p in packed)


class _PackByShard(beam.DoFn):
    """Keys rows by what they belong to, as `unit_of` has it, and packs those with the same key."""

    def __init__(self, count: int) -> None:
        self._count = count

    def start_bundle(self) -> None:
        self._rows: dict[tuple[str, int], list[tuple[int, Row]]] = {}
        self._buffered = 0

    def process(self, numbered: tuple[int, Row]) -> Iterator[tuple[tuple[str, int], bytes]]:
        self._rows.setdefault(unit_of(numbered[1], self._count), []).append(numbered)
        self._buffered += 1
        if self._buffered >= MOST_BUFFERED:
            yield from self._packed()

    def finish_bundle(self) -> Iterator[Any]:
        window = GlobalWindow()
        for keyed in self._packed():
            yield WindowedValue(keyed, window.max_timestamp(), [window])

    def _packed(self) -> Iterator[tuple[tuple[str, int], bytes]]:
        for unit, rows in self._rows.items():
            yield unit, zlib.compress(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), 1)
        self._rows, self._buffered = {}, 0
