from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import speech_encoder
from pipelines.rejects import Rejected
from pipelines.speech_encoder import SpeechEncoder, load_speech_encoder


@pytest.fixture(scope="module")
def whisper_encoder() -> SpeechEncoder:
    return load_speech_encoder("whisper_base@1")


@pytest.fixture(scope="module")
def mfcc_encoder() -> SpeechEncoder:
    return load_speech_encoder("mfcc")


@pytest.fixture(params=["whisper_base@1", "mfcc"])
def encoder(
    request: pytest.FixtureRequest, whisper_encoder: SpeechEncoder, mfcc_encoder: SpeechEncoder
) -> SpeechEncoder:
    return mfcc_encoder if request.param == "mfcc" else whisper_encoder


def speech(samples: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.1, samples)
    syllables = 1 + np.sin(2 * np.pi * 4 * np.arange(samples) / 16_000)
    return (noise * syllables).astype(np.float32)


def test_in_16_bits_whisper_hears_the_same(whisper_encoder: SpeechEncoder) -> None:
    clip = speech(20_000)
    whole = whisper_encoder.encode([clip])[0]
    halved = load_speech_encoder("whisper_base@1", "bfloat16").encode([clip])[0]
    assert halved.dtype == np.float32
    lengths = np.linalg.norm(whole, axis=1) * np.linalg.norm(halved, axis=1)
    cosines = (whole * halved).sum(1) / lengths
    assert 0.999 < cosines.min() < 0.9999999


def test_features_come_in_the_order_of_the_clips_and_as_long_as_they_are(
    encoder: SpeechEncoder,
) -> None:
    lengths = [20_000, 1, 9_000, 20_001, 480_001, 640]
    clips = [speech(length, seed) for seed, length in enumerate(lengths)]
    together = encoder.encode(clips)
    assert [f.shape for f in together] == [
        (frames, encoder.card["dim"]) for frames in (32, 1, 15, 32, 751, 1)
    ]
    assert {f.dtype for f in together} == {np.dtype(np.float32)}
    for clip, features in zip(clips, together, strict=True):
        np.testing.assert_allclose(encoder.encode([clip])[0], features, atol=1e-4)


def test_the_same_clips_give_the_same_bytes(encoder: SpeechEncoder) -> None:
    clips = [speech(5_000 + 700 * i, i) for i in range(20)]
    first, second = encoder.encode(clips), encoder.encode(clips)
    assert [f.tobytes() for f in first] == [f.tobytes() for f in second]


def test_a_long_clip_is_its_windows_of_30_seconds_side_by_side(encoder: SpeechEncoder) -> None:
    clip = speech(2 * 480_000 + 8_000)
    windows = encoder.encode([clip[:480_000], clip[480_000:960_000], clip[960_000:]])
    np.testing.assert_allclose(encoder.encode([clip])[0], np.concatenate(windows), atol=1e-4)


def test_nothing_is_encoded_out_of_nothing(encoder: SpeechEncoder) -> None:
    assert encoder.encode([]) == []
    with pytest.raises(ValueError, match="clip 1 has shape"):
        encoder.encode([speech(100), speech(0)])
    with pytest.raises(ValueError, match="clip 0 has shape"):
        encoder.encode([speech(100)[None]])


def test_a_saved_graph_encodes_as_encode_does(encoder: SpeechEncoder, tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.speech_encoder = encoder.model
    module.serve = tf.function(
        encoder.encode_graph, input_signature=[tf.TensorSpec([None, None], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for length in (17_000, 480_000, 500_000):
        clip = speech(length)
        expected = encoder.encode([clip])[0]
        np.testing.assert_allclose(loaded.serve(clip[None])[0], expected, atol=1e-4)


def test_the_graph_encodes_each_row_of_a_batch(encoder: SpeechEncoder) -> None:
    rows = np.stack([speech(490_000, seed) for seed in (1, 2)])
    for row, features in zip(rows, encoder.encode_graph(rows).numpy(), strict=True):
        np.testing.assert_allclose(features, encoder.encode([row])[0], atol=1e-4)


def test_the_card_says_what_the_features_are(
    whisper_encoder: SpeechEncoder, mfcc_encoder: SpeechEncoder
) -> None:
    assert whisper_encoder.card == {
        "name": "whisper_base",
        "layer": 1,
        "frames_per_second": 25,
        "dim": 512,
        "sha256": whisper_encoder.card["sha256"],
    }
    assert len(whisper_encoder.card["sha256"]) == 64
    assert mfcc_encoder.card == {
        "name": "mfcc",
        "layer": 0,
        "frames_per_second": 25,
        "dim": 39,
        "sha256": "",
    }


def test_louder_speech_changes_only_the_first_cepstral_coefficient(
    mfcc_encoder: SpeechEncoder,
) -> None:
    clip = speech(16_000)
    quiet, loud = mfcc_encoder.encode([clip, 2 * clip])
    assert (loud[:, 0] > quiet[:, 0] + 0.1).all()
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-4)


def test_the_differences_of_a_steady_sound_vanish_away_from_its_ends(
    mfcc_encoder: SpeechEncoder,
) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(32_000) / 16_000).astype(np.float32)
    (frames,) = mfcc_encoder.encode([tone])
    assert np.abs(frames[5:45, 13:]).max() < 1e-3
    assert np.abs(frames[-1, 13:26]).max() > 0.01


@pytest.mark.parametrize(
    "name",
    ["whisper", "whisper_base", "whisper_base@", "whisper_base@7", "usm@3", "MFCC", "", "./x@0"],
)
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="whisper_base@1 … whisper_base@6"):
        load_speech_encoder(name)


def test_mfcc_needs_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.whisper_wheel.WHEEL_PARTS", ("no_such_wheel",))
    assert load_speech_encoder("mfcc").encode([speech(1_000)])[0].shape == (2, 39)
    with pytest.raises(ModuleNotFoundError, match="babelear"):
        speech_encoder.load_speech_encoder("whisper_base@1")


class Cramped(SpeechEncoder):
    """As loud as each frame is, if a batch has no more than so many samples."""

    def __init__(self, most: int, error: type[Exception]) -> None:
        super().__init__({"dim": 1})
        self.most = most
        self.seen: list[int] = []
        self.error = error

        def run(samples: np.ndarray) -> Any:
            import tensorflow as tf

            self.seen.append(len(samples))
            if samples.size > self.most:
                raise (
                    tf.errors.ResourceExhaustedError(None, None, "OOM")
                    if (error is not MemoryError)
                    else MemoryError
                )
            return self.features(tf.constant(samples))

        self._run = run

    def features(self, samples: Any) -> Any:
        import tensorflow as tf

        frames = tf.reshape(samples, [samples.shape[0], -1, 640])
        return tf.reduce_mean(frames**2, axis=2)[..., None]


@pytest.mark.parametrize("error", [MemoryError, Exception])
def test_a_batch_that_needs_too_much_memory_is_halved(error: type[Exception]) -> None:
    clips = [speech(16_000, seed) for seed in range(8)]
    roomy, cramped = Cramped(10**9, error), Cramped(2 * 18_560, error)

    assert [f.tobytes() for f in cramped.encode(clips)] == [
        f.tobytes() for f in roomy.encode(clips)
    ]
    assert roomy.seen == [8]
    assert cramped.seen == [8, 4, 2, 2, 4, 2, 2]


def test_only_the_clip_that_is_too_much_by_itself_is_rejected() -> None:
    clips = [speech(n, n) for n in (16_000, 160_000, 16_100, 700_000)]
    cramped = Cramped(40_000, MemoryError)

    first, second, third, fourth = cramped.encode_each(clips)

    for found in (first, third):
        assert isinstance(found, np.ndarray) and found.shape == (26 if found is third else 25, 1)
    for found in (second, fourth):
        assert isinstance(found, Rejected)
        assert (found.reason, found.exception) == ("out-of-memory", "MemoryError")
    with pytest.raises(MemoryError, match="alone need more memory than there is"):
        cramped.encode(clips)
