"""A dual encoder on disk: `config.json`, weights, vocabulary, codebook, and their hashes.

    config.json         the sizes of everything
    model.weights.h5    every weight but a frozen text table's
    text_table.npy      the text rows of a pretrained backbone, if they are frozen
    text_rows.npy       whose rows they are, if it has only those that some data use
    tokenizer/…         the vocabulary of its tokenizer
    codebook/…          what turns speech into audio tokens
    preset.json         the hash of each, written last

All of it is data: loading runs no code that it holds. A folder needs no other: what a run took of
a preset is in it, once.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model import hub
from model.presets import backbone_config
from model.stored_tokenizer import StoredTokenizer
from model.text_table import TextTable, join_tables
from model.tokenization import PresetTokenizer
from model.vocabulary import Vocabulary
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.codebook import Codebook

if TYPE_CHECKING:
    from model.dual_encoder import DualEncoder

MANIFEST = "preset.json"
WEIGHTS = "model.weights.h5"
TABLE, ROWS = "text_table.npy", "text_rows.npy"
CODEBOOK = ("codebook/codebook.npz", "codebook/card.json")
TOKENIZER = ("vocabulary.spm", "vocabulary.json", "merges.txt")


def preset_digest(folder: str) -> str:
    """What identifies a preset: the hash of its files' hashes.

    Raises:
        ValueError: there is no preset.
    """
    path = storage.join(folder, MANIFEST)
    if not storage.exists(path):
        raise ValueError(f"{folder} holds no preset (no {MANIFEST}); give a run's preset folder")
    return storage.sha256(storage.read_bytes(path))


def save(encoder: DualEncoder, folder: str) -> None:
    """Writes an encoder, the hashes last of all."""
    config = {
        "backbone": {
            "class": type(encoder.backbone).__name__,
            "config": backbone_config(encoder.backbone),
        },
        "vocabulary": encoder.vocabulary.config(),
        "pooling": encoder.pooling,
        "standardize": encoder.standardize,
        "dim": encoder.width if encoder.projection is not None else 0,
    }
    names = ["config.json", WEIGHTS]
    table = encoder.text_table
    if table is not None:
        kept = {"rows": table.rows, "storage": table.storage, "trainable": table.trainable}
        config.update(text_table=kept, storage=encoder.storage)
        if not table.trainable:
            write_array(storage.join(folder, TABLE), table.bits())
            names.append(TABLE)
        if table.token_ids is not None:
            write_array(storage.join(folder, ROWS), table.token_ids)
            names.append(ROWS)
    tokenizer: Any = encoder.vocabulary.tokenizer
    if tokenizer is not None:
        config["tokenizer"] = tokenizer.config()
        names += _save_assets(tokenizer, folder)
    storage.write_json(storage.join(folder, "config.json"), config)
    with tempfile.TemporaryDirectory() as temporary:
        local = str(Path(temporary, WEIGHTS))
        encoder.save_weights(local)
        if encoder.storage == "bfloat16":
            local = _halved(local)
        storage.write_bytes(storage.join(folder, WEIGHTS), Path(local).read_bytes())
    if encoder.codebook is not None:
        encoder.codebook.save(storage.join(folder, "codebook"))
        names += CODEBOOK
    hashes = {n: storage.sha256(storage.read_bytes(storage.join(folder, n))) for n in names}
    storage.write_json(storage.join(folder, MANIFEST), hashes)


def write_array(path: str, values: np.ndarray) -> None:
    """Writes a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    storage.write_bytes(path, buffer.getvalue())


def read_array(path: str) -> np.ndarray:
    """What `write_array` wrote; no code in it is run."""
    values: np.ndarray = np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False)
    return values


def load(encoder_class: type[DualEncoder], folder: str, *, for_arrays: bool = False) -> DualEncoder:
    """What `save` wrote.

    Args:
        encoder_class: `DualEncoder`, which imports this module.
        folder: of the preset.
        for_arrays: leaves the tokenizer packed and a text table as short as it was written, to
            train on arrays; needs no TensorFlow.

    Raises:
        ValueError: there is no preset, or a file of it is missing, damaged or foreign.
    """
    hashes = verified(folder)
    config = storage.read_json(storage.join(folder, "config.json"))
    name = config["backbone"]["class"]
    backbone_class: Any = getattr(hub.load().models, name, None)
    if backbone_class is None or not name.endswith("Backbone"):
        raise ValueError(f"{folder}: {name!r} is no backbone of keras_hub.models")
    backbone = backbone_class.from_config(config["backbone"]["config"])
    vocabulary = _vocabulary(config, folder, for_arrays)
    text_table = None
    if "text_table" in config:
        rows = read_array(storage.join(folder, ROWS)) if ROWS in hashes else None
        text_table = TextTable(dim=backbone.hidden_dim, token_ids=rows, **config["text_table"])
        if TABLE in hashes:
            text_table.assign_bits(read_array(storage.join(folder, TABLE)))
        if rows is not None and not for_arrays:
            every = config["tokenizer"]["size"]
            warnings.warn(
                f"{folder} has {len(rows):,} of {every:,} text rows, those its data uses; other "
                "tokens mean nothing to it until `python -m model.text_rows` adds them",
                stacklevel=3,
            )
            text_table = text_table.spread(every)
        join_tables(backbone, text_table, vocabulary.first_text)
    has_codebook = CODEBOOK[1] in hashes
    encoder = encoder_class(
        backbone,
        vocabulary,
        Codebook.load(storage.join(folder, "codebook")) if has_codebook else None,
        pooling=config["pooling"],
        standardize=config["standardize"],
        dim=config["dim"],
        text_table=text_table,
        storage=config.get("storage", "float32"),
    )
    with tempfile.TemporaryDirectory() as temporary:
        local = Path(temporary, WEIGHTS)
        local.write_bytes(storage.read_bytes(storage.join(folder, WEIGHTS)))
        encoder.load_weights(str(local))
    return encoder


def verified(folder: str) -> dict[str, str]:
    """The hashes a preset names, each found right.

    Raises:
        ValueError: one is not, or a file is named that is no part of a preset.
    """
    preset_digest(folder)
    hashes: dict[str, str] = storage.read_json(storage.join(folder, MANIFEST))
    required = {"config.json", WEIGHTS}
    if not required <= set(hashes):
        raise ValueError(f"{folder}/{MANIFEST} must name {' and '.join(sorted(required))}")
    allowed = {*required, TABLE, ROWS, *CODEBOOK, *(f"tokenizer/{name}" for name in TOKENIZER)}
    for name, expected in hashes.items():
        if name not in allowed:
            raise ValueError(f"{folder}/{MANIFEST} names {name!r}, which is no part of a preset")
        path = storage.join(folder, name)
        if not storage.exists(path) or storage.sha256(storage.read_bytes(path)) != expected:
            raise ValueError(f"{path} is missing or damaged: its hash is not the one in {MANIFEST}")
    return hashes


def _vocabulary(config: dict[str, Any], folder: str, for_arrays: bool) -> Vocabulary:
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config["vocabulary"].items()
    }
    known = {field.name for field in dataclasses.fields(Vocabulary)}
    if unknown := sorted(set(arguments) - known):
        raise ValueError(
            f"{folder} was written by another version of Babelear (its vocabulary has "
            f"{', '.join(unknown)}): train the model again"
        )
    if "tokenizer" not in config:
        return Vocabulary(**arguments)
    paths = {name: storage.join(folder, "tokenizer", name) for name in TOKENIZER}
    files = {n: storage.read_bytes(path) for n, path in paths.items() if storage.exists(path)}
    if for_arrays:
        rows = config["text_table"]["rows"]
        stored = StoredTokenizer(config["tokenizer"], files, size=rows)
        return Vocabulary(**arguments, tokenizer=stored)
    with tempfile.TemporaryDirectory() as temporary:
        for name, data in files.items():
            Path(temporary, name).write_bytes(data)
        tokenizer = PresetTokenizer.load(
            config["tokenizer"], temporary, normalization=arguments["normalization"]
        )
    return Vocabulary(**arguments, tokenizer=tokenizer)


def _save_assets(tokenizer: PresetTokenizer, folder: str) -> list[str]:
    """Writes a tokenizer's files; returns their names in the preset."""
    names = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in tokenizer.save_assets(temporary):
            names.append(f"tokenizer/{name}")
            data = Path(temporary, name).read_bytes()
            storage.write_bytes(storage.join(folder, "tokenizer", name), data)
    return names


def _halved(path: str) -> str:
    """A copy of a weights file with its matrices in bfloat16, marked as Keras marks them."""
    import h5py
    import ml_dtypes

    copy = f"{path}.half"
    with h5py.File(path, "r") as source, h5py.File(copy, "w") as target:

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                group = target.require_group(name)
                group.attrs.update(item.attrs)
            elif item.ndim >= 2 and item.dtype == np.float32:
                halved = target.create_dataset(name, data=item[()].astype(ml_dtypes.bfloat16))
                halved.attrs["dtype"] = "bfloat16"
            else:
                source.copy(item, target, name=name)

        target.attrs.update(source.attrs)
        source.visititems(visit)
    return copy
