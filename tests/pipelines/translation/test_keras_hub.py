"""KerasHub language models as translators: a tiny one that answers digits with letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.rejects import Rejected
from pipelines.translation import keras_hub
from pipelines.translation.engine import (
    EngineOptions,
    Translation,
    fingerprint,
    open_engine,
    translate_all,
)
from pipelines.translation.keras_hub import KerasHub
from tests.families import make_preset
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.translation.tiny_translators import make_causal_lm

# Digits are one token each wherever they stand: none of them is part of a longer one.
SAYS = {"1": "v", "2": "e", "3": "t", "4": "i"}
PROMPT = "{source_language} to {target_language}: {text}"


def opened(folder: str, **options: Any) -> KerasHub:
    settings = {"prompt": PROMPT, "batch_size": 3, "max_tokens": 12, **options}
    engine = open_engine(EngineOptions(f"keras_hub:{folder}", **settings))
    assert isinstance(engine, KerasHub)
    return engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_causal_lm(str(tmp_path_factory.mktemp("lm") / "preset"), SAYS)


@pytest.fixture(scope="module")
def engine(folder: str) -> KerasHub:
    made = opened(folder)
    made.load()
    return made


def test_an_answer_is_what_follows_the_prompt_up_to_the_end_of_its_line(engine: KerasHub) -> None:
    texts = [f"{'a ' * (i % 5)}{digit}" for i, digit in enumerate([*SAYS, *SAYS, *SAYS])]
    outcomes = translate_all(engine, texts, "fr", "en")

    assert outcomes == [Translation(SAYS[text[-1]]) for text in texts]


def test_an_answer_without_an_end_is_rejected_and_its_neighbours_are_not(engine: KerasHub) -> None:
    one, endless, other = engine.translate(["1", "5", "2"], "fr", "en")

    assert [one, other] == [Translation("v"), Translation("e")]
    assert isinstance(endless, Rejected)
    assert endless.reason == "unfinished"


def test_all_texts_go_through_a_few_compiled_shapes(engine: KerasHub) -> None:
    before = engine._model.generate_function.experimental_get_tracing_count()
    for texts in (["1", "2"], ["2", "3"], ["a a a a 1", "4", "3"], ["<end_of_turn> 2", "1"]):
        engine.translate(texts, "fr", "en")

    assert engine._model.generate_function.experimental_get_tracing_count() == before <= 2


def test_a_text_too_long_for_any_shape_is_rejected_alone(
    engine: KerasHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_hub, "LENGTHS", (64,))
    long, short = engine.translate(["красный " * 30, "1"], "fr", "en")

    assert isinstance(long, Rejected)
    assert long.reason == "too-long"
    assert short == Translation("v")


def test_out_of_memory_costs_the_text_at_fault_alone(
    engine: KerasHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine.translate

    def scarce(texts: list[str], source: str, target: str) -> list[Translation | Rejected]:
        if any("x" in text for text in texts):
            raise MemoryError("no room for x")
        return real(texts, source, target)

    monkeypatch.setattr(engine, "translate", scarce)
    outcomes = translate_all(engine, ["1", "xx", "2", "3"], "fr", "en")

    assert [o for o in outcomes if isinstance(o, Translation)] == [
        Translation(SAYS[digit]) for digit in "123"
    ]
    failed = outcomes[1]
    assert isinstance(failed, Rejected)
    assert (failed.reason, failed.exception) == ("engine-failure", "MemoryError")


def test_a_preset_of_backbone_and_tokenizer_alone_will_do(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    preset = make_preset("gemma3", str(tmp_path_factory.mktemp("bare")))
    engine = opened(preset)
    engine.load()

    assert len(engine.translate(["chat rouge", "x"], "fr", "en")) == 2


def test_prompt_weights_and_options_decide_the_identity_and_the_batch_size_does_not(
    folder: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = make_causal_lm(str(tmp_path_factory.mktemp("lm") / "other"), {"1": "e"})
    identities = [
        opened(folder).identity("fr", "en"),
        opened(other).identity("fr", "en"),
        opened(folder, prompt="{text}").identity("fr", "en"),
        opened(folder, max_tokens=13).identity("fr", "en"),
        opened(folder, precision="bfloat16").identity("fr", "en"),
    ]

    assert len({fingerprint(identity) for identity in identities}) == 5
    assert opened(folder, batch_size=9).identity("fr", "en") == identities[0]


def test_preset_and_prompt_may_lie_in_a_bucket_and_workers_get_the_prompt_s_text(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "prompt.txt").write_text(PROMPT)
    there = opened(f"bucket:/{folder}", prompt=f"bucket:/{tmp_path}/prompt.txt")

    assert there.identity("fr", "en") == opened(folder).identity("fr", "en")
    assert there.options.prompt == PROMPT
    there.load()
    assert there.translate(["1", "2"], "fr", "en") == [Translation("v"), Translation("e")]


def test_a_name_stands_for_its_versioned_handle_and_a_wrong_one_is_corrected() -> None:
    named = open_engine(EngineOptions("keras_hub:translategemma_4b_it")).identity("fr", "en")

    assert named["preset"] == "kaggle://keras/translategemma/keras/translategemma_4b_it/1"
    assert "professional {source_language}" in named["prompt"]
    wrong = open_engine(EngineOptions("keras_hub:translategema_4b_it", prompt="{text}"))
    with pytest.raises(ValueError, match="did you mean translategemma_4b_it"):
        wrong.identity("fr", "en")
