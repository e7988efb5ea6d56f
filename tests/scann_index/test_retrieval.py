"""Queries, pools and ranks, on a real index of hand-placed vectors."""

from __future__ import annotations

import numpy as np
import pytest

from scann_index import retrieval
from scann_index.bundle import Bundle
from scann_index.retrieval import Candidates, retrieve
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
    assert [row.id for row in found.hits] == ["it-s1-test", "it-s2-test"]


def test_rows_of_another_split_are_no_candidates_however_near(tmp_path):
    texts = [text_row("it", 1, split="train"), text_row("it", 0), text_row("it", 2)]
    places = [(1, 0, 0, 0), (0.9, 0.4, 0, 0), (0, 0, 1, 0)]
    shards = [([speech_row("it", 0)], [(1, 0, 0, 0)]), (texts, places)]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    found = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    assert found is not None
    assert found.ranks.tolist() == [1]
    assert found.hits[0].id == "text-it-s1-test"
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


def test_a_right_answer_beyond_the_depth_ranks_behind_the_pool(tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval, "DEPTH", 2)
    texts = [text_row("it", sentence) for sentence in range(4)]
    shards = [([speech_row("it", 2)], [(0.5, 0.4, 0.3, 0.1)]), (texts, np.eye(4).tolist())]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    found = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    assert found is not None
    assert found.pool.truncated_at == 2
    # Exactly it is third; the index returned only two, so all three others stand ahead of it.
    assert found.ranks.tolist() == [4]
    assert found.exact_ranks.tolist() == [3]


def test_a_language_in_several_shards_is_one_pool():
    class Shard:
        def __init__(self, rows: list[Row], vectors: list[tuple[float, ...]]) -> None:
            self.rows = rows
            self.vectors = np.array(vectors, np.float32)

        def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            # As a tree that found one row only.
            scores = queries @ self.vectors.T
            best = scores.argmax(1)
            padding = np.full((len(queries), 1), -1)
            indices = np.concatenate([best[:, None], padding], 1)
            return indices, np.stack([scores.max(1), np.full(len(queries), -np.inf)], 1)

    one = Shard([text_row("it", 0), text_row("it", 1)], [(1, 0), (0.6, 0.8)])
    other = Shard([text_row("it", 2)], [(0, 1)])
    pool = Candidates([one, other], "test")  # type: ignore[list-item]
    scores = pool.search(np.array([(0.8, 0.6)], np.float32))
    assert pool.sentences == ["s1", "s2", "s3"]
    assert scores[0].tolist() == pytest.approx([-np.inf, 0.96, 0.6])


def test_a_limit_takes_the_first_queries_and_chunks_change_nothing(tmp_path, monkeypatch):
    speech = [speech_row("it", sentence) for sentence in range(4)]
    texts = [text_row("it", sentence) for sentence in range(4)]
    turned = np.roll(np.eye(4), 1, axis=1) + 0.5 * np.eye(4)
    shards = [(speech, turned.tolist()), (texts, np.eye(4).tolist())]
    bundle = Bundle.open(make_index(str(tmp_path), shards))
    whole = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    monkeypatch.setattr(retrieval, "_SCORES_AT_ONCE", 4)
    pieces = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"))
    limited = retrieve(candidates(bundle, "speech"), candidates(bundle, "text"), 3)
    assert whole is not None and pieces is not None and limited is not None
    assert whole.ranks.tolist() == pieces.ranks.tolist() == [2, 2, 2, 2]
    assert np.array_equal(whole.top, pieces.top)
    assert len(limited.queries) == 3
