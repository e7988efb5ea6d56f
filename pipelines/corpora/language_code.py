"""The codes of `LANGUAGES` for what corpora write: `zh-CN`, `pt_br`, `cmn_hans_cn`, `English`."""

from __future__ import annotations

from pipelines.rejects import Rejected
from pipelines.utterance import LANGUAGES

_OTHERS = {
    "cmn": "zh",
    "zho": "zh",
    "no": "nb",
    "nn": "nb",
    "iw": "he",
    "in": "id",
    "jw": "jv",
    "tl": "fil",
    "ku": "ckb",
    "mandarin": "zh",
    "farsi": "fa",
    "norwegian": "nb",
    "tagalog": "fil",
}
_NAMES = {language.name.casefold(): code for code, language in LANGUAGES.items()}


def language_code(written: str) -> str:
    """The key of `LANGUAGES` for a language as a corpus writes it.

    Args:
        written: an ISO 639 code with or without a script and a country behind it, or an English
            name, in any case.

    Raises:
        Rejected: `unknown-language`.
    """
    name = written.strip().casefold()
    plain = name.replace("_", "-").partition("-")[0]
    for candidate in (name, plain):
        for code in (candidate, _OTHERS.get(candidate, ""), _NAMES.get(candidate, "")):
            if code in LANGUAGES:
                return code
    raise Rejected("unknown-language", f"{written[:40]!r} is none of those in `LANGUAGES`")
