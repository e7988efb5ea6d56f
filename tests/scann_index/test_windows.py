from __future__ import annotations

import numpy as np
import pytest

from pipelines.audio import SAMPLE_RATE
from scann_index.windows import Window, apart, phrases, windows


def recording(*parts: tuple[float, bool], noise: float = 1e-4) -> np.ndarray:
    """Seconds of sound and of silence, one after the other."""
    rng = np.random.default_rng(0)
    pieces = [
        rng.normal(0, 0.1 if loud else noise, round(seconds * SAMPLE_RATE))
        for seconds, loud in parts
    ]
    return np.concatenate(pieces).astype(np.float32)


SOUND = recording((0.5, False), (1.0, True), (0.4, False), (0.8, True), (2.0, False), (1.2, True))


def test_phrases_are_what_lies_between_pauses():
    found = phrases(SOUND)
    assert len(found) == 3
    for phrase, (start, end) in zip(found, [(0.5, 1.5), (1.9, 2.7), (4.7, 5.9)], strict=True):
        assert phrase.start == pytest.approx(start, abs=0.1)
        assert phrase.end == pytest.approx(end, abs=0.1)


def test_a_breath_is_no_pause_and_a_click_is_no_phrase():
    sound = recording(
        (0.5, True), (0.1, False), (0.5, True), (1.0, False), (0.06, True), (1.0, False)
    )
    (phrase,) = phrases(sound)
    assert phrase.seconds == pytest.approx(1.1, abs=0.2)


def test_noise_behind_the_speech_hides_no_pause():
    sound = recording((1.0, True), (0.5, False), (1.0, True), (1.0, False), noise=0.01)
    assert len(phrases(sound)) == 2


def test_a_short_recording_is_taken_with_and_without_the_silence_around_it():
    assert windows(SOUND, 3.0) == [Window(0.0, 5.9), Window(0.48, pytest.approx(5.9, abs=0.02))]
    assert windows(np.zeros(16_000, np.float32), 3.0) == [Window(0.0, 1.0)]


def test_neighbouring_phrases_are_tried_singly_and_together():
    found = windows(SOUND, 2.5)
    assert [(round(w.start, 1), round(w.end, 1)) for w in found] == [
        (0.5, 1.5),
        (0.5, 2.7),
        (1.9, 2.7),
        (4.7, 5.9),
    ]


def test_speech_without_a_pause_is_slid_over():
    found = windows(recording((10.0, True)), 2.0)
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(10.0, abs=0.02)
    assert {round(w.seconds, 3) for w in found} == {2.0}
    steps = np.diff([w.start for w in found])
    assert (steps > 0.8).all()
    assert (steps <= 1.0 + 1e-6).all()


def test_silence_has_no_windows():
    assert windows(np.zeros(10 * SAMPLE_RATE, np.float32), 1.0) == []


def test_of_windows_that_overlap_the_best_is_kept():
    candidates = [Window(0, 1), Window(0, 2), Window(1.05, 2), Window(5, 6), Window(5.9, 7)]
    assert apart(candidates, np.array([0.9, 0.7, 0.8, 0.3, 0.4])) == [0, 2, 3, 4]
    assert apart(candidates, np.array([0.5, 0.9, 0.8, 0.3, 0.4])) == [1, 3, 4]
    assert apart([], np.zeros(0)) == []


def test_windows_without_length_are_refused():
    with pytest.raises(ValueError, match="longer than 0"):
        windows(SOUND, 0.0)
