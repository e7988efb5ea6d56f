"""Gemma's audio encoders, out of presets of the real classes with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import gemma_audio
from pipelines.speech_encoder import SpeechEncoder, load_speech_encoder
from tests.pipelines import tiny_presets
from tests.pipelines.sounds import voice

NORMALIZED = {
    "per_bin_mean": np.linspace(-3, 1, tiny_presets.MELS).tolist(),
    "per_bin_stddev": np.linspace(0.5, 2, tiny_presets.MELS).tolist(),
}


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One of each kind; don't write into them."""
    folder = tmp_path_factory.mktemp("presets")
    return {
        "gemma3n": tiny_presets.gemma3n(folder / "gemma3n"),
        "gemma4": tiny_presets.gemma4(folder / "gemma4"),
    }


@pytest.fixture(params=["gemma3n", "gemma4"])
def preset(request: pytest.FixtureRequest, presets: dict[str, str]) -> str:
    return presets[request.param]


def backbone_of(preset: str) -> Any:
    from keras_hub.models import Backbone

    return Backbone.from_preset(preset)


def converter_of(preset: str) -> Any:
    from keras_hub.layers import AudioConverter

    return AudioConverter.from_preset(preset)


def padded(seconds: float, samples: int) -> np.ndarray:
    result = np.zeros((2, samples), np.float32)
    for row in range(2):
        sound = voice(seconds, seed=row)
        result[row, : len(sound)] = sound
    return result


def test_25_frames_come_a_second_and_the_graph_gives_the_same(preset: str) -> None:
    encoder = load_speech_encoder(f"{preset}@2")
    clips = [voice(n, seed=1) for n in (0.01, 1.0, 1.35, 30.5)]

    found = encoder.encode(clips)

    assert [f.shape for f in found] == [(1, 16), (25, 16), (34, 16), (763, 16)]
    assert {f.dtype for f in found} == {np.dtype(np.float32)}
    for clip, frames in zip(clips, found, strict=True):
        graph = encoder.encode_graph(clip[None])[0].numpy()
        np.testing.assert_allclose(graph, frames, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, NORMALIZED], ids=["plain", "normalized"])
def test_the_spectrogram_of_gemma_4_is_that_of_kerashub(settings: dict[str, Any]) -> None:
    from keras_hub.layers import Gemma4AudioConverter

    samples = padded(1.3, 32_000)
    converter = Gemma4AudioConverter(num_mels=32, max_audio_length=2, **settings)

    mel = gemma_audio.log_mel_4(samples, converter)

    assert mel.shape == (2, 200, 32)
    np.testing.assert_allclose(mel, converter(samples), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [{}, NORMALIZED, {"preemphasis": 0.0, "fft_overdrive": False}],
    ids=["plain", "normalized", "without preemphasis"],
)
def test_the_spectrogram_of_gemma_3n_is_that_of_kerashub(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    converter = converter_of(tiny_presets.gemma3n(tmp_path / "gemma3n", **settings))
    samples = padded(1.3, 32_000)

    mel = gemma_audio.log_mel_3n(samples, converter)

    behind = np.pad(samples, [(0, 0), (0, 512 - 160)])
    expected, _ = converter(list(behind), pad_to_multiple_of=None)
    assert mel.shape == (2, 200, 32)
    np.testing.assert_allclose(mel, expected, atol=1e-3)


def test_the_last_layer_of_gemma_4_is_what_the_whole_encoder_projects(
    presets: dict[str, str],
) -> None:
    whole = backbone_of(presets["gemma4"]).audio_encoder
    mel = gemma_audio.log_mel_4(padded(1.3, 32_000), converter_of(presets["gemma4"]))

    last = gemma_audio.encoder_up_to(whole, 3)(mel)
    projected = whole.audio_output_projection(whole.output_norm(whole.output_proj(last)))

    assert last.shape == (2, 50, 16)
    np.testing.assert_allclose(projected, whole(mel, np.ones((2, 200), bool)), atol=1e-5)


def test_the_last_layer_of_gemma_3n_is_what_the_whole_encoder_thins_out(
    presets: dict[str, str],
) -> None:
    whole = backbone_of(presets["gemma3n"]).audio_encoder
    mel = gemma_audio.log_mel_3n(padded(1.3, 32_000), converter_of(presets["gemma3n"]))

    last = gemma_audio.encoder_up_to(whole, 3)(mel).numpy()
    thinned, _ = whole((mel, np.zeros((2, 200), bool)))

    assert last.shape == (2, 50, 16)
    np.testing.assert_allclose(last[:, ::4], thinned, atol=1e-5)


def test_what_lies_behind_a_clip_changes_its_last_frames_alone(preset: str) -> None:
    encoder = load_speech_encoder(f"{preset}@2")
    clip = voice(2.0)
    alone, before_noise = (
        encoder.features(np.pad(clip, (0, 6_400))[None].astype(np.float32)).numpy()[0],
        encoder.features(np.concatenate([clip, voice(0.4, seed=7)])[None]).numpy()[0],
    )

    assert np.abs(alone[:48] - before_noise[:48]).max() < 1e-4
    assert np.abs(alone[51:] - before_noise[51:]).max() > 1e-2


def test_the_card_is_of_the_layers_in_use(preset: str) -> None:
    card = load_speech_encoder(f"{preset}@2").card
    other = load_speech_encoder(f"{preset}@1").card

    assert (card["name"], card["layer"], card["dim"]) == (Path(preset).name, 2, 16)
    assert (card["frames_per_second"], len(card["sha256"])) == (25, 64)
    assert card["sha256"] != other["sha256"]
    assert load_speech_encoder(f"{preset}@2").card == card


def test_it_is_saved_in_a_graph(preset: str, tmp_path: Path) -> None:
    import tensorflow as tf

    encoder: SpeechEncoder = load_speech_encoder(f"{preset}@1")
    module = tf.Module()
    module.speech_encoder = encoder.model
    spec = tf.TensorSpec([None, None], tf.float32)
    module.serve = tf.function(encoder.encode_graph, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path))
    clip = voice(1.1)

    loaded = tf.saved_model.load(str(tmp_path))

    np.testing.assert_allclose(loaded.serve(clip[None])[0], encoder.encode([clip])[0], atol=1e-4)


def test_in_16_bits_it_hears_nearly_the_same(preset: str) -> None:
    clip = voice(1.5)
    whole = load_speech_encoder(f"{preset}@2").encode([clip])[0]
    halved = load_speech_encoder(f"{preset}@2", "bfloat16").encode([clip])[0]

    lengths = np.linalg.norm(whole, axis=1) * np.linalg.norm(halved, axis=1)
    assert 0.97 < ((whole * halved).sum(1) / lengths).min() < 0.9999999


def test_another_frame_rate_is_refused(tmp_path: Path) -> None:
    folder = tiny_presets.gemma4(tmp_path / "slow", stride=320)
    with pytest.raises(ValueError, match="a frame of 1280 samples at 16000 Hz, not one of 640"):
        load_speech_encoder(f"{folder}@1")
