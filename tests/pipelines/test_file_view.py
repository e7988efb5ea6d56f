"""A view of a file gives the bytes that the file would in memory."""

from __future__ import annotations

import io

import numpy as np
import pytest

from pipelines import audio_source, file_view
from pipelines.audio import decode_audio, load_audio
from pipelines.containers import whole
from pipelines.file_view import FileView
from pipelines.rejects import Rejected
from tests.pipelines.sounds import encoded, mp3_without_length, voice

DATA = np.random.default_rng(0).integers(0, 7, 5_000, np.uint8).tobytes()


@pytest.fixture(autouse=True)
def small_window(monkeypatch):
    monkeypatch.setattr(file_view, "WINDOW", 64)


def test_it_is_indexed_and_sliced_like_bytes():
    view = FileView(io.BytesIO(DATA))
    random = np.random.default_rng(1)

    assert len(view) == len(DATA)
    for start, length in random.integers(0, [5_000, 200], (500, 2)):
        assert view[start : start + length] == DATA[start : start + length]
        assert view[int(start)] == DATA[start]
    assert view[:4] == DATA[:4] and view[4_999:6_000] == DATA[4_999:] and view[7:3] == b""


def test_it_finds_what_lies_across_the_edge_of_a_window():
    data = bytes(62) + b"needle" + bytes(300) + b"needle"
    view = FileView(io.BytesIO(data))

    assert [view.find(b"needle", start) for start in (0, 62, 63, 369)] == [62, 62, 368, -1]
    assert view.find(b"thread") == -1


def test_a_part_is_a_file_with_something_in_front():
    part = FileView(io.BytesIO(DATA)).part(100, 900, b"head")
    expected = b"head" + DATA[100:900]

    assert part.read() == expected and part.read() == b""
    for place in (0, 2, 4, 700):
        part.seek(place)
        assert part.read(50) == expected[place : place + 50]
    assert part.seek(-5, io.SEEK_END) == len(expected) - 5
    assert part.read() == expected[-5:]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "MP3 without a length"])
def test_a_file_that_is_not_held_in_memory_gives_the_same_sound(form, tmp_path, monkeypatch):
    sound = voice(2.0)
    data = mp3_without_length(sound) if form.startswith("MP3 w") else encoded(sound, form=form)
    path = tmp_path / "sound"
    path.write_bytes(data)
    monkeypatch.setattr(audio_source, "IN_MEMORY", 1_000)
    monkeypatch.setattr(file_view, "WINDOW", 500)

    np.testing.assert_array_equal(load_audio(str(path)), decode_audio(data))
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(Rejected, match="truncated-audio"):
        load_audio(str(path))


def test_a_file_that_shrinks_meanwhile_is_an_error_and_not_a_reject(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(voice(1.0)))
    view = FileView(path.open("rb"))
    path.write_bytes(b"RIFF")

    with pytest.raises(OSError, match="became shorter"):
        whole(view)
