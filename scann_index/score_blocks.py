"""Languages scored in Beam, in blocks of queries, so that one big language keeps no worker waiting.

blocks/it/speech_to_text-00001-of-00003.npz   what 4,096 recordings found in the Italian texts
languages/it.json                             the scores, once all blocks of the language are there
queries/it.parquet                            where each query's right answer came

A file that is there is not made again, so that a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from scann_index import scoring
from scann_index.collection import open_bundle
from scann_index.query_ranks import queries_path, write_queries
from scann_index.ranking import Found
from scann_index.retrieval import Candidates, answerable, assemble, blocks, search_block

import apache_beam as beam  # isort: skip

Block = tuple[str, int, int]
"""A task, the number of a block of its queries, and how many blocks there are."""


def block_path(folder: str, language: str, block: Block) -> str:
    """The file of a block."""
    task, number, count = block
    return storage.join(folder, "blocks", language, f"{task}-{number:05d}-of-{count:05d}.npz")


def scores_path(folder: str, language: str) -> str:
    """The file of a language's scores."""
    return storage.join(folder, "languages", f"{language}.json")


@lru_cache(maxsize=4)
def _sides(index: str, language: str, split: str) -> dict[str, tuple[Candidates, Candidates]]:
    """Kept, as a worker gets several blocks of a language; vectors stay in their files."""
    return scoring.sides(open_bundle(index), language, split)


class ScoreLanguages(beam.PTransform):
    """Languages to the files of their scores; yields the paths of those.

    Args:
        index: folder of the bundle, which each worker opens for itself.
        folder: of the evaluation.
        split: as in `scoring.score_language`, and so are the others.
        limit: only so many queries a task.
        examples: so many hits and so many misses.
    """

    def __init__(
        self, index: str, folder: str, split: str, limit: int | None, examples: int
    ) -> None:
        super().__init__()
        self.index = index
        self.folder = folder
        self.split = split
        self.limit = limit
        self.examples = examples

    def expand(self, languages: Any) -> Any:
        """Plan, search and sum up, each spread over all workers."""
        return (
            languages
            | beam.Reshuffle()
            | "PlanBlocks" >> beam.FlatMap(self._plan)
            | "SpreadBlocks" >> beam.Reshuffle()
            | "SearchBlock" >> beam.MapTuple(self._search)
            | beam.GroupByKey()
            | "Score" >> beam.MapTuple(self._score)
        )

    def _plan(self, language: str) -> Iterator[tuple[str, Block | None]]:
        yield language, None
        for task, (queries, pool) in _sides(self.index, language, self.split).items():
            count = len(blocks(len(answerable(queries, pool, self.limit))))
            yield from ((language, (task, number, count)) for number in range(count))

    def _search(self, language: str, block: Block | None) -> tuple[str, Block | None]:
        if block is None:
            return language, None
        path = block_path(self.folder, language, block)
        if not storage.exists(path):
            task, number, _ = block
            queries, pool = _sides(self.index, language, self.split)[task]
            numbers = answerable(queries, pool, self.limit)
            found = search_block(queries, pool, numbers[blocks(len(numbers))[number]])
            storage.write_bytes(path, found.to_bytes())
        return language, block

    def _score(self, language: str, found: Iterable[Block | None]) -> str:
        paths: dict[str, list[str]] = {}
        for block in sorted({block for block in found if block}):
            paths.setdefault(block[0], []).append(block_path(self.folder, language, block))
        retrievals = {
            task: assemble(
                *_sides(self.index, language, self.split)[task],
                self.limit,
                [Found.from_bytes(storage.read_bytes(path)) for path in parts],
            )
            for task, parts in paths.items()
        }
        meaning = scoring.meanings(open_bundle(self.index), self.split)
        scores = scoring.describe(retrievals, language, meaning, self.examples)
        write_queries(queries_path(self.folder, language), retrievals)
        path = scores_path(self.folder, language)
        storage.write_json(path, scores)
        for part in (part for parts in paths.values() for part in parts):
            storage.remove(part)
        return path
