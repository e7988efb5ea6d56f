"""The record every corpus reader yields: one recording and what was said in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of one sentence by one speaker.

    Args:
        id: unique within the corpus.
        audio: a reference to the sound: a local path, a URL of any filesystem Beam knows
            (`gs://…`), or an `espeak:` URI (see `pipelines.synthesis`).
        language: ISO 639 code, a key of `LANGUAGES`.
        transcript: what is said, in the language's own script; never empty.
        sentence_id: names the sentence, not the recording. Recordings and translations of one
            sentence share it; they are masked as false negatives in a batch and all count as
            right answers in evaluation.
        split: one of `SPLITS`.
        speaker: who speaks, where the corpus says so.
        seconds: the duration the corpus claims, used to notice truncated files.
        gender: of the speaker: `female`, `male`, whatever else the corpus says, or empty; see
            `normalized_gender`.
    """

    id: str
    audio: str
    language: str
    transcript: str
    sentence_id: str
    split: str
    speaker: str = ""
    seconds: float | None = None
    gender: str = ""


def normalized_gender(said: str) -> str:
    """`female`, `male`, or empty for what corpora write in many ways.

    Args:
        said: the corpus' own word, in any case: `FEMALE`, `male_masculine`, `F`, `n/a`.

    Returns:
        One of the three, or the word in lower case where it says something else (`other`).
    """
    word = said.strip().lower()
    return _GENDERS.get(word, word)


_GENDERS = {
    **dict.fromkeys(("f", "female", "female_feminine", "feminine", "woman"), "female"),
    **dict.fromkeys(("m", "male", "male_masculine", "masculine", "man"), "male"),
    **dict.fromkeys(
        ("", "-", "n/a", "na", "nan", "none", "null", "unknown", "do_not_wish_to_say"), ""
    ),
}


class Language(NamedTuple):
    """A language's English name, its family and the script it is written in (ISO 15924)."""

    name: str
    family: str
    script: str


LANGUAGES: dict[str, Language] = {
    "ar": Language("Arabic", "Afro-Asiatic", "Arab"),
    "be": Language("Belarusian", "Slavic", "Cyrl"),
    "bg": Language("Bulgarian", "Slavic", "Cyrl"),
    "bn": Language("Bengali", "Indo-Aryan", "Beng"),
    "ca": Language("Catalan", "Romance", "Latn"),
    "cs": Language("Czech", "Slavic", "Latn"),
    "cy": Language("Welsh", "Celtic", "Latn"),
    "da": Language("Danish", "Germanic", "Latn"),
    "de": Language("German", "Germanic", "Latn"),
    "el": Language("Greek", "Hellenic", "Grek"),
    "en": Language("English", "Germanic", "Latn"),
    "es": Language("Spanish", "Romance", "Latn"),
    "et": Language("Estonian", "Uralic", "Latn"),
    "fa": Language("Persian", "Iranian", "Arab"),
    "fi": Language("Finnish", "Uralic", "Latn"),
    "fr": Language("French", "Romance", "Latn"),
    "he": Language("Hebrew", "Afro-Asiatic", "Hebr"),
    "hi": Language("Hindi", "Indo-Aryan", "Deva"),
    "hr": Language("Croatian", "Slavic", "Latn"),
    "hu": Language("Hungarian", "Uralic", "Latn"),
    "id": Language("Indonesian", "Austronesian", "Latn"),
    "it": Language("Italian", "Romance", "Latn"),
    "ja": Language("Japanese", "Japonic", "Jpan"),
    "ka": Language("Georgian", "Kartvelian", "Geor"),
    "ko": Language("Korean", "Koreanic", "Kore"),
    "lt": Language("Lithuanian", "Baltic", "Latn"),
    "lv": Language("Latvian", "Baltic", "Latn"),
    "mn": Language("Mongolian", "Mongolic", "Cyrl"),
    "nl": Language("Dutch", "Germanic", "Latn"),
    "pl": Language("Polish", "Slavic", "Latn"),
    "pt": Language("Portuguese", "Romance", "Latn"),
    "ro": Language("Romanian", "Romance", "Latn"),
    "ru": Language("Russian", "Slavic", "Cyrl"),
    "sk": Language("Slovak", "Slavic", "Latn"),
    "sl": Language("Slovenian", "Slavic", "Latn"),
    "sv": Language("Swedish", "Germanic", "Latn"),
    "sw": Language("Swahili", "Bantu", "Latn"),
    "ta": Language("Tamil", "Dravidian", "Taml"),
    "th": Language("Thai", "Kra-Dai", "Thai"),
    "tr": Language("Turkish", "Turkic", "Latn"),
    "uk": Language("Ukrainian", "Slavic", "Cyrl"),
    "ur": Language("Urdu", "Indo-Aryan", "Arab"),
    "vi": Language("Vietnamese", "Austroasiatic", "Latn"),
    "zh": Language("Chinese", "Sinitic", "Hans"),
}
