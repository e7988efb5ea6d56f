"""What a speech encoder may be called, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.speech_encoder import load_speech_encoder
from tests.pipelines import (
    bucket_filesystem,  # noqa: F401  (Beam finds it once imported)
    tiny_presets,
)


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("kaggle:whisper_base@2", "whisper_base_multi"),
        ("kaggle:whisper_small_multi@2", "whisper_small_multi"),
    ],
)
def test_kaggle_is_asked_for_the_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, preset: str
) -> None:
    from keras_hub.models import Backbone

    folder = tiny_presets.whisper(tmp_path / "tiny")
    from_preset = Backbone.from_preset
    asked = []

    def from_disk(preset: str, **keywords: Any) -> Any:
        asked.append(preset)
        return from_preset(folder, **keywords)

    monkeypatch.setattr(Backbone, "from_preset", from_disk)

    assert load_speech_encoder(name).card["name"] == name[7:-2]
    assert asked == [preset]


def test_a_preset_in_a_bucket_is_the_same_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path / "cache"))
    folder = tiny_presets.whisper(tmp_path / "tiny")

    here = load_speech_encoder(f"{folder}@2").card
    assert load_speech_encoder(f"bucket:/{folder}@2").card == here


def test_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = tiny_presets.whisper(tmp_path / "tiny")
    with pytest.raises(ValueError, match="has layers 1 to 3, not 4"):
        load_speech_encoder(f"{folder}@4")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no KerasHub preset"):
        load_speech_encoder(f"{tmp_path}/absent@1")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "holds no KerasHub preset"),
        ("{", "is no preset's configuration"),
        ("[]", "is no preset's configuration"),
        (json.dumps({"class_name": "GemmaBackbone"}), "is a preset of GemmaBackbone"),
        (json.dumps({"module": "os", "class_name": "system"}), "is a preset of system"),
    ],
)
def test_a_folder_without_an_encoder_is_refused_before_anything_is_built(
    tmp_path: Path, config: str | None, said: str
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=said):
        load_speech_encoder(f"{tmp_path}@1")


def test_a_gemma_that_only_reads_is_refused(tmp_path: Path) -> None:
    from keras_hub.models import Gemma4Backbone

    backbone = Gemma4Backbone(
        vocabulary_size=11,
        image_size=16,
        num_layers=1,
        num_query_heads=1,
        num_key_value_heads=1,
        hidden_dim=8,
        intermediate_dim=8,
        head_dim=8,
    )
    backbone.save_to_preset(str(tmp_path / "deaf"))
    with pytest.raises(ValueError, match="a Gemma4Backbone without an audio encoder"):
        load_speech_encoder(f"{tmp_path}/deaf@1")
