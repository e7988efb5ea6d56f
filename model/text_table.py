"""The text rows of a pretrained embedding table, apart from the rows that are added to it.

A pretrained table is most of a small language model (168 of Gemma 3 270M's 268 million weights). In
one variable with the new rows, every step would move the optimizer's state of all of it. Here the
backbone's own table holds the new rows only, and this layer the text rows: frozen, in 16 bits if
asked for, written to disk once, by nobody's checkpoint.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before TensorFlow)

import keras  # isort: skip
from keras import ops  # isort: skip

DTYPES = ("float32", "bfloat16")


@keras.saving.register_keras_serializable(package="babelear")
class TextTable(keras.layers.Layer):
    """The embedding rows of t text tokens.

    Args:
        rows: t.
        dim: width.
        storage: `float32` or `bfloat16`, what the rows are held in.
        token_ids: which of the tokenizer's ids the rows are for, ascending; None for all from 0 on.
        trainable: whether training moves them. Frozen rows are left out of checkpoints and of
            `save_weights`: they are where they were loaded from.
    """

    def __init__(
        self,
        rows: int,
        dim: int,
        *,
        storage: str = "float32",
        token_ids: np.ndarray | None = None,
        trainable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, **kwargs)
        self.token_ids = token_ids
        self.rows, self.dim, self.storage = rows, dim, storage
        self.embeddings = self.add_weight(
            shape=(rows, dim),
            initializer="zeros",
            dtype=storage,
            # Else every call would make a float32 copy of the whole table.
            autocast=False,
            name="embeddings",
        )
        self.built = True

    def call(self, token_ids: Any) -> Any:
        """Integer ids in `[0, rows)`, any shape, to rows of their width, in the storage's type."""
        return ops.take(self.embeddings, token_ids, axis=0)

    def save_own_variables(self, store: Any) -> None:
        """Writes the rows if they are trained; nothing if not."""
        if self.trainable:
            super().save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote."""
        if len(store.keys()):
            super().load_own_variables(store)

    def bits(self) -> np.ndarray:
        """The rows as they are stored: float32, or uint16 with the bits of a bfloat16."""
        values = np.asarray(ops.convert_to_numpy(self.embeddings))
        return values if self.storage == "float32" else values.view(np.uint16)

    def assign_bits(self, values: np.ndarray) -> None:
        """Takes what `bits` gave, `[rows, dim]`.

        Raises:
            ValueError: another shape or type.
        """
        import ml_dtypes

        expected = np.dtype(np.float32 if self.storage == "float32" else np.uint16)
        if values.shape != (self.rows, self.dim) or values.dtype != expected:
            raise ValueError(
                f"the text table holds {values.dtype} {list(values.shape)}, "
                f"expected {expected} {[self.rows, self.dim]}"
            )
        if self.storage == "bfloat16":
            values = values.view(ml_dtypes.bfloat16)
        self.embeddings.assign(values)

    def spread(self, rows: int) -> TextTable:
        """The table of all ids below `rows`; those it has no row for get zeros."""
        if self.token_ids is None:
            return self
        table = TextTable(rows, self.dim, storage=self.storage)
        values = np.zeros((rows, self.dim), self.bits().dtype)
        values[self.token_ids] = self.bits()
        table.assign_bits(values)
        return table

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        own = {"rows": self.rows, "dim": self.dim, "storage": self.storage}
        return {**super().get_config(), **own, "trainable": self.trainable}


def join_tables(backbone: Any, text_table: TextTable, first_text: int) -> None:
    """Lets a backbone look ids up in two tables, whatever its family.

    Ids are those of `model.vocabulary`: prefix tokens, then text tokens, then audio tokens.

    Args:
        backbone: a KerasHub backbone whose own table holds the prefix's rows, then the audio rows.
        text_table: the rows in between.
        first_text: how many prefix rows there are.
    """
    own = backbone.token_embedding

    def look_up(token_ids: Any, reverse: bool = False) -> Any:
        text_ids = token_ids - first_text
        is_text = ops.logical_and(text_ids >= 0, text_ids < text_table.rows)
        new_ids = ops.where(text_ids < 0, token_ids, token_ids - text_table.rows)
        new = ops.take(own.embeddings, ops.where(is_text, 0, new_ids), axis=0)
        text = text_table(ops.where(is_text, text_ids, 0))
        dtype = own.compute_dtype
        return ops.where(is_text[..., None], ops.cast(text, dtype), ops.cast(new, dtype))

    own.call = look_up
