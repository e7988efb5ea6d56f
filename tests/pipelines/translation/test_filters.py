"""What is kept of what an engine says."""

from __future__ import annotations

import pytest

from pipelines.rejects import Rejected
from pipelines.translation.engine import Translation
from pipelines.translation.filters import (
    Filters,
    identifiable,
    language_confidence,
    length_ratio,
    normalized,
)

GOOD = ("La ciudad tiene un puerto muy antiguo.", "The town has a very old harbour.")


def reason(text: str, said: str, score: float | None = None, **filters: object) -> str | None:
    try:
        Filters(**filters).check(text, Translation(said, score), "es", "en")  # type: ignore[arg-type]
    except Rejected as rejected:
        assert rejected.detail
        return rejected.reason
    return None


@pytest.mark.parametrize(
    ("said", "score", "expected"),
    [
        (GOOD[1], None, None),
        ("", None, "empty"),
        (" …!? ", None, "empty"),
        (GOOD[0], None, "copy"),
        ("la CIUDAD tiene un puerto muy antiguo", None, "copy"),
        (GOOD[1], 0.4, "low-score"),
        (GOOD[1], 0.5, None),
        ("Town.", None, "length-ratio"),
        (GOOD[1] * 4, None, "length-ratio"),
        ("La ciudad posee un muelle muy viejo.", None, "wrong-language"),
    ],
)
def test_a_bad_translation_is_rejected_with_its_reason(
    said: str, score: float | None, expected: str | None
) -> None:
    assert reason(GOOD[0], said, score, min_score=0.5) == expected


def test_filters_can_be_turned_off() -> None:
    off = {"max_length_ratio": 1e9, "min_language_confidence": 0.0, "drop_copies": False}

    assert reason(GOOD[0], GOOD[0], -9.0, **off) is None
    assert reason(GOOD[0], "Sí.", None, **off) is None


def test_lengths_are_compared_in_one_script() -> None:
    assert length_ratio("红苹果在厨房的桌子上", "The red apple is on the kitchen table") < 1.6
    assert length_ratio("Красное яблоко лежит на столе", "A red apple is on the table") < 1.4
    assert length_ratio("no", "nicht") == 1.0
    assert length_ratio("ja", "x" * 30) == 3.0


def test_short_right_answers_pass_and_english_is_no_french() -> None:
    assert language_confidence("red apple", "es", "en") > 0.3
    assert language_confidence("manzana roja", "es", "en") < 0.3
    assert language_confidence("The red apple is on the table", "es", "fr") < 0.3
    assert language_confidence("La pomme rouge est sur la table", "es", "fr") > 0.7


def test_a_language_that_the_identifier_does_not_know_is_not_held_against_a_text() -> None:
    assert not identifiable("kea")
    assert identifiable("fil")
    assert language_confidence("anything", "pt", "kea") == 1.0
    assert language_confidence("anything", "kea", "en") == 1.0


def test_variants_of_one_text_are_one() -> None:
    assert normalized("¡El  GATO, negro!") == normalized("el gato negro")
    assert normalized("el gato") != normalized("el gato negro")
