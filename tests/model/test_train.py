import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from model.dual_encoder import DualEncoder
from model.train import TrainOptions, build, main, plan, train
from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import read_pairs, write_shard

SMALL = {
    "steps": 60,
    "batch_size": 16,
    "evaluate_every": 20,
    "warmup_steps": 5,
    "learning_rate": 5e-3,
    "layers": 1,
    "hidden_dim": 32,
    "token_dropout": 0.0,
    "max_speech_tokens": 36,
    "max_text_tokens": 24,
}


def options(data: OutputDir, output: Path, **changes) -> TrainOptions:
    return TrainOptions(data=(data.path,), output=str(output), **{**SMALL, **changes})


def command(data: OutputDir, output: Path) -> list[str]:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    return [
        sys.executable,
        "-m",
        "model.train",
        f"--data={data.path}",
        f"--output={output}",
        *flags,
    ]


def embeddings(run: Path) -> np.ndarray:
    encoder = DualEncoder.from_preset(str(run / "preset"))
    return encoder.encode_text(["red cat", "poisson bleu", "gatto nero"], ["en", "fr", "it"])


def log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tiny_data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("train") / "run"
    train(options(tiny_data, output))
    return output


def test_training_finds_sentences_it_never_heard(run):
    entries = log(run)
    assert [entry["step"] for entry in entries] == [20, 40, 60]
    assert entries[-1]["loss"] < 0.5 * entries[0]["loss"]
    recalls = entries[-1]["dev_recall_at_1"]
    assert set(recalls) == {"en", "fr", "it"}
    assert recalls["en"] >= 0.5  # six candidates: chance is 0.17


def test_a_complete_run_holds_weights_curve_cost_and_what_made_it(run, tiny_data):
    out = OutputDir.open(str(run), kind="run")
    out.verify()
    assert out.info["data"]["digest"] == tiny_data.digest
    assert out.info["options"]["steps"] == 60
    assert out.stats["parameters"] > 10_000
    assert out.stats["peak_memory_bytes"] > 10**8
    assert 60 * 16 * 4 < out.stats["tokens"] < 60 * 16 * 60
    assert out.stats["flops"] > 2 * 3 * out.stats["tokens"] * 3 * 32 * 80
    assert out.stats["matmul_share"] > 0
    assert list((run / "tensorboard").glob("events*"))


def test_audio_rows_text_rows_and_standardization_all_move(run, tiny_data):
    fresh = build(options(tiny_data, run), [tiny_data]).encoder
    trained = DualEncoder.from_preset(str(run / "preset"))
    vocabulary = fresh.vocabulary

    def table(encoder) -> np.ndarray:
        return np.asarray(encoder.backbone.token_embedding.embeddings)

    moved = np.abs(table(trained) - table(fresh)).max(axis=1)
    heard = {int(t) for t in range(vocabulary.audio_tokens) if moved[vocabulary.text_size + t] > 0}
    assert {ord(letter) % 32 for letter in "redcat"} <= heard
    assert (moved[[vocabulary.first_byte + ord(letter) for letter in "redcat"]] > 0).all()
    assert not np.allclose(np.asarray(trained.standardization.mean), 0.0)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(run, tiny_data, tmp_path):
    train(options(tiny_data, tmp_path / "again"))
    train(options(tiny_data, tmp_path / "other", seed=1))
    assert (embeddings(run) == embeddings(tmp_path / "again")).all()
    assert not np.allclose(embeddings(run), embeddings(tmp_path / "other"))


def test_a_killed_run_resumes_to_the_same_model(run, tiny_data, tmp_path):
    output = tmp_path / "killed"
    process = subprocess.Popen(command(tiny_data, output), start_new_session=True)
    deadline = time.time() + 120
    while not (output / "checkpoint" / "latest.json").exists() and time.time() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "COMPLETED").exists()

    train(options(tiny_data, output))
    stats = OutputDir.open(str(output), kind="run").stats
    assert stats["resumed_at_step"] in (20, 40)
    assert (embeddings(run) == embeddings(output)).all()
    assert [entry["step"] for entry in log(output)] == [20, 40, 60]


def test_a_complete_run_is_reused_and_another_recipe_refused(run, tiny_data, capsys):
    train(options(tiny_data, run))
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(OutputError, match=r"steps: 60, now 80"):
        train(options(tiny_data, run, steps=80))


def test_text_pairs_can_be_mixed_in(tiny_data, tmp_path):
    train(options(tiny_data, tmp_path / "run", steps=20, bitext=0.25))
    assert OutputDir.open(str(tmp_path / "run"), kind="run").is_complete


def test_mistakes_end_with_one_line_and_status_one(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "none"), "--output", str(tmp_path / "run")]) == 1
    assert "no output directory of Babelear" in capsys.readouterr().err


def test_a_dry_run_prints_sizes_and_writes_nothing(tiny_data, tmp_path, capsys):
    output = tmp_path / "run"
    assert main(["--data", tiny_data.path, "--output", str(output), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "languages: en fr" in printed
    assert "32 audio" in printed
    assert not output.exists()


def test_several_directories_of_one_codebook_are_trained_on_together(
    run, tiny_data, tmp_path, capsys
):
    more = OutputDir(str(tmp_path / "translated"), kind="pairs")
    more.begin({"of": "tiny"})
    for name in ("codebook.npz", "card.json"):
        data = storage.read_bytes(tiny_data.file("codebook", name))
        storage.write_bytes(more.file("codebook", name), data)
    spoken = [p for p in read_pairs(tiny_data, "train") if p.task == "transcription"]
    italian = [
        dataclasses.replace(
            pair, id=f"{pair.id}>it", task="translation", target_text="gatto", target_language="it"
        )
        for pair in spoken
    ]
    write_shard(more.file("train-00000-of-00001.tfrecord"), italian)
    groups = {f"translation/train/{lang}": {"pairs": len(spoken) // 2} for lang in ("en", "fr")}
    more.complete(
        files=["codebook/codebook.npz", "codebook/card.json", "train-00000-of-00001.tfrecord"],
        stats={"groups": groups},
    )
    both = dataclasses.replace(
        options(tiny_data, tmp_path / "both"), data=(tiny_data.path, more.path), bitext=0.25
    )
    assert f"{len(spoken) + len(italian) + 18:,} training pairs" in plan(both)

    out = train(dataclasses.replace(both, steps=20))
    assert out.info["data"]["digest"] == tiny_data.digest
    assert [one["path"] for one in out.info["also"]] == [more.path]
    assert not np.allclose(embeddings(run), embeddings(tmp_path / "both"))
    # The same directory alone is another run.
    alone = ["--data", tiny_data.path, "--output", out.path, "--steps=20", "--evaluate-every=20"]
    assert main(alone) == 1
    assert "was made with other options" in capsys.readouterr().err
