"""The demo corpus' names as eSpeak reads them well.

eSpeak spells out in English what a voice can't read ("slash", "Japanese letter"), or leaves it out.
Every name was checked for that in eSpeak's phonemes. What is left: Latin letters within Arabic,
Persian, Russian, Chinese and Japanese names, which it reads as English, as people do; and Arabic
and Persian without their short vowels, which it has to guess.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_SIGNS = {
    "fr": {"#": "dièse"},
    "de": {"#": "Raute", "*": "Stern"},
    "tr": {"#": "kare"},
    "ar": {"#": "مربع", "*": "نجمة"},
    "pt": {"#": "cardinal"},
    "fa": {"#": "مربع"},
    "zh": {"#": "井号", "*": "星号"},
    "ja": {"#": "しゃーぷ", "*": "あすたりすく"},
    "ko": {"#": "샵", "*": "별표"},
}

# eSpeak's Mandarin lacks the syllables xiong and qiong: the nearest that it has, in two.
_CHINESE = str.maketrans({"熊": "希庸", "雄": "希庸", "匈": "希庸", "穷": "七庸"})

# Where pykakasi takes the wrong reading of a kanji, each in a name of the corpus.
_JAPANESE = (
    ("2人", "ふたり"),
    ("人差し指", "ひとさしゆび"),
    ("指差し", "ゆびさし"),
    (r"(?<![大一二])人(?=の| |を|$)", "ひと"),
    (r"(?<=\d)時(?!半)", "じ"),
    (r"(?<=\d)歳", "さい"),
    ("諸島", "しょとう"),
    ("インド洋", "いんどよう"),
    ("米領", "べいりょう"),
    ("市国", "しこく"),
    ("ドミニカ国", "どみにかこく"),
    ("日本", "にほん"),
    (r"型$", "がた"),
    ("ひし形", "ひしがた"),
    ("ハート形", "はーとがた"),
    ("字型", "じがた"),
    ("蒸留器", "じょうりゅうき"),
    ("手の甲", "てのこう"),
    ("お手上げ", "おてあげ"),
    ("瓶", "びん"),
    ("三輪", "さんりん"),
    ("電動車椅子", "でんどうくるまいす"),
    ("入る", "はいる"),
    ("空飛ぶ", "そらとぶ"),
    (r"(?<=しかめ|くれっ)面", "つら"),
    ("六芒星", "ろくぼうせい"),
    ("焚いて", "たいて"),
    ("咬んで", "かんで"),
    ("八端", "はったん"),
    ("妊夫", "にんぷ"),
    ("置時計", "おきどけい"),
    ("小さい", "ちいさい"),
)
# Kana that eSpeak's Japanese lacks, and one without which it spells out アジアとオーストラリア.
_KANA = (
    ("ゔぁ", "ば"),
    ("うぇ", "うえ"),
    ("うぃ", "うい"),
    ("うぉ", "うお"),
    ("とおー", "と おー"),
)


def spoken_text(text: str, language: str) -> str:
    """What eSpeak is given for a name; the transcript stays the name.

    Kanji are read as kana, signs as words, and what stands between slashes without them.
    """
    for sign, word in _SIGNS.get(language, {}).items():
        text = text.replace(sign, f" {word}")
    text = re.sub("[/・!]", " ", text)
    if language == "zh":
        text = text.translate(_CHINESE)
    elif language == "ja":
        text = _kana(text)
    return re.sub(r"\s+", " ", text).strip()


@functools.cache
def _kana(text: str) -> str:
    for written, read in _JAPANESE:
        text = re.sub(written, read, text)
    text = "".join(part["hira"] for part in _kakasi().convert(text))
    for missing, near in _KANA:
        text = text.replace(missing, near)
    # A word with Latin letters in it is spelled out whole.
    return re.sub("([A-Za-z]+)", r" \1 ", text)


@functools.cache
def _kakasi() -> Any:
    # Loads a dictionary of 10 MB: only for a Japanese name.
    import pykakasi

    return pykakasi.kakasi()  # type: ignore[no-untyped-call]
