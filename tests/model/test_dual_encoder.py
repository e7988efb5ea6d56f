import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.backbone import create_backbone
from model.dual_encoder import MANIFEST, WEIGHTS, DualEncoder, preset_digest
from model.vocabulary import Vocabulary
from pipelines import storage
from pipelines.audio import load_audio
from pipelines.speech_encoder import load_speech_encoder
from tests.tiny import spoken, tiny_codebook

TEXTS = ["red cat", "белый кот", ""]
TOKENS = [spoken("red cat"), spoken("chat rouge"), np.array([5], np.int16)]


@pytest.fixture(scope="module")
def encoder(tiny_preset: str) -> DualEncoder:
    return DualEncoder.from_preset(tiny_preset)


@pytest.fixture
def copy(tiny_preset: str, tmp_path: Path) -> Path:
    """A preset to damage."""
    return Path(shutil.copytree(tiny_preset, tmp_path / "preset"))


def small_encoder(**options) -> DualEncoder:
    vocabulary = Vocabulary(audio_tokens=32, trained_languages=("en",), max_text_tokens=24)
    sizes = {"num_layers": 1, "hidden_dim": 16, "intermediate_dim": 24, "head_dim": 4}
    backbone = create_backbone(vocabulary.size, seed=3, **sizes)
    return DualEncoder(backbone, vocabulary, **options)


def rewrite_config(folder: Path, change) -> None:
    """Alters `config.json` and makes the manifest fit it."""
    config = json.loads((folder / "config.json").read_text())
    change(config)
    storage.write_json(str(folder / "config.json"), config)
    hashes = json.loads((folder / MANIFEST).read_text())
    hashes["config.json"] = storage.sha256((folder / "config.json").read_bytes())
    storage.write_json(str(folder / MANIFEST), hashes)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dim": 6, "codebook": tiny_codebook()},
        {"pooling": "last", "standardize": False},
    ],
    ids=["plain", "projection", "last"],
)
def test_a_preset_gives_back_the_same_model(tmp_path, options):
    saved = small_encoder(**options)
    if saved.standardization is not None:
        pooled = np.random.default_rng(0).normal(2, 3, (20, 16)).astype(np.float32)
        saved.standardization.adapt(pooled, np.arange(20) % 2)
    saved.save_to_preset(str(tmp_path))
    loaded = DualEncoder.from_preset(str(tmp_path))
    for encode, items in (("encode_text", TEXTS), ("encode_speech", TOKENS)):
        expected = getattr(saved, encode)(items, ["en", "fr", ""])
        assert expected.shape == (3, options.get("dim", 16))
        got = getattr(loaded, encode)(items, ["en", "fr", ""])
        np.testing.assert_allclose(got, expected, atol=1e-6)
    for ours, theirs in zip(loaded.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.vocabulary == saved.vocabulary
    assert (loaded.codebook is None) == (saved.codebook is None)
    assert loaded.codebook is None or loaded.codebook.sha256 == saved.codebook.sha256


def test_a_preset_saved_again_is_the_same_model(tiny_preset, encoder, tmp_path):
    encoder.save_to_preset(str(tmp_path))
    again = DualEncoder.from_preset(str(tmp_path))
    np.testing.assert_allclose(again.encode_text(TEXTS), encoder.encode_text(TEXTS), atol=1e-6)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "codebook/codebook.npz"])
def test_a_damaged_file_is_refused_by_name(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name} is missing or damaged"):
        DualEncoder.from_preset(str(copy))


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "codebook/card.json"])
def test_a_missing_file_is_refused_by_name(copy, name):
    (copy / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing or damaged"):
        DualEncoder.from_preset(str(copy))


def test_a_folder_without_a_preset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no preset"):
        DualEncoder.from_preset(str(tmp_path))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "extra.py"])
def test_a_manifest_that_names_a_foreign_file_is_refused_unread(copy, name):
    hashes = json.loads((copy / MANIFEST).read_text())
    storage.write_json(str(copy / MANIFEST), {name: "0" * 64, **hashes})
    with pytest.raises(ValueError, match=f"names '{name}', which is no part of a preset"):
        DualEncoder.from_preset(str(copy))


@pytest.mark.parametrize("name", ["EvilBackbone", "TextClassifier", "__builtins__"])
def test_a_class_that_is_no_backbone_of_keras_hub_is_refused(copy, name):
    rewrite_config(copy, lambda config: config["backbone"].update({"class": name}))
    with pytest.raises(ValueError, match=f"'{name}' is no backbone of keras_hub.models"):
        DualEncoder.from_preset(str(copy))


def test_another_weight_makes_another_digest(tiny_preset, tmp_path):
    changed = DualEncoder.from_preset(tiny_preset)
    changed.weights[0].assign(changed.weights[0] + 1e-3)
    changed.save_to_preset(str(tmp_path))
    assert preset_digest(str(tmp_path)) != preset_digest(tiny_preset)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="'median' is none of mean, last"):
        small_encoder(pooling="median")


def test_a_waveform_is_encoded_as_the_tokens_the_codebook_gives(encoder):
    waveforms = [
        load_audio("espeak:en?rate=160&pitch=50&text=a%20black%20horse"),
        load_audio("espeak:fr?rate=160&pitch=50&text=la%20lune"),
    ]
    frames = load_speech_encoder("mfcc").encode(waveforms)
    tokens = [tiny_codebook().assign(f) for f in frames]
    expected = encoder.encode_speech(tokens, ["en", "fr"])
    np.testing.assert_allclose(encoder.encode_speech(waveforms, ["en", "fr"]), expected, atol=1e-6)
    mixed = encoder.encode_speech([tokens[0], waveforms[1]], ["en", "fr"])
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    assert encoder.similarity(expected[:1], expected[1:]).item() < 0.99


def test_a_waveform_without_a_codebook_is_refused():
    with pytest.raises(ValueError, match="no codebook"):
        small_encoder().encode_speech([np.zeros(16_000, np.float32)])


def test_embeddings_have_length_1_and_their_products_are_the_similarity(encoder):
    speech, text = encoder.encode_speech(TOKENS), encoder.encode_text(TEXTS[:2])
    for vectors in (speech, text):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    similarity = encoder.similarity(speech, text)
    assert similarity.shape == (3, 2)
    assert similarity[2, 1] == pytest.approx(float(speech[2] @ text[1]), abs=1e-6)
    np.testing.assert_allclose(np.diag(encoder.similarity(text, text)), 1, atol=1e-6)


def test_a_text_without_a_letter_is_encoded_without_nan(encoder):
    assert np.isfinite(encoder.encode_text(["", " ", "\u200b"])).all()


def test_a_language_changes_an_embedding_and_an_untrained_one_counts_as_unknown(encoder):
    english, french, unknown, untrained = encoder.encode_text(["cat"] * 4, ["en", "fr", "", "it"])
    assert english @ french < 0.9999
    assert english @ unknown < 0.9999
    np.testing.assert_allclose(untrained, unknown, atol=1e-6)


def test_languages_must_be_as_many_as_the_items(encoder):
    with pytest.raises(ValueError, match="2 items but 1 languages"):
        encoder.encode_text(["cat", "dog"], ["en"])
    with pytest.raises(ValueError, match="3 items but 4 languages"):
        encoder.encode_speech(TOKENS, ["en"] * 4)


def test_nothing_in_gives_nothing_out(encoder):
    assert encoder.encode_text([]).shape == encoder.encode_speech([]).shape == (0, 32)


@pytest.mark.parametrize("options", [{}, {"pooling": "last"}], ids=["mean", "last"])
def test_padding_does_not_change_an_embedding(options):
    encoder = small_encoder(**options)
    alone = encoder.encode_text(["cat"], ["en"])
    among = encoder.encode_text(["cat", "a sentence that is much longer"], ["en", "fr"])
    np.testing.assert_allclose(among[:1], alone, atol=1e-5)
    alone = encoder.encode_speech(TOKENS[2:], ["en"])
    among = encoder.encode_speech(TOKENS[::-1], ["en", "", ""])
    np.testing.assert_allclose(among[:1], alone, atol=1e-5)


def test_more_than_a_batch_keeps_its_order(encoder, monkeypatch):
    texts = [f"{n} cats" for n in range(9)]
    expected = encoder.encode_text(texts)
    monkeypatch.setattr("model.dual_encoder.BATCH", 4)
    np.testing.assert_allclose(encoder.encode_text(texts), expected, atol=1e-5)
