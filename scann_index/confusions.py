"""Which sentences are taken for which others: the misses that recur, and what they sound like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from scann_index.playable import player, sentence, text_with_english
from scann_index.retrieval import Candidates

if TYPE_CHECKING:
    from scann_index.bundle import Bundle, Row

MAX_PAIRS = 9
MAX_QUERIES = 2000
"""Of one language; of more, those with the lowest hash of their id."""
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
    english = _meanings(bundle, split)
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
                "example": _example(widest, english),
            }
        )
    pairs.sort(
        key=lambda p: (-len(p["languages"]), -p["recordings"], -p["margin"], p["said"], p["found"])
    )
    kept: dict[frozenset[str], dict[str, Any]] = {}
    for pair in pairs:
        kept.setdefault(frozenset((pair["said"], pair["found"])), pair)
    return list(kept.values())[:count]


def _misses(bundle: Bundle, language: str, split: str) -> Iterator[dict[str, Any]]:
    """The recordings of a language that find a text of another sentence first."""
    speech = Candidates(bundle.shards(modality="speech", language=language), split)
    text = Candidates(bundle.shards(modality="text", language=language), split)
    sentences = np.array(text.sentences, object)
    recordings: dict[str, Row] = {}
    for row in speech.rows:
        recordings.setdefault(row.sentence_id, row)
    places = [i for i, row in enumerate(speech.rows) if row.sentence_id in set(text.sentences)]
    places = sorted(places, key=lambda i: hashlib.sha256(speech.rows[i].id.encode()).digest())
    places = places[:MAX_QUERIES]
    at_once = max(1, _SCORES_AT_ONCE // max(1, len(sentences)))
    for first in range(0, len(places), at_once):
        chosen = places[first : first + at_once]
        scores = text.compare(speech.vectors[chosen])
        for place, own in zip(chosen, scores, strict=True):
            query = speech.rows[place]
            best = int(own.argmax())
            right = np.flatnonzero(sentences == query.sentence_id)
            nearest = int(right[own[right].argmax()])
            if sentences[best] == query.sentence_id or not own[best] > own[nearest]:
                continue
            hit = text.rows[best]
            yield {
                "said": query.sentence_id,
                "found": hit.sentence_id,
                "language": language,
                "query": query,
                "hit": hit,
                "recording": recordings.get(hit.sentence_id),
                "score": float(own[best]),
                "right_score": float(own[nearest]),
                "margin": float(own[best] - own[nearest]),
            }


def _meanings(bundle: Bundle, split: str) -> dict[str, str]:
    """The English text of each sentence."""
    english = Candidates(bundle.shards(modality="text", language="en"), split)
    return {row.sentence_id: row.text for row in english.rows}


def _example(miss: Mapping[str, Any], english: Mapping[str, str]) -> dict[str, Any]:
    """A miss as JSON: what was said and what was found, each with its sound, and both scores."""
    query, hit, recording = miss["query"], miss["hit"], miss["recording"]
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


def sides(pairs: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """What there is to be heard, in the form that `scann_index.playable.sounds` takes."""
    both = [pair["example"][side] for pair in pairs for side in ("said", "found")]
    return {"all": [side for side in both if side["audio"]]}


_PAIR = Markup(
    '<article class="card confusion"><header><span class="pair">{said} → {found}</span>'
    '<span class="verdict">{count}</span></header><div class="sides">{sides}</div>'
    '<p class="codes">{codes}</p>{back}</article>'
)
_SIDE = Markup(
    '<div class="side"><p class="label">{label}</p><p class="said">{text}</p><div>{player}</div>'
    '<p class="score">cosine <b>{score:.3f}</b></p></div>'
)


def cards(
    pairs: Sequence[Mapping[str, Any]],
    languages: Mapping[str, Mapping[str, Any]],
    uris: Mapping[str, str],
) -> Markup:
    """A card for each pair of sentences, to be read and heard.

    Args:
        pairs: as `find` gives them.
        languages: as in `report.json`.
        uris: the sounds, by id of the recording.
    """
    if not pairs:
        return Markup("<p>No recording finds a wrong text first.</p>")
    drawn = Markup("").join(_card(pair, languages, uris) for pair in pairs)
    return Markup('<div class="cards wide">{}</div>').format(drawn)


def _card(
    pair: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]], uris: Mapping[str, str]
) -> Markup:
    example = pair["example"]
    code = example["language"]
    name = languages[code]["name"]
    number = len(pair["languages"])
    back = pair["the_other_way"]
    return _PAIR.format(
        said=sentence(pair["said"]),
        found=sentence(pair["found"]),
        count=f"{number} languages" if number > 1 else f"{pair['recordings']:,} in {name}",
        sides=_side(example["said"], code, uris, f"said in {name}")
        + _side(example["found"], code, uris, "found instead"),
        codes=Markup(" ").join(
            Markup('<span class="{}" title="{}">{}</span>').format(
                "seen" if languages[c]["seen"] else "unseen", languages[c]["name"], c
            )
            for c in pair["languages"]
        ),
        back=Markup('<p class="mute">and the other way round in {}</p>').format(", ".join(back))
        if back
        else "",
    )


def _side(side: Mapping[str, Any], code: str, uris: Mapping[str, str], label: str) -> Markup:
    return _SIDE.format(
        label=label,
        text=text_with_english(side["text"] or "?", side["english"], code),
        player=player(uris.get(side["id"]), side["text"])
        if side["audio"]
        else Markup('<p class="mute">No recording of it in this split.</p>'),
        score=side["score"],
    )
