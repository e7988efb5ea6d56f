from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipelines.output_dir import OutputDir
from scann_index.bundle import KIND, Bundle, write_shard
from scann_index.index_shards import names_of, shard_of
from scann_index.merge import merge
from scann_index.retrieval import Candidates, retrieve
from scann_index.row import Row
from tests.scann_index.synthetic import clustered


def index_in(folder: str, parts: int) -> Bundle:
    """The same recordings and texts in so many shards each; one text in four stands twice."""
    texts = clustered(900, seed=1)
    texts[::4] = texts[1::4]
    groups = {"text": texts, "speech": texts[:200] + 0.5 * clustered(200, seed=2)}
    out = OutputDir(folder, kind=KIND)
    out.begin({})
    cards = []
    for modality, vectors in groups.items():
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        rows = [
            Row(f"{modality}-{i:04d}", f"s{i}", "en", modality, f"t{i}", split="test")
            for i in range(len(vectors))
        ]
        where = {f"{modality}/en": parts}
        for name in names_of(where):
            own = [i for i, row in enumerate(rows) if shard_of(row, where) == name]
            cards.append(write_shard(folder, name, [rows[i] for i in own], vectors[own]))
    info = {
        "dim": 32,
        "model": {"digest": "x"},
        "shards": [dataclasses.asdict(card) for card in cards],
    }
    out.complete(files=[name for card in cards for name in card.files], stats={}, info=info)
    return Bundle.open(folder)


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Bundle:
    return index_in(str(tmp_path_factory.mktemp("merge") / "one"), 1)


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory) -> Bundle:
    return index_in(str(tmp_path_factory.mktemp("merge") / "sixteen"), 16)


@pytest.mark.parametrize("k", [1, 2, 10, 500, 2000])
def test_one_shard_and_sixteen_give_the_same_rows_in_the_same_order(one, sixteen, k):
    assert (len(one.shards()), len(sixteen.shards())) == (2, 32)
    queries = clustered(50, seed=3)
    expected = merge(one.shards(), queries, k)
    assert merge(sixteen.shards(), queries, k) == expected
    assert [len(found) for found in expected] == [min(k, 1100)] * 50


def test_one_shard_and_sixteen_give_the_same_evaluation(one, sixteen):
    ranks = []
    for bundle in (one, sixteen):
        queries = Candidates(bundle.shards(modality="speech"), "test")
        pool = Candidates(bundle.shards(modality="text"), "test")
        found = retrieve(queries, pool)
        ranks.append(dict(zip([row.id for row in found.queries], found.ranks, strict=True)))
    assert ranks[0] == ranks[1]
    assert len(ranks[0]) == 200


def test_equally_near_rows_come_in_the_order_of_their_ids(one):
    (shard,) = one.shards(modality="text")
    ((first, second, *_),) = merge([shard], shard.vectors[5:6], 3)
    assert first[0] == second[0]
    assert [first[1].id, second[1].id] == ["text-0004", "text-0005"]
