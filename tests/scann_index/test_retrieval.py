"""Queries, pools and ranks, on a real index of hand-placed vectors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from scann_index import ranking, retrieval
from scann_index.bundle import Bundle, IndexShard
from scann_index.retrieval import Candidates, Retrieval, retrieve
from scann_index.row import Row
from tests.scann_index.three_languages import make_index, speech_row, text_row


def candidates(bundle: Bundle, modality: str, split: str = "test") -> Candidates:
    return Candidates(bundle.shards(modality=modality), split)


def test_a_query_with_several_right_answers_counts_its_best(tmp_path):
    # Two recordings of s1: one at its text, one nearest to s2's.
    speech = [speech_row("it", 0), Row("far", "s1", "it", "speech", "il gatto", split="test")]
    speech.append(speech_row("it", 1))
    places = [(1, 0, 0, 0), (0.1, 0.9, 0, 0), (0, 1, 0, 0)]
    texts = [text_row("it", 0), text_row("it", 1)]
    index = make_index(str(tmp_path), [(speech, places), (texts, [(1, 0, 0, 0), (0, 1, 0, 0)])])
    bundle = Bundle.open(index)
    found = retrieve(candidates(bundle, "text"), candidates(bundle, "speech"))
    assert found is not None
    assert found.ranks.tolist() == [1, 1]
    assert found.hit_column("id") == ["it-s1-test", "it-s2-test"]


def test_rows_of_another_split_are_no_candidates_however_near(tmp_path):
    texts = [text_row("it", 1, split="train"), text_row("it", 0), text_row("it", 2)]
    places = [(1, 0, 0, 0), (0.9, 0.4, 0, 0), (0, 0, 1, 0)]
    shards = [([speech_row("it", 0)], [(1, 0, 0, 0)]), (texts, places)]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    found = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    assert found is not None
    assert found.ranks.tolist() == [1]
    assert found.hit_column("id") == ["text-it-s1-test"]
    assert [row.id for row in found.pool.rows] == ["text-it-s1-test", "text-it-s3-test"]


def test_a_query_without_a_right_answer_is_left_out_and_counted(tmp_path):
    speech = [speech_row("it", 0), speech_row("it", 3)]
    shards = [(speech, [(1, 0, 0, 0), (0, 0, 0, 1)]), ([text_row("it", 0)], [(1, 0, 0, 0)])]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    found = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    assert found is not None
    assert [row.sentence_id for row in found.queries] == ["s1"]
    assert found.unanswerable == 1
    assert retrieve(candidates(bundle, "speech"), candidates(bundle, "text", "dev")) is None


class Forgetful:
    """A shard whose engine never returns some of its rows, as a tree may."""

    def __init__(self, shard: IndexShard, forgotten: set[int]) -> None:
        self.shard = shard
        self.forgotten = forgotten
        self.table, self.vectors, self.dim = shard.table, shard.vectors, shard.dim

    def __len__(self) -> int:
        return len(self.shard)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        indices, scores = self.shard.search(queries, len(self.shard))
        kept = ~np.isin(indices, list(self.forgotten))
        found = [(i[own][:k], s[own][:k]) for i, s, own in zip(indices, scores, kept, strict=True)]
        return np.stack([i for i, _ in found]), np.stack([s for _, s in found])


def forgetting(tmp_path: Path, asked: int, forgotten: set[int]) -> Retrieval:
    """One recording with four texts at .7, .56, .42 and .14, in this order; its own is the third.

    The index is asked for so many.
    """
    texts = [text_row("it", sentence) for sentence in range(4)]
    shards = [([speech_row("it", 2)], [(0.5, 0.4, 0.3, 0.1)]), (texts, np.eye(4).tolist())]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    (shard,) = bundle.shards(modality="text")
    pool = Candidates([Forgetful(shard, forgotten)], "test")  # type: ignore[list-item]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "ASKED", asked)
        found = retrieve(candidates(bundle, "speech"), pool)
    assert found is not None
    return found


def test_a_right_answer_that_the_index_loses_ranks_behind_the_pool(tmp_path):
    found = forgetting(tmp_path, asked=3, forgotten={2})
    assert found.ranks.tolist() == [4]
    assert found.exact_ranks.tolist() == [3]


def test_a_wrong_row_that_the_index_loses_is_not_ahead(tmp_path):
    found = forgetting(tmp_path, asked=3, forgotten={0})
    assert found.ranks.tolist() == [2]
    assert found.exact_ranks.tolist() == [3]
    assert found.hit_column("id") == ["text-it-s2-test"]


def test_what_lies_beyond_the_rows_asked_for_is_ranked_by_comparison(tmp_path):
    # Asked for one, it returns the first: that the third is not among them is no fault of it.
    found = forgetting(tmp_path, asked=1, forgotten=set())
    assert found.ranks.tolist() == found.exact_ranks.tolist() == [3]
    assert found.found.near.tolist() == [[0, 1, 2, 3]]


def test_a_language_in_several_shards_is_one_pool_in_the_order_of_the_ids(tmp_path):
    one = ([text_row("it", 2), text_row("it", 0)], [(0, 0, 1, 0), (1, 0, 0, 0)])
    other = ([text_row("it", 1)], [(0, 1, 0, 0)])
    shards = [
        Bundle.open(make_index(str(tmp_path / name), [part])).shards()[0]
        for name, part in (("one", one), ("other", other))
    ]
    pool = Candidates(shards, "test")
    assert pool.sentences == ["s1", "s2", "s3"]
    assert pool.compare(np.eye(4, dtype=np.float32))[:3].tolist() == np.eye(3).tolist()
    returned, last = pool.search(np.array([(0.8, 0.6, 0, 0)], np.float32))
    # The places in the pool, shard by shard, and the score of the last of each.
    assert returned.tolist() == [[0, 2, 1]]
    assert last[0].tolist() == pytest.approx([0.0, 0.6])


def test_a_limit_takes_the_first_queries_and_blocks_change_nothing(tmp_path, monkeypatch):
    speech = [speech_row("it", sentence) for sentence in range(4)]
    texts = [text_row("it", sentence) for sentence in range(4)]
    turned = np.roll(np.eye(4), 1, axis=1) + 0.5 * np.eye(4)
    shards = [(speech, turned.tolist()), (texts, np.eye(4).tolist())]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    whole = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    monkeypatch.setattr(ranking, "SCORES_AT_ONCE", 4)
    monkeypatch.setattr(ranking, "POOL_ROWS", 3)
    monkeypatch.setattr(retrieval, "BLOCK", 3)
    pieces = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    limited = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"), 3)
    assert whole is not None and pieces is not None and limited is not None
    assert whole.ranks.tolist() == pieces.ranks.tolist() == [2, 2, 2, 2]
    assert np.array_equal(whole.found.top, pieces.found.top)
    assert np.array_equal(whole.found.near, pieces.found.near)
    assert np.array_equal(np.sort(whole.found.backward), np.sort(pieces.found.backward))
    assert len(limited.queries) == 3


def test_a_block_comes_back_from_its_file(tmp_path):
    found = forgetting(tmp_path, asked=3, forgotten={2}).found
    again = ranking.Found.from_bytes(found.to_bytes())
    for field in dataclasses.fields(found):
        one, other = getattr(found, field.name), getattr(again, field.name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def test_the_first_of_equal_values_are_taken_and_the_scores_left_as_they_were():
    scores = np.array([[0.5, 0.7, 0.7, -np.inf], [-np.inf] * 4], np.float32)
    before = scores.copy()
    indices, values = ranking.first_of_each(scores, 3)
    assert indices[0].tolist() == [1, 2, 0]
    assert values.tolist()[1] == [-np.inf] * 3
    assert np.array_equal(scores, before)
