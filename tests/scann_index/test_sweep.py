from __future__ import annotations

import json

import numpy as np
import pytest

from scann_index import index_shards
from scann_index.engine import nearest_scores, over, recall
from scann_index.making import finish_bundle, measure
from scann_index.recipe import Choice, Recipe
from scann_index.summary import sweep_table
from scann_index.sweep import _ladder, sweep
from tests.scann_index.synthetic import clustered, rows_for


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(6000, dim=64)


@pytest.mark.parametrize(
    "recipe",
    [Recipe("hash"), Recipe("tree", 155), Recipe("tree", 155, reorder="int8", spill=True)],
    ids=lambda recipe: recipe.engine + recipe.reorder,
)
def test_a_sweep_reaches_its_target_on_queries_it_never_saw(vectors, recipe):
    engine = over(vectors, recipe)
    trials = sweep(engine, vectors, clustered(300, dim=64, seed=1), 0.98)
    (best,) = (trial for trial in trials if trial.chosen)
    assert (engine.leaves_searched, engine.reordered) == (best.leaves_searched, best.reordered)
    assert best.lower_half >= 0.98
    unseen = clustered(300, dim=64, seed=2)
    again = recall(engine, nearest_scores(vectors, unseen, 10), unseen).mean()
    assert again >= 0.97
    assert best.leaves_searched < (recipe.leaves or 1)


def test_the_cheapest_of_what_reaches_the_target_is_chosen(vectors):
    engine = over(vectors, Recipe("tree", 155))
    trials = sweep(engine, vectors, clustered(200, dim=64, seed=1), 0.9)
    (best,) = (trial for trial in trials if trial.chosen)
    assert best.work == min(trial.work for trial in trials if trial.lower_half >= 0.9)
    assert any(trial.lower_half < 0.9 for trial in trials)
    assert any(trial.work > best.work for trial in trials)
    # One more leaf of the ladder less would not do.
    ladder = _ladder(155)
    fewer = ladder[ladder.index(best.leaves_searched) - 1]
    below = [t for t in trials if (t.leaves_searched, t.reordered) == (fewer, best.reordered)]
    assert all(trial.lower_half < 0.9 for trial in below)


def test_a_target_out_of_reach_gets_what_comes_nearest():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    engine = over(vectors, Recipe("tree", 89, dims=2))
    trials = sweep(engine, vectors, vectors[:100], 1.0, np.arange(100))
    (best,) = (trial for trial in trials if trial.chosen)
    assert best.lower_half == max(trial.lower_half for trial in trials) < 1.0
    assert best.leaves_searched == 89


def test_a_query_is_left_out_of_its_own_answer(vectors):
    own = np.arange(0, 6000, 30)
    nearest = nearest_scores(vectors, vectors[own], 10, own)
    exact = vectors[own] @ vectors.T
    exact[np.arange(len(own)), own] = -np.inf
    np.testing.assert_allclose(np.sort(nearest), np.sort(exact)[:, -10:], atol=1e-6)


def test_the_ladder_goes_from_few_leaves_to_all():
    assert _ladder(0) == [0]
    assert _ladder(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert _ladder(2000)[0] == 8
    assert _ladder(2000)[-1] == 2000


def test_the_table_is_in_the_index_and_is_printed(tmp_path):
    from pipelines.output_dir import OutputDir

    out = OutputDir(str(tmp_path / "index"), kind="index")
    out.begin({})
    vectors = {"text-en-00000-of-00001": clustered(900), "speech-en-00000-of-00001": clustered(40)}
    for name, rows in vectors.items():
        group = "/".join(name.split("-")[:2])
        index_shards.finish(
            out.path, name, rows_for(group, len(rows)), rows, Choice(exact_below=300, tree_from=800)
        )
    cards, sweeps = measure(out, list(vectors), 0.98, [])
    finish_bundle(out, cards, info={"model": {"digest": "x"}}, sweeps=sweeps, stats={}, seconds={})
    info = json.loads((tmp_path / "index" / "info.json").read_text())
    table = info["sweeps"]["text-en-00000-of-00001"]
    assert list(info["sweeps"]) == ["text-en-00000-of-00001"]
    (best,) = (trial for trial in table if trial["chosen"])
    assert best["recall_at_10"] >= 0.98
    card = info["shards"][0]
    assert card["leaves_searched"] == best["leaves_searched"] >= 1
    assert card["reordered"] == best["reordered"]
    assert card["recall_queries"] == "40 of speech-en-00000-of-00001"
    # What a clock says isn't in what the index is known by.
    assert "queries_per_second" not in best
    rates = json.loads((tmp_path / "index" / "stats.json").read_text())["sweep_queries_per_second"]
    assert len(rates["text-en-00000-of-00001"]) == len(table)
    assert min(rates["text-en-00000-of-00001"]) > 0
    printed = "\n".join(sweep_table(cards, sweeps))
    assert "text-en-00000-of-00001: tree, 900 rows, 60 leaves" in printed
    assert printed.count("*") == 2
    assert len(printed.splitlines()) == len(table) + 4
