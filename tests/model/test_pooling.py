import numpy as np
import pytest

from model.pooling import Standardization, last_pool, mean_pool

STATES = np.array([[[1, 1], [3, 5], [9, 9]], [[2, 0], [4, 4], [6, 2]]], np.float32)
MASK = np.array([[1, 1, 0], [0, 1, 1]], np.int32)


def test_the_mean_leaves_out_what_the_mask_does():
    assert np.asarray(mean_pool(STATES, MASK)).tolist() == [[2, 3], [5, 3]]
    assert np.asarray(mean_pool(STATES, np.zeros_like(MASK))).tolist() == [[0, 0], [0, 0]]


def test_the_last_state_is_that_of_the_last_token_that_counts():
    assert np.asarray(last_pool(STATES, MASK)).tolist() == [[3, 5], [6, 2]]


def test_adapted_states_have_no_mean_and_unit_deviation_in_each_modality():
    rng = np.random.default_rng(0)
    modality = np.repeat([0, 1], 200)
    pooled = rng.normal(size=(400, 3)) * [1, 5, 10] + 7 * (1 + modality[:, None])
    layer = Standardization(3)
    layer.build()
    layer.adapt(pooled.astype(np.float32), modality)
    standardized = np.asarray(layer(pooled.astype(np.float32), modality.astype(np.int32)))
    for index in (0, 1):
        rows = standardized[modality == index]
        assert rows.mean(0) == pytest.approx([0, 0, 0], abs=1e-4)
        assert rows.std(0) == pytest.approx([1, 1, 1], abs=1e-4)
