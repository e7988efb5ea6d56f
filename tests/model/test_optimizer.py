import keras
import keras_hub
import numpy as np
import pytest

from model.optimizer import create_optimizer, head_axes


def moved(
    name: str,
    path: str,
    shape: tuple[int, ...],
    gradient: np.ndarray,
    head: tuple | None = None,
    precision: str = "float32",
) -> np.ndarray:
    """How far one step moves a variable from zero; `head` as `head_axes` gives it."""
    layer, last = path.split("/")
    with keras.name_scope(layer):
        variable = keras.Variable(np.zeros(shape, "float32"), name=last)
    optimizer = create_optimizer(
        name,
        steps=10,
        warmup_steps=0,
        learning_rate=1e-3,
        matrix_rate=1e-2,
        heads={variable.path: head} if head else None,
        precision=precision,
    )
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    return np.asarray(variable)


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


def test_half_the_digits_are_enough_for_a_direction(steep):
    full, half = (
        moved("muon", "ffw/kernel", (16, 16), steep, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(full, half)
    assert np.vdot(full, half) > 0.99 * np.linalg.norm(full) * np.linalg.norm(half)


@pytest.mark.parametrize("axis", [0, 1])
def test_muon_takes_attention_kernels_head_by_head_whichever_axis_they_are_on(steep, axis):
    heads = np.stack([steep, 1e-3 * steep.T], axis)
    update = moved("muon", "query/kernel", heads.shape, heads, (axis, False))
    one, other = np.moveaxis(update, axis, 0)
    assert spread(one) < 2
    assert spread(other) < 2
    assert np.linalg.norm(other) > 0.5 * np.linalg.norm(one)
    assert np.allclose(one, moved("muon", "ffw/kernel", (16, 16), steep), rtol=1e-3, atol=1e-6)


def test_muon_steps_shorter_where_the_heads_are_added_up(steep):
    heads = np.stack([steep] * 4)
    one, four = (
        moved("muon", "attention/kernel", (4, 16, 16), heads, (0, is_sum))
        for is_sum in (False, True)
    )
    assert np.allclose(four, one / 2, rtol=1e-4)


def small_backbone(family: str) -> keras.Model:
    sizes = {"vocabulary_size": 9, "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 8}
    grouped = {**sizes, "num_query_heads": 4, "num_key_value_heads": 2}
    if family == "gemma3":
        return keras_hub.models.Gemma3Backbone(image_size=None, head_dim=6, **grouped)
    if family == "qwen3":
        return keras_hub.models.Qwen3Backbone(head_dim=6, **grouped)
    if family == "llama3":
        return keras_hub.models.Llama3Backbone(**grouped)
    return keras_hub.models.XLMRobertaBackbone(num_heads=4, max_sequence_length=8, **sizes)


@pytest.mark.parametrize("family", ["gemma3", "qwen3", "llama3", "xlm_roberta"])
def test_every_family_has_its_heads_found(family):
    backbone = small_backbone(family)
    found = head_axes(backbone)
    shapes = {w.path: w.shape for w in backbone.weights}
    assert len(found) == 2 * 4  # layers × query, key, value, output
    for path, (axis, is_sum) in found.items():
        assert shapes[path][axis] in ((4,) if "query" in path or is_sum else (2, 4))
        matrix = [size for place, size in enumerate(shapes[path]) if place != axis]
        assert sorted(matrix) == sorted([16, 6 if family in ("gemma3", "qwen3") else 4])
    assert sum(is_sum for _, is_sum in found.values()) == 2
    assert all(is_sum == ("output" in path) for path, (_, is_sum) in found.items())


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
        "muon",
        steps=10,
        warmup_steps=2,
        learning_rate=1e-3,
        matrix_rate=5e-3,
        heads={"query/kernel": (1, False)},
    )
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.matrix_ratio == pytest.approx(5.0)
    assert again.momentum == 0.95
    assert again.heads == {"query/kernel": (1, False)}


def test_an_unknown_optimizer_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="'sgd' is none of muon, adam"):
        create_optimizer("sgd", steps=1, warmup_steps=0, learning_rate=1, matrix_rate=1)
