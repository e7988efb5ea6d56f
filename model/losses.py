"""What training minimizes: in-batch softmax both ways, and a loss that spreads embeddings out."""

from __future__ import annotations

from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)

from keras import ops  # isort: skip


def contrastive_loss(speech: Any, text: Any, sentences: Any, *, scale: float) -> Any:
    """In-batch softmax over dot products, speech to text plus text to speech (section 3.3).

    Args:
        speech: float `[batch, dim]`, unit length; row i matches row i of `text`.
        text: float `[batch, dim]`, unit length.
        sentences: integer `[batch]`. Rows of the same sentence, in whatever language, are neither
            right nor wrong for each other: they are left out of the negatives.
        scale: the inverse temperature.

    Returns:
        A scalar, the mean of both directions' cross-entropies; `log(batch)` for random embeddings.

    Cost: one `[batch, batch]` matrix product; needs large batches of different sentences.
    """
    logits = scale * ops.matmul(speech, ops.transpose(text))
    logits = ops.where(_false_negatives(sentences), -1e9, logits)
    right = ops.diagonal(logits)
    rows = ops.logsumexp(logits, axis=1) - right
    columns = ops.logsumexp(logits, axis=0) - right
    return 0.5 * (ops.mean(rows) + ops.mean(columns))


def spread_out_loss(embeddings: Any, sentences: Any) -> Any:
    """Keeps embeddings of different sentences from crowding (Zhang et al. 2017, equation 8).

    Args:
        embeddings: float `[batch, dim]`, unit length.
        sentences: integer `[batch]`.

    Returns:
        A scalar: the squared mean dot product of different sentences, plus what their mean squared
        dot product exceeds `1 / dim` by, the value for points spread evenly on the sphere.
    """
    different = ops.cast(sentences[:, None] != sentences[None, :], embeddings.dtype)
    count = ops.maximum(ops.sum(different), 1.0)
    products = ops.matmul(embeddings, ops.transpose(embeddings)) * different
    mean = ops.sum(products) / count
    mean_square = ops.sum(ops.square(products)) / count
    return ops.square(mean) + ops.relu(mean_square - 1.0 / embeddings.shape[-1])


def _false_negatives(sentences: Any) -> Any:
    """Where two different rows hold the same sentence: boolean `[batch, batch]`."""
    same = sentences[:, None] == sentences[None, :]
    return ops.logical_and(same, ops.eye(ops.shape(sentences)[0], dtype="bool") == False)  # noqa: E712
