from __future__ import annotations

import numpy as np
import pytest

from pipelines.length_batches import BATCH_SAMPLES, LADDER, TAIL_SAMPLES, batches, frame_count


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(1, 1), (640, 1), (641, 2), (16_000, 25), (17_600, 28), (480_000, 750), (480_001, 751)],
)
def test_a_clip_has_one_frame_for_each_40_ms_begun(samples: int, frames: int) -> None:
    assert frame_count(samples) == frames


def test_batches_hold_every_window_once_and_stay_within_bounds() -> None:
    lengths = np.random.default_rng(0).integers(1, 480_001, 500).tolist() + [20_000] * 200
    seen: list[int] = []
    for members, rung in batches(lengths):
        assert len(members) * rung <= BATCH_SAMPLES
        assert rung in LADDER
        for index in members:
            wanted = min(lengths[index] + TAIL_SAMPLES, 480_000)
            assert wanted <= rung <= max(wanted * 1.06, wanted + 640)
        seen += members
    assert sorted(seen) == list(range(700))


def test_the_ladder_rises_to_30_seconds_in_whole_frames() -> None:
    assert LADDER[-1] == 480_000
    assert (np.diff(LADDER) > 0).all()
    assert (LADDER % 640 == 0).all()


@pytest.mark.parametrize(
    ("median", "spread", "most_above_the_tail", "most"),
    [
        (0.9, 0.45, 0.026, 0.12),
        (3.0, 0.6, 0.029, 0.055),
        (5.0, 0.5, 0.029, 0.05),
        (8.0, 0.6, 0.029, 0.04),
    ],
    ids=["names", "short sentences", "sentences", "long sentences"],
)
def test_little_of_a_log_normal_mix_is_padding(
    median: float, spread: float, most_above_the_tail: float, most: float
) -> None:
    random = np.random.default_rng(0)
    seconds = np.clip(random.lognormal(np.log(median), spread, 20_000), 0.2, 30.0)
    lengths = (seconds * 16_000).astype(int).tolist()
    heard = np.minimum(np.array(lengths) + TAIL_SAMPLES, 480_000).sum()

    shapes = [(len(members), rung) for members, rung in batches(lengths)]
    padded = sum(count * rung for count, rung in shapes)

    # The silence behind a clip is no waste: without it the clip's end is heard worse.
    assert 0.02 < 1 - heard / padded < most_above_the_tail
    assert 0.03 < 1 - sum(lengths) / padded < most
    assert len({rung for _, rung in shapes}) <= len(LADDER) == 90
    # Of a rung all batches are of one size but the last.
    assert len(set(shapes)) <= 2 * len({rung for _, rung in shapes})
