import numpy as np

from model.backbone import create_backbone, extend_vocabulary


def tiny(rows: int = 20, seed: int = 0):
    return create_backbone(
        rows, seed=seed, num_layers=1, hidden_dim=16, intermediate_dim=16, head_dim=4
    )


def test_extending_the_vocabulary_keeps_every_weight_and_what_the_model_says_of_text():
    backbone = tiny()
    extended = extend_vocabulary(backbone, 8, seed=1)
    table = np.asarray(extended.token_embedding.embeddings)
    assert table.shape == (28, 16)
    assert (table[:20] == np.asarray(backbone.token_embedding.embeddings)).all()
    inputs = {"token_ids": np.array([[3, 7, 19]]), "padding_mask": np.ones((1, 3), np.int32)}
    assert np.allclose(np.asarray(extended(inputs)), np.asarray(backbone(inputs)))


def test_new_rows_are_as_loud_as_the_old_and_follow_the_seed():
    backbone = tiny(rows=400)
    one, same, other = (extend_vocabulary(backbone, 200, seed=s) for s in (1, 1, 2))
    rows = [np.asarray(b.token_embedding.embeddings)[400:] for b in (one, same, other)]
    old = np.asarray(backbone.token_embedding.embeddings)
    assert abs(rows[0].std() / old.std() - 1) < 0.1
    assert (rows[0] == rows[1]).all()
    assert not np.allclose(rows[0], rows[2])


def test_the_seed_decides_the_weights():
    one, same, other = (np.asarray(tiny(seed=s).weights[0]) for s in (3, 3, 4))
    assert (one == same).all()
    assert not np.allclose(one, other)
