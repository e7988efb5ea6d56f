from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scann_index import engine
from scann_index.engine import files_of, nearest_scores, open_exact, open_trained, over, train
from scann_index.recipe import Choice, Recipe
from tests.scann_index.synthetic import clustered, exact_neighbours

TREE = Recipe("tree", 89)
COMPASS = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]], np.float32)


def save_tree(folder: Path, vectors: np.ndarray, recipe: Recipe = TREE) -> str:
    train(vectors, recipe, str(folder))
    np.save(folder / "vectors.npy", vectors)
    return str(folder)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> tuple[str, np.ndarray]:
    vectors = clustered(2000)
    return save_tree(tmp_path_factory.mktemp("tree"), vectors), vectors


def opened(tree, leaves_searched=89):
    found = open_trained(tree[0], tree[0] + "/vectors.npy", TREE)
    found.leaves_searched = leaves_searched
    return found


def recall_at_10(found, vectors, queries, own=None) -> float:
    k = min(10, len(vectors) - (own is not None))
    nearest = nearest_scores(vectors, queries, k, own)
    return float(engine.recall(found, nearest, queries, own).mean())


def test_exact_search_returns_the_nearest_rows_best_first():
    indices, scores = open_exact(COMPASS).search(np.array([[0, 1], [1, 0]], np.float32), 3)
    assert indices.dtype == np.int64
    assert scores.dtype == np.float32
    assert indices.tolist() == [[1, 3, 0], [0, 3, 1]]
    np.testing.assert_allclose(scores, [[1, 0.8, 0], [1, 0.6, 0]], atol=1e-6)


def test_more_neighbours_than_rows_gives_all_rows_and_no_filling():
    indices, scores = open_exact(COMPASS).search(np.array([[1, 0]], np.float32), 1000)
    assert indices.tolist() == [[0, 3, 1, 2]]
    assert np.isfinite(scores).all()


def test_a_single_row_is_searched():
    indices, _ = open_exact(COMPASS[:1]).search(COMPASS, 10)
    assert indices.tolist() == [[0]] * 4


def test_no_queries_give_no_answers():
    indices, scores = open_exact(COMPASS).search(np.zeros((0, 2), np.float32), 3)
    assert indices.shape == scores.shape == (0, 3)


@pytest.mark.parametrize(
    ("queries", "k", "words"),
    [
        (np.zeros((1, 3), np.float32), 1, r"shape \(1, 3\)"),
        (np.zeros(2, np.float32), 1, r"shape \(2,\)"),
        (np.array([[np.nan, 0]], np.float32), 1, "NaN"),
        (COMPASS, 0, "k is 0"),
    ],
)
def test_a_query_scann_would_answer_wrongly_is_refused(queries, k, words):
    with pytest.raises(ValueError, match=words):
        open_exact(COMPASS).search(queries, k)


def test_no_vectors_are_refused():
    with pytest.raises(ValueError, match="no vectors"):
        open_exact(COMPASS[:0])


def test_a_tree_finds_what_comparison_with_every_row_finds(tree):
    queries = clustered(100, seed=1)
    indices, scores = opened(tree).search(queries, 10)
    exact = exact_neighbours(tree[1], queries, 10)
    agreement = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(indices, exact, strict=True)])
    assert agreement > 0.99
    np.testing.assert_allclose(
        scores, np.take_along_axis(queries @ tree[1].T, indices, 1), atol=1e-5
    )


def test_a_tree_is_trained_to_the_same_bytes_each_time(tree, tmp_path):
    again = save_tree(tmp_path, tree[1])
    for name in files_of(Recipe("tree", 89)):
        assert Path(tree[0], name).read_bytes() == Path(again, name).read_bytes(), name


def test_what_a_tree_did_not_find_is_marked(tree):
    queries = clustered(20, seed=2)
    indices, scores = opened(tree, leaves_searched=1).search(queries, 500)
    assert indices.shape == (20, 500)
    missing = indices == -1
    assert missing.any(axis=1).all()
    assert (scores[missing] == -np.inf).all()
    assert np.isfinite(scores[~missing]).all()


def test_a_tree_returns_every_row_if_asked(tree):
    indices, _ = opened(tree).search(clustered(2, seed=3), 5000)
    assert sorted(indices[0].tolist()) == list(range(2000))


def test_too_few_rows_are_refused_before_scann_fails(tmp_path):
    with pytest.raises(ValueError, match="at least 256"):
        train(clustered(255), Recipe("hash"), str(tmp_path))
    train(clustered(256), Recipe("tree", 32), str(tmp_path))


def test_a_tree_made_for_other_vectors_is_refused(tree, tmp_path):
    folder = save_tree(tmp_path, tree[1])
    np.save(f"{folder}/vectors.npy", tree[1][:-1])
    with pytest.raises(ValueError, match="made for other vectors"):
        open_trained(folder, f"{folder}/vectors.npy", TREE)


def test_a_tree_that_points_at_missing_leaves_is_refused(tree):
    with pytest.raises(ValueError, match="points at leaves"):
        open_trained(tree[0], tree[0] + "/vectors.npy", Recipe("tree", 10))


RECIPES = [
    Recipe("hash"),
    Recipe("hash", reorder="int8"),
    Recipe("tree", 89, reorder="bfloat16"),
    Recipe("tree", 89, reorder="int8", spill=True),
    Recipe("tree", 89, spill=True),
    Recipe("tree", 89, dims=24),
    Recipe("hash", dims=25),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_every_recipe_finds_the_rows_and_returns_their_true_scores(tree, tmp_path, recipe):
    queries = clustered(100, seed=1)
    folder = save_tree(tmp_path, tree[1], recipe)
    found = open_trained(folder, f"{folder}/vectors.npy", recipe)
    found.reordered = 400
    indices, scores = found.search(queries, 10)
    exact = exact_neighbours(tree[1], queries, 10)
    agreement = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(indices, exact, strict=True)])
    assert agreement > 0.98
    real = np.take_along_axis(queries @ tree[1].T, indices, 1)
    np.testing.assert_allclose(scores, real, atol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_an_engine_over_vectors_in_memory_outlives_the_files_it_was_trained_into():
    found = over(clustered(600), Recipe("tree", 20, reorder="int8"))
    assert recall_at_10(found, clustered(600), clustered(20, seed=1)) > 0.98


def test_of_equally_near_rows_exact_search_returns_the_first(tree):
    vectors = np.concatenate([tree[1][:50]] * 40)
    indices, _ = open_exact(vectors).search(tree[1][:50], 7)
    np.testing.assert_array_equal(indices, np.arange(50)[:, None] + 50 * np.arange(7))


def test_many_queries_at_once_are_answered_as_one_by_one(tree):
    queries = clustered(engine.PARALLEL_FROM + 1, seed=6)
    indices, _ = opened(tree).search(queries, 5)
    alone = [opened(tree).search(query[None], 5)[0][0] for query in queries[::50]]
    np.testing.assert_array_equal(indices[::50], alone)


@pytest.mark.parametrize(
    ("rows", "choice", "expected"),
    [
        (19_999, Choice(), Recipe("exact")),
        (20_000, Choice(), Recipe("hash")),
        (100_000, Choice(), Recipe("tree", 632)),
        (1_000_000, Choice(spill=True, reorder="int8"), Recipe("tree", 2000, "int8", spill=True)),
        (30_000, Choice(spill=True, dims=64), Recipe("hash", dims=64)),
        (30_000, Choice(dims=640), Recipe("hash")),
        (1_000, Choice(engine="tree"), Recipe("tree", 63)),
        (300, Choice(engine="tree", leaves=4000), Recipe("tree", 150)),
        (255, Choice(engine="tree"), Recipe("exact")),
        (1_000_000, Choice(engine="exact", reorder="int8"), Recipe("exact")),
    ],
)
def test_the_engine_follows_from_the_rows_unless_one_is_asked_for(rows, choice, expected):
    assert choice.recipe(rows, 640) == expected


def test_recall_is_one_for_exact_search_whatever_ties_there_are():
    vectors = np.repeat(COMPASS, 5, axis=0)
    assert recall_at_10(open_exact(vectors), vectors, COMPASS) == 1.0


def test_recall_falls_as_fewer_leaves_are_searched(tree):
    queries = np.random.default_rng(4).normal(size=(100, 32)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    few = recall_at_10(opened(tree, leaves_searched=2), tree[1], queries)
    all_leaves = recall_at_10(opened(tree), tree[1], queries)
    assert few < 0.8 < 0.99 < all_leaves


def test_recall_counts_the_rows_missed():
    class HalfBlind:
        def search(self, queries, k):
            indices, scores = open_exact(clustered(50)).search(queries, k)
            scores[:, k // 2 :] = -np.inf
            return indices, scores

    assert recall_at_10(HalfBlind(), clustered(50), clustered(8, seed=5)) == 0.5


def test_a_row_is_left_out_of_its_own_answer():
    class FindsOnlyItself:
        def search(self, queries, k):
            indices = np.full((len(queries), k), -1)
            indices[:, 0] = [3, 7]
            return indices, np.where(indices < 0, -np.inf, 1.0)

    vectors = clustered(50)
    own = np.array([3, 7])
    assert recall_at_10(FindsOnlyItself(), vectors, vectors[own], own) == 0.0
    assert recall_at_10(open_exact(vectors), vectors, vectors[own], own) == 1.0
