"""python -m model.arrays: pairs and a fresh model in, arrays to train on without TensorFlow out.

    preset/                      the model before its first step, with the text rows in use alone
    train-00000-of-00004.npz …   token ids of training pairs, dev-… those of the dev split

An array file is a zip of plain arrays (no pickle), each row a pair:

    source, source_lengths       int32: audio tokens in [0, k), or text tokens for text–text pairs
    target, target_lengths       int32: text tokens; both without a prefix, all rows end to end
    source_prefix, target_prefix int32 [rows]: the language's prefix token
    sentence                     int32 [rows]: the same number, the same sentence
    is_text                      bool [rows]: whether the source is text
    language                     string [rows]: the source's language
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from model.train import TrainOptions
from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.output_dir import OutputDir, State
from pipelines.pairs import Pair, open_together, read_pairs
from pipelines.verb import verb

if TYPE_CHECKING:
    from model.dual_encoder import DualEncoder
    from model.vocabulary import Vocabulary

KIND = "arrays"
SHARD_ROWS = 50_000
# Options of model.train that are decided here, because the model is made here; but a run may forget
# a preset's weights, and make a tiny backbone of another size (`model.fresh_encoder.TINY_OWN`).
FIXED = (
    "backbone",
    "pretrained",
    "layers",
    "hidden_dim",
    "normalization",
    "text_units",
    "max_speech_tokens",
    "max_text_tokens",
    "pooling",
    "standardize",
    "embedding_dim",
    "precision",
    "storage",
    "train",
    "audio_rows",
)
DESCRIPTION = """\
Writes what a machine needs to train that has no TensorFlow: token ids as plain arrays, and the
fresh model with only those rows of a preset's text table that the data's texts use. Takes the
options of model.train; those that make the model are settled here, the others when it is trained.
Arrays of a preset serve every seed, and its random twin (model.train --no-pretrained); those of the
tiny backbone serve any size of it.

example:
  python -m model.arrays --data demo/data --backbone gemma3_270m --layers 3 --storage bfloat16 \\
    --output arrays
  KERAS_BACKEND=jax python -m model.train --arrays arrays --output run   # keras, keras-hub and jax
  python -m model.text_rows --model run --output whole    # with TensorFlow again: all text rows
"""


@verb("arrays")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        TrainOptions, argv, prog="python -m model.arrays", description=DESCRIPTION
    )
    write(options)


def write(options: TrainOptions) -> OutputDir:
    """Writes the arrays of a directory of pairs.

    Raises:
        OutputError: the data is not complete, or the output holds something else.
        ValueError: the text table is to be trained: all of its rows would have to come along.
    """
    from model.train import build, sources

    data = open_together(options.data)
    fixed = {name: getattr(options, name) for name in FIXED}
    out = OutputDir(options.output, kind=KIND)
    if options.train == "all" and options.backbone != "tiny":
        raise ValueError("--train all needs the whole text table: arrays hold the rows in use")
    content = {**fixed, "seed": options.seed, "data": [one.digest for one in data]}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    started = time.time()
    encoder = build(options, data).encoder
    used = _used_ids(data, encoder.vocabulary)
    files = []
    sentences: dict[str, int] = {}
    counts = {}
    for split in ("train", "dev"):
        wanted = (
            p for p in read_pairs(data, split) if split == "train" or p.task == "transcription"
        )
        columns = _columns(wanted, encoder.vocabulary, sentences)
        if encoder.text_table is not None:
            columns = [_renumbered(row, used) for row in columns]
        counts[split] = len(columns)
        files += _write_shards(out, split, columns)
    keep_rows(encoder, used)
    encoder.save_to_preset(out.file("preset"))
    names = storage.read_json(out.file("preset", "preset.json"))
    files += [*(f"preset/{name}" for name in names), "preset/preset.json"]
    size = sum(len(storage.read_bytes(out.file(name))) for name in files)
    stats = {
        "pairs": counts,
        "text_rows": len(used),
        "bytes": size,
        "wall_seconds": time.time() - started,
    }
    out.complete(files=files, stats=stats, info={"pairs": sources(data)})
    print(f"{out.path}: {counts['train']:,} training pairs, {size / 2**20:.1f} MiB")
    return out


def keep_rows(encoder: DualEncoder, used: np.ndarray) -> None:
    """Leaves an encoder those rows of its text table that are used, int32 `[rows]`."""
    from model.text_table import TextTable

    table = encoder.text_table
    if table is None:
        return
    kept = TextTable(len(used), table.dim, storage=table.storage, token_ids=used)
    kept.assign_bits(table.bits()[used])
    encoder.text_table = kept


def _used_ids(data: Sequence[OutputDir], vocabulary: Vocabulary) -> np.ndarray:
    """The ids of all text tokens in the data, test split included: int32, ascending."""
    found = [np.zeros(1, np.int32)]
    for split in ("train", "dev", "test"):
        for pairs in _batches(read_pairs(data, split)):
            texts = [p.target_text for p in pairs] + [p.source_text for p in pairs]
            found.append(np.unique(np.concatenate(_split(vocabulary, texts))))
    used: np.ndarray = np.unique(np.concatenate(found))
    return used


def _split(vocabulary: Vocabulary, texts: list[str]) -> list[np.ndarray]:
    import tensorflow as tf

    ragged = vocabulary.text_tokens(tf.constant(texts))
    values, ends = ragged.values.numpy(), ragged.row_splits.numpy()[1:-1]
    return np.split(values.astype(np.int32), ends)


def _batches(pairs: Iterable[Pair], size: int = 4096) -> Iterator[list[Pair]]:
    iterator = iter(pairs)
    while batch := list(islice(iterator, size)):
        yield batch


def _columns(
    pairs: Iterable[Pair], vocabulary: Vocabulary, sentences: dict[str, int]
) -> list[dict[str, Any]]:
    """Pairs as rows of the arrays; `sentences` numbers them across splits."""
    rows = []
    for batch in _batches(pairs):
        targets = _split(vocabulary, [pair.target_text for pair in batch])
        sources = _split(vocabulary, [pair.source_text for pair in batch])
        for pair, target, source in zip(batch, targets, sources, strict=True):
            is_text = pair.task == "bitext"
            rows.append(
                {
                    "source": source if is_text else pair.source_tokens.astype(np.int32),
                    "target": target,
                    "source_prefix": vocabulary.language_token(pair.source_language),
                    "target_prefix": vocabulary.language_token(pair.target_language),
                    "sentence": sentences.setdefault(pair.sentence_id, len(sentences)),
                    "is_text": is_text,
                    "language": pair.source_language,
                }
            )
    return rows


def _renumbered(row: dict[str, Any], used: np.ndarray) -> dict[str, Any]:
    """A row with text tokens numbered by their places among those in use."""
    row["target"] = np.searchsorted(used, row["target"]).astype(np.int32)
    if row["is_text"]:
        row["source"] = np.searchsorted(used, row["source"]).astype(np.int32)
    return row


def _write_shards(out: OutputDir, split: str, rows: list[dict[str, Any]]) -> list[str]:
    count = max(-(-len(rows) // SHARD_ROWS), 1)
    names = []
    for index in range(count):
        part = rows[index::count]
        arrays = {
            "sentence": np.array([r["sentence"] for r in part], np.int32),
            "is_text": np.array([r["is_text"] for r in part], bool),
            "language": np.array([r["language"] for r in part], "U8"),
        }
        for side in ("source", "target"):
            arrays[f"{side}_prefix"] = np.array([r[f"{side}_prefix"] for r in part], np.int32)
            arrays[f"{side}_lengths"] = np.array([len(r[side]) for r in part], np.int32)
            arrays[side] = np.concatenate([np.zeros(0, np.int32), *(r[side] for r in part)])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        names.append(f"{split}-{index:05d}-of-{count:05d}.npz")
        storage.write_bytes(out.file(names[-1]), buffer.getvalue())
    return names


if __name__ == "__main__":
    sys.exit(main())
