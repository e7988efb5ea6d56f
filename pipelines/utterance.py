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
        translations: what was said in other languages, as the corpus has it: (language, text)
            each. A `translation` pair is made of each, with the same sound.
        corpus: where it comes from, if several corpora are read together.
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
    translations: tuple[tuple[str, str], ...] = ()
    corpus: str = ""


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
    "af": Language("Afrikaans", "Germanic", "Latn"),
    "am": Language("Amharic", "Afro-Asiatic", "Ethi"),
    "ar": Language("Arabic", "Afro-Asiatic", "Arab"),
    "as": Language("Assamese", "Indo-Aryan", "Beng"),
    "ast": Language("Asturian", "Romance", "Latn"),
    "az": Language("Azerbaijani", "Turkic", "Latn"),
    "be": Language("Belarusian", "Slavic", "Cyrl"),
    "bg": Language("Bulgarian", "Slavic", "Cyrl"),
    "bn": Language("Bengali", "Indo-Aryan", "Beng"),
    "bs": Language("Bosnian", "Slavic", "Latn"),
    "ca": Language("Catalan", "Romance", "Latn"),
    "ceb": Language("Cebuano", "Austronesian", "Latn"),
    "ckb": Language("Sorani Kurdish", "Iranian", "Arab"),
    "cs": Language("Czech", "Slavic", "Latn"),
    "cy": Language("Welsh", "Celtic", "Latn"),
    "da": Language("Danish", "Germanic", "Latn"),
    "de": Language("German", "Germanic", "Latn"),
    "el": Language("Greek", "Hellenic", "Grek"),
    "en": Language("English", "Germanic", "Latn"),
    "es": Language("Spanish", "Romance", "Latn"),
    "et": Language("Estonian", "Uralic", "Latn"),
    "fa": Language("Persian", "Iranian", "Arab"),
    "ff": Language("Fula", "Atlantic-Congo", "Latn"),
    "fi": Language("Finnish", "Uralic", "Latn"),
    "fil": Language("Filipino", "Austronesian", "Latn"),
    "fr": Language("French", "Romance", "Latn"),
    "ga": Language("Irish", "Celtic", "Latn"),
    "gl": Language("Galician", "Romance", "Latn"),
    "gu": Language("Gujarati", "Indo-Aryan", "Gujr"),
    "ha": Language("Hausa", "Afro-Asiatic", "Latn"),
    "he": Language("Hebrew", "Afro-Asiatic", "Hebr"),
    "hi": Language("Hindi", "Indo-Aryan", "Deva"),
    "hr": Language("Croatian", "Slavic", "Latn"),
    "hu": Language("Hungarian", "Uralic", "Latn"),
    "hy": Language("Armenian", "Armenian", "Armn"),
    "id": Language("Indonesian", "Austronesian", "Latn"),
    "ig": Language("Igbo", "Atlantic-Congo", "Latn"),
    "is": Language("Icelandic", "Germanic", "Latn"),
    "it": Language("Italian", "Romance", "Latn"),
    "ja": Language("Japanese", "Japonic", "Jpan"),
    "jv": Language("Javanese", "Austronesian", "Latn"),
    "ka": Language("Georgian", "Kartvelian", "Geor"),
    "kam": Language("Kamba", "Bantu", "Latn"),
    "kea": Language("Kabuverdianu", "Romance", "Latn"),
    "kk": Language("Kazakh", "Turkic", "Cyrl"),
    "km": Language("Khmer", "Austroasiatic", "Khmr"),
    "kn": Language("Kannada", "Dravidian", "Knda"),
    "ko": Language("Korean", "Koreanic", "Kore"),
    "ky": Language("Kyrgyz", "Turkic", "Cyrl"),
    "lb": Language("Luxembourgish", "Germanic", "Latn"),
    "lg": Language("Ganda", "Bantu", "Latn"),
    "ln": Language("Lingala", "Bantu", "Latn"),
    "lo": Language("Lao", "Kra-Dai", "Laoo"),
    "lt": Language("Lithuanian", "Baltic", "Latn"),
    "luo": Language("Luo", "Nilotic", "Latn"),
    "lv": Language("Latvian", "Baltic", "Latn"),
    "mi": Language("Maori", "Austronesian", "Latn"),
    "mk": Language("Macedonian", "Slavic", "Cyrl"),
    "ml": Language("Malayalam", "Dravidian", "Mlym"),
    "mn": Language("Mongolian", "Mongolic", "Cyrl"),
    "mr": Language("Marathi", "Indo-Aryan", "Deva"),
    "ms": Language("Malay", "Austronesian", "Latn"),
    "mt": Language("Maltese", "Afro-Asiatic", "Latn"),
    "my": Language("Burmese", "Tibeto-Burman", "Mymr"),
    "nb": Language("Norwegian Bokmål", "Germanic", "Latn"),
    "ne": Language("Nepali", "Indo-Aryan", "Deva"),
    "nl": Language("Dutch", "Germanic", "Latn"),
    "nso": Language("Northern Sotho", "Bantu", "Latn"),
    "ny": Language("Nyanja", "Bantu", "Latn"),
    "oc": Language("Occitan", "Romance", "Latn"),
    "om": Language("Oromo", "Afro-Asiatic", "Latn"),
    "or": Language("Odia", "Indo-Aryan", "Orya"),
    "pa": Language("Punjabi", "Indo-Aryan", "Guru"),
    "pl": Language("Polish", "Slavic", "Latn"),
    "ps": Language("Pashto", "Iranian", "Arab"),
    "pt": Language("Portuguese", "Romance", "Latn"),
    "ro": Language("Romanian", "Romance", "Latn"),
    "ru": Language("Russian", "Slavic", "Cyrl"),
    "sd": Language("Sindhi", "Indo-Aryan", "Arab"),
    "sk": Language("Slovak", "Slavic", "Latn"),
    "sl": Language("Slovenian", "Slavic", "Latn"),
    "sn": Language("Shona", "Bantu", "Latn"),
    "so": Language("Somali", "Afro-Asiatic", "Latn"),
    "sr": Language("Serbian", "Slavic", "Cyrl"),
    "sv": Language("Swedish", "Germanic", "Latn"),
    "sw": Language("Swahili", "Bantu", "Latn"),
    "ta": Language("Tamil", "Dravidian", "Taml"),
    "te": Language("Telugu", "Dravidian", "Telu"),
    "tg": Language("Tajik", "Iranian", "Cyrl"),
    "th": Language("Thai", "Kra-Dai", "Thai"),
    "tr": Language("Turkish", "Turkic", "Latn"),
    "uk": Language("Ukrainian", "Slavic", "Cyrl"),
    "umb": Language("Umbundu", "Bantu", "Latn"),
    "ur": Language("Urdu", "Indo-Aryan", "Arab"),
    "uz": Language("Uzbek", "Turkic", "Latn"),
    "vi": Language("Vietnamese", "Austroasiatic", "Latn"),
    "wo": Language("Wolof", "Atlantic-Congo", "Latn"),
    "xh": Language("Xhosa", "Bantu", "Latn"),
    "yo": Language("Yoruba", "Atlantic-Congo", "Latn"),
    "yue": Language("Cantonese", "Sinitic", "Hant"),
    "zh": Language("Chinese", "Sinitic", "Hans"),
    "zu": Language("Zulu", "Bantu", "Latn"),
}
"""By ISO 639 code, the two-letter one where there is one: the 102 languages of FLEURS (arXiv
2205.12446), among them all of CoVoST 2's (arXiv 2007.10310). Names and scripts are those of
Unicode's CLDR, but for a few names that are better known in another form. Families are Glottolog's,
at a level that says something about sound and spelling."""
