"""A pair comes back from its record as it went in, eagerly and in a graph."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.output_dir import OutputDir
from pipelines.pairs import (
    KIND,
    Pair,
    from_example,
    parse_examples,
    read_pairs,
    shard_name,
    shard_paths,
    to_example,
    write_shard,
)

SPEECH = Pair(
    id="demo-ja-test-00001-0",
    task="transcription",
    source_language="ja",
    target_text="笑い泣きする猫 😹",
    target_language="ja",
    sentence_id="😹",
    split="test",
    source_tokens=np.array([0, 1, 1023, 127, 128, 32766, 0], np.int16),
    audio="espeak:ja+f3?rate=164&pitch=50&text=%E3%81%AD%E3%81%93",
    speaker="f3-164-50",
    seconds=0.28,
    provenance="demo",
    gender="female",
)
TEXT = Pair(
    id="bitext-1",
    task="bitext",
    source_language="ar",
    source_text="قطة تبكي\u200f",
    target_text="crying cat",
    target_language="en",
    sentence_id="😿",
    split="train",
)
OLD_RECORD = (
    "0aaf020a0d0a05617564696f12040a020a000a120a026964120c0a0a0a086269746578742d310a120a0a7072"
    "6f76656e616e636512040a020a000a130a077365636f6e6473120812060a04000000000a170a0b73656e7465"
    "6e63655f696412080a060a04f09f98bf0a190a0f736f757263655f6c616e677561676512060a040a0261720a"
    "250a0b736f757263655f7465787412160a140a12d982d8b7d8a920d8aad8a8d983d98ae2808f0a130a0d736f"
    "757263655f746f6b656e7312021a000a0f0a07737065616b657212040a020a000a120a0573706c697412090a"
    "070a05747261696e0a190a0f7461726765745f6c616e677561676512060a040a02656e0a1d0a0b7461726765"
    "745f74657874120e0a0c0a0a637279696e67206361740a120a047461736b120a0a080a06626974657874"
)


def plain(pair: Pair) -> dict[str, Any]:
    """A pair's fields as values that can be compared."""
    fields = {f.name: getattr(pair, f.name) for f in dataclasses.fields(pair)}
    return {**fields, "source_tokens": pair.source_tokens.tolist()}


@pytest.mark.parametrize("pair", [SPEECH, TEXT], ids=["speech", "text"])
def test_a_pair_comes_back_as_it_went_in(pair: Pair) -> None:
    back = from_example(to_example(pair))

    assert back.source_tokens.dtype == np.int16
    # The record holds 32 bits of the seconds.
    expected = {**plain(pair), "seconds": float(np.float32(pair.seconds))}
    assert plain(back) == expected


def test_the_same_pair_has_the_same_bytes() -> None:
    again = dataclasses.replace(SPEECH, source_tokens=SPEECH.source_tokens.copy())
    other = dataclasses.replace(SPEECH, source_tokens=SPEECH.source_tokens[::-1])

    assert to_example(SPEECH) == to_example(again) == to_example(from_example(to_example(SPEECH)))
    assert to_example(SPEECH) != to_example(other)


def test_the_fields_lie_in_the_order_of_their_names_in_every_process() -> None:
    data = to_example(SPEECH)
    names = sorted(f.name for f in dataclasses.fields(Pair))
    places = [data.index(bytes([len(name)]) + name.encode() + b"\x12") for name in names]

    assert places == sorted(places)


def test_a_token_takes_a_byte_or_two() -> None:
    long = dataclasses.replace(SPEECH, source_tokens=np.full(1000, 1023, np.int16))
    none = dataclasses.replace(SPEECH, source_tokens=np.zeros(0, np.int16))

    assert 2000 <= len(to_example(long)) - len(to_example(none)) < 2020


def test_a_record_from_before_there_was_a_gender_is_read_and_written_as_it_was() -> None:
    # `TEXT` as it was written before the field was added.
    old = bytes.fromhex(OLD_RECORD)

    assert plain(from_example(old)) == plain(TEXT)
    assert to_example(TEXT) == old


def test_a_batch_is_parsed_in_a_graph_as_pair_by_pair() -> None:
    import tensorflow as tf

    records = tf.data.Dataset.from_tensor_slices([to_example(p) for p in (SPEECH, TEXT, SPEECH)])
    (batch,) = records.batch(3).map(parse_examples)

    assert set(batch) == {f.name for f in dataclasses.fields(Pair)}
    speech = SPEECH.source_tokens.tolist()
    assert batch["source_tokens"].to_list() == [speech, [], speech]
    assert batch["source_tokens"].dtype == tf.int64
    np.testing.assert_allclose(batch["seconds"], [0.28, 0, 0.28], rtol=1e-6)
    for name in (
        "id",
        "target_text",
        "source_text",
        "sentence_id",
        "split",
        "speaker",
        "audio",
        "gender",
    ):
        decoded = [value.decode() for value in batch[name].numpy()]
        assert decoded == [getattr(pair, name) for pair in (SPEECH, TEXT, SPEECH)]


def test_a_shard_holds_its_pairs_in_order_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    first = write_shard(f"{tmp_path}/a/x.tfrecord", [SPEECH, TEXT])
    second = write_shard(f"{tmp_path}/b/x.tfrecord", iter([SPEECH, TEXT]))

    assert first == second == (tmp_path / "a" / "x.tfrecord").read_bytes()
    assert write_shard(f"{tmp_path}/c", [TEXT, SPEECH]) != first
    assert write_shard(f"{tmp_path}/d", []) == b""


def test_pairs_are_read_split_by_split_in_the_order_of_the_shards(tmp_path: Path) -> None:
    out = OutputDir(f"{tmp_path}/data", kind=KIND)
    out.begin({})
    shards = {
        shard_name("train", 0, 2): ["a", "b"],
        shard_name("train", 1, 2): ["c"],
        shard_name("test", 1, 2): ["d"],
    }
    for name, ids in shards.items():
        write_shard(out.file(name), [dataclasses.replace(TEXT, id=id_) for id_ in ids])
    out.complete(files=sorted([*shards]), stats={})

    assert [pair.id for pair in read_pairs(out, "train")] == ["a", "b", "c"]
    assert [pair.id for pair in read_pairs(out, "test")] == ["d"]
    assert shard_paths(out, "test") == [f"{tmp_path}/data/test-00001-of-00002.tfrecord"]


def test_a_split_without_shards_has_no_pairs(tmp_path: Path) -> None:
    out = OutputDir(f"{tmp_path}/data", kind=KIND)
    out.begin({})
    out.complete(files=[], stats={})

    assert list(read_pairs(out, "dev")) == []
