import numpy as np
import pytest

from model import cost
from model.backbone import create_backbone


def test_the_formula_counts_a_matrix_product_as_it_is_counted_by_hand():
    backbone = create_backbone(
        50, seed=0, num_layers=2, hidden_dim=16, intermediate_dim=24, head_dim=4
    )
    attention, feed_forward = 4 * 16 * 16, 3 * 16 * 24
    products = 2 * 2 * (attention + feed_forward)
    scores_and_values = 2 * 2 * 2 * 16
    assert cost.forward_flops(backbone, 1) == products + scores_and_values
    assert cost.forward_flops(backbone, 10) == 10 * products + 100 * scores_and_values


def test_padding_is_no_token():
    batch = {"source": np.array([[1, 3, 7, 0], [1, 3, 0, 0]]), "target": np.array([[2], [2]])}
    assert cost.sequence_lengths([batch]) == [3, 2, 1, 1]
    assert cost.sequence_lengths([(batch,)]) == [3, 2, 1, 1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_device_has_a_name_and_a_rate(precision):
    assert 0 < cost.matmul_peak(precision, side=256, seconds=0.01) < 1e18
    assert cost.device().startswith(("cpu", "gpu"))
