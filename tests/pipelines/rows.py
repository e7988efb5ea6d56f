"""Rows of a corpus for tests, and what runs them through Beam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline

from pipelines.pairs import Pair
from pipelines.shard import Row
from pipelines.utterance import Utterance


def utterance(id: str = "u1", **fields: Any) -> Utterance:
    """A good training utterance of one second, but for the fields given."""
    values: dict[str, Any] = {
        "audio": f"/clips/{id}.wav",
        "language": "en",
        "transcript": f"this is {id}",
        "sentence_id": f"sentence {id}",
        "split": "train",
    }
    return Utterance(id=id, **{**values, **fields})


def bitext(id: str = "b1", **fields: Any) -> Pair:
    """A good text–text training pair, but for the fields given."""
    values: dict[str, Any] = {
        "task": "bitext",
        "source_language": "fr",
        "source_text": "le chat",
        "target_language": "en",
        "target_text": "the cat",
        "sentence_id": "cat",
        "split": "train",
    }
    return Pair(id=id, **{**values, **fields})


@dataclass
class ListCorpus:
    """A corpus of the rows given."""

    listed: Sequence[Row] = field(default_factory=list)
    name: str = "listed"

    def rows(self) -> Iterator[Row]:
        yield from self.listed

    def card(self) -> dict[str, Any]:
        return {"name": self.name}


def in_process() -> TestPipeline:
    """A pipeline that runs in this process when its `with` ends."""
    return TestPipeline(runner=FnApiRunner())
