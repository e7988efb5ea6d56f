from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from model.dual_encoder import DualEncoder
from pipelines.corpora.manifest import ManifestCorpus
from pipelines.output_dir import OutputDir, OutputError
from scann_index.bundle import Bundle
from scann_index.mine import MineOptions, main, mine, plan
from scann_index.mine_blocks import hidden_from
from tests import tiny
from tests.scann_index.synthetic import clustered, make_bundle

KILLED_AFTER_TWO = """
import os, signal, sys
from pipelines import storage
from scann_index import mine
write, written = storage.write_bytes, []
def write_and_die(path, data):
    write(path, data)
    written.append(path)
    if sum(path.endswith(".npz") for path in written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
storage.write_bytes = write_and_die
mine.main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> str:
    """70 recordings and 90 texts of made-up vectors; those of s0 to s69 lie near each other."""
    texts = clustered(90, seed=1)
    speech = texts[:70] + 0.1 * np.random.default_rng(5).normal(size=(70, 32))
    speech /= np.linalg.norm(speech, axis=1, keepdims=True)
    folder = str(tmp_path_factory.mktemp("mine") / "index")
    return make_bundle(folder, {"speech/it": speech.astype(np.float32), "text/it": texts})


def of_index(index: str, output: object, **others: object) -> MineOptions:
    sides = {"left": index, "left_modality": "speech", "right": index, "right_modality": "text"}
    return MineOptions(**{**sides, "output": str(output), **others})


def pairs(out: OutputDir) -> list[dict]:
    (path,) = Path(out.path).glob("pairs-*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def reckoned(left: np.ndarray, right: np.ndarray, k: int) -> dict[tuple[int, int], float]:
    """Forward and backward ratio margins, as the formula says, one pair at a time."""
    cosines = left.astype(np.float64) @ right.astype(np.float64).T
    around_left = [np.mean(sorted(row)[-k:]) for row in cosines]
    around_right = [np.mean(sorted(column)[-k:]) for column in cosines.T]
    candidates = {}
    for directed, transposed in ((cosines, False), (cosines.T, True)):
        for row, scores in enumerate(directed):
            margins = {}
            for column in np.argsort(-scores)[:k]:
                pair = (int(column), row) if transposed else (row, int(column))
                around = (around_left[pair[0]] + around_right[pair[1]]) / 2
                margins[pair] = cosines[pair] / around if around > 0 else 0.0
            best = max(margins, key=lambda pair: margins[pair])
            candidates[best] = margins[best]
    taken: dict[tuple[int, int], float] = {}
    for pair in sorted(candidates, key=lambda pair: -candidates[pair]):
        if not any(pair[0] == one or pair[1] == other for one, other in taken):
            taken[pair] = candidates[pair]
    return taken


def test_the_pipeline_finds_what_the_formula_says_whatever_the_blocks(index, tmp_path):
    out = mine(of_index(index, tmp_path / "mined", threshold=-1.0, block_rows=25, neighbours=3))
    speech, text = (Bundle.open(index).shards(modality=m)[0].vectors for m in ("speech", "text"))
    expected = {
        (f"it-speech-{left}", f"it-text-{right}"): margin
        for (left, right), margin in reckoned(speech, text, 3).items()
    }
    found = {(pair["left_id"], pair["right_id"]): pair["margin"] for pair in pairs(out)}
    assert found.keys() == expected.keys()
    for pair, margin in expected.items():
        assert found[pair] == pytest.approx(margin, abs=2e-5)
    margins = [pair["margin"] for pair in pairs(out)]
    assert margins == sorted(margins, reverse=True)
    assert out.stats["left"] == {"rows": 70, "distinct": 70, "rejects": {}}
    left_over = {path.name for path in Path(out.path).rglob("*") if path.is_file()}
    assert not any(name.endswith((".npz", ".npy")) for name in left_over)


def test_a_mining_that_was_killed_goes_on_and_ends_the_same(index, tmp_path):
    flags = ["--left", index, "--left-modality", "speech", "--right", index]
    flags += ["--right-modality", "text", "--block-rows", "40", "--output"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_TWO, *flags, str(tmp_path / "killed")],
        capture_output=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed" / "blocks").iterdir()}
    assert len(list((tmp_path / "killed" / "neighbours").iterdir())) == 2
    with pytest.raises(OutputError, match="not complete"):
        OutputDir.open(str(tmp_path / "killed"), kind="mined")

    resumed = mine(of_index(index, tmp_path / "killed", block_rows=40))
    touched = [
        path for path, time in kept.items() if path.exists() and path.stat().st_mtime_ns != time
    ]
    assert not touched
    whole = mine(of_index(index, tmp_path / "whole", block_rows=40))
    assert resumed.info["files"] == whole.info["files"]
    assert main([*flags, str(tmp_path / "whole")]) == 0


def test_true_pairs_hidden_among_distractors_are_found_and_counted(tmp_path):
    texts = np.random.default_rng(1).normal(size=(300, 32))
    speech = texts + 0.3 * np.random.default_rng(2).normal(size=texts.shape)
    unit = [
        (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in (speech, texts)
    ]
    folder = make_bundle(
        str(tmp_path / "index"), dict(zip(("speech/it", "text/it"), unit, strict=True))
    )
    out = mine(of_index(folder, tmp_path / "mined", gold="sentence-ids", distractors=3))
    shared = {f"s{i}" for i in range(300) if not hidden_from(f"s{i}", 3)}
    report = json.loads(Path(out.path, "quality.json").read_text())
    assert report["dev"]["matchable"] + report["test"]["matchable"] == len(shared)
    assert report["test"]["f1"] > 0.9
    found = pairs(out)
    for pair in found:
        assert pair["right"] == (pair["left_sentence_id"] == pair["right_sentence_id"])
    assert {pair["left_sentence_id"] for pair in found if pair["right"]} <= shared
    assert sum(pair["right"] for pair in found) == report["dev"]["right"] + report["test"]["right"]
    assert all(pair["margin"] >= report["threshold"] - 1e-5 for pair in found)
    assert Path(out.path, "quality.svg").read_text().startswith("<svg")


def test_hiding_leaves_each_side_so_many_times_as_many_distractors():
    roles = [hidden_from(f"sentence {i}", 10) for i in range(21_000)]
    assert roles.count("") == pytest.approx(1000, rel=0.1)
    assert roles.count("left") == pytest.approx(10_000, rel=0.03)
    assert roles.count("right") == pytest.approx(10_000, rel=0.03)


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """Texts of the tiny corpus's test split among others, one of them twice, one unreadable."""
    path = tmp_path_factory.mktemp("texts") / "news.fr.txt"
    lines = [
        f"{colour} {animal}"
        for colour in ("blanc", "jaune")
        for animal in ("chat", "chien", "lune")
    ]
    path.write_bytes("\n".join([*lines, "Blanc  CHAT", ""]).encode() + b"\xff\n")
    return path


@pytest.fixture
def speech_and_texts(tiny_data, tiny_preset, texts, tmp_path) -> MineOptions:
    return MineOptions(
        left=tiny_data.path,
        left_modality="speech",
        left_languages=("fr",),
        right=str(texts),
        right_languages=("fr",),
        model=tiny_preset,
        output=str(tmp_path / "mined"),
        threshold=0.0,
        max_rejects=0.2,
    )


def test_speech_finds_texts_by_margins_reckoned_from_the_model(speech_and_texts, tiny_preset):
    out = mine(speech_and_texts)
    words = [words["fr"] for words in tiny.WORDS.values()]
    said = [f"blanc {word}" for word in words]
    written = [f"{c} {animal}" for c in ("blanc", "jaune") for animal in ("chat", "chien", "lune")]
    model = DualEncoder.from_preset(tiny_preset)
    speech = model.encode_speech([tiny.spoken(text) for text in said], ["fr"] * 6)
    text = model.encode_text(written, ["fr"] * 6)
    expected = {
        (said[left], written[right]): margin
        for (left, right), margin in reckoned(speech, text, 4).items()
    }
    found = {(pair["left_text"], pair["right_text"].lower()): pair for pair in pairs(out)}
    assert {pair: f["margin"] for pair, f in found.items()} == pytest.approx(expected, abs=1e-4)
    assert out.stats["right"] == {"rows": 7, "distinct": 6, "rejects": {"invalid-utf8": 1}}
    (reject,) = Path(out.path, "rejects-right.jsonl").read_text().splitlines()
    assert json.loads(reject)["id"] == "news.fr.txt:8"


def test_mined_speech_and_text_is_a_manifest_to_prepare(speech_and_texts):
    out = mine(speech_and_texts)
    (path,) = Path(out.path).glob("pairs-*.jsonl")
    rows = list(ManifestCorpus(str(path)).rows())
    assert [(row.audio, row.language, row.transcript) for row in rows] == [
        (pair["left_audio"], "fr", pair["right_text"]) for pair in pairs(out)
    ]


def test_too_many_broken_lines_fail_the_mining_and_say_where_they_are(speech_and_texts, capsys):
    strict = dataclasses.replace(speech_and_texts, max_rejects=0.05)
    flags = [
        word
        for name, value in dataclasses.asdict(strict).items()
        if value not in ((), None, "", False)
        for word in (
            f"--{name.replace('_', '-')}",
            ",".join(value) if isinstance(value, tuple) else str(value),
        )
        if name != "distractors"
    ]
    assert main(flags) == 1
    error = capsys.readouterr().err
    assert "1 of 8 rows" in error
    assert "1 invalid-utf8" in error
    assert "rejects-right.jsonl" in error
    assert not OutputDir(strict.output, kind="mined").is_complete


def test_a_file_of_true_pairs_is_compared_with_what_was_mined(index, tmp_path):
    gold = tmp_path / "gold.tsv"
    gold.write_text("".join(f"it-speech-{i}\tit-text-{i}\n" for i in range(0, 70, 2)))
    out = mine(of_index(index, tmp_path / "mined", gold=str(gold), threshold=1.1))
    report = json.loads(Path(out.path, "quality.json").read_text())
    assert report["dev"]["matchable"] + report["test"]["matchable"] == 35
    assert report["chosen"] == "given"
    assert all(
        p["right"] == (int(p["left_id"].split("-")[-1]) % 2 == 0)
        for p in pairs(out)
        if p["left_sentence_id"] == p["right_sentence_id"]
    )


def test_pairs_come_as_parquet_too(index, tmp_path):
    out = mine(of_index(index, tmp_path / "mined", format="parquet", threshold=1.1))
    table = pq.read_table(Path(out.path, "pairs-00000-of-00001.parquet")).to_pylist()
    assert len(table) == out.stats["pairs"] > 50
    assert table[0]["margin"] >= table[-1]["margin"] >= 1.1
    assert {row["left_modality"] for row in table} == {"speech"}


def test_big_blocks_searched_by_trees_give_nearly_the_same_pairs(tmp_path):
    texts = clustered(600, seed=3)
    speech = texts + 0.15 * np.random.default_rng(4).normal(size=texts.shape)
    speech = (speech / np.linalg.norm(speech, axis=1, keepdims=True)).astype(np.float32)
    folder = make_bundle(str(tmp_path / "index"), {"speech/it": speech, "text/it": texts})
    found = []
    for name, below in (("exact", 20_000), ("tree", 300)):
        out = mine(of_index(folder, tmp_path / name, exact_below=below))
        found.append({(pair["left_id"], pair["right_id"]) for pair in pairs(out)})
    exact, tree = found
    assert len(exact) > 400
    assert len(exact & tree) >= 0.98 * len(exact | tree)


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--model", "nowhere"], "holds no preset"),
        ([], "say with which --model to embed"),
    ],
)
def test_texts_need_a_model(texts, tmp_path, capsys, flags, error):
    sides = ["--left", str(texts), "--left-languages", "fr"]
    sides += ["--right", str(texts), "--right-languages", "fr", "--output", str(tmp_path / "o")]
    assert main([*sides, *flags]) == 1
    assert error in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_indexes_of_two_models_are_not_mined_together(index, tmp_path):
    other = make_bundle(
        str(tmp_path / "other"), {"text/it": clustered(9)}, model={"digest": "1" * 64, "path": ""}
    )
    with pytest.raises(OutputError, match="built with different models"):
        mine(dataclasses.replace(of_index(index, tmp_path / "mined"), right=other))


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--distractors", "10"], "give --gold sentence-ids"),
        (["--neighbours", "0"], "--neighbours must be at least 1"),
        (["--retrieval", "both"], "invalid choice: 'both'"),
        (["--treshold", "1"], "did you mean --threshold?"),
    ],
)
def test_a_wrong_flag_is_explained(capsys, flags, error):
    with pytest.raises(SystemExit):
        main(["--left", "a", "--right", "b", "--output", "c", *flags])
    assert error in capsys.readouterr().err


def test_a_dry_run_counts_and_writes_nothing(index, tmp_path):
    text = plan(of_index(index, tmp_path / "mined", limit=30))
    assert f"left  {index}: 30 rows, 30 distinct, 0 rejected" in text
    assert f"would write {tmp_path / 'mined'}" in text
    assert not (tmp_path / "mined").exists()
