import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soxr

from model import export
from model.dual_encoder import DualEncoder, preset_digest
from pipelines.audio import load_audio
from pipelines.codebook import Codebook
from pipelines.output_dir import OutputDir
from tests.pipelines.sounds import encoded, voice, with_flac_samples

TEXTS = ("red cat", "Été", "белый кот", "猫", "", "a much longer sentence than the model reads")
TEXT_LANGUAGES = ("en", "fr", "ru", "", "en", "it")
FORMS = ("WAV", "FLAC", "OGG", "MP3")

# What another program does: no package of this project can be imported.
PROGRAM = """
import sys
for name in ("model", "pipelines", "scann_index", "keras_hub"):
    sys.modules[name] = None
import json, pathlib, numpy
import tensorflow as tf, tensorflow_io as tfio, tensorflow_text
tfio.audio.encode_wav(tf.zeros([1, 1], tf.int16), 16000)
saved_model, folder = sys.argv[1], pathlib.Path(sys.argv[2])
model = tf.saved_model.load(saved_model)
tasks = json.loads((folder / "tasks.json").read_text())
answers, errors = {}, {}
for name, (signature, items, languages) in tasks.items():
    if signature == "encode_audio":
        items = [(folder / item).read_bytes() for item in items]
    try:
        strings = tf.constant(items, tf.string), tf.constant(languages, tf.string)
        answers[name] = getattr(model, signature)(*strings)["embeddings"].numpy()
    except tf.errors.InvalidArgumentError as error:
        errors[name] = error.message
text = model.signatures["encode_text"](texts=tf.constant(["cat"]), languages=tf.constant(["en"]))
answers["by signature"] = text["embeddings"].numpy()
numpy.savez(folder / "answers.npz", **answers)
(folder / "errors.json").write_text(json.dumps(errors))
"""


def sounds() -> dict[str, bytes]:
    """A spoken sentence in every format, at 16 kHz and at 44.1 kHz in stereo; broken files."""
    spoken = load_audio("espeak:en?rate=160&pitch=50&text=" + quote("a black horse and a moon"))
    higher = soxr.resample(spoken, 16_000, 44_100)
    files = {f"{form}-16": encoded(spoken, 16_000, form) for form in FORMS}
    files |= {f"{form}-44": encoded(np.stack([higher, higher], 1), 44_100, form) for form in FORMS}
    files["short"] = encoded(spoken[:8_000])
    files["long"] = encoded(np.tile(spoken, 20))
    files["empty"] = b""
    files["garbage"] = b"this is no sound. " * 100
    # On these tensorflow-io's decoders divide by zero and wait for ever.
    files["no block size"] = files["WAV-16"][:32] + b"\0\0" + files["WAV-16"][34:]
    files["more promised"] = with_flac_samples(encoded(voice(1.0), form="FLAC"), 16_001)
    return files


@pytest.fixture(scope="module")
def exported(tiny_preset: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("export") / "out")
    assert export.main(["--model", tiny_preset, "--output", folder]) == 0
    return folder


@pytest.fixture(scope="module")
def asked(exported: str, tmp_path_factory: pytest.TempPathFactory):
    """Embeddings and error messages by task, and the folder of the sound files."""
    folder = tmp_path_factory.mktemp("asked")
    files = sounds()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    tasks: dict[str, tuple[str, list[str], list[str]]] = {
        "texts": ("encode_text", list(TEXTS), list(TEXT_LANGUAGES)),
        "one text": ("encode_text", [TEXTS[0]], [TEXT_LANGUAGES[0]]),
        "no text": ("encode_text", [], []),
        "no audio": ("encode_audio", [], []),
        "lengths": ("encode_audio", ["long", "short", "WAV-16"], ["en", "", "fr"]),
        "one broken": ("encode_audio", ["short", "empty"], ["en", "en"]),
        "languages missing": ("encode_text", ["red cat", "blue dog"], ["en"]),
    }
    tasks |= {name: ("encode_audio", [name], ["en"]) for name in files}
    (folder / "tasks.json").write_text(json.dumps(tasks))
    saved_model = shutil.copytree(Path(exported, "saved_model"), folder / "elsewhere")
    result = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(saved_model), str(folder)],
        cwd=folder,
        timeout=240,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    with np.load(folder / "answers.npz") as answers:
        embeddings = dict(answers)
    return embeddings, json.loads((folder / "errors.json").read_text()), folder


def test_texts_get_the_embeddings_that_the_preset_gives(asked, tiny_preset):
    answers, _, _ = asked
    encoder = DualEncoder.from_preset(tiny_preset)
    expected = encoder.encode_text(TEXTS, TEXT_LANGUAGES)
    np.testing.assert_allclose(answers["texts"], expected, atol=1e-5)
    np.testing.assert_allclose(answers["one text"], expected[:1], atol=1e-5)
    np.testing.assert_allclose(
        answers["by signature"], encoder.encode_text(["cat"], ["en"]), atol=1e-5
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_sound_file_gets_the_embedding_that_the_preset_gives(asked, tiny_preset, form):
    answers, _, folder = asked
    encoder = DualEncoder.from_preset(tiny_preset)
    for name, likeness in ((f"{form}-16", 0.99999), (f"{form}-44", 0.9)):
        expected = encoder.encode_speech([load_audio(str(folder / name))], ["en"])
        assert answers[name].dtype == np.float32
        own = (answers[name] @ expected.T).item()
        assert own >= likeness
    # Another sound lies further away, or the figures above would mean little.
    assert (answers[f"{form}-44"] @ answers["short"].T).item() < own


def test_a_sound_file_is_encoded_alike_alone_and_among_others(asked, tiny_preset):
    answers, _, folder = asked
    waveforms = [load_audio(str(folder / name)) for name in ("long", "short", "WAV-16")]
    expected = DualEncoder.from_preset(tiny_preset).encode_speech(waveforms, ["en", "", "fr"])
    np.testing.assert_allclose(answers["lengths"], expected, atol=1e-5)
    np.testing.assert_allclose(answers["lengths"][0], answers["long"][0], atol=1e-5)


def test_nothing_in_gives_nothing_out(asked):
    answers, _, _ = asked
    assert answers["no text"].shape == answers["no audio"].shape == (0, 32)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("empty", "audio 0 is empty (0 bytes)"),
        ("garbage", "audio 0 is no WAV, FLAC, OGG Vorbis or MP3 file"),
        ("one broken", "audio 1 is empty (0 bytes)"),
        ("more promised", "unable to read"),
        ("languages missing", "as many languages are needed as items"),
    ],
)
def test_what_can_not_be_encoded_is_an_error_and_no_crash(asked, task, reason):
    _, errors, _ = asked
    assert reason in errors[task]


def test_a_wav_without_a_block_size_is_read(asked):
    answers, errors, _ = asked
    assert "no block size" not in errors
    np.testing.assert_allclose(answers["no block size"], answers["WAV-16"], atol=1e-6)


def test_the_graph_assigns_the_tokens_that_the_codebook_assigns():
    random = np.random.default_rng(0)
    centroids = random.normal(size=(64, 39)).astype(np.float32)
    codebook = Codebook(centroids, random.uniform(0.2, 2, 39).astype(np.float32), {})
    for shift in (0.0, 5.0):
        frames = shift + random.normal(size=(200, 39)).astype(np.float32)
        tokens = export.assign(codebook, frames).numpy()
        assert len(set(tokens.tolist())) > 20
        assert tokens.tolist() == codebook.assign(frames).tolist()


def test_the_output_is_complete_and_names_what_it_needs(exported, tiny_preset):
    out = OutputDir.open(exported, kind="export")
    out.verify()
    assert out.info["signatures"] == ["encode_text", "encode_audio"]
    assert out.info["dim"] == 32
    assert set(out.info["versions"]) == {"tensorflow", "tensorflow-text", "tensorflow-io"}
    assert preset_digest(out.file("preset")) == preset_digest(tiny_preset)
    text = DualEncoder.from_preset(out.file("preset")).encode_text(["red cat"], ["en"])
    expected = DualEncoder.from_preset(tiny_preset).encode_text(["red cat"], ["en"])
    np.testing.assert_allclose(text, expected, atol=1e-6)


def test_an_export_is_made_once(exported, tiny_preset, capsys):
    digest = OutputDir.open(exported, kind="export").digest
    assert export.main(["--model", tiny_preset, "--output", exported]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert OutputDir.open(exported, kind="export").digest == digest


def test_another_model_does_not_replace_an_export_by_itself(
    exported, tiny_preset, tmp_path, capsys
):
    encoder = DualEncoder.from_preset(tiny_preset)
    encoder.codebook = None
    encoder.save_to_preset(str(tmp_path / "run" / "preset"))
    arguments = ["--model", str(tmp_path / "run"), "--output", exported]
    assert export.main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_a_model_without_a_codebook_encodes_texts_only(tiny_preset, tmp_path):
    import tensorflow as tf

    encoder = DualEncoder.from_preset(tiny_preset)
    encoder.codebook = None
    assert export.write_saved_model(encoder, str(tmp_path)) == ["encode_text"]
    loaded = tf.saved_model.load(str(tmp_path))
    answer = loaded.encode_text(tf.constant(["red cat"]), tf.constant(["en"]))["embeddings"]
    expected = encoder.encode_text(["red cat"], ["en"])
    np.testing.assert_allclose(answer.numpy(), expected, atol=1e-5)


def test_a_dry_run_names_the_signatures_and_writes_nothing(tiny_preset, tmp_path, capsys):
    output = tmp_path / "out"
    assert export.main(["--model", tiny_preset, "--output", str(output), "--dry-run"]) == 0
    assert "encode_text, encode_audio by mfcc" in capsys.readouterr().out
    assert not output.exists()


def test_a_folder_without_a_model_is_refused(tmp_path, capsys):
    arguments = ["--model", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    assert export.main(arguments) == 1
    assert "holds no preset" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_model_can_not_be_overwritten_by_its_export(tiny_preset, tmp_path, capsys):
    for output in (tiny_preset, str(Path(tiny_preset).parent)):
        with pytest.raises(SystemExit):
            export.main(["--model", tiny_preset, "--output", output, "--overwrite"])
        assert "--output must not be" in capsys.readouterr().err
