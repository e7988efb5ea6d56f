from functools import cache
from urllib.parse import quote

import numpy as np
import pytest
import soxr
import tensorflow as tf

from model import audio_graph
from pipelines.audio import decode_audio, load_audio
from pipelines.speech_encoder import load_speech_encoder
from tests.pipelines.sounds import (
    encoded,
    mp3_without_length,
    voice,
    with_flac_samples,
    with_wav_size,
)
from tests.tiny import tiny_codebook

ID3 = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)


@pytest.fixture(scope="module")
def decode():
    spec = tf.TensorSpec([], tf.string)
    graph = tf.function(audio_graph.decode, input_signature=[spec, spec], autograph=False)
    return lambda data: graph(data, "the file").numpy()


def refusal(decode, data: bytes) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode(data)
    return caught.value.message.replace("\\'", "'")


@cache
def speech(rate: int) -> np.ndarray:
    spoken = load_audio("espeak:en?rate=160&pitch=50&text=" + quote("the quick brown fox jumps"))
    return soxr.resample(spoken, 16_000, rate)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAVEX", "PCM_16"),
        ("FLAC", "PCM_S8"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("MP3", None),
    ],
)
def test_a_file_at_16_khz_gives_the_samples_that_libsndfile_gives(decode, form, subtype):
    stereo = np.stack([speech(16_000), 0.5 * speech(16_000)], axis=1)
    data = encoded(stereo, 16_000, form, subtype)
    samples, expected = decode(data), decode_audio(data)
    assert samples.dtype == np.float32
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, atol=2e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz_without_delay(decode, rate):
    data = encoded(speech(rate), rate)
    samples, expected = decode(data), decode_audio(data)
    assert samples.shape == expected.shape
    # One sample late, this speech correlates .92.
    assert np.corrcoef(samples, expected)[0, 1] > 0.999


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_audio_tokens_survive_the_other_resampler(decode, form):
    encoder, codebook = load_speech_encoder("mfcc"), tiny_codebook()
    data = encoded(np.stack([speech(44_100)] * 2, axis=1), 44_100, form)
    ours, theirs = (codebook.assign(f) for f in encoder.encode([decode(data), decode_audio(data)]))
    assert len(set(theirs.tolist())) > 8
    assert (ours == theirs).mean() >= 0.9


def test_a_peak_above_1_is_scaled_down(decode):
    samples = decode(encoded(8 * speech(16_000), subtype="FLOAT"))
    assert np.abs(samples).max() == pytest.approx(1.0)
    expected = speech(16_000) / np.abs(speech(16_000)).max()
    np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_chunks_before_the_sound_and_headers_without_a_size_are_read(decode):
    plain = encoded(speech(16_000))
    odd = plain[:12] + b"LIST\x03\x00\x00\x00data"[:11] + b"\0" + plain[12:]
    for data in (odd, with_wav_size(plain, 0xFFFFFFFF), ID3 + encoded(speech(16_000), form="MP3")):
        np.testing.assert_allclose(decode(data), decode_audio(data), atol=2e-6)


def test_an_mp3_without_a_length_is_read_whole(decode):
    seconds = len(decode(mp3_without_length(voice(3.0)))) / 16_000
    assert 3.0 <= seconds < 3.2


WAV, FLAC = encoded(voice(1.0)), encoded(voice(1.0), form="FLAC")
OGG, MP3 = encoded(voice(2.0), form="OGG"), encoded(voice(2.0), form="MP3")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"RIFF", "the file has fewer than 44 bytes"),
        (b"not a sound at all. " * 50, "the file is no WAV, FLAC, OGG Vorbis or MP3 file"),
        (b"RIFF\0\0\0\0AVI " + bytes(200), "the file is no WAV"),
        (b"\0\0\0\x20ftypM4A " + bytes(200), "the file is no WAV"),
        (WAV[:-1000], "is cut: a WAV file shorter than its header says"),
        (b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 50, "ends before its sound begins"),
        (with_wav_size(WAV, 0), "holds less than 0.05 s"),
        (WAV[:22] + b"\0\0" + WAV[24:], "without channels"),
        (WAV[:24] + bytes(4) + WAV[28:], "has a sample rate outside 4 to 768 kHz"),
        (encoded(voice(1.0), subtype="ULAW"), "neither integers nor floats"),
        (encoded(np.full(16_000, np.nan, np.float32), subtype="FLOAT"), "NaN or infinite"),
        (encoded(np.zeros(601 * 4_000, np.float32), 4_000), "holds more than 600 s"),
        (b"fLaC" + bytes(100), "doesn't know its length"),
        (with_flac_samples(FLAC, 2**36 - 1), "holds more than 600 s"),
        (FLAC[:-100], "unable to read"),
        (b"OggS" + bytes(100), "another codec than Vorbis"),
        (encoded(voice(1.0, 48_000), 48_000, "OGG", "OPUS"), "another codec than Vorbis"),
        (OGG[:-100], "is cut: an OGG file without its last page"),
        (OGG + OGG, "several streams"),
        (MP3[: len(MP3) // 2], "failed"),
        (b"\xff\xfb\x90\x00" + b"x" * 1000, "invalid mp3"),
        (ID3 + b"x" * 1000, "begins with an ID3 tag, but no MP3 is behind it"),
        (ID3 * 20, "but no MP3 is behind it"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(decode, data, reason):
    assert reason in refusal(decode, data)


def test_an_mp3_that_promises_hours_is_refused_before_room_is_made_for_it(decode):
    mark = max(MP3.find(b"Xing", 0, 64), MP3.find(b"Info", 0, 64))
    promising = MP3[: mark + 8] + (2**31).to_bytes(4, "big") + MP3[mark + 12 :]
    assert "holds more than 600 s" in refusal(decode, promising)
