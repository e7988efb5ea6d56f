"""Backbones from KerasHub presets: any family, its first layers, its table made to grow."""

from __future__ import annotations

import gc
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.text_table import TextTable, join_tables
from pipelines import local_copy, quiet  # noqa: F401  (quiet before TensorFlow)

INPUTS = {"token_ids", "padding_mask"}
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_CHUNK = 2**14
_NO_TEXT = (
    "{preset}: {name} is no text backbone of the form this needs (inputs {inputs}, expected "
    "token_ids and padding_mask); text-only presets of Gemma 3, Qwen 3, Llama 3 and XLM-RoBERTa are"
)


@dataclass(frozen=True)
class Pretrained:
    """What is taken from a preset.

    Args:
        backbone: its first layers, with an embedding table of the new rows alone, joined to
            `text_table`; the new rows have random values.
        text_table: the embedding rows of its text tokens.
    """

    backbone: Any
    text_table: TextTable


def load_tokenizer(preset: str) -> Any:
    """The `keras_hub.tokenizers.Tokenizer` of a preset.

    Raises:
        ValueError: there is no such preset, or it has no tokenizer for text.
    """
    import keras_hub

    preset = local_copy.fetch_model(preset)
    _config(preset)
    return keras_hub.tokenizers.Tokenizer.from_preset(preset)


def load_pretrained(
    preset: str,
    *,
    new_rows: int,
    first_text: int,
    layers: int = 0,
    pretrained: bool = True,
    precision: str = "float32",
    storage: str = "float32",
    trainable_text: bool = False,
    seed: int = 0,
) -> Pretrained:
    """Loads a preset's first layers and grows its vocabulary (section 3.2 of the paper).

    Layers above the last wanted one are never built, so they cost neither memory nor time. The
    final norm stays: it puts every token's state to one length, which mean pooling needs.

    Args:
        preset: a KerasHub name, `kaggle://…`, `hf://…`, or a preset directory, local or `gs://…`.
        new_rows: how many rows are added, the prefix's and the audio tokens'.
        first_text: how many of those come before the text rows.
        layers: how many layers are kept, from the first; 0 keeps all.
        pretrained: False draws random weights of the same architecture instead.
        precision: one of `PRECISIONS`, what the backbone computes in.
        storage: what the text rows are held in.
        trainable_text: whether training may move the text rows.
        seed: seeds random weights.

    Raises:
        ValueError: no such preset, no text backbone, or not so many layers.
    """
    import keras
    import keras_hub

    preset = local_copy.fetch_model(preset)
    available = _layers(_config(preset))
    if layers > available:
        raise ValueError(f"{preset} has {available} layers; --layers {layers} asks for more")
    keras.utils.set_random_seed(seed)
    source = keras_hub.models.Backbone.from_preset(
        preset, load_weights=pretrained, num_layers=layers or available
    )
    _require_text(source, preset)
    config = {**backbone_config(source), **_tied(type(source))}
    config.update(vocabulary_size=new_rows, dtype=PRECISIONS[precision])
    backbone = type(source).from_config(config)
    table = source.token_embedding.embeddings
    text_table = TextTable(*table.shape, storage=storage, trainable=trainable_text)
    text_table.embeddings.assign(keras.ops.cast(table, storage))
    _copy_blocks(source, backbone)
    del source, table
    gc.collect()
    join_tables(backbone, text_table, first_text)
    return Pretrained(backbone, text_table)


def draw_anew(backbone: Any, text_table: TextTable, rows: int, *, seed: int) -> np.ndarray:
    """Puts random weights in place of a preset's, as if it had never been trained.

    Args:
        backbone: with its table joined to `text_table`; its blocks are drawn anew, its own table
            is left.
        text_table: rows of the preset's text table, all or some.
        rows: how many that table has in all.
        seed: seeds the weights.

    Returns:
        The whole text table drawn, float32 `[rows, dim]`.
    """
    import keras

    keras.utils.set_random_seed(seed)
    fresh = type(backbone).from_config(backbone_config(backbone))
    _copy_blocks(fresh, backbone)
    initializer = fresh.token_embedding.embeddings_initializer
    table: np.ndarray = keras.ops.convert_to_numpy(initializer((rows, text_table.dim)))
    kept = text_table.token_ids
    text_table.embeddings.assign(table if kept is None else table[kept])
    return table


def backbone_config(backbone: Any) -> dict[str, Any]:
    """What makes a backbone again, all of it: not every family's `get_config` tells everything."""
    config: dict[str, Any] = backbone.get_config()
    if _tied(type(backbone)):
        config["tie_word_embeddings"] = bool(backbone.tie_word_embeddings)
    return config


def deviation(text_table: TextTable) -> float:
    """The standard deviation of a table's values, computed a part at a time."""
    import keras

    total = squares = 0.0
    for start in range(0, text_table.rows, _CHUNK):
        part = text_table.embeddings[start : start + _CHUNK]
        values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(part, "float32")), np.float64)
        total += values.sum()
        squares += (values**2).sum()
    count = text_table.rows * text_table.dim
    return float(np.sqrt(squares / count - (total / count) ** 2))


def freeze_blocks(backbone: Any) -> None:
    """Leaves a backbone nothing to train but its own embedding table: the new rows."""
    for layer in backbone._flatten_layers(include_self=False):
        own = any(inner is backbone.token_embedding for inner in layer._flatten_layers())
        if not own:
            layer.trainable = False
        elif layer is not backbone.token_embedding:
            for inner in layer._flatten_layers(include_self=False):
                inner.trainable = inner is backbone.token_embedding


def _tied(backbone_class: Any) -> dict[str, bool]:
    """What leaves out the second table that only a model which writes text needs."""
    known = inspect.signature(backbone_class.__init__).parameters
    return {"tie_word_embeddings": True} if "tie_word_embeddings" in known else {}


def _copy_blocks(source: Any, target: Any) -> None:
    """Copies every weight but those of the embedding tables."""
    tables = [{id(w) for w in backbone.token_embedding.weights} for backbone in (source, target)]
    ours = [w for w in target.weights if id(w) not in tables[1]]
    theirs = [w for w in source.weights if id(w) not in tables[0]]
    for new, old in zip(ours, theirs, strict=True):
        new.assign(old)


def _config(preset: str) -> dict[str, Any]:
    """A preset's `config.json`, of KerasHub or of transformers.

    Raises:
        ValueError: there is no such preset.
    """
    from keras_hub.src.utils.preset_utils import load_json

    try:
        config: dict[str, Any] = load_json(preset)
    except (ValueError, FileNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"no preset {preset!r} ({reason}); give a KerasHub name, kaggle://…, hf://… or a folder"
        ) from error
    return config


def _layers(config: dict[str, Any]) -> int:
    inner = config.get("config", config)
    inner = inner.get("text_config", inner)
    count: int = inner.get("num_layers") or inner.get("num_hidden_layers") or 0
    return count


def _require_text(backbone: Any, preset: str) -> None:
    inputs = set(backbone.input) if isinstance(backbone.input, dict) else set()
    if inputs != INPUTS or backbone.token_embedding is None:
        name = type(backbone).__name__
        raise ValueError(_NO_TEXT.format(preset=preset, name=name, inputs=sorted(inputs)))
