import numpy as np
import soundfile

from pipelines.speak import main


def test_a_text_becomes_a_wav_that_sounds_the_same_each_time(tmp_path, capsys):
    one, again = tmp_path / "one.wav", tmp_path / "again.wav"
    for output in (one, again):
        assert main(["--text", "girasole", "--language", "it", "--output", str(output)]) == 0
    samples, rate = soundfile.read(one)
    assert rate == 22_050
    assert 0.3 < len(samples) / rate < 2
    assert np.abs(samples).max() > 0.1
    assert one.read_bytes() == again.read_bytes()
    assert "speaker" in capsys.readouterr().out


def test_another_speaker_sounds_different(tmp_path):
    for speaker in (0, 1):
        flags = ["--text", "lobo", "--language", "pt", "--speaker", str(speaker)]
        assert main([*flags, "--output", str(tmp_path / f"{speaker}.wav")]) == 0
    assert (tmp_path / "0.wav").read_bytes() != (tmp_path / "1.wav").read_bytes()


def test_a_text_without_words_is_refused(tmp_path, capsys):
    assert main(["--text", " ", "--language", "pt", "--output", str(tmp_path / "x.wav")]) == 1
    assert "empty" in capsys.readouterr().err
    assert not (tmp_path / "x.wav").exists()
