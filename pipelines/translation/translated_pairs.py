"""Prepared pairs and the translations of their texts to new pairs, and to rejects."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.pairs import Pair, read_shards
from pipelines.rejects import Rejected
from pipelines.shard import Shard
from pipelines.translation.engine import Translation, one_line
from pipelines.translation.job import Direction, Job

STAGE = "translate"
Outcome = Translation | Rejected


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one text in one direction, for one shard that holds it.

    Args:
        source: language of the text.
        target: language of the translation.
        text: as `one_line` makes it.
        outcome: a translation that passed the filters, or why there is none.
        bitext: the same for the text–text pair; None where another shard makes it.
    """

    source: str
    target: str
    text: str
    outcome: Outcome
    bitext: Outcome | None


def transcripts(job: Job, number: int) -> Iterator[tuple[Pair, str]]:
    """The recordings of a shard to be translated, each with its text as engines take it."""
    pairs = (pair for pair in read_shards([job.shards[number]]) if pair.task == "transcription")
    wanted = (pair for pair in pairs if job.directions_from(pair.source_language))
    for pair in itertools.islice(wanted, job.limit_of(number)):
        yield pair, one_line(pair.target_text)


def translated_shard(job: Job, number: int, results: Iterable[Result]) -> Shard:
    """The translated pairs of one input shard, and what was left out of them.

    Each recording gets a `translation` pair, unless the corpus itself translates it into that
    language; each distinct text a `bitext` pair.
    """
    by_text = {(r.source, r.target, r.text): r for r in results}
    shard = Shard(number)
    written: set[tuple[str, str, str]] = set()
    given = _given_translations(job.shards[number])
    for pair, text in transcripts(job, number):
        for direction in job.directions_from(pair.source_language):
            key = (direction.source, direction.target, text)
            result = by_text[key]
            if "translation" in job.tasks and (pair.id, direction.target) not in given:
                _add(shard, _speech_pair(pair, direction), result.outcome)
            if "bitext" in job.tasks and result.bitext is not None and key not in written:
                written.add(key)
                _add(shard, _text_pair(pair, text, direction), result.bitext)
    return shard


def _given_translations(path: str) -> set[tuple[str, str]]:
    """Ids of recordings and languages that the corpus translates them into."""
    return {
        (pair.id.removesuffix(f">{pair.target_language}"), pair.target_language)
        for pair in read_shards([path])
        if pair.task == "translation"
    }


def _add(shard: Shard, pair: Pair, outcome: Outcome) -> None:
    """A pair whose target text is still empty, filled in or rejected."""
    if isinstance(outcome, Rejected):
        shard.rejects.append(outcome.reject(pair.id, pair.audio, STAGE))
        return
    score = "" if outcome.score is None else f" {outcome.score:.3f}"
    pair = dataclasses.replace(
        pair, target_text=outcome.text, provenance=f"{pair.provenance}{score}"
    )
    shard.pairs.append(_english_last(pair) if pair.task == "bitext" else pair)


def _speech_pair(pair: Pair, direction: Direction) -> Pair:
    """The same sound, its text to be filled in."""
    return dataclasses.replace(
        pair,
        id=f"{pair.id}>{direction.target}:{direction.identity['engine']}",
        task="translation",
        target_text="",
        target_language=direction.target,
        provenance=f"{pair.provenance} {direction.provenance}",
    )


def _text_pair(pair: Pair, text: str, direction: Direction) -> Pair:
    """The transcript, its translation to be filled in."""
    spoken = _speech_pair(pair, direction)
    return Pair(
        id=f"{spoken.id}:text",
        task="bitext",
        source_language=direction.source,
        source_text=text,
        target_language=direction.target,
        target_text="",
        sentence_id=pair.sentence_id,
        split=pair.split,
        provenance=spoken.provenance,
    )


def _english_last(pair: Pair) -> Pair:
    """With English as the target, if a side is English: as the paper's section 5.2 has it."""
    if pair.source_language != "en":
        return pair
    return dataclasses.replace(
        pair,
        source_language=pair.target_language,
        source_text=pair.target_text,
        target_language="en",
        target_text=pair.source_text,
    )
