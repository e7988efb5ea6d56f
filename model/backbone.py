"""The LLM under the dual encoder: a KerasHub backbone whose embedding table has audio rows too."""

from __future__ import annotations

from typing import Any

import numpy as np

from model import hub
from pipelines import quiet  # noqa: F401  (before TensorFlow)

TINY_GEMMA3: dict[str, Any] = {
    "image_size": None,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 4,
    "hidden_dim": 192,
    "intermediate_dim": 512,
    "head_dim": 48,
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
}
"""A Gemma 3 small enough to learn from scratch in minutes on two cores."""


def create_backbone(vocabulary_size: int, *, seed: int, **changes: Any) -> Any:
    """A `keras_hub.models.Gemma3Backbone` with random weights.

    Args:
        vocabulary_size: rows of the embedding table.
        seed: seeds the weights.
        changes: arguments of `Gemma3Backbone` in place of those of `TINY_GEMMA3`.
    """
    import keras

    keras.utils.set_random_seed(seed)
    return hub.load().models.Gemma3Backbone(
        vocabulary_size=vocabulary_size, **{**TINY_GEMMA3, **changes}
    )


def extend_vocabulary(backbone: Any, new_rows: np.ndarray) -> Any:
    """A copy of a backbone with more rows in its embedding table (section 3.2 of the paper).

    Args:
        backbone: any KerasHub backbone with a `token_embedding`.
        new_rows: float `[rows, dim]`, their values up to scale. They are scaled to the standard
            deviation of the present rows, because louder or fainter ones would not be seen as
            tokens of the same kind.

    Returns:
        A backbone of the same class; every present weight is copied.
    """
    config = backbone.get_config()
    config["vocabulary_size"] += len(new_rows)
    extended = type(backbone).from_config(config)
    for old, new in zip(backbone.weights, extended.weights, strict=True):
        values = np.asarray(old)
        if old.shape != new.shape:
            scaled = new_rows * (values.std() / new_rows.std())
            values = np.concatenate([values, scaled.astype(values.dtype)])
        new.assign(values)
    return extended


def random_rows(rows: int, dim: int, *, seed: int) -> np.ndarray:
    """Gaussian noise, float `[rows, dim]`: what the paper starts audio rows from."""
    return np.random.default_rng(seed).normal(size=(rows, dim))


def centroid_rows(centroids: np.ndarray, dim: int, *, seed: int) -> np.ndarray:
    """A random projection of a codebook's centroids: float `[k, dim]`.

    It keeps their distances, so that audio tokens which sound alike start alike, and what is
    learned of one holds for its neighbours: for the same sound from another mouth.

    Args:
        centroids: float `[k, features]`.
        dim: width of the embedding table.
        seed: seeds the projection.
    """
    centred = centroids - centroids.mean(axis=0)
    projection = np.random.default_rng(seed).normal(size=(centroids.shape[1], dim))
    rows: np.ndarray = centred @ projection
    return rows
