import keras
import numpy as np
import pytest

from model.optimizer import create_optimizer


def moved(name: str, path: str, shape: tuple[int, ...], gradient: np.ndarray) -> np.ndarray:
    """How far one step moves a variable from zero."""
    layer, last = path.split("/")
    with keras.name_scope(layer):
        variable = keras.Variable(np.zeros(shape, "float32"), name=last)
    optimizer = create_optimizer(
        name, steps=10, warmup_steps=0, learning_rate=1e-3, matrix_rate=1e-2
    )
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    return np.asarray(variable)


HEADS = ("query", "attention_output")


@pytest.fixture
def steep() -> np.ndarray:
    """A gradient that is a thousand times larger in one direction than in others."""
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    right, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    return (left * np.geomspace(1, 1e-3, 16) @ right).astype("float32")


def spread(matrix: np.ndarray) -> float:
    values = np.linalg.svd(matrix, compute_uv=False)
    return float(values[0] / np.median(values))


def test_muon_moves_a_matrix_about_as_far_in_every_direction(steep):
    assert spread(steep) > 20
    assert spread(moved("muon", "ffw/kernel", (16, 16), steep)) < 2


def test_muon_takes_attention_kernels_head_by_head(steep):
    heads = np.stack([steep, 1e-3 * steep.T])
    update = moved("muon", "query/kernel", (2, 16, 16), heads)
    assert all(spread(head) < 2 for head in update)
    assert np.linalg.norm(update[1]) > 0.5 * np.linalg.norm(update[0])


def test_muon_steps_shorter_where_the_heads_are_added_up(steep):
    heads = np.stack([steep] * 4)
    one, four = (moved("muon", f"{name}/kernel", (4, 16, 16), heads) for name in HEADS)
    assert np.allclose(four, one / 2, rtol=1e-4)


@pytest.mark.parametrize(
    "path", ["token_embedding/embeddings", "standardization/mean", "projection/kernel"]
)
def test_muon_leaves_tables_standardization_and_projection_to_adam(path, steep):
    by_adam = moved("adam", path, (16, 16), steep)
    assert np.allclose(moved("muon", path, (16, 16), steep), by_adam, rtol=1e-3, atol=1e-7)
    assert np.abs(by_adam).max() == pytest.approx(1e-3, rel=0.01)


def test_both_rates_end_at_zero():
    for name in ("muon", "adam"):
        optimizer = create_optimizer(
            name, steps=10, warmup_steps=2, learning_rate=1e-3, matrix_rate=1e-2
        )
        rates = [float(optimizer._learning_rate(step)) for step in (0, 2, 10)]
        assert rates == pytest.approx([0.0, 1e-3, 0.0], abs=1e-9)


def test_the_first_step_of_a_matrix_is_as_long_as_its_rate_says(steep):
    update = moved("muon", "ffw/kernel", (16, 16), steep)
    values = np.linalg.svd(update, compute_uv=False)
    assert np.median(values) == pytest.approx(1e-2 * 0.2 * 4, rel=0.35)


def test_an_optimizer_is_made_again_from_its_configuration():
    optimizer = create_optimizer(
        "muon", steps=10, warmup_steps=2, learning_rate=1e-3, matrix_rate=5e-3
    )
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.matrix_ratio == pytest.approx(5.0)
    assert again.momentum == 0.95


def test_an_unknown_optimizer_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="'sgd' is none of muon, adam"):
        create_optimizer("sgd", steps=1, warmup_steps=0, learning_rate=1, matrix_rate=1)
