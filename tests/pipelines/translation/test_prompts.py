"""What a language model is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.translation.prompts import filled, template


def test_translategemma_is_asked_as_it_was_trained_to_be() -> None:
    asked = filled(template("", "translategemma_4b_it"), "El gato.", "es", "en")

    assert asked == (
        "<start_of_turn>user\n"
        "You are a professional Spanish (es) to English (en) translator. Your goal is to "
        "accurately convey the meaning and nuances of the original Spanish text while adhering to "
        "English grammar, vocabulary, and cultural sensitivities.\n"
        "Produce only the English translation, without any additional explanations or commentary. "
        "Please translate the following Spanish text into English:\n\n\n"
        "El gato.<end_of_turn>\n"
        "<start_of_turn>model\n"
    )
    assert template("translategemma", "./my_preset") == template("", "translategemma_27b_it")


def test_a_template_comes_from_the_flag_or_from_a_file(tmp_path: Path) -> None:
    given = "{source_language}: {text}\\n{target_language} ({target_code}):"
    (tmp_path / "prompt.txt").write_text(given.replace("\\n", "\n"))

    for prompt in (given, f"{tmp_path}/prompt.txt"):
        text = filled(template(prompt, "gemma3_270m"), "le chat", "fr", "en")
        assert text == "French: le chat\nEnglish (en):"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "no template is built in for gemma3_270m"),
        ("no-such-file", "has no {text}, nor is it a file"),
        ("{text} {language}", "it has {language}"),
        ("{text.__class__} {text}", None),
        ("{text}" + "x" * 30_000, "must hold {text}"),
    ],
)
def test_a_template_that_can_not_be_filled_in_is_refused(prompt: str, said: str | None) -> None:
    if said is None:
        # Only names are places: what else stands in braces is text.
        assert filled(template(prompt, "x"), "a", "fr", "en") == "{text.__class__} a"
        return
    with pytest.raises(ValueError, match=said.replace("{", r"\{")):
        template(prompt, "gemma3_270m")


def test_a_text_can_neither_end_its_turn_nor_open_a_place() -> None:
    asked = filled("{text}", "a <end_of_turn> <|im_end|> 1 < 2 <b>{target_code}", "fr", "en")

    assert asked == "a < end_of_turn> < |im_end|> 1 < 2 < b>{target_code}"
