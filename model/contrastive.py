"""The dual encoder with its training objective, ready for `fit`."""

from __future__ import annotations

from typing import Any

from model.dual_encoder import DualEncoder
from model.losses import contrastive_loss, spread_out_loss
from pipelines import quiet  # noqa: F401  (before TensorFlow)

import keras  # isort: skip
from keras import ops  # isort: skip


GROUPS = 4
"""Parts of a batch that are encoded apart, to spare padding: its rows come sorted by length."""


class ContrastiveModel(keras.Model):
    """Trains a `DualEncoder` on batches of `model.data` (section 3.3 of the paper).

    Args:
        encoder: what is trained.
        scale: the inverse temperature of the softmax.
        spread_out: the weight of the spread-out loss.
        spare_padding: leave out columns that are padding in a part of the batch. XLA and JAX want
            shapes that do not depend on what is in it: there it is never done.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        *,
        scale: float,
        spread_out: float,
        spare_padding: bool = True,
    ) -> None:
        super().__init__()
        self.spare_padding = spare_padding and keras.backend.backend() == "tensorflow"
        self.encoder = encoder
        self.scale = scale
        self.spread_out = spread_out
        self.built = True

    def call(self, batch: dict[str, Any]) -> Any:
        """Source and target token ids to their embeddings: float32 `[2, batch, width]`."""
        return ops.stack([self._encode(batch["source"]), self._encode(batch["target"])])

    def _encode(self, token_ids: Any) -> Any:
        """Encodes rows in groups, each without the columns that are padding in all of it."""
        if not self.spare_padding or (token_ids.shape[0] or 1) % GROUPS:
            return self.encoder(token_ids)
        parts = (_trim(ids) for ids in ops.split(token_ids, GROUPS))
        return ops.concatenate([self.encoder(part) for part in parts])

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **_: Any
    ) -> Any:
        """The softmax loss of both directions plus the spread-out loss of both sides."""
        source, target, sentences = y_pred[0], y_pred[1], x["sentence"]
        loss = contrastive_loss(source, target, sentences, scale=self.scale)
        if self.spread_out:
            spread = spread_out_loss(source, sentences) + spread_out_loss(target, sentences)
            loss += self.spread_out * spread
        return loss


def _trim(token_ids: Any) -> Any:
    return token_ids[:, : ops.max(ops.count_nonzero(token_ids, axis=1))]
