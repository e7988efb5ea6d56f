"""Transcribe, then match text: a real Whisper on eSpeak's speech, scored as the encoder is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines import prepare
from pipelines.synthesis import Speech, espeak_uri
from scann_index import compare
from scann_index.cascade import main
from scann_index.ngrams import ngram_vectors, text_key
from scann_index.query_ranks import read_queries

TEXTS = {
    "apple": {"en": "The red apple is on the table.", "es": "La manzana roja está en la mesa."},
    "train": {"en": "A train goes through the mountains.", "es": "Un tren cruza las montañas."},
    "music": {"en": "My sister plays the piano.", "es": "Mi hermana toca el piano."},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three sentences to be found in two languages."""
    folder = tmp_path_factory.mktemp("cascade")
    lines = ["audio,language,transcript,sentence_id,split"]
    for sentence, texts in TEXTS.items():
        for language, text in texts.items():
            for split in ("train", "test"):
                uri = espeak_uri(Speech(f"{text} {'' if split == 'test' else '!'}", language, 150))
                lines.append(f"{uri},{language},{text},{sentence}-{split},{split}")
    (folder / "said.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = prepare.PrepareOptions(
        corpus=f"{folder}/said.csv",
        output=f"{folder}/data",
        speech_encoder="mfcc",
        codebook_size=8,
        shards=1,
    )
    return prepare.prepare(options).path


@pytest.fixture(scope="module")
def cascade(data: str) -> Path:
    output = Path(data).parent / "cascade"
    assert main(["--data", data, "--output", str(output), "--beams", "1", "--translate"]) == 0
    return output


def test_what_whisper_heard_finds_the_text_in_each_language(cascade):
    report = json.loads((cascade / "report.json").read_text())

    assert set(report["languages"]) == {"en", "es"}
    for scored in report["languages"].values():
        assert scored["speech_to_text"]["queries"] == scored["speech_to_text"]["pool"] == 3
        assert scored["speech_to_text"]["recall_at_1"] == 1
        assert scored["text_to_speech"]["recall_at_1"] == 1
    assert report["languages"]["es"]["speech_to_english"]["pool"] == 3
    assert report["languages"]["en"]["speech_to_english"] is None
    assert report["cascade"]["cpu_seconds_per_query"] > 0
    assert (cascade / "report.html").stat().st_size > 10_000


def test_transcripts_are_kept_and_a_finished_cascade_is_not_made_again(cascade, data, capsys):
    kept = json.loads((cascade / "transcripts/transcribe-es.json").read_text())
    assert any("tren" in heard["text"].lower() for heard in kept.values())

    assert main(["--data", data, "--output", str(cascade), "--beams", "1", "--translate"]) == 0

    assert "is complete; nothing to do" in capsys.readouterr().out


def test_a_part_of_the_queries_searches_the_whole_pool(data, tmp_path):
    flags = ["--data", data, "--output", f"{tmp_path}/one", "--limit", "1", "--languages", "es"]
    assert main([*flags, "--dry-run"]) == 0

    assert main(flags) == 0

    report = json.loads((tmp_path / "one/report.json").read_text())
    assert report["languages"].keys() == {"es"}
    scored = report["languages"]["es"]
    assert (scored["speech_to_text"]["queries"], scored["speech_to_text"]["pool"]) == (1, 3)
    assert scored["text_to_speech"] is None


def test_it_is_compared_query_by_query_like_any_evaluation(cascade, tmp_path):
    other = shutil.copytree(cascade, tmp_path / "other")

    assert compare.main([str(cascade), str(other), "--output", f"{tmp_path}/compare.html"]) == 0

    compared = json.loads((tmp_path / "compare.json").read_text())
    assert compared["paired"]
    assert compared["languages"]["es"]["differences"][1]["difference"] == 0
    queries = read_queries(str(cascade), "es")
    assert len(queries["id"]) == 3
    assert (queries["rank"] == 1).all()


def test_a_language_without_recordings_is_named(data, tmp_path, capsys):
    assert main(["--data", data, "--output", f"{tmp_path}/x", "--languages", "fr"]) == 1

    assert "no test speech in fr; there is en, es" in capsys.readouterr().err


def test_like_texts_are_near_and_a_text_that_shares_nothing_is_near_to_none():
    pool, queries = ngram_vectors(
        [text_key(t) for t in ("A red apple!", "A green pear.")],
        [text_key(t) for t in ("a  RED aple", "???", "жук")],
    )

    scores = queries @ pool.T
    assert scores[0, 0] > 0.5 > scores[0, 1]
    assert not scores[1:].any()
    np.testing.assert_allclose(np.linalg.norm(pool, axis=1), 1, rtol=1e-6)


def test_a_pool_without_words_finds_nothing():
    pool, queries = ngram_vectors(["", ""], ["a"])
    assert not (queries @ pool.T).any()
