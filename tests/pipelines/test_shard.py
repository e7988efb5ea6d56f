"""Rows find their shard by their id, and there the bad ones are told from the good."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipelines.pairs import Pair
from pipelines.rejects import Reject
from pipelines.shard import Row, Shard, shard_index, validate
from pipelines.utterance import Utterance
from tests.pipelines.rows import bitext, utterance


def rejected(*rows: Row) -> list[tuple[str, str]]:
    return [(r.id, r.reason) for r in validate(0, enumerate(rows)).rejects]


@pytest.mark.parametrize(
    ("row_id", "count", "index"),
    [
        ("demo-en-train-00000-0", 32, 19),
        ("demo-en-train-00000-0", 6, 5),
        ("manifest.tsv:12", 32, 17),
        ("猫", 6, 2),
        ("\ud83d", 32, 28),
        ("anything", 1, 0),
    ],
)
def test_an_id_has_the_same_shard_on_every_machine(row_id: str, count: int, index: int) -> None:
    assert shard_index(row_id, count) == index


def test_ids_spread_over_the_shards() -> None:
    counts = Counter(shard_index(f"demo-en-train-{n:05d}-0", 8) for n in range(4000))

    assert set(counts) == set(range(8))
    assert all(400 < count < 600 for count in counts.values())


def test_good_rows_stay_in_the_order_of_the_corpus() -> None:
    rows = [(30, utterance("c")), (10, utterance("a")), (20, bitext("b")), (40, utterance("d"))]
    shard = validate(5, rows)

    assert shard.index == 5
    assert [u.id for u in shard.utterances] == ["a", "c", "d"]
    assert [p.id for p in shard.pairs] == ["b"]
    assert (shard.rejects, shard.rows) == ([], 4)


def test_of_rows_with_the_same_id_the_first_of_the_corpus_is_kept() -> None:
    rows = [(7, utterance("x", transcript="second")), (3, utterance("x", transcript="first"))]
    shard = validate(0, [*rows, (9, bitext("x"))])

    assert [u.transcript for u in shard.utterances] == ["first"]
    assert [(r.id, r.stage, r.reason) for r in shard.rejects] == [
        ("x", "validate", "duplicate-id")
    ] * 2
    assert "'x'" in shard.rejects[0].detail
    assert shard.rejects[0].uri == "/clips/x.wav"


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        (utterance(language="xx"), "unknown-language", "'xx'"),
        (utterance(language=""), "unknown-language", "''"),
        (bitext(source_language="xx"), "unknown-language", "'xx'"),
        (bitext(target_language="xx"), "unknown-language", "'xx'"),
        (utterance(split="validation"), "unknown-split", "none of train, dev, test"),
        (bitext(split=""), "unknown-split", "''"),
        (utterance(transcript=""), "empty-transcript", "white space"),
        (utterance(transcript=" \t\n\u3000"), "empty-transcript", "white space"),
        (bitext(target_text=" "), "empty-transcript", "white space"),
    ],
)
def test_a_bad_row_is_rejected_alone(row: Utterance | Pair, reason: str, said: str) -> None:
    shard = validate(0, enumerate([utterance("good"), row, bitext("good too")]))

    assert [(r.id, r.stage, r.reason) for r in shard.rejects] == [(row.id, "validate", reason)]
    assert said in shard.rejects[0].detail
    assert [u.id for u in shard.utterances] + [p.id for p in shard.pairs] == ["good", "good too"]
    assert shard.rows == 3


def test_what_a_reader_rejected_stays_so_and_takes_no_id() -> None:
    reject = Reject("x", "/a.wav", "read", "missing-column", "no 'language'")
    shard = validate(0, enumerate([reject, utterance("x"), reject]))

    assert shard.rejects == [reject, reject]
    assert [u.id for u in shard.utterances] == ["x"]


def test_a_transcript_is_composed_and_stripped_and_nothing_else_changes() -> None:
    (good,) = validate(0, [(0, utterance("x", transcript=" cafe\u0301\n", seconds=1.5))]).utterances

    assert good == utterance("x", transcript="caf\u00e9", seconds=1.5)


def test_a_shard_counts_its_rows_whatever_became_of_them() -> None:
    reject = Reject("r", "", "decode", "not-audio", "")
    shard = Shard(0, [utterance("a")], [bitext("b"), bitext("c")], [reject], [np.zeros(3)], [1.0])

    assert shard.rows == 4
