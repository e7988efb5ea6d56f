from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from pipelines import audio
from pipelines.audio import decode_audio, load_audio, load_audio_batch
from pipelines.rejects import Rejected
from pipelines.synthesis import Speech, espeak_uri, shared_synthesizer
from tests.pipelines.sounds import (
    encoded,
    mp3_without_length,
    voice,
    with_flac_samples,
    with_wav_size,
)


def reason(data: bytes, **options) -> str:
    with pytest.raises(Rejected) as caught:
        decode_audio(data, **options)
    return caught.value.reason


def reason_of_reference(reference: str, **options) -> str:
    with pytest.raises(Rejected) as caught:
        load_audio(reference, **options)
    return caught.value.reason


@pytest.mark.parametrize(
    ("form", "subtype", "error"),
    [
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "FLOAT", 0),
        ("RF64", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("OGG", "VORBIS", 0.02),
        ("OGG", "OPUS", 0.02),
        ("MP3", "MPEG_LAYER_III", 0.02),
    ],
)
def test_each_format_gives_back_the_samples_it_was_given(form, subtype, error):
    sound = voice(1.2)

    decoded = decode_audio(encoded(sound, form=form, subtype=subtype))

    assert decoded.dtype == np.float32
    assert decoded.shape == sound.shape
    assert np.sqrt(np.mean((decoded - sound) ** 2)) <= error


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(rate):
    def tone(rate: int) -> np.ndarray:
        return (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)

    decoded = decode_audio(encoded(tone(rate), rate, subtype="FLOAT"))

    assert decoded.shape == (16_000,)
    # At the very ends the filter has nothing to look at.
    np.testing.assert_allclose(decoded[200:-200], tone(16_000)[200:-200], rtol=0, atol=2e-3)


def test_channels_are_averaged():
    left, right = np.full(1600, 0.5, np.float32), np.full(1600, -0.25, np.float32)
    surround = np.zeros((1600, 6), np.float32)
    surround[:, 2] = 0.6

    stereo = decode_audio(encoded(np.stack([left, right], axis=1), subtype="FLOAT"))

    np.testing.assert_allclose(stereo, 0.125)
    np.testing.assert_allclose(decode_audio(encoded(surround, subtype="FLOAT")), 0.1, atol=1e-6)


def test_samples_above_1_are_scaled_down_and_keep_their_shape():
    sound = voice(1.0)

    decoded = decode_audio(encoded(sound * 30_000, subtype="FLOAT"))

    np.testing.assert_allclose(decoded, sound / np.abs(sound).max(), atol=1e-6)


def test_the_largest_floats_stay_finite():
    stereo = np.full((1600, 2), np.finfo(np.float32).max, np.float32)

    decoded = decode_audio(encoded(stereo, subtype="FLOAT"))

    np.testing.assert_allclose(decoded, 1.0)


def test_resampling_never_passes_1():
    square = np.sign(np.sin(np.arange(44_100) / 20)).astype(np.float32)

    assert np.abs(decode_audio(encoded(square, 44_100, subtype="FLOAT"))).max() <= 1.0


def test_silence_is_a_recording():
    assert not decode_audio(encoded(np.zeros(8000, np.float32))).any()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_file_is_rejected_and_never_returned_in_part(form, share):
    data = encoded(voice(2.0), form=form)

    assert reason(data[: int(len(data) * share)]) == "truncated-audio"


@pytest.mark.parametrize("form", ["OGG", "FLAC"])
def test_one_flipped_bit_is_noticed_where_the_format_has_checksums(form):
    data = bytearray(encoded(voice(2.0), form=form))
    data[len(data) // 2] ^= 1

    assert reason(bytes(data)) == "truncated-audio"


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_what_follows_the_sound_is_ignored(form):
    sound = voice(1.0)
    data = encoded(sound, form=form)

    assert decode_audio(data + b"TAG" + bytes(125)).shape == sound.shape
    assert decode_audio(data + bytes(5000)).shape == sound.shape


def test_files_written_to_a_pipe_are_read_though_their_headers_know_no_length():
    sound = voice(1.2)
    wav, flac = encoded(sound), encoded(sound, form="FLAC")

    for data in (
        with_wav_size(wav, 0xFFFFFFFF),
        with_wav_size(wav, 0x7FFFF000),
        with_flac_samples(flac, 0),
    ):
        np.testing.assert_allclose(decode_audio(data), sound, rtol=0, atol=2**-15)


def test_the_claimed_duration_shows_a_cut_that_the_file_hides():
    data = with_wav_size(encoded(voice(2.0)), 0xFFFFFFFF)[:40_000]

    assert decode_audio(data).shape == (19_978,)
    assert decode_audio(data, claimed_seconds=1.3).shape == (19_978,)
    assert reason(data, claimed_seconds=2.0) == "truncated-audio"


def test_a_recording_longer_than_claimed_is_fine():
    assert decode_audio(encoded(voice(2.0)), claimed_seconds=1.0).shape == (32_000,)


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"", "empty-file"),
        (encoded(np.zeros(0, np.float32)), "empty-audio"),
        (encoded(np.ones(1, np.float32)), "too-short"),
        (b"not a recording", "not-audio"),
        (b"RIFF\x24\0\0\0AVI LIST" + bytes(100), "not-audio"),
        (b"fLaC" + bytes(100), "not-audio"),
        (b"ID3\x04\0\0\0\0\0\x10" + bytes(500), "not-audio"),
        (encoded(voice(1.0), form="AIFF"), "not-audio"),
        (with_wav_size(encoded(voice(1.0)), 10**6), "truncated-audio"),
        (with_flac_samples(encoded(voice(1.0), form="FLAC"), 2**36 - 1), "too-long"),
    ],
)
def test_what_is_no_recording_is_rejected_with_its_reason(data, slug):
    assert reason(data) == slug


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_sample_that_is_no_number_rejects_the_recording(value):
    sound = voice(1.0)
    sound[-1] = value

    assert reason(encoded(sound, subtype="FLOAT")) == "non-finite-samples"


def test_a_rate_that_no_recorder_has_is_rejected():
    assert reason(encoded(voice(1.0), rate=100)) == "not-audio"


def test_the_limits_of_duration_include_themselves():
    data = encoded(voice(1.0))

    assert decode_audio(data, min_seconds=1.0, max_seconds=1.0).shape == (16_000,)
    assert reason(data, min_seconds=1.001) == "too-short"
    assert reason(data, max_seconds=0.999) == "too-long"


def test_a_flac_of_unknown_length_is_too_long_as_soon_as_it_passes_the_limit():
    data = with_flac_samples(encoded(voice(2.0), form="FLAC"), 0)

    assert reason(data, max_seconds=1.5) == "too-long"


def test_an_hour_is_refused_by_its_header(tmp_path):
    path = tmp_path / "hour.wav"
    header = with_wav_size(encoded(np.zeros(1, np.float32), 8000, subtype="PCM_U8"), 3600 * 8000)
    path.write_bytes(header[:44])
    os.truncate(path, 44 + 3600 * 8000)

    began = time.process_time()
    assert reason_of_reference(str(path)) == "too-long"
    assert time.process_time() - began < 0.5


def test_a_file_over_the_size_limit_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(encoded(voice(1.0)))
    monkeypatch.setattr(audio, "MAX_BYTES", 1000)

    assert load_audio(str(tmp_path / "a.wav"), max_seconds=1.0).shape == (16_000,)
    # 0.1 s of the largest usual format are 28,800 bytes.
    with pytest.raises(Rejected, match="too-long: over 28800 bytes"):
        load_audio(str(tmp_path / "a.wav"), max_seconds=0.1)


def test_the_content_decides_not_the_name(tmp_path):
    sound = voice(1.0)
    (tmp_path / "really-mp3.wav").write_bytes(encoded(sound, form="MP3"))
    (tmp_path / "no ending é 🐟").write_bytes(encoded(sound, form="FLAC"))

    assert load_audio(str(tmp_path / "really-mp3.wav")).shape == sound.shape
    assert load_audio(str(tmp_path / "no ending é 🐟")).shape == sound.shape


def test_paths_that_lead_to_no_file_are_rejected(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(voice(1.0)))
    os.mkfifo(tmp_path / "pipe")

    for reference in (
        "",
        str(tmp_path),
        str(tmp_path / "pipe"),
        str(tmp_path / "absent.wav"),
        str(tmp_path / "a.wav" / "b.wav"),
        str(tmp_path / ("a" * 300)),
        "/dev/zero",
        "ftp://example.com/a.wav",
    ):
        assert reason_of_reference(reference) == "missing-file", reference
    assert reason_of_reference(str(tmp_path / "a.wav\0.txt")) == "unsafe-path"
    assert reason_of_reference(str(tmp_path / "\ud800.wav")) == "unsafe-path"


def test_a_failing_disk_is_an_error_and_not_a_reject():
    # The first page of a process is never mapped: reading it is an input/output error.
    with pytest.raises(OSError, match="Input/output"):
        load_audio("/proc/self/mem")


def test_urls_are_read_through_beam(tmp_path):
    from tests.pipelines import shelf_filesystem  # noqa: F401

    sound = voice(1.0)
    (tmp_path / "a.wav.gz").write_bytes(encoded(sound))

    assert load_audio(f"shelf:/{tmp_path}/a.wav.gz").shape == sound.shape
    assert reason_of_reference(f"shelf:/{tmp_path}/b.wav") == "missing-file"


def test_local_files_are_read_without_beam_and_without_espeak(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(voice(1.0)))
    program = (
        "import sys; from pipelines.audio import load_audio; load_audio(sys.argv[1]);"
        "assert not {'apache_beam', 'tensorflow', 'pipelines.synthesis'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.wav")], check=True)


def test_a_batch_keeps_its_order_and_its_rejects(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(voice(1.0)))
    spoken = [espeak_uri(Speech("good morning", "en")), espeak_uri(Speech("guten Morgen", "de"))]
    references = [
        spoken[0],
        str(tmp_path / "a.wav"),
        "espeak:nonsense",
        str(tmp_path / "absent.wav"),
        spoken[1],
    ]

    first, second, third, fourth, fifth = load_audio_batch(references)

    np.testing.assert_array_equal(first, load_audio(spoken[0]))
    assert isinstance(second, np.ndarray) and second.shape == (16_000,)
    assert isinstance(third, Rejected) and third.reason == "invalid-uri"
    assert isinstance(fourth, Rejected) and fourth.reason == "missing-file"
    np.testing.assert_array_equal(fifth, load_audio(spoken[1]))
    for sound in (first, fifth):
        assert isinstance(sound, np.ndarray) and sound.dtype == np.float32
        assert 0.4 < len(sound) / 16_000 < 2.0
        assert 0.05 < np.abs(sound).max() <= 1.0
    # What the traceback of a reject holds is held as long as the reject is.
    assert fourth.__traceback__ is None
    assert pickle.loads(pickle.dumps(fourth)).detail == fourth.detail


def test_a_spoken_reference_is_as_loud_as_it_was_spoken():
    speech = Speech("good morning", "en")
    (samples,) = shared_synthesizer().speak([speech])

    sound = load_audio(espeak_uri(speech))

    assert isinstance(samples, np.ndarray)
    loudness = np.sqrt(np.mean((samples / 32768) ** 2))
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(loudness, rel=0.05)
    assert len(sound) / 16_000 == pytest.approx(len(samples) / 22_050, abs=1e-3)


def test_each_reference_of_a_batch_has_its_own_claim(tmp_path):
    path = str(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(encoded(voice(1.0)))

    unclaimed, cut = load_audio_batch([path, path], claimed_seconds=[None, 5.0])

    assert isinstance(unclaimed, np.ndarray)
    assert isinstance(cut, Rejected) and cut.reason == "truncated-audio"
    assert load_audio_batch([]) == []
    with pytest.raises(ValueError):
        load_audio_batch([path, path], claimed_seconds=[1.0])


@pytest.mark.parametrize("form", ["WAV", "WAV float", "FLAC", "OGG", "MP3", "MP3 bare"])
def test_200_damaged_files_each_give_samples_or_a_reason(form):
    sound = voice(0.7)
    if form == "MP3 bare":
        data = mp3_without_length(sound)
    else:
        name, _, subtype = form.partition(" ")
        data = encoded(sound, form=name, subtype=subtype.upper() or None)
    random = np.random.default_rng(2404_01616)
    outcomes = []
    for number in range(200):
        try:
            decoded = decode_audio(_damaged(data, number, random))
        except Rejected as rejected:
            outcomes.append(rejected.reason)
            continue
        outcomes.append("samples")
        assert decoded.dtype == np.float32 and decoded.ndim == 1 and len(decoded) >= 800
        assert np.abs(decoded).max() <= 1.0

    assert len(outcomes) == 200
    assert outcomes.count("truncated-audio") >= 50


def _damaged(data: bytes, number: int, random: np.random.Generator) -> bytes:
    """Cut, with bits flipped, or with a hole; every other time within the header."""
    damaged = bytearray(data)
    reach = 120 if number % 2 else len(data)
    if number % 3 == 0:
        return data[: random.integers(len(data))]
    if number % 3 == 1:
        for place in random.integers(reach, size=random.integers(1, 9)):
            damaged[place] ^= 1 << random.integers(8)
    else:
        start = random.integers(reach)
        stop = min(len(data), start + random.integers(1, len(data) // 4))
        damaged[start:stop] = bytes(stop - start)
    return bytes(damaged)
