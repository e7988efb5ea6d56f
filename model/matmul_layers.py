"""KerasHub's einsum layers computed as matrix products: the same numbers, a faster backward pass.

TensorFlow differentiates `btd,ndh->btnh` through transposed copies of the activations; as one
product of two matrices the same gradient costs less (`python -m benchmarks.train_step`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)

import keras  # isort: skip
from keras import ops  # isort: skip


def use_matmuls(backbone: Any) -> int:
    """Replaces the computation of a backbone's bias-free einsum layers, not their weights.

    Args:
        backbone: any KerasHub backbone, built.

    Returns:
        How many layers were replaced; layers of other shapes are left as they are.
    """
    layers = [layer for layer in backbone._flatten_layers() if _replaceable(layer)]
    for layer in layers:
        layer.call = _matmul(layer)
    return len(layers)


def _replaceable(layer: Any) -> bool:
    if not isinstance(layer, keras.layers.EinsumDense) or not layer.built:
        return False
    inputs, _ = layer.equation.replace("->", ",").split(",")[:2]
    return layer.bias is None and inputs[:2] == layer.equation.split("->")[1][:2]


def _matmul(layer: Any) -> Callable[..., Any]:
    """The layer's call: contracted axes folded into one, kernel axes ordered to match."""
    inputs, kernel, output = layer.equation.replace("->", ",").split(",")
    contracted, made = inputs[2:], output[2:]
    order = [kernel.index(axis) for axis in contracted + made]
    shape = [layer.kernel.shape[i] for i in order]
    rows = 1
    for size in shape[: len(contracted)]:
        rows *= size

    def call(x: Any, training: bool | None = None) -> Any:
        weights = ops.cast(layer.kernel, layer.compute_dtype)
        weights = ops.reshape(ops.transpose(weights, order), (rows, -1))
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        flat = ops.matmul(ops.reshape(x, (-1, rows)), weights)
        made_shape = ops.reshape(flat, (batch, length, *shape[len(contracted) :]))
        return made_shape if layer.activation is None else layer.activation(made_shape)

    return call
