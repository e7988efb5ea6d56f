"""The translation stage in Beam: shards of a prepared directory in, shards of new pairs out.

    shards ─ ReadTexts ─┐
                        ├─ by unit ─ RunInference ─ StoreTranslations ─ by shard ─ WriteShard
    cache ── ReadCache ─┘

A text is translated once, however many recordings share it. A unit is a few hundred texts of one
direction. Which, follows from the input alone, so that a resumed run asks the engine for the same
batches as an undisturbed one, and hears the same.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from pipelines.rejects import Rejected
from pipelines.right_fitting import with_model
from pipelines.tokenize_speech import WriteShard, finished_path
from pipelines.translation.cache import read_part
from pipelines.translation.engine import (
    Engine,
    EngineOptions,
    Translation,
    open_engine,
    translate_all,
)
from pipelines.translation.filters import normalized
from pipelines.translation.job import Direction, Job
from pipelines.translation.translated_pairs import Outcome, Result, transcripts, translated_shard

import apache_beam as beam  # isort: skip
from apache_beam.ml.inference.base import ModelHandler, RunInference  # isort: skip

Key = tuple[str, int]
"""The name of a direction and the number of one of its units."""


@dataclass(eq=False)
class Unit:
    """Some texts of one direction on their way through the engine.

    Args:
        direction: their languages.
        index: which of the direction's units.
        shards: for each text, in alphabetical order, the input shards that hold it.
        known: what the cache says of them.
        outcomes: what became of each text.
    """

    direction: Direction
    index: int
    shards: dict[str, list[int]]
    known: dict[str, Translation]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The texts that have to be translated."""
        return [text for text in self.shards if text not in self.known]


def build(pipeline: Any, job: Job) -> None:
    """Applies the whole stage to a pipeline."""
    shards = pipeline | "Shards" >> beam.Create(list(range(len(job.shards))))
    texts = (
        shards
        | "SpreadShards" >> beam.Reshuffle()
        | "ReadTexts" >> beam.FlatMap(lambda number: read_texts(job, number))
    )
    parts = [(d, path) for d in job.directions for path in d.cache(job.cache).parts()]
    cached = (
        pipeline
        | "CacheParts" >> beam.Create(parts)
        | "SpreadCache" >> beam.Reshuffle()
        | "ReadCache" >> beam.FlatMapTuple(read_cache)
    )
    directions = {d.name: d for d in job.directions}
    results = (
        {"texts": texts, "cached": cached}
        | "ByUnit" >> beam.CoGroupByKey()
        | "MakeUnits" >> beam.FlatMapTuple(lambda key, found: make_unit(directions, key, found))
        | "SpreadUnits" >> beam.Reshuffle()
        | "Translate" >> inference(job)
        | "StoreTranslations" >> beam.ParDo(StoreTranslations(job))
    )
    # A shard without a text to translate is finished all the same.
    empty = shards | "EveryShard" >> beam.Map(lambda number: (number, None))
    output, count = job.output, len(job.shards)
    _ = (
        (results, empty)
        | beam.Flatten()
        | "ByShard" >> beam.GroupByKey()
        | "SkipFinished" >> beam.Filter(lambda keyed: not is_finished(output, keyed[0]))
        | "MakePairs"
        >> beam.MapTuple(lambda n, found: translated_shard(job, n, filter(None, found)))
        | "WriteShard" >> beam.ParDo(WriteShard(output, count, ""))
    )


def inference(job: Job) -> Any:
    """The step that translates, on machines that fit a model, with a GPU if one is asked for."""
    step = with_model(RunInference(TranslationHandler(job.engine, job.max_characters)))
    return step.with_resource_hints(accelerator=job.accelerator) if job.accelerator else step


def is_finished(output: str, shard: int) -> bool:
    """Whether an earlier run wrote a shard."""
    return storage.exists(finished_path(output, f"{shard:05d}"))


def read_texts(job: Job, number: int) -> Iterator[tuple[Key, tuple[str, int]]]:
    """The distinct texts of one shard, by unit, each with the shard's number."""
    texts = {(pair.source_language, text) for pair, text in transcripts(job, number)}
    for language, text in sorted(texts):
        for direction in job.directions_from(language):
            yield (direction.name, direction.unit_of(text)), (text, number)


def read_cache(direction: Direction, path: str) -> Iterator[tuple[Key, tuple[str, Translation]]]:
    """The translations of one file of the cache, by unit."""
    for text, translation in read_part(path):
        yield (direction.name, direction.unit_of(text)), (text, translation)


def make_unit(
    directions: dict[str, Direction], key: Key, found: dict[str, Iterable[Any]]
) -> Iterator[Unit]:
    """What meets at one key, if it holds texts of this corpus and not just of the cache."""
    shards: dict[str, set[int]] = defaultdict(set)
    for text, number in found["texts"]:
        shards[text].add(number)
    if shards:
        known = {text: translation for text, translation in found["cached"] if text in shards}
        ordered = {text: sorted(shards[text]) for text in sorted(shards)}
        yield Unit(directions[key[0]], key[1], ordered, known)


class TranslationHandler(ModelHandler[Unit, Unit, Engine]):
    """Units of texts to units with their outcomes, for `RunInference`, whatever the engine.

    Args:
        options: which engine, and how it translates.
        max_characters: longer texts are rejected unasked.
    """

    def __init__(self, options: EngineOptions, max_characters: int) -> None:
        super().__init__()
        self.options = options
        self.max_characters = max_characters

    def load_model(self) -> Engine:
        """Loads the engine once per process."""
        engine = open_engine(self.options)
        engine.load()
        return engine

    def run_inference(
        self, batch: Sequence[Unit], model: Engine, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Unit]:
        """Translates what the cache doesn't know."""
        return [self._translated(unit, model) for unit in batch]

    def _translated(self, unit: Unit, engine: Engine) -> Unit:
        limit = self.max_characters
        outcomes: dict[str, Outcome] = dict(unit.known)
        for text in unit.missing:
            outcomes[text] = Rejected("too-long", f"{len(text)} characters, over {limit}")
        short = [text for text in unit.missing if len(text) <= limit]
        said = translate_all(engine, short, unit.direction.source, unit.direction.target)
        outcomes.update(zip(short, said, strict=True))
        return dataclasses.replace(unit, outcomes=outcomes)

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """One unit at a time: its texts are batched by length inside."""
        return {"min_batch_size": 1, "max_batch_size": 1}


class StoreTranslations(beam.DoFn):
    """A translated unit to the cache, and what the filters say of it to the shards that wait.

    Args:
        job: what is done.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, unit: Unit) -> Iterator[tuple[int, Result]]:
        """Yields a result for each text and shard that holds it, by shard."""
        said = {t: o for t, o in unit.outcomes.items() if isinstance(o, Translation)}
        new = {text: said[text] for text in unit.missing if text in said}
        unit.direction.cache(self.job.cache).add(new)
        first_spelling: dict[str, str] = {}
        for text, shards in unit.shards.items():
            outcome = self._filtered(unit, text)
            bitext = outcome
            first = first_spelling.setdefault(normalized(text), text)
            if first != text:
                bitext = Rejected("duplicate", f"{text[:80]!r} is {first[:80]!r} spelled anew")
            for shard in shards:
                yield (
                    shard,
                    Result(
                        unit.direction.source,
                        unit.direction.target,
                        text,
                        outcome,
                        bitext if shard == shards[0] else None,
                    ),
                )
        self._mark(unit, new, failed=len(unit.outcomes) - len(said))

    def _filtered(self, unit: Unit, text: str) -> Outcome:
        outcome = unit.outcomes[text]
        if isinstance(outcome, Translation):
            try:
                filters = self.job.filters
                filters.check(text, outcome, unit.direction.source, unit.direction.target)
            except Rejected as rejected:
                return rejected.without_traceback()
        return outcome

    def _mark(self, unit: Unit, new: dict[str, Translation], *, failed: int) -> None:
        """Notes what the unit took; where it stands already, the first time counts."""
        name = f"{unit.direction.name}-{unit.index:05d}.json"
        path = storage.join(self.job.output, "translated", name)
        if not storage.exists(path):
            counts = {"texts": len(unit.shards), "cached": len(unit.known), "translated": len(new)}
            characters = sum(len(text) for text in new)
            storage.write_json(path, {**counts, "failed": failed, "characters": characters})
