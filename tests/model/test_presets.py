import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from model.data import training_batches
from model.dual_encoder import DualEncoder
from model.presets import load_pretrained, load_tokenizer
from model.tokenization import PresetTokenizer
from model.train import TrainOptions, build
from model.vocabulary import SPEECH
from pipelines.output_dir import OutputDir
from tests.families import FAMILIES, make_preset
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.tiny import AUDIO_TOKENS, spoken

SPEECH_TOKENS = [spoken("red cat"), spoken("chat rouge")]
LANGUAGES = ["en", "fr"]
SMALL = {
    "steps": 3,
    "evaluate_every": 3,
    "batch_size": 6,
    "warmup_steps": 1,
    "learning_rate": 3e-3,
    "optimizer": "adam",
    "max_speech_tokens": 24,
    "max_text_tokens": 24,
}


@pytest.fixture(scope="module")
def presets(tmp_path_factory) -> dict[str, str]:
    folder = str(tmp_path_factory.mktemp("presets"))
    return {family: make_preset(family, folder) for family in FAMILIES}


def options(data: OutputDir, preset: str, **changes) -> TrainOptions:
    return TrainOptions(
        data=(data.path,), output="unused", backbone=preset, **{**SMALL, "layers": 1, **changes}
    )


def snapshot(encoder: DualEncoder) -> dict[str, np.ndarray]:
    return {w.path: np.array(tf.cast(w.value, tf.float32)) for w in encoder.weights}


def moved(before: dict[str, np.ndarray], encoder: DualEncoder) -> set[str]:
    after = snapshot(encoder)
    return {path for path, values in before.items() if not np.array_equal(values, after[path])}


def fit(model, data: OutputDir) -> None:
    batches = training_batches(
        data, model.encoder.vocabulary, batch_size=SMALL["batch_size"], seed=0
    )
    # Tracing a graph takes longer than three steps without one.
    model.run_eagerly = True
    model.fit(batches, steps_per_epoch=SMALL["steps"], verbose=0, shuffle=False)


def encode(encoder: DualEncoder) -> np.ndarray:
    texts = encoder.encode_text(["red cat", "oiseau vert", "белый 猫", ""], ["en", "fr", "", ""])
    return np.concatenate([texts, encoder.encode_speech(SPEECH_TOKENS, LANGUAGES)])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_layers_say_of_text_what_they_said_before_the_vocabulary_grew(presets, family):
    preset = presets[family]
    ids = PresetTokenizer(load_tokenizer(preset)).split(tf.constant(["le poisson bleu"])).numpy()
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    expected = keras_hub.models.Backbone.from_preset(preset, num_layers=2)(inputs)
    grown = load_pretrained(preset, new_rows=10 + AUDIO_TOKENS, first_text=10, layers=2)
    states = grown.backbone({**inputs, "token_ids": ids + 10})
    np.testing.assert_allclose(states, expected, atol=1e-6)
    assert grown.backbone.num_layers == 2
    # What is left above would cost memory: nothing is.
    kept = sum(int(w.shape[0]) for w in grown.backbone.token_embedding.weights)
    assert kept == 10 + AUDIO_TOKENS


def test_a_preset_in_a_bucket_starts_as_its_copy_here_does(
    presets, tiny_data, tmp_path, monkeypatch
):
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path))
    folder = presets["gemma3"]
    here, there = (
        build(options(tiny_data, preset), [tiny_data]).encoder
        for preset in (folder, f"bucket:/{folder}")
    )
    np.testing.assert_array_equal(encode(there), encode(here))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_trains_moves_no_text_row_and_comes_back_from_disk(
    presets, family, tiny_data, tmp_path
):
    model = build(options(tiny_data, presets[family], optimizer="muon"), [tiny_data])
    encoder = model.encoder
    before = snapshot(encoder)
    table = encoder.backbone.token_embedding.embeddings.path
    fit(model, tiny_data)

    changed = moved(before, encoder)
    assert encoder.text_table.embeddings.path not in changed
    assert {w.path for w in encoder.standardization.weights} <= changed
    kernels = {path for path in before if path.endswith("kernel")}
    assert kernels <= changed
    first = encoder.vocabulary.first_text
    rows = np.abs(np.array(encoder.backbone.token_embedding.embeddings) - before[table]).max(axis=1)
    heard = {first + ord(letter) % AUDIO_TOKENS for letter in "redcat"}
    assert (rows[sorted(heard)] > 0).all()
    assert rows[SPEECH] > 0

    expected = encode(encoder)
    assert np.isfinite(expected).all()
    encoder.save_to_preset(str(tmp_path))
    loaded = DualEncoder.from_preset(str(tmp_path))
    np.testing.assert_allclose(encode(loaded), expected, atol=1e-6)
    assert loaded.vocabulary == encoder.vocabulary


@pytest.mark.parametrize("family", ["gemma3", "xlm_roberta"])
def test_audio_alone_moves_new_rows_and_what_follows_the_backbone(presets, family, tiny_data):
    model = build(options(tiny_data, presets[family], train="audio"), [tiny_data])
    encoder = model.encoder
    before = snapshot(encoder)
    fit(model, tiny_data)
    own = {w.path for w in encoder.backbone.token_embedding.trainable_weights}
    assert encoder.backbone.token_embedding.embeddings.path in own
    assert moved(before, encoder) == own | {w.path for w in encoder.standardization.weights}


def test_a_text_table_that_is_trained_moves_where_texts_used_it_and_comes_back(
    presets, tiny_data, tmp_path
):
    model = build(options(tiny_data, presets["qwen3"], train="all"), [tiny_data])
    encoder = model.encoder
    before = snapshot(encoder)
    fit(model, tiny_data)
    path = encoder.text_table.embeddings.path
    rows = np.abs(np.array(encoder.text_table.embeddings) - before[path]).max(axis=1) > 0
    assert 0 < rows.sum() < len(rows) / 2
    encoder.save_to_preset(str(tmp_path))
    assert not (tmp_path / "text_table.npy").exists()
    loaded = DualEncoder.from_preset(str(tmp_path))
    assert loaded.text_table.trainable
    np.testing.assert_allclose(encode(loaded), encode(encoder), atol=1e-6)


def test_sixteen_bits_on_disk_change_a_model_by_their_rounding_alone(presets, tiny_data, tmp_path):
    encoder = build(options(tiny_data, presets["gemma3"], storage="bfloat16"), [tiny_data]).encoder
    encoder.save_to_preset(str(tmp_path))
    with_halves = sum(path.stat().st_size for path in tmp_path.glob("*.npy"))
    assert with_halves < 2.1 * encoder.text_table.rows * encoder.text_table.dim + 128
    loaded = DualEncoder.from_preset(str(tmp_path))
    one, other = encode(loaded), encode(encoder)
    # A text without tokens is the zero vector.
    cosines = (one * other).sum(axis=1)[np.linalg.norm(one, axis=1) > 0]
    assert len(cosines) == len(one) - 1
    assert (cosines > 0.999).all()
    assert (cosines < 1 - 1e-7).any()


def test_without_its_weights_a_preset_is_the_same_model_drawn_anew(presets, tiny_data):
    taught, fresh, other = (
        build(options(tiny_data, presets["gemma3"], pretrained=p, seed=s), [tiny_data]).encoder
        for p, s in ((True, 0), (False, 2), (False, 1))
    )
    shapes = [[(w.path, w.shape) for w in e.weights] for e in (taught, fresh, other)]
    assert [s for _, s in shapes[0]] == [s for _, s in shapes[1]] == [s for _, s in shapes[2]]
    kernel = [w.path for w in fresh.weights].index(
        next(w.path for w in fresh.weights if w.path.endswith("query/kernel"))
    )
    values = [np.array(e.weights[kernel]) for e in (taught, fresh, other)]
    assert not np.allclose(values[0], values[1])
    assert not np.allclose(values[1], values[2])
    ids = [
        e.vocabulary.text_ids(tf.constant(["red cat"]), tf.constant(["en"]))
        for e in (taught, fresh)
    ]
    assert np.array_equal(*ids)
