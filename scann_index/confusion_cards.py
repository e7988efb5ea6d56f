"""What is taken for what, as cards to read and to hear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from scann_index.playable import player, sentence, text_with_english


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
        pairs: as `scann_index.confusions.find` gives them.
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
