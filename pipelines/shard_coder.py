"""How Beam packs a shard, and how it learns how large one is without packing it.

Beam looks at the size of elements now and then. Of what it doesn't know it learns it by pickling:
of a shard with its sound, two copies of it.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before Beam)
from pipelines.shard import Shard

import apache_beam as beam  # isort: skip

_BYTES_OF_A_ROW = 500


class ShardCoder(beam.coders.Coder):
    """For what a step gives that says `with_output_types(Shard)`."""

    def encode(self, value: Any) -> bytes:
        """A pickle, as Beam would make it by itself: it comes from our own worker."""
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> Any:
        """The inverse."""
        return pickle.loads(encoded)

    def is_deterministic(self) -> bool:
        """Shards are never keys."""
        return False

    def estimate_size(self, value: Any) -> int:
        """About how many bytes it has."""
        arrays = sum(a.nbytes for a in value.arrays if isinstance(a, np.ndarray))
        return int(arrays + _BYTES_OF_A_ROW * value.rows)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


beam.coders.registry.register_coder(Shard, ShardCoder)
