"""Examples one can hear: what was said, what was found, and the sound itself inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import soundfile
from markupsafe import Markup

from pipelines.audio import SAMPLE_RATE, load_audio
from pipelines.rejects import Rejected
from scann_index.results import by_recall

MAX_LANGUAGES = 16
MAX_SECONDS = 20.0
"""Of one clip; the rest is cut."""
MAX_BYTES = 2_000_000
"""Of all sound in one page, as base64; what comes after has no player."""

_TICK = Markup('<span role="img" aria-label="right">✓</span>')
_FOUND = Markup('<li class="{}">{}<span>{}</span><span class="tick">{}</span><b>{:.2f}</b></li>')


def data_uri(waveform: np.ndarray) -> str:
    """A waveform as MP3, which every browser plays, in a `data:` URI.

    Args:
        waveform: float32 `[samples]` at 16 kHz, in [-1, 1]; cut after `MAX_SECONDS`.
    """
    buffer = io.BytesIO()
    samples = waveform[: int(MAX_SECONDS * SAMPLE_RATE)]
    soundfile.write(buffer, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shown_languages(languages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """At most `MAX_LANGUAGES`, half of them seen, from the best of each half to the worst."""
    half = MAX_LANGUAGES // 2
    shown = []
    for seen in (True, False):
        ordered = by_recall(languages, seen=seen)
        places = np.linspace(0, len(ordered) - 1, min(half, len(ordered))).round().astype(int)
        shown += [ordered[place] for place in places]
    return shown


def sounds(
    examples: Mapping[str, Sequence[Mapping[str, Any]]], limit: int | None = None
) -> dict[str, str]:
    """The `data:` URI of each example's sound, by example id, until some bytes are used.

    What can't be loaded is left out: a report is worth having without its sound. Every language
    gets its first example before any gets its second.

    Args:
        examples: of each language, with `id` and `audio`.
        limit: bytes of all sounds as base64, `MAX_BYTES` if None.
    """
    limit = MAX_BYTES if limit is None else limit
    uris: dict[str, str] = {}
    used = 0
    for row in zip_longest(*examples.values()):
        for example in filter(None, row):
            try:
                uri = data_uri(load_audio(example["audio"]))
            except (Rejected, OSError, RuntimeError):
                continue
            if used + len(uri) > limit:
                return uris
            used += len(uri)
            uris[example["id"]] = uri
    return uris


def gallery(
    languages: Mapping[str, Mapping[str, Any]],
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Markup:
    """Cards of hits and misses, one section a language, and buttons to choose a language by.

    Args:
        languages: as in `report.json`.
        examples: of each language, as `scann_index.scoring.choose_examples` gives them.
    """
    shown = {code: examples[code] for code in shown_languages(languages) if examples.get(code)}
    uris = sounds(shown)
    buttons = Markup("").join(
        Markup('<button type="button" class="{}" data-language="{}">{}</button>').format(
            _kind(languages[code]), code, languages[code]["name"]
        )
        for code in shown
    )
    sections = Markup("").join(
        Markup(
            '<section data-language="{}"><h3>{} <span class="pill {kind}">{kind}</span></h3>'
            '<div class="cards">{}</div></section>'
        ).format(
            code,
            languages[code]["name"],
            Markup("").join(
                _card(example, code, languages[code]["pool"], uris.get(example["id"]))
                for example in shown[code]
            ),
            kind=_kind(languages[code]),
        )
        for code in shown
    )
    return Markup(
        '<nav class="chooser" aria-label="Language of the examples">{}</nav>'
        '<div class="gallery">{}</div>'
    ).format(buttons, sections)


def _kind(language: Mapping[str, Any]) -> str:
    return "seen" if language["seen"] else "unseen"


def _card(example: Mapping[str, Any], code: str, pool: int, uri: str | None) -> Markup:
    hit = example["rank"] == 1
    verdict = "found" if hit else f"rank {example['rank']:,} of {pool:,}"
    return Markup(
        '<article class="card {}"><header>{}<span class="verdict">{}</span></header>{}'
        '<p class="said"><small>said</small> {}</p><ol>{}</ol></article>'
    ).format(
        "hit" if hit else "miss",
        sentence(example["sentence_id"]),
        verdict,
        player(uri, example["transcript"]),
        text_with_english(example["transcript"] or "?", example["english"], code),
        Markup("").join(_found(found, code) for found in example["top"]),
    )


def player(uri: str | None, words: str) -> Markup:
    """Something to hear a sound with, or why there is none."""
    if not uri:
        return Markup('<p class="mute">The recording could not be put into this page.</p>')
    return Markup('<audio controls preload="metadata" src="{}" aria-label="{}"></audio>').format(
        uri, f"Recording of {words}"
    )


def sentence(name: str) -> Markup:
    """A sentence id, cut if it is long."""
    return Markup('<span class="sentence" title="sentence id">{}</span>').format(name)


def text_with_english(text: str, english: str | None, code: str) -> Markup:
    """A text in its language, its English below."""
    gloss = (
        Markup("")
        if code == "en" or not english
        else Markup('<span class="gloss" lang="en">{}</span>').format(english)
    )
    return Markup('<bdi lang="{}">{}</bdi>{}').format(code, text, gloss)


def _found(found: Mapping[str, Any], code: str) -> Markup:
    return _FOUND.format(
        "right" if found["right"] else "wrong",
        sentence(found["sentence_id"]),
        text_with_english(found["text"], found["english"], code),
        _TICK if found["right"] else "",
        found["score"],
    )
