"""In which language speech finds its text when the texts of all languages are searched at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from scann_index.charts import percent
from scann_index.retrieval import Candidates

if TYPE_CHECKING:
    from scann_index.bundle import Bundle

MAX_QUERIES = 200
"""Of one language; of more, those with the lowest hash of their id."""
MAX_TEXTS = 5000
"""Of one language, likewise."""
MAX_SQUARE = 20
"""More languages are told by their commonest confusions instead of all."""
MAX_LINES = 20


def find(bundle: Bundle, languages: Sequence[str], split: str) -> dict[str, Any]:
    """Puts each language's speech to the texts of all, by exact comparison.

    Args:
        bundle: the index.
        languages: those to consider, those without text or speech in the split left out.
        split: whose rows are queries and pools.

    Returns:
        JSON values: `languages`, those considered; `found`, of each a row with the shares of its
        recordings whose nearest text is of each language; `right`, the share whose nearest text is
        of the right sentence, in whatever language; `queries`, how many were asked. Empty with
        fewer than two languages.
    """
    texts, queries = {}, {}
    for code in languages:
        text = Candidates(bundle.shards(modality="text", language=code), split)
        speech = Candidates(bundle.shards(modality="speech", language=code), split)
        if len(text) and len(speech):
            texts[code] = _some(text, MAX_TEXTS)
            queries[code] = _some(speech, MAX_QUERIES)
    codes = list(texts)
    if len(codes) < 2:
        return {}
    shares, right = [], []
    for code in codes:
        vectors, sentences = queries[code]
        best = np.full(len(vectors), -np.inf, np.float32)
        language = np.zeros(len(vectors), np.int64)
        hits = np.zeros(len(vectors), bool)
        for place, other in enumerate(codes):
            pool, pool_sentences = texts[other]
            scores = vectors @ pool.T
            nearest = scores.argmax(axis=1)
            nearer = scores.max(axis=1) > best
            best = np.where(nearer, scores.max(axis=1), best)
            language = np.where(nearer, place, language)
            hits = np.where(nearer, pool_sentences[nearest] == sentences, hits)
        shares.append([float(np.mean(language == place)) for place in range(len(codes))])
        right.append(float(hits.mean()))
    return {
        "languages": codes,
        "found": shares,
        "right": right,
        "queries": [len(queries[code][0]) for code in codes],
    }


def _some(candidates: Candidates, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The vectors and sentence ids of some rows, drawn by the hash of their ids."""
    ids = candidates.column("id")
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())
    numbers = np.array(sorted(order[:count]), np.int64)
    return candidates.vectors_at(numbers), np.array(candidates.sentences, object)[numbers]


def section(found: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> Markup:
    """A square of all languages, or the commonest confusions of many.

    Args:
        found: as `find` gives it.
        languages: as in `report.json`.
    """
    if not found:
        return Markup("")
    codes = found["languages"]
    own = float(np.mean([row[place] for place, row in enumerate(found["found"])]))
    right = float(np.mean(found["right"]))
    drawn = _square if len(codes) <= MAX_SQUARE else _lines
    return Markup(
        "<h3>Which language answers</h3><p>When speech is put to the texts of all {} languages at "
        "once, what comes first is in the language that was spoken {}% of the time, and is the "
        "right sentence, in whatever language, {}% of the time. {}</p>{}"
    ).format(
        len(codes),
        percent(own),
        percent(right),
        "A row is a spoken language, a column the language of the text found first, in percent."
        if drawn is _square
        else "The commonest other languages:",
        drawn(found, languages),
    )


def _square(found: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> Markup:
    codes = found["languages"]
    head = Markup("").join(
        Markup('<th scope="col" title="{}">{}</th>').format(languages[code]["name"], code)
        for code in codes
    )
    rows = Markup("").join(
        Markup('<tr class="{}"><th scope="row">{}</th>{}<td class="sum">{:.0f}</td></tr>').format(
            "seen" if languages[code]["seen"] else "unseen",
            languages[code]["name"],
            Markup("").join(
                Markup('<td style="--heat:{0:.0f}%"{1}>{2}</td>').format(
                    min(100.0, 100 * share),
                    Markup(' class="own"') if other == code else "",
                    f"{100 * share:.0f}" if share > 0.005 else "",
                )
                for other, share in zip(codes, row, strict=True)
            ),
            100 * right,
        )
        for code, row, right in zip(codes, found["found"], found["right"], strict=True)
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Which language answers">'
        '<table class="square"><thead><tr><th></th>{}<th scope="col">right</th></tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, rows)


def _lines(found: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]]) -> Markup:
    codes = found["languages"]
    pairs = [
        (share, codes[i], codes[j])
        for i, row in enumerate(found["found"])
        for j, share in enumerate(row)
        if i != j and share > 0
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return Markup('<ul class="lines">{}</ul>').format(
        Markup("").join(
            Markup("<li>{} → {} <b>{}%</b></li>").format(
                languages[one]["name"], languages[other]["name"], percent(share)
            )
            for share, one, other in pairs[:MAX_LINES]
        )
    )
