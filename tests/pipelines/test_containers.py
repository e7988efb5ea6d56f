from __future__ import annotations

import numpy as np
import pytest

from pipelines.audio import decode_audio
from pipelines.containers import whole
from pipelines.rejects import Rejected
from tests.pipelines.sounds import encoded, mp3_without_length, voice, with_wav_size


def reason(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        whole(data)
    return caught.value.reason


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_without_a_length_is_decoded_to_its_end(rate, channels):
    # Quiet first: an estimate from the first frame's bit rate is far too short.
    sound = voice(3.0, rate) * np.linspace(0, 1, 3 * rate, dtype=np.float32) ** 4
    stereo = np.stack([sound] * channels, axis=1)

    with_length = decode_audio(encoded(stereo, rate, "MP3"))
    without = decode_audio(mp3_without_length(stereo, rate))

    assert with_length.shape == (48_000,)
    # The encoder's delay at the start and its padding at the end are no longer told apart.
    assert 48_000 <= len(without) <= 48_000 + 3 * 1152 * 16_000 // rate
    loudest = np.abs(without[-6000:]).max()
    assert loudest == pytest.approx(np.abs(with_length[-6000:]).max(), abs=0.02)


def test_an_mp3_that_counts_too_few_of_its_frames_is_decoded_to_its_end():
    data = encoded(voice(3.0), form="MP3")
    place = data.index(b"Xing") + 8
    short = data[:place] + (20).to_bytes(4, "big") + data[place + 4 :]

    assert len(decode_audio(short)) >= 48_000


def test_an_mp3_that_counts_more_frames_than_it_has_is_cut():
    data = encoded(voice(3.0), form="MP3")
    # All frames of this encoder begin alike. Some encoders count the header's frame, some do not.
    last = data.rindex(data[:2])
    one_before = data.rindex(data[:2], 0, last)

    assert int.from_bytes(data[data.index(b"Xing") + 8 :][:4], "big") == data.count(data[:2]) - 1
    assert 47_400 < len(decode_audio(data[:last])) < 48_000
    assert reason(data[:one_before]) == "truncated-audio"


def test_tags_around_an_mp3_are_taken_off():
    data = encoded(voice(1.0), form="MP3")
    tag = b"ID3\x04\0\0\0\0\x02\x05" + bytes(2 * 128 + 5)

    assert whole(tag + tag + data + b"TAG" + bytes(125)).read() == data


def test_two_mp3s_in_one_file_are_one_recording():
    data = encoded(voice(1.0), form="MP3")

    assert len(decode_audio(data + data)) >= 32_000


def test_a_hole_in_an_mp3_is_noticed():
    data = encoded(voice(3.0), form="MP3")

    assert reason(data[:3000] + bytes(1000) + data[4000:]) == "truncated-audio"


def test_a_hole_in_an_mp3_without_a_length_is_noticed():
    data = mp3_without_length(voice(3.0))

    with pytest.raises(Rejected, match="hold no MP3 frame"):
        whole(data[:3000] + bytes(1000) + data[4000:])


def test_bytes_that_only_look_like_an_mp3_frame_are_no_mp3():
    frame = encoded(voice(1.0), form="MP3")[:4]

    with pytest.raises(Rejected, match="not-audio: begins like an MP3 frame, but no frame follows"):
        whole(frame + b"text " * 1000)


def test_a_flac_cut_between_two_frames_is_noticed():
    data = encoded(voice(3.0), form="FLAC")
    # A frame's first 15 bits, then a fixed block size (RFC 9639, section 9.1).
    middle = data.index(b"\xff\xf8", len(data) // 2)

    with pytest.raises(Rejected, match=r"1\.54 s of sound, its header promises 3\.00 s"):
        decode_audio(data[:middle])


def test_an_ogg_without_its_last_page_is_cut():
    data = encoded(voice(3.0), form="OGG")
    last = data.rindex(b"OggS")

    assert whole(data).read() == data
    assert reason(data[:last]) == "truncated-audio"
    assert reason(data[: last + 10]) == "truncated-audio"


def test_a_wav_chunk_before_the_sound_is_passed_over():
    data = encoded(voice(1.0))
    place = data.index(b"data")
    odd = data[:place] + b"LIST" + (5).to_bytes(4, "little") + b"abcde\0" + data[place:]

    assert whole(odd).read() == odd
    assert reason(odd[:-1]) == "truncated-audio"


def test_the_64_bit_size_of_a_large_wav_is_read():
    data = encoded(voice(1.0), form="RF64")

    assert whole(data).read() == data
    assert reason(data[:-1000]) == "truncated-audio"


def test_a_wav_without_a_sound_chunk_is_cut():
    data = encoded(voice(1.0))

    assert reason(data[: data.index(b"data")]) == "truncated-audio"
    assert reason(with_wav_size(data, len(data))) == "truncated-audio"


def test_foreign_formats_are_named_with_what_to_do():
    with pytest.raises(Rejected, match=r"MPEG-4 \(m4a, mp4\) is not read; convert it to WAV"):
        whole(b"\0\0\0\x20ftypM4A " + bytes(100))
