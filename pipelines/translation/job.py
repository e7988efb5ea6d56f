"""What one run of the translation stage does, as its workers need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.shard import shard_index
from pipelines.translation.cache import Cache
from pipelines.translation.engine import EngineOptions, fingerprint
from pipelines.translation.filters import Filters, normalized


@dataclass(frozen=True)
class Direction:
    """From one language into another.

    Args:
        source: language of the texts.
        target: language of the translations.
        identity: what `Engine.identity` says of it.
        units: units of work that its texts are spread over.
    """

    source: str
    target: str
    identity: dict[str, Any]
    units: int

    @property
    def name(self) -> str:
        """`es-en`."""
        return f"{self.source}-{self.target}"

    @property
    def provenance(self) -> str:
        """What translated: `apertium@3f2a9c1d77e0`."""
        return f"{self.identity['engine']}@{fingerprint(self.identity)}"

    def unit_of(self, text: str) -> int:
        """Which unit a text belongs to; variants of one text meet there."""
        return shard_index(normalized(text), self.units)

    def cache(self, folder: str) -> Cache:
        """Where its translations are kept."""
        return Cache(folder, self.identity, self.source, self.target)


@dataclass(frozen=True)
class Job:
    """Everything a worker has to know.

    Args:
        shards: the input files.
        directions: all of them.
        tasks: of `translation` and `bitext`, which pairs to make.
        engine: which, and how.
        filters: what a translation must be like.
        cache: folder of the cache.
        output: the output directory.
        max_characters: longer texts are rejected unasked.
        limit: translate so many recordings, taken from all shards alike; None for all.
        accelerator: the GPU of the workers that translate, as Beam's resource hint names it.
    """

    shards: list[str]
    directions: list[Direction]
    tasks: tuple[str, ...]
    engine: EngineOptions
    filters: Filters
    cache: str
    output: str
    max_characters: int
    limit: int | None = None
    accelerator: str = ""

    def limit_of(self, shard: int) -> int | None:
        """How many recordings of one shard are translated; None for all."""
        if self.limit is None:
            return None
        share, rest = divmod(self.limit, len(self.shards))
        return share + (shard < rest)

    def directions_from(self, language: str) -> list[Direction]:
        """The directions out of a language."""
        return [d for d in self.directions if d.source == language]
