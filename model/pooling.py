"""From a sequence of states to one vector: mean over tokens, standardized per modality."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before TensorFlow)

import keras  # isort: skip
from keras import ops  # isort: skip

MODALITIES = ("speech", "text")


def mean_pool(states: Any, mask: Any) -> Any:
    """The mean state of the tokens that count.

    Args:
        states: float `[batch, tokens, dim]`.
        mask: `[batch, tokens]`, non-zero where a token counts. The prefix does not: it is the same
            for every sequence of a language, so it would only draw them together.

    Returns:
        float `[batch, dim]`; zeros for a sequence with no token that counts.
    """
    weights = ops.cast(mask, states.dtype)[:, :, None]
    count = ops.maximum(ops.sum(weights, axis=1), 1.0)
    return ops.sum(states * weights, axis=1) / count


def last_pool(states: Any, mask: Any) -> Any:
    """The state of the last token that counts, as the paper's decoder-only encoder has it.

    Args and returns as in `mean_pool`.
    """
    positions = ops.arange(ops.shape(mask)[1])[None, :] * ops.cast(mask > 0, "int32")
    chosen = ops.one_hot(ops.max(positions, axis=1), ops.shape(mask)[1], dtype=states.dtype)
    return ops.sum(states * chosen[:, :, None], axis=1)


POOLINGS = {"mean": mean_pool, "last": last_pool}


@keras.saving.register_keras_serializable(package="babelear")
class Standardization(keras.layers.Layer):
    """Subtracts a mean and divides by a deviation, per dimension, one pair for each modality.

    The pooled states of a language model all point nearly the same way (mean cosine .91 to .99 for
    Gemma 3 270M), which leaves the softmax nothing to tell apart. Both vectors are initialized by
    `adapt` from data and trained from there.

    Args:
        dim: size of the vectors.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Adds the vectors: `[modalities, dim]` each."""
        shape = (len(MODALITIES), self.dim)
        self.mean = self.add_weight(shape=shape, initializer="zeros", name="mean")
        self.deviation = self.add_weight(shape=shape, initializer="ones", name="deviation")
        self.built = True

    def call(self, pooled: Any, modality: Any) -> Any:
        """float `[batch, dim]` in and out; `modality` int32 `[batch]` indexes `MODALITIES`."""
        mean = ops.take(self.mean, modality, axis=0)
        return (pooled - mean) / ops.take(self.deviation, modality, axis=0)

    def adapt(self, pooled: np.ndarray, modality: np.ndarray) -> None:
        """Takes mean and deviation from pooled states, `[batch, dim]` and `[batch]` as in `call`.

        A modality with fewer than two rows keeps what it has.
        """
        mean = ops.convert_to_numpy(self.mean).copy()
        deviation = ops.convert_to_numpy(self.deviation).copy()
        for index in range(len(MODALITIES)):
            rows = pooled[modality == index]
            if len(rows) > 1:
                mean[index], deviation[index] = rows.mean(0), rows.std(0) + 1e-6
        self.mean.assign(mean)
        self.deviation.assign(deviation)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        return {**super().get_config(), "dim": self.dim}
