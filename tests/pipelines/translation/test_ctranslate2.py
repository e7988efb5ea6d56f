"""CTranslate2 on Transformers of random weights: nonsense, but by the real library."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.rejects import Rejected
from pipelines.translation.engine import (
    Engine,
    EngineOptions,
    Translation,
    fingerprint,
    open_engine,
    translate_all,
)
from pipelines.translation.language_names import flores
from pipelines.utterance import LANGUAGES
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.translation.tiny_translators import make_ctranslate2

CODES = ("fr", "zh", "yue", "ja", "ko", "ar", "fa", "nb", "ms")
TEXTS = ["red cat", "gatto nero", "le poisson bleu", "chat rouge", "a black horse", "la luna"]


def opened(folder: str, **options: int) -> Engine:
    settings = {"batch_size": 4, "max_tokens": 40, "beam_size": 2, **options}
    engine = open_engine(EngineOptions(f"ctranslate2:{folder}", **settings))
    engine.load()
    return engine


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_ctranslate2(str(tmp_path_factory.mktemp("ct2") / "opus"))


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> str:
    tags = ("spa_Latn", "eng_Latn", "fra_Latn")
    return make_ctranslate2(str(tmp_path_factory.mktemp("ct2") / "nllb"), tags=tags)


def test_each_text_gets_a_translation_and_a_score_whatever_it_is_batched_with(plain: str) -> None:
    engine = opened(plain)
    outcomes = translate_all(engine, TEXTS, "es", "en")

    assert len(outcomes) == len(TEXTS)
    said = [o for o in outcomes if isinstance(o, Translation)]
    assert len(said) > 2
    assert all(o.score is not None and o.score < 0 for o in said)
    assert not any("▁" in o.text or "</s>" in o.text for o in said)
    alone = [engine.translate([text], "es", "en")[0] for text in TEXTS]
    assert [str(outcome) for outcome in alone] == [str(outcome) for outcome in outcomes]


def test_a_model_in_a_bucket_is_the_same_engine(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path))
    here, there = opened(plain), opened(f"bucket:/{plain}")

    assert there.identity("es", "en") == here.identity("es", "en")
    assert str(translate_all(there, TEXTS, "es", "en")) == str(
        translate_all(here, TEXTS, "es", "en")
    )


def test_a_translation_without_an_end_is_rejected(plain: str) -> None:
    outcomes = translate_all(opened(plain, max_tokens=1), TEXTS, "es", "en")

    assert {o.reason for o in outcomes if isinstance(o, Rejected)} == {"unfinished"}


def test_a_text_of_too_many_tokens_is_rejected_and_the_others_are_not(plain: str) -> None:
    long, short = opened(plain).translate(["le chat rouge " * 300, "red cat"], "es", "en")

    assert isinstance(long, Rejected)
    assert long.reason == "too-long"
    assert not isinstance(short, Rejected) or short.reason == "unfinished"


def test_language_tags_go_before_the_text_and_its_translation(tagged: str) -> None:
    engine = opened(tagged)
    into_english = engine.translate(TEXTS, "es", "en")
    into_french = engine.translate(TEXTS, "es", "fr")

    assert engine.identity("es", "en")["tags"] == [["spa_Latn"], ["eng_Latn"]]
    assert [str(o) for o in into_english] != [str(o) for o in into_french]
    assert not any("_Latn" in str(o) for o in [*into_english, *into_french])
    with pytest.raises(Rejected, match="knows no deu_Latn or no eng_Latn"):
        engine.identity("de", "en")


def test_a_multilingual_opus_model_is_told_the_target(tmp_path: Path) -> None:
    engine = opened(make_ctranslate2(f"{tmp_path}/opus", tags=(">>eng<<", ">>fra<<")))

    assert engine.identity("es", "fr")["tags"] == [[">>fra<<"], []]
    with pytest.raises(Rejected, match="translates into >>eng<< >>fra<<"):
        engine.identity("es", "de")
    assert len(engine.translate(TEXTS[:4], "es", "fr")) == 4


def test_other_weights_and_other_options_are_another_identity(plain: str, tmp_path: Path) -> None:
    other = make_ctranslate2(f"{tmp_path}/other", seed=1)
    identities = [
        opened(plain).identity("es", "en"),
        opened(other).identity("es", "en"),
        opened(plain, beam_size=3).identity("es", "en"),
        opened(plain, max_tokens=41).identity("es", "en"),
    ]

    assert len({fingerprint(identity) for identity in identities}) == 4
    # How many are translated at once decides nothing.
    assert opened(plain, batch_size=2).identity("es", "en") == identities[0]


@pytest.mark.parametrize(
    ("missing", "said"),
    [("model.bin", "has no model.bin"), ("source.spm", "has no SentencePiece model")],
)
def test_a_folder_that_lacks_a_file_is_refused_with_the_fix(
    tmp_path: Path, missing: str, said: str
) -> None:
    folder = make_ctranslate2(f"{tmp_path}/model")
    Path(folder, missing).unlink()

    with pytest.raises(ValueError, match=said):
        open_engine(EngineOptions(f"ctranslate2:{folder}"))


def test_flores_names_every_language_and_the_difficult_ones_right() -> None:
    names = {code: flores(code) for code in LANGUAGES}

    assert len(set(names.values())) == len(names)
    assert all(len(name) == 8 and name[3] == "_" for name in names.values())
    expected = "fra_Latn zho_Hans yue_Hant jpn_Jpan kor_Hang arb_Arab pes_Arab nob_Latn zsm_Latn"
    assert [names[code] for code in CODES] == expected.split()
