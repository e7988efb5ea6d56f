from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import soundfile

from pipelines.rejects import Rejected
from scann_index import recording

M4A = b"\0\0\0\x20ftypM4A " + b"\0" * 100
# Writes two seconds of a constant, whatever it is given; says so if its limits are missing.
FFMPEG = """#!{python}
import sys
import numpy as np
assert "-format_whitelist" in sys.argv and "file,pipe" in sys.argv
data = open(sys.argv[sys.argv.index("-i") + 1].removeprefix("file:"), "rb").read()
if b"ftyp" not in data[:12]:
    print("Invalid data found", file=sys.stderr)
    sys.exit(1)
sys.stdout.buffer.write(np.full(32000, 0.5, "<f4").tobytes())
"""


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(FFMPEG.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def wav(seconds: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(int(seconds * 8000), 0.25), 8000, format="WAV")
    return buffer.getvalue()


def test_the_bytes_of_a_file_are_decoded_like_the_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(1.5))
    samples = recording.load(wav(1.5))
    assert (samples.dtype, len(samples)) == (np.float32, 24_000)
    np.testing.assert_array_equal(samples, recording.load(str(tmp_path / "a.wav")))


def test_a_recording_of_over_ten_minutes_is_taken():
    assert len(recording.load(wav(700))) == 700 * 16_000


def test_a_recording_that_is_too_long_is_refused():
    with pytest.raises(Rejected, match="too-long"):
        recording.load(wav(3), max_seconds=2)


def test_other_formats_are_given_to_ffmpeg(ffmpeg, tmp_path):
    (tmp_path / "a.m4a").write_bytes(M4A)
    for sound in (M4A, str(tmp_path / "a.m4a")):
        samples = recording.load(sound)
        assert (samples.dtype, len(samples)) == (np.float32, 32_000)
        assert set(samples.tolist()) == {0.5}
    with pytest.raises(Rejected, match="too-long"):
        recording.load(M4A, max_seconds=1.5)


def test_what_ffmpeg_refuses_is_refused_with_its_words(ffmpeg):
    with pytest.raises(Rejected, match=r"not-audio: .*; ffmpeg: Invalid data found"):
        recording.load(b"#EXTM3U\nfile:///etc/passwd\n")


def test_without_ffmpeg_the_fix_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Rejected, match="with ffmpeg installed, other formats"):
        recording.load(M4A)
