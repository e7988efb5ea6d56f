import numpy as np
import pytest

from model.metrics import bootstrap_interval, mean_reciprocal_rank, ranks, recall_at


def test_the_best_placed_right_answer_counts():
    scores = np.array([[0.9, 0.5, 0.8], [0.1, 0.2, 0.3]])
    assert ranks(scores, ["a", "b"], ["b", "a", "a"]).tolist() == [2, 3]


def test_ties_count_against_the_model():
    assert ranks(np.zeros((1, 4)), ["c"], ["a", "b", "c", "d"]).tolist() == [4]


def test_a_query_without_an_answer_ranks_behind_the_pool():
    assert ranks(np.ones((1, 2)), ["z"], ["a", "b"]).tolist() == [3]


def test_recall_and_reciprocal_rank_of_known_ranks():
    ranked = np.array([1, 2, 5, 1])
    assert recall_at(ranked, 1) == 0.5
    assert recall_at(ranked, 2) == 0.75
    assert mean_reciprocal_rank(ranked) == pytest.approx((1 + 0.5 + 0.2 + 1) / 4)
    assert np.isnan(recall_at(np.array([]), 1))


def test_the_bootstrap_interval_covers_the_mean_and_shrinks_with_more_queries():
    few, many = np.array([0, 1] * 10), np.array([0, 1] * 1000)
    low, high = bootstrap_interval(few)
    assert low < 0.5 < high
    assert high - low > 3 * np.subtract(*bootstrap_interval(many)[::-1])
    assert bootstrap_interval(few) == bootstrap_interval(few)
