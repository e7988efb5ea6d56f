import numpy as np
import tensorflow as tf

from model.backbone import create_backbone
from model.matmul_layers import use_matmuls


def test_outputs_and_gradients_are_those_of_the_einsum_layers():
    backbone = create_backbone(
        30, seed=0, num_layers=2, hidden_dim=24, intermediate_dim=40, head_dim=6
    )
    inputs = {
        "token_ids": tf.constant([[3, 7, 19, 0], [5, 5, 8, 29]]),
        "padding_mask": tf.constant([[1, 1, 1, 0], [1, 1, 1, 1]]),
    }

    def states_and_gradients():
        with tf.GradientTape() as tape:
            states = backbone(inputs)
            loss = tf.reduce_sum(states * tf.cos(tf.range(24, dtype=tf.float32)))
        gradients = tape.gradient(loss, [w.value for w in backbone.trainable_weights[1:]])
        return [states.numpy(), *(g.numpy() for g in gradients)]

    before = states_and_gradients()
    assert use_matmuls(backbone) == 14
    for expected, found in zip(before, states_and_gradients(), strict=True):
        assert np.allclose(expected, found, rtol=1e-4, atol=1e-4)
