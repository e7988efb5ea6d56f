"""Intervals, groups, xsim and paired differences, worked out by hand or from published tables."""

from __future__ import annotations

import numpy as np
import pytest

from scann_index import groups
from scann_index.confidence import (
    independent,
    interval_of_mean,
    mean_interval,
    share_interval,
    wilson,
)
from scann_index.margin import Neighbours
from scann_index.paired import paired_difference
from scann_index.xsim import errors


def names(count: int) -> list[str]:
    return [f"s{i}" for i in range(count)]


def test_wilsons_interval_is_the_published_one_and_never_a_point():
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(1.0, 20) == (pytest.approx(1 - 0.1611, abs=1e-4), 1.0)


def test_recordings_that_agree_within_a_sentence_count_as_fewer_queries():
    twice = [name for name in names(50) for _ in range(2)]
    agreeing = np.repeat(np.arange(50) % 2 == 0, 2)
    apart = np.tile([True, False], 50)
    # 100 recordings that are hit or missed in twos are worth about 50 queries, and never less.
    assert independent(agreeing, twice) == pytest.approx(50, abs=1)
    assert independent(apart, twice) == 100
    assert independent(agreeing, names(100)) == 100
    assert independent(np.ones(100, bool), twice) == 50
    assert share_interval(agreeing, twice)[0] < share_interval(apart, twice)[0]


def test_the_interval_covers_the_truth_about_95_times_in_100_even_near_the_ends():
    rng = np.random.default_rng(0)
    for truth in (0.5, 0.9, 0.97):
        covered = 0
        for _ in range(400):
            # Three recordings a sentence, which mostly share their luck.
            hard = np.repeat(rng.random(100) < truth, 3)
            hits = np.where(rng.random(300) < 0.7, hard, rng.random(300) < truth)
            low, high = share_interval(hits, [f"s{i // 3}" for i in range(300)])
            covered += low <= truth <= high
        assert covered / 400 == pytest.approx(0.95, abs=0.035)


def test_the_interval_of_a_mean_rank_draws_sentences_and_is_never_a_point():
    values = np.repeat(np.arange(50) % 2, 4).astype(float)
    clustered = mean_interval(values, [f"s{i // 4}" for i in range(200)])
    # A standard error of .5 / sqrt(50), not of .5 / sqrt(200).
    assert clustered == pytest.approx((0.5 - 0.139, 0.5 + 0.139), abs=0.02)
    low, high = mean_interval(np.ones(20), names(20))
    assert (low, high) == (pytest.approx(0.839, abs=1e-3), 1.0)


def test_the_interval_of_a_mean_narrows_with_the_number_of_languages():
    one = interval_of_mean([0.5], [wilson(0.5, 100)])
    sixteen = interval_of_mean([0.5] * 16, [wilson(0.5, 100)] * 16)
    assert one == pytest.approx(wilson(0.5, 100))
    assert sixteen[1] - 0.5 == pytest.approx((one[1] - 0.5) / 4)
    low, high = interval_of_mean([1.0, 1.0], [wilson(1.0, 20)] * 2)
    assert 0.8 < low < 0.9
    assert high == 1.0


def test_groups_have_their_queries_sentences_and_interval_and_what_is_missing_is_unknown():
    hits = np.array([1, 1, 0, 1, 0], bool)
    found = groups.by_label(hits, ["female", "", "female", "", ""], ["a", "a", "b", "c", "c"])
    assert list(found) == ["unknown", "female"]
    assert found["female"]["queries"] == 2
    assert found["female"]["recall_at_1"] == 0.5
    assert (found["unknown"]["queries"], found["unknown"]["sentences"]) == (3, 2)
    assert found["unknown"]["recall_at_1"] == pytest.approx(2 / 3)
    assert found["female"]["recall_at_1_interval"] == list(wilson(0.5, 2))


def group(share: float, queries: int = 100) -> dict:
    interval = list(wilson(share, queries))
    return {"queries": queries, "recall_at_1": share, "recall_at_1_interval": interval}


def test_genders_are_compared_over_the_languages_that_have_both():
    found = groups.by_gender(
        {
            "en": {"female": group(0.9), "male": group(0.8)},
            "it": {"female": group(0.7), "male": group(0.6), "unknown": group(0.1)},
            # Women only, of a language that is hard: would pull their mean down.
            "zh": {"female": group(0.1)},
        }
    )
    assert list(found) == ["female", "male", "unknown"]
    assert found["female"]["recall_at_1"] == pytest.approx(0.8)
    assert found["male"]["recall_at_1"] == pytest.approx(0.7)
    assert found["female"]["languages"] == found["male"]["languages"] == ["en", "it"]
    assert found["female"]["comparable"] is True
    assert (found["unknown"]["recall_at_1"], found["unknown"]["comparable"]) == (0.1, False)


def test_genders_of_different_languages_are_said_not_to_be_comparable():
    found = groups.by_gender({"en": {"female": group(0.9)}, "it": {"male": group(0.6)}})
    assert found["female"]["languages"] == ["en"]
    assert not found["female"]["comparable"]


def test_speakers_with_few_queries_are_counted_but_not_compared():
    speakers = {f"v{i}": group(i / 10, 10 + i) for i in range(11)}
    found = groups.by_speaker({**speakers, "rare": group(0.0, 9), "unknown": group(0.5, 7)})
    assert (found["count"], found["counted"], found["unknown"]) == (12, 11, 7)
    assert found["queries"] == sum(10 + i for i in range(11)) + 9
    assert (found["lowest"], found["median"], found["highest"]) == (0.0, 0.5, 1.0)
    assert "unknown" not in found["speakers"]
    assert groups.by_speaker({})["median"] is None
    assert groups.by_speaker({})["deviation"] is None


def test_the_deviation_between_speakers_is_without_what_few_queries_do_by_luck():
    rng = np.random.default_rng(0)

    def spread(deviation: float, queries: int) -> float:
        truths = np.clip(rng.normal(0.6, deviation, 300), 0, 1)
        shares = rng.binomial(queries, truths) / queries
        return groups.speaker_spread([group(share, queries) for share in shares])["deviation"]

    # By luck alone the recall@1 of ten queries has a deviation of .155.
    assert spread(0.0, 10) < 0.06
    assert spread(0.1, 10) == pytest.approx(0.1, abs=0.03)
    assert spread(0.1, 200) == pytest.approx(0.1, abs=0.02)
    by_language = {"en": {"a": group(0.4), "b": group(0.4)}, "it": {"c": group(0.9)}}
    found = groups.all_speakers(by_language)
    # The languages differ, the speakers of each do not.
    assert (found["count"], found["languages"], found["deviation"]) == (3, 1, 0.0)
    assert (found["median"], found["highest"]) == (0.4, 0.9)


def test_xsim_prefers_the_pair_that_stands_out_over_a_row_near_to_everything():
    # Both queries are nearest to row 1, a hub; its margin is low, as all queries are near to it.
    forward = Neighbours(
        np.array([[1, 0], [1, 2]]), np.array([[0.80, 0.78], [0.82, 0.5]], np.float32)
    )
    backward = np.array([[0.78, 0.1], [0.82, 0.80], [0.5, 0.45]], np.float32)
    # Query 0: row 0 .78 / (.79/2 + .44/2) = 1.27 before row 1 .80 / (.79/2 + .81/2) = 1.0.
    # Query 1: row 1 .82 / (.66/2 + .81/2) = 1.12 before row 2 .5 / (.66/2 + .475/2) = .88.
    wrong = errors(forward, backward, ["a", "c"], ["a", "b", "c"])
    assert wrong.tolist() == [False, True]


def test_xsim_counts_a_tie_and_a_counterpart_beyond_the_neighbours_as_errors():
    forward = Neighbours(np.array([[0, 1], [0, 1]]), np.full((2, 2), 0.5, np.float32))
    backward = np.full((3, 2), 0.5, np.float32)
    assert errors(forward, backward, ["a", "c"], ["a", "b", "c"]).tolist() == [True, True]
    assert errors(forward, backward, ["a", "a"], ["a", "a", "c"]).tolist() == [False, False]


def test_xsim_of_a_single_query_and_a_single_row_is_no_error():
    forward = Neighbours(np.array([[0]]), np.array([[0.5]], np.float32))
    backward = np.array([[0.5, -np.inf, -np.inf, -np.inf]], np.float32)
    assert errors(forward, backward, ["a"], ["a"]).tolist() == [False]


def test_two_systems_that_mostly_agree_are_told_apart_by_the_queries_they_share():
    # 1,000 queries: 700 right in both, 40 in the second only, 10 in the first only.
    first = np.arange(1000) < 710
    second = first.copy()
    second[700:710] = False
    second[710:750] = True
    found = paired_difference(first, second, names(1000))
    assert (found.gained, found.lost) == (40, 10)
    assert found.difference == pytest.approx(0.03)
    # Standard error sqrt(50 - 30² / 1000) / 1000 = .007.
    assert found.interval == pytest.approx((0.0163, 0.0437), abs=0.0015)
    assert found.p_value < 0.001
    # Their own intervals overlap.
    assert share_interval(first, names(1000))[1] > share_interval(second, names(1000))[0]


def test_recordings_of_one_sentence_are_no_further_evidence():
    first, second = np.zeros(40, bool), np.repeat([True, False], [10, 30])
    alone = paired_difference(first, second, names(40))
    together = paired_difference(first, second, [f"s{i // 10}" for i in range(40)])
    assert alone.p_value < 0.01
    # One sentence gained: heads or tails.
    assert together.p_value == pytest.approx(1.0)
    assert together.interval[0] == 0.0


def test_no_difference_on_few_queries_is_no_proof_of_equality():
    found = paired_difference(np.ones(20, bool), np.ones(20, bool), names(20))
    assert found.difference == 0.0
    assert found.p_value == 1.0
    low, high = found.interval
    assert low == -high
    assert 0.1 < high < 0.15
