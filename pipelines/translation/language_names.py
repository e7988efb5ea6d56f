"""What other projects call the languages of `LANGUAGES`: ISO 639-3, and FLORES-200 as NLLB."""

from __future__ import annotations

from pipelines.utterance import LANGUAGES

_TABLE = (
    "af afr am amh ar ara as asm az aze be bel bg bul bn ben bs bos ca cat cs ces cy cym da dan "
    "de deu el ell en eng es spa et est fa fas ff ful fi fin fr fra ga gle gl glg gu guj ha hau "
    "he heb hi hin hr hrv hu hun hy hye id ind ig ibo is isl it ita ja jpn jv jav ka kat kk kaz "
    "km khm kn kan ko kor ky kir lb ltz lg lug ln lin lo lao lt lit lv lav mi mri mk mkd ml mal "
    "mn mon mr mar ms msa mt mlt my mya nb nob ne nep nl nld ny nya oc oci om orm or ori pa pan "
    "pl pol ps pus pt por ro ron ru rus sd snd sk slk sl slv sn sna so som sr srp sv swe sw swa "
    "ta tam te tel tg tgk th tha tr tur uk ukr ur urd uz uzb vi vie wo wol xh xho yo yor zh zho "
    "zu zul"
)
_WORDS = _TABLE.split()
ISO_639_3 = {
    **{code: code for code in LANGUAGES},
    **dict(zip(_WORDS[::2], _WORDS[1::2], strict=True)),
}
"""Three letters for each key of `LANGUAGES`."""

# Where ISO 639-3 names a macrolanguage, FLORES-200 (arXiv 2207.04672, table 1) names a member.
_MEMBERS = {
    **{"ar": "arb", "az": "azj", "et": "est", "fa": "pes", "ff": "fuv", "fil": "tgl"},
    **{"lv": "lvs", "mn": "khk", "ms": "zsm", "ne": "npi", "om": "gaz", "or": "ory"},
    **{"ps": "pbt", "sw": "swh", "uz": "uzn"},
}
_SCRIPTS = {"ja": "Jpan", "ko": "Hang", "zh": "Hans", "yue": "Hant"}


def iso_639_3(code: str) -> str:
    """`fra` for `fr`."""
    return ISO_639_3[code]


def flores(code: str) -> str:
    """`fra_Latn` for `fr`: what FLORES-200 and NLLB call it."""
    script = _SCRIPTS.get(code, LANGUAGES[code].script)
    return f"{_MEMBERS.get(code, ISO_639_3[code])}_{script}"
