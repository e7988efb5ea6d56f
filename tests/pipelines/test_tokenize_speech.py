"""Each step from a corpus to audio tokens in shards, in Beam, on a handful of rows."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from pipelines import storage
from pipelines.group_rows import GroupIntoShards
from pipelines.pairs import from_example
from pipelines.rejects import Reject
from pipelines.shard import Shard
from pipelines.tokenize_speech import (
    METRICS,
    DecodeAudio,
    ReadCorpus,
    WriteShard,
    finished_path,
    is_finished,
)
from tests.pipelines.rows import ListCorpus, bitext, in_process, utterance
from tests.pipelines.sounds import encoded, voice

READ_REJECT = Reject("broken", "/clips/b.wav", "read", "missing-column", "no 'language'")


def flat(shard: Shard) -> dict[str, Any]:
    """A shard as values that can be compared."""
    return {
        "index": shard.index,
        "utterances": [u.id for u in shard.utterances],
        "pairs": [p.id for p in shard.pairs],
        "rejects": sorted((r.id, r.uri, r.stage, r.reason) for r in shard.rejects),
        "arrays": [(a.shape, str(a.dtype)) for a in shard.arrays],
        "seconds": shard.seconds,
    }


def test_a_corpus_is_read_whole_and_numbered_in_its_order() -> None:
    rows = [utterance("a"), READ_REJECT, bitext("b"), utterance("a")]
    with in_process() as pipeline:
        read = pipeline | ReadCorpus(ListCorpus(rows)) | beam.Map(lambda row: (row[0], row[1].id))
        assert_that(read, equal_to([(0, "a"), (1, "broken"), (2, "b"), (3, "a")]))


def test_a_corpus_is_read_up_to_the_limit() -> None:
    rows = [utterance(id_) for id_ in "abc"]
    with in_process() as pipeline:
        for limit, ids in ((0, ""), (2, "ab"), (9, "abc")):
            read = pipeline | f"Read{limit}" >> ReadCorpus(ListCorpus(rows), limit)
            found = read | f"Ids{limit}" >> beam.Map(lambda row: row[1].id)
            assert_that(found, equal_to(list(ids)), f"{limit}")


class OneRowTooMany(ListCorpus):
    def rows(self) -> Any:
        yield from self.listed
        raise AssertionError("read beyond the limit")


def test_behind_the_limit_nothing_is_read() -> None:
    with in_process() as pipeline:
        read = pipeline | ReadCorpus(OneRowTooMany([utterance("a")]), 1)
        assert_that(read | beam.Map(lambda row: row[0]), equal_to([0]))


def test_rows_gather_in_shards_by_their_id_and_are_sorted_there() -> None:
    rows = [
        (11, utterance("twice", transcript="second")),
        (10, utterance("c")),
        (9, READ_REJECT),
        (8, bitext("text")),
        (7, utterance("silent", transcript=" ")),
        (6, utterance("validation", split="validation")),
        (5, utterance("french", language="french")),
        (4, utterance("f")),
        (3, utterance("d")),
        (2, utterance("twice", transcript="first")),
        (1, utterance("b")),
        (0, utterance("a")),
    ]
    nothing: dict[str, Any] = {"pairs": [], "rejects": [], "arrays": [], "seconds": []}
    expected = [
        {
            **nothing,
            "index": 0,
            "utterances": ["f"],
            "pairs": ["text"],
            "rejects": [("broken", "/clips/b.wav", "read", "missing-column")],
        },
        {
            **nothing,
            "index": 1,
            "utterances": ["a", "b", "twice"],
            "rejects": [
                ("french", "/clips/french.wav", "validate", "unknown-language"),
                ("silent", "/clips/silent.wav", "validate", "empty-transcript"),
                ("twice", "/clips/twice.wav", "validate", "duplicate-id"),
                ("validation", "/clips/validation.wav", "validate", "unknown-split"),
            ],
        },
        {**nothing, "index": 2, "utterances": ["d", "c"]},
    ]
    with in_process() as pipeline:
        shards = pipeline | beam.Create(rows) | GroupIntoShards(3)
        assert_that(shards | beam.Map(flat), equal_to(expected), "all")
        kept = (
            shards
            | beam.FlatMap(lambda shard: shard.utterances)
            | beam.Filter(lambda row: row.id == "twice")
            | beam.Map(lambda row: row.transcript)
        )
        assert_that(kept, equal_to(["first"]), "kept")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 1.0 and 0.5 s, one cut short, one that is none."""
    folder = tmp_path_factory.mktemp("clips")
    whole = encoded(voice(1.0))
    (folder / "one.wav").write_bytes(whole)
    (folder / "half.flac").write_bytes(encoded(voice(0.5, 22_050), 22_050, "FLAC"))
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "text.wav").write_bytes(b"This is not a recording.")
    (folder / "long.wav").write_bytes(encoded(voice(2.5)))
    return folder


def test_what_cannot_be_decoded_is_rejected_and_the_rest_unharmed(clips: Path) -> None:
    names = ["one.wav", "cut.wav", "half.flac", "text.wav", "absent.wav", "long.wav"]
    rows = [utterance(name, audio=f"{clips}/{name}") for name in names]
    rows.append(utterance("espeak", audio="espeak:en?rate=175&pitch=50&text="))
    rows.append(utterance("claim", audio=f"{clips}/one.wav", seconds=3.0))
    shard = Shard(2, rows, [bitext("text")], [READ_REJECT])
    with in_process() as pipeline:
        decoded = pipeline | beam.Create([shard]) | beam.ParDo(DecodeAudio(max_seconds=2.0))
        expected = {
            "index": 2,
            "utterances": ["one.wav", "half.flac"],
            "pairs": ["text"],
            "rejects": sorted(
                [
                    ("broken", "/clips/b.wav", "read", "missing-column"),
                    ("cut.wav", f"{clips}/cut.wav", "decode", "truncated-audio"),
                    ("text.wav", f"{clips}/text.wav", "decode", "not-audio"),
                    ("absent.wav", f"{clips}/absent.wav", "decode", "missing-file"),
                    ("long.wav", f"{clips}/long.wav", "decode", "too-long"),
                    ("espeak", rows[6].audio, "decode", "empty-transcript"),
                    ("claim", f"{clips}/one.wav", "decode", "truncated-audio"),
                ]
            ),
            "arrays": [((16_000,), "float32"), ((8_000,), "float32")],
            "seconds": [1.0, 0.5],
        }
        assert_that(decoded | beam.Map(flat), equal_to([expected]))
        rows_left = decoded | beam.Map(lambda s: s.rows)
        assert_that(rows_left, equal_to([shard.rows]), "rows")


def tokenized_shard() -> Shard:
    return Shard(
        3,
        [
            utterance("a", seconds=9.0, speaker="anna", gender="female"),
            utterance("b", language="fr", split="test"),
            utterance("c", split="test"),
        ],
        [bitext("d")],
        [READ_REJECT, Reject("half\ud83d", "/é.wav", "decode", "not-audio", "no é")],
        [np.array([3, 1], np.int16), np.array([0], np.int16), np.array([2, 2, 2], np.int16)],
        [0.08, 0.04, 0.12],
    )


def write(folder: Path, shard: Shard) -> dict[str, Any]:
    """Writes a shard and returns its summary."""
    with in_process() as pipeline:
        written = pipeline | beam.Create([shard]) | beam.ParDo(WriteShard(str(folder), 8, "test"))
        assert_that(written, equal_to([shard.index]))
    summary: dict[str, Any] = storage.read_json(finished_path(str(folder), shard.name))
    return summary


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the summary of the shard above."""
    folder = tmp_path_factory.mktemp("written")
    return folder, write(folder, tokenized_shard())


def test_a_shard_is_written_a_file_a_split_and_then_marked_finished(
    written: tuple[Path, dict[str, Any]],
) -> None:
    import tensorflow as tf

    folder, summary = written
    train, test = "train-00003-of-00008.tfrecord", "test-00003-of-00008.tfrecord"
    rejects = "rejects-00003-of-00008.jsonl"

    assert sorted(os.listdir(folder)) == sorted(["finished", rejects, test, train])
    assert summary["files"] == {
        name: storage.sha256((folder / name).read_bytes()) for name in (train, test, rejects)
    }
    pairs = {
        name: [
            from_example(record)
            for record in tf.data.TFRecordDataset(f"{folder}/{name}").as_numpy_iterator()
        ]
        for name in (train, test)
    }
    assert [p.id for p in pairs[train]] == ["d", "a"]
    assert [p.id for p in pairs[test]] == ["b", "c"]
    spoken = pairs[train][1]
    assert spoken.source_tokens.tolist() == [3, 1]
    assert (spoken.task, spoken.target_text, spoken.target_language, spoken.source_language) == (
        "transcription",
        "this is a",
        "en",
        "en",
    )
    assert (spoken.audio, spoken.speaker, spoken.provenance, spoken.sentence_id, spoken.split) == (
        "/clips/a.wav",
        "anna",
        "test",
        "sentence a",
        "train",
    )
    assert [p.gender for p in pairs[train] + pairs[test]] == ["", "female", "", ""]
    # What was decoded counts, not what the corpus claimed.
    assert spoken.seconds == pytest.approx(0.08)


def test_the_summary_counts_what_the_shard_holds(written: tuple[Path, dict[str, Any]]) -> None:
    _, summary = written

    assert summary["shard"] == "00003"
    assert summary["rows"] == 6
    assert summary["rejects"] == {"missing-column": 1, "not-audio": 1}
    assert summary["rejects_by_stage"] == {
        "decode": {"not-audio": 1},
        "read": {"missing-column": 1},
    }
    assert summary["groups"] == {
        "bitext/train/fr": {"pairs": 1, "seconds": 0.0, "tokens": 0, "characters": 7},
        "transcription/test/en": {"pairs": 1, "seconds": 0.12, "tokens": 3, "characters": 9},
        "transcription/test/fr": {"pairs": 1, "seconds": 0.04, "tokens": 1, "characters": 9},
        "transcription/train/en": {"pairs": 1, "seconds": 0.08, "tokens": 2, "characters": 9},
    }


def test_the_rejects_of_a_shard_can_be_read_line_by_line(
    written: tuple[Path, dict[str, Any]],
) -> None:
    text = (written[0] / "rejects-00003-of-00008.jsonl").read_text(encoding="utf-8")
    first, second = [json.loads(line) for line in text.splitlines()]

    assert first == {
        "id": "broken",
        "uri": "/clips/b.wav",
        "stage": "read",
        "reason": "missing-column",
        "detail": "no 'language'",
        "exception": "",
    }
    assert (second["id"], second["uri"]) == ("half\ud83d", "/é.wav")
    assert "/é.wav" in text


def test_a_runner_shows_what_was_written_and_rejected(tmp_path: Path) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([tokenized_shard()]) | beam.ParDo(WriteShard(str(tmp_path), 8, "x"))
    result = pipeline.run()
    result.wait_until_finish()
    found = {
        metric.key.metric.name: metric.committed
        for metric in result.metrics().query()["counters"]
        if metric.key.metric.namespace == METRICS
    }

    assert found == {
        "rows": 6,
        "pairs": 4,
        "audio_seconds": 0,
        "audio_tokens": 6,
        "rejects": 2,
        "rejects/read/missing-column": 1,
        "rejects/decode/not-audio": 1,
    }


def test_a_shard_of_rejects_only_is_finished_too(tmp_path: Path) -> None:
    summary = write(tmp_path, Shard(0, rejects=[READ_REJECT] * 3))

    assert list(summary["files"]) == ["rejects-00000-of-00008.jsonl"]
    assert (summary["rows"], summary["rejects"]) == (3, {"missing-column": 3})
    assert summary["groups"] == {}


def test_the_same_shard_written_again_has_the_same_files(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, summary = written
    names = sorted(os.listdir(folder))

    assert write(folder, tokenized_shard())["files"] == summary["files"]
    assert sorted(os.listdir(folder)) == names


def test_a_shard_that_cannot_be_written_whole_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: Counter[str] = Counter()
    write_bytes = storage.write_bytes

    def fail_at_the_second(path: str, data: bytes) -> None:
        writes["all"] += 1
        if writes["all"] == 2:
            raise OSError(28, "No space left on device")
        write_bytes(path, data)

    monkeypatch.setattr(storage, "write_bytes", fail_at_the_second)
    # Beam's error, since OSError has arguments of its own.
    with pytest.raises(RuntimeError, match="No space"):
        write(tmp_path, tokenized_shard())

    assert os.listdir(tmp_path) == ["train-00003-of-00008.tfrecord"]


def test_a_shard_that_was_cut_is_finished_with_its_last_part(tmp_path: Path) -> None:
    whole = Shard(3, [utterance(i) for i in "abc"], rejects=[READ_REJECT])
    first = dataclasses.replace(tokenized_shard(), utterances=[], pairs=[], arrays=[], seconds=[])
    second = Shard(3, whole.utterances[:2], arrays=[np.zeros(2, np.int16)] * 2, part=1)
    second.seconds = [0.08] * 2

    assert not is_finished(whole, str(tmp_path))
    write(tmp_path, first)
    assert not is_finished(whole, str(tmp_path))
    summary = write(tmp_path, second)
    assert is_finished(whole, str(tmp_path))
    assert list(summary["files"]) == ["train-00003-of-00008-00001.tfrecord"]
    # Another shard's parts are its own.
    assert not is_finished(dataclasses.replace(whole, index=0), str(tmp_path))
