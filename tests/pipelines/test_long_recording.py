"""A long recording comes in blocks that joined are what decoding it at once gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pipelines.audio import load_audio
from pipelines.long_recording import LongRecording, load
from pipelines.recording import Recording
from pipelines.rejects import Rejected
from tests.pipelines.sounds import encoded, voice, with_flac_samples


def reason(recording: LongRecording) -> str:
    with pytest.raises(Rejected) as caught:
        list(recording.blocks(1))
    return caught.value.reason


@pytest.mark.parametrize(
    ("form", "rate", "subtype"),
    [
        ("WAV", 16_000, None),
        ("WAV", 8_000, "PCM_U8"),
        ("FLAC", 44_100, None),
        ("OGG", 48_000, None),
        ("MP3", 22_050, None),
        ("WAV", 48_000, "FLOAT"),
    ],
)
def test_its_blocks_are_the_whole_cut_up(
    tmp_path: Path, form: str, rate: int, subtype: str | None
) -> None:
    path = tmp_path / "sound"
    loud = 5 if subtype == "FLOAT" else 1
    stereo = np.stack([voice(4.3, rate, seed=1), voice(4.3, rate, seed=2)], axis=1) * loud
    path.write_bytes(encoded(stereo, rate, form, subtype))

    blocks = list(LongRecording(str(path), 60.0).blocks(1))

    at_once = load_audio(str(path))
    assert [len(b) for b in blocks] == [16_000] * 4 + [len(at_once) - 64_000]
    assert {b.dtype for b in blocks} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.concatenate(blocks), at_once, atol=2e-5)
    # Nothing of a block is lost when the next one is made.
    np.testing.assert_allclose(blocks[0], at_once[:16_000], atol=2e-5)


def test_it_may_be_a_part_or_lie_in_memory(tmp_path: Path) -> None:
    data = encoded(voice(5.0), form="FLAC")
    part = LongRecording(data, 60.0, span=(1.5, 4.0))

    joined = np.concatenate(list(part.blocks(1)))

    (tmp_path / "a.flac").write_bytes(data)
    np.testing.assert_array_equal(joined, load_audio(f"{tmp_path}/a.flac#t=1.5,4.0"))
    assert pickle.loads(pickle.dumps(part)) == part


@pytest.mark.parametrize("speed", [0.9, 1.25])
def test_it_is_played_at_its_speed(tmp_path: Path, speed: float) -> None:
    (tmp_path / "a.wav").write_bytes(encoded(voice(3.0)))
    joined = np.concatenate(list(LongRecording(f"{tmp_path}/a.wav", 60.0, speed=speed).blocks(1)))

    at_once = load_audio(f"{tmp_path}/a.wav#speed={speed}")
    assert joined.shape == at_once.shape
    np.testing.assert_allclose(joined, at_once, atol=2e-5)
    assert reason(LongRecording(f"{tmp_path}/a.wav", 60.0, speed=9.0)) == "invalid-value"


def test_what_is_wrong_with_it_is_noticed_where_it_is() -> None:
    data = encoded(voice(4.0), form="FLAC")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1

    assert reason(LongRecording(bytes(flipped), 60.0)) == "truncated-audio"
    assert reason(LongRecording(data, 60.0, claimed_seconds=5.0)) == "truncated-audio"
    assert reason(LongRecording(data, 3.0)) == "too-long"
    assert reason(LongRecording(with_flac_samples(data, 0), 3.0)) == "too-long"
    assert reason(LongRecording("/absent.wav", 60.0)) == "missing-file"


def test_an_excerpt_is_as_long_as_a_block_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.long_recording.BLOCK_SECONDS", 2)
    sound = voice(5.0)
    recording = LongRecording(encoded(sound), 60.0)

    for place, start in ((0.0, 0), (0.5, 24_000), (1.0, 48_000)):
        excerpt = recording.excerpt(place)
        np.testing.assert_allclose(excerpt, sound[start : start + 32_000], atol=2**-15)


@pytest.mark.parametrize("known", [True, False])
def test_only_what_is_longer_than_a_block_is_put_off(
    monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr("pipelines.long_recording.BLOCK_SECONDS", 2)

    def loaded(seconds: float, most: float) -> object:
        data = encoded(voice(seconds), form="FLAC")
        data = data if known else with_flac_samples(data, 0)
        return load(data, Recording(data), None, most, None, 1.0)

    assert isinstance(loaded(2.0, 10.0), np.ndarray)
    assert isinstance(loaded(2.5, 10.0), LongRecording)
    for most in (1.0, 2.0):
        with pytest.raises(Rejected, match="too-long"):
            loaded(2.5, most)
