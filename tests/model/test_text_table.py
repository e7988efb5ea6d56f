import keras
import numpy as np
import tensorflow as tf

from model.backbone import create_backbone
from model.text_table import TextTable, join_tables

ROWS, DIM = 50, 16


def test_looking_ids_up_never_converts_the_whole_table():
    """In a mixed policy Keras would cast all of it at every call: Gemma's has 262,144 rows."""
    sizes = {"hidden_dim": DIM, "head_dim": 8, "num_query_heads": 2, "num_key_value_heads": 2}
    backbone = create_backbone(9, seed=0, num_layers=1, dtype="mixed_bfloat16", **sizes)
    table = TextTable(ROWS, DIM, storage="bfloat16")
    join_tables(backbone, table, first_text=4)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def states(ids):
        return backbone({"token_ids": ids, "padding_mask": tf.ones_like(ids)})

    operations = states.get_concrete_function().graph.get_operations()
    cast = {tuple(op.inputs[0].shape) for op in operations if op.type == "Cast"}
    assert cast and (ROWS, DIM) not in cast


def test_rows_come_as_they_are_stored():
    table = TextTable(ROWS, DIM, storage="bfloat16")
    table.embeddings.assign(keras.random.normal((ROWS, DIM), seed=0))
    rows = table(np.array([[0, 49]]))
    assert rows.dtype == "bfloat16"
    stored = np.asarray(keras.ops.cast(table.embeddings, "float32"))[[0, 49]]
    assert np.array_equal(np.asarray(keras.ops.cast(rows, "float32"))[0], stored)
