"""Which translations are worth training on. Each filter looks at a text and its translation alone.

The usual ones of machine-translation corpora (OpusFilter, Bicleaner's hard rules): empty, copied,
a length that can't be right, the wrong language, a score that is too low.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from anyascii import anyascii

from pipelines.rejects import Rejected
from pipelines.translation.engine import Translation

SHORT = 10
"""Letters, in Latin spelling, that each side counts at least: shorter lengths say nothing."""


@dataclass(frozen=True)
class Filters:
    """What a translation must be like.

    Args:
        max_length_ratio: of the longer to the shorter, both romanized, so that scripts compare.
        min_language_confidence: that it is in the target language rather than in the source
            language or in English, in [0, 1]; 0 doesn't ask.
        min_score: on the engine's own scale; None doesn't ask.
        drop_copies: whether a translation that equals its source is left out.
    """

    max_length_ratio: float = 3.0
    min_language_confidence: float = 0.3
    min_score: float | None = None
    drop_copies: bool = True

    def check(self, text: str, translation: Translation, source: str, target: str) -> None:
        """Passes a good translation.

        Raises:
            Rejected: with the first reason of `empty`, `copy`, `low-score`, `length-ratio`,
                `wrong-language`.
        """
        said, score = translation.text, translation.score
        if not normalized(said):
            raise Rejected("empty", f"{text[:80]!r} became {said[:20]!r}")
        if self.drop_copies and normalized(said) == normalized(text):
            raise Rejected("copy", f"{said[:80]!r} equals its source")
        if self.min_score is not None and score is not None and score < self.min_score:
            raise Rejected("low-score", f"{said[:80]!r}: {score:.3f}, less than {self.min_score:g}")
        ratio = length_ratio(text, said)
        if ratio > self.max_length_ratio:
            raise Rejected(
                "length-ratio",
                f"{text[:80]!r}, {said[:80]!r}: 1 to {ratio:.1f}, over {self.max_length_ratio:g}",
            )
        if self.min_language_confidence:
            sure = language_confidence(said, source, target)
            if sure < self.min_language_confidence:
                raise Rejected(
                    "wrong-language",
                    f"{said[:80]!r} is {target} with {sure:.2f}, less than "
                    f"{self.min_language_confidence:g}",
                )


def normalized(text: str) -> str:
    """A text's letters and digits in lower case, one space between words: what duplicates share."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def length_ratio(one: str, other: str) -> float:
    """How much longer one is than the other, at least 1, both spelled in Latin letters."""
    lengths = sorted(max(len(anyascii(text)), SHORT) for text in (one, other))
    return lengths[1] / lengths[0]


def language_confidence(text: str, source: str, target: str) -> float:
    """How sure it is that a text is of the target language, in [0, 1].

    English is always a candidate: language models fall back on it. 1 if the identifier knows the
    target language not at all, or none of the others.
    """
    detector, names = _detector(frozenset({source, target, "en"}))
    if detector is None or target not in names:
        return 1.0
    return float(detector.compute_language_confidence(text, names[target]))


def require_language_identification() -> None:
    """Fails early.

    Raises:
        ValueError: the library is not installed.
    """
    try:
        import lingua  # noqa: F401
    except ImportError:
        raise ValueError(
            "language identification needs lingua: pip install -c constraints.txt -e "
            "'.[translate]', or leave it out by --min-language-confidence 0"
        ) from None


def identifiable(language: str) -> bool:
    """Whether the identifier knows a language."""
    return _lingua_language(language) is not None


@cache
def _detector(languages: frozenset[str]) -> tuple[Any, dict[str, Any]]:
    """A detector of a few languages, None for less than two, and lingua's names of them."""
    from lingua import LanguageDetectorBuilder

    known = {code: _lingua_language(code) for code in languages}
    names = {code: language for code, language in known.items() if language is not None}
    if len(names) < 2:
        return None, names
    return LanguageDetectorBuilder.from_languages(*names.values()).build(), names


def _lingua_language(code: str) -> Any:
    from lingua import IsoCode639_1, Language

    written = {"fil": "tl"}.get(code, code).upper()
    iso = getattr(IsoCode639_1, written, None)
    return None if iso is None else Language.from_iso_code_639_1(iso)
