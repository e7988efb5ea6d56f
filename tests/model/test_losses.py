import math

import numpy as np
import pytest

from model.losses import contrastive_loss, spread_out_loss


def unit(rows) -> np.ndarray:
    array = np.array(rows, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_indistinct_embeddings_cost_the_logarithm_of_the_batch():
    same = unit([[1, 0]] * 4)
    loss = contrastive_loss(same, same, np.arange(4), scale=20.0)
    assert float(loss) == pytest.approx(math.log(4), abs=1e-5)


def test_matching_embeddings_far_from_the_others_cost_nothing():
    eye = np.eye(4, dtype=np.float32)
    assert float(contrastive_loss(eye, eye, np.arange(4), scale=50.0)) < 1e-5


def test_the_loss_is_the_mean_of_both_directions():
    speech, text = unit([[1, 0], [1, 1]]), unit([[1, 0], [0, 1]])
    logits = 2.0 * speech @ text.T
    rows = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    columns = np.log(np.exp(logits).sum(0)) - np.diag(logits)
    expected = (rows.mean() + columns.mean()) / 2
    assert float(contrastive_loss(speech, text, np.arange(2), scale=2.0)) == pytest.approx(expected)


def test_rows_of_the_same_sentence_are_not_negatives():
    same = unit([[1, 0], [1, 0], [0, 1]])
    masked = contrastive_loss(same, same, np.array([7, 7, 8]), scale=50.0)
    counted = contrastive_loss(same, same, np.array([6, 7, 8]), scale=50.0)
    assert float(masked) < 1e-5
    assert float(counted) > 0.4


def test_spread_out_is_zero_for_orthogonal_embeddings_and_high_for_crowded_ones():
    assert float(spread_out_loss(np.eye(4, dtype=np.float32), np.arange(4))) == 0.0
    crowded = unit([[1, 0]] * 4)
    assert float(spread_out_loss(crowded, np.arange(4))) == pytest.approx(1.0 + 1.0 - 0.5)
    assert float(spread_out_loss(crowded, np.zeros(4, int))) == 0.0
