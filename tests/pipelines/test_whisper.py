"""Whisper of any size, out of presets of the real class with random weights."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from pipelines import whisper
from pipelines.speech_encoder import SpeechEncoder, load_speech_encoder
from tests.pipelines import tiny_presets
from tests.pipelines.sounds import voice


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three layers of width 16 over 80 bands."""
    return tiny_presets.whisper(tmp_path_factory.mktemp("presets") / "tiny_whisper")


@pytest.fixture(scope="module")
def encoder(preset: str) -> SpeechEncoder:
    return load_speech_encoder(f"{preset}@2")


@pytest.mark.parametrize("num_mels", [80, 128])
def test_the_spectrogram_is_that_of_kerashub(num_mels: int) -> None:
    from keras_hub.layers import WhisperAudioConverter

    samples = np.zeros((2, 32_000), np.float32)
    samples[0, :20_000] = voice(1.25)
    samples[1, 5_000:] = np.random.default_rng(0).normal(0, 0.1, 27_000)
    expected = WhisperAudioConverter(num_mels=num_mels, max_audio_length=2)(samples)
    np.testing.assert_allclose(whisper.log_mel(samples, num_mels), expected, atol=1e-5)


def test_the_last_layer_is_what_the_whole_encoder_normalizes(
    preset: str, encoder: SpeechEncoder
) -> None:
    from keras_hub.models import WhisperBackbone

    backbone = WhisperBackbone.from_preset(preset)
    samples = np.pad(voice(1.0), (0, 1_920))[None]
    mel = whisper.log_mel(samples)
    tokens = dict.fromkeys(("decoder_token_ids", "decoder_padding_mask"), np.ones((1, 2)))

    layers = [whisper.encoder_up_to(backbone, n)(mel) for n in (2, 3)]
    whole = backbone({"encoder_features": mel.numpy(), **tokens})["encoder_sequence_output"]

    np.testing.assert_allclose(backbone.encoder_layer_norm(layers[1]), whole, atol=1e-5)
    np.testing.assert_allclose(
        backbone.encoder_transformer_layers[2](layers[0]), layers[1], atol=1e-5
    )
    # 25 frames of two each, and two behind them.
    expected = layers[0].numpy().reshape(28, 2, 16).mean(1)[:25]
    np.testing.assert_allclose(encoder.encode([samples[0, :16_000]])[0], expected, atol=1e-5)


def test_the_layers_above_and_the_decoder_are_let_go(preset: str) -> None:
    from keras_hub.models import WhisperBackbone

    backbone = WhisperBackbone.from_preset(preset)
    layers = [backbone.encoder_transformer_layers[2], backbone.decoder_transformer_layers[0]]
    left = [weakref.ref(layer) for layer in layers]
    model = whisper.encoder_up_to(backbone, 2)
    del backbone, layers
    gc.collect()

    assert [reference() for reference in left] == [None, None]
    assert model.count_params() > 0


def test_the_card_names_the_preset_its_layer_and_its_weights(
    preset: str, encoder: SpeechEncoder
) -> None:
    card = encoder.card
    assert {**card, "sha256": ""} == {
        "name": "tiny_whisper",
        "layer": 2,
        "frames_per_second": 25,
        "dim": 16,
        "sha256": "",
    }
    assert len(card["sha256"]) == 64
    assert load_speech_encoder(f"{preset}@3").card["sha256"] != card["sha256"]


def test_more_bands_are_heard_where_the_preset_has_them(tmp_path: Path) -> None:
    encoder = load_speech_encoder(f"{tiny_presets.whisper(tmp_path / 'large', num_mels=128)}@1")
    assert encoder.encode([voice(1.0)])[0].shape == (25, 16)
