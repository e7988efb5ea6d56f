"""Which sentences are taken for which others: the misses that recur."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scann_index.retrieval import Candidates

if TYPE_CHECKING:
    from scann_index.bundle import Bundle, Row

MAX_PAIRS = 9
MAX_QUERIES = 2000
"""Of one language; of more, those with the lowest hash of their id."""
MAX_TEXTS = 200_000
"""A language with more is left out: it would take long, and memory for all their vectors."""
_SCORES_AT_ONCE = 2**24


def find(
    bundle: Bundle, languages: Sequence[str], split: str, *, count: int = MAX_PAIRS
) -> list[dict[str, Any]]:
    """The pairs of sentences that are confused in most languages, by exact comparison.

    Args:
        bundle: the index.
        languages: whose speech is put to their texts.
        split: whose rows are queries and pools.
        count: so many pairs at most.

    Returns:
        JSON values, most languages first, then most recordings, then the widest margin: `said` and
        `found`, sentence ids; `languages` in which speech of the one finds a text of the other
        first, `recordings` that do, `the_other_way` (languages in which the same happens with the
        two exchanged), and `example`, the recording with the widest margin, as `_example` gives it.
    """
    misses: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for language in languages:
        for miss in _misses(bundle, language, split):
            misses.setdefault((miss["said"], miss["found"]), []).append(miss)
    pairs = []
    for (said, found), own in misses.items():
        widest = max(own, key=lambda miss: (miss["margin"], miss["query"].id))
        pairs.append(
            {
                "said": said,
                "found": found,
                "languages": sorted({miss["language"] for miss in own}),
                "recordings": len(own),
                "the_other_way": sorted({m["language"] for m in misses.get((found, said), [])}),
                "margin": widest["margin"],
                "example": widest,
            }
        )
    pairs.sort(
        key=lambda p: (-len(p["languages"]), -p["recordings"], -p["margin"], p["said"], p["found"])
    )
    kept: dict[frozenset[str], dict[str, Any]] = {}
    for pair in pairs:
        kept.setdefault(frozenset((pair["said"], pair["found"])), pair)
    shown = list(kept.values())[:count]
    english = _meanings(bundle, split, {name for pair in shown for name in _both(pair)})
    for pair in shown:
        recording = _recording(bundle, pair["example"]["language"], split, pair["found"])
        pair["example"] = _example(pair["example"], recording, english)
    return shown


def _both(pair: Mapping[str, Any]) -> tuple[str, str]:
    return pair["said"], pair["found"]


def _misses(bundle: Bundle, language: str, split: str) -> Iterator[dict[str, Any]]:
    """The recordings of a language that find a text of another sentence first."""
    speech = Candidates(bundle.shards(modality="speech", language=language), split)
    text = Candidates(bundle.shards(modality="text", language=language), split)
    if not len(text) or len(text) > MAX_TEXTS:
        return
    sentences = text.sentence_numbers
    asked = text.numbers(speech.sentences)
    ids = speech.column("id")
    order = sorted(np.flatnonzero(asked >= 0).tolist(), key=lambda i: _hash(ids[i]))
    places = np.array(order[:MAX_QUERIES], np.int64)
    pool = text.vectors
    at_once = max(1, _SCORES_AT_ONCE // len(text))
    for first in range(0, len(places), at_once):
        chosen = places[first : first + at_once]
        scores = speech.vectors_at(chosen) @ pool.T
        own = sentences[None, :] == asked[chosen][:, None]
        best, right = scores.argmax(axis=1), np.where(own, scores, -np.inf).argmax(axis=1)
        margins = np.take_along_axis(scores, np.stack([best, right], axis=1), axis=1)
        missed = np.flatnonzero(
            (sentences[best] != asked[chosen]) & (margins[:, 0] > margins[:, 1])
        )
        queries, hits = speech.rows_at(chosen[missed]), text.rows_at(best[missed])
        for query, hit, (score, right_score) in zip(queries, hits, margins[missed], strict=True):
            yield {
                "said": query.sentence_id,
                "found": hit.sentence_id,
                "language": language,
                "query": query,
                "hit": hit,
                "score": float(score),
                "right_score": float(right_score),
                "margin": float(score - right_score),
            }


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _meanings(bundle: Bundle, split: str, wanted: Collection[str]) -> dict[str, str]:
    """The English texts of some sentences."""
    english = Candidates(bundle.shards(modality="text", language="en"), split)
    places = [i for i, name in enumerate(english.sentences) if name in wanted]
    return {row.sentence_id: row.text for row in english.rows_at(places)}


def _recording(bundle: Bundle, language: str, split: str, sentence_id: str) -> Row | None:
    """Somebody who says a sentence in a language, the first by id."""
    rows = [
        row
        for shard in bundle.shards(modality="speech", language=language)
        for row in shard.rows_of_sentences([sentence_id])
        if row.split == split
    ]
    return min(rows, key=lambda row: row.id) if rows else None


def _example(
    miss: Mapping[str, Any], recording: Row | None, english: Mapping[str, str]
) -> dict[str, Any]:
    """A miss as JSON: what was said and what was found, each with its sound, and both scores."""
    query, hit = miss["query"], miss["hit"]
    return {
        "language": miss["language"],
        "said": {
            "id": query.id,
            "text": query.text,
            "english": english.get(query.sentence_id),
            "audio": query.audio,
            "score": miss["right_score"],
        },
        "found": {
            "id": recording.id if recording else "",
            "text": hit.text,
            "english": english.get(hit.sentence_id),
            "audio": recording.audio if recording else "",
            "score": miss["score"],
        },
    }
