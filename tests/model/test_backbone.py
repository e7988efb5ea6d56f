import numpy as np

from model.backbone import centroid_rows, create_backbone, extend_vocabulary, random_rows


def tiny(rows: int = 20, seed: int = 0):
    return create_backbone(
        rows, seed=seed, num_layers=1, hidden_dim=16, intermediate_dim=16, head_dim=4
    )


def test_extending_the_vocabulary_keeps_every_weight_and_what_the_model_says_of_text():
    backbone = tiny()
    extended = extend_vocabulary(backbone, random_rows(8, 16, seed=1))
    table = np.asarray(extended.token_embedding.embeddings)
    assert table.shape == (28, 16)
    assert (table[:20] == np.asarray(backbone.token_embedding.embeddings)).all()
    inputs = {"token_ids": np.array([[3, 7, 19]]), "padding_mask": np.ones((1, 3), np.int32)}
    assert np.allclose(np.asarray(extended(inputs)), np.asarray(backbone(inputs)))


def test_new_rows_are_as_loud_as_the_old_ones():
    backbone = tiny(rows=400)
    extended = extend_vocabulary(backbone, 100 * random_rows(200, 16, seed=1))
    table = np.asarray(extended.token_embedding.embeddings)
    assert abs(table[400:].std() / table[:400].std() - 1) < 1e-3


def test_rows_follow_the_seed():
    assert (random_rows(9, 4, seed=1) == random_rows(9, 4, seed=1)).all()
    assert not np.allclose(random_rows(9, 4, seed=1), random_rows(9, 4, seed=2))


def test_rows_of_centroids_lie_as_far_apart_as_the_centroids():
    centroids = np.random.default_rng(0).normal(size=(60, 64))
    centroids[1] = centroids[0] + 0.01
    rows = centroid_rows(centroids, 256, seed=0)
    rows *= np.linalg.norm(centroids - centroids.mean(0)) / np.linalg.norm(rows)
    assert np.linalg.norm(rows[0] - rows[1]) < 0.05 * np.linalg.norm(rows[0] - rows[2])
    before = np.linalg.norm(centroids[2] - centroids[3:], axis=1)
    after = np.linalg.norm(rows[2] - rows[3:], axis=1)
    assert np.allclose(after / before, 1.0, atol=0.3)


def test_the_seed_decides_the_weights():
    one, same, other = (np.asarray(tiny(seed=s).weights[0]) for s in (3, 3, 4))
    assert (one == same).all()
    assert not np.allclose(one, other)
