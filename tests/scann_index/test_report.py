"""The page: one file, nothing loaded, nothing from the data taken for markup."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index import (
    playable,
    redraw,
)
from scann_index.evaluate import EvaluateOptions, evaluate
from scann_index.report import render
from tests.scann_index import three_languages
from tests.scann_index.pages import HOSTILE, Page, example, language


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Index, data, run and evaluation of the three languages, side by side."""
    folder = str(tmp_path_factory.mktemp("report"))
    index, data, run = three_languages.make_all(folder)
    output = f"{folder}/evaluation"
    evaluate(EvaluateOptions(index=index, data=data.path, run=run.path, output=output))
    return folder


@pytest.fixture(scope="module")
def page_text(folder: str) -> str:
    assert redraw.main([f"--evaluation={folder}/evaluation", f"--output={folder}/new.html"]) == 0
    return storage.read_bytes(f"{folder}/new.html").decode("utf-8")


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def test_the_page_loads_nothing_and_its_tags_are_balanced(page, page_text):
    assert page.open == []
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, attributes[name][:80])
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    assert not re.search(r"https?://|url\(|@import", page_text)
    assert len(page_text.encode("utf-8")) < 3_000_000


def test_the_policy_allows_the_one_script_of_the_page_and_no_other(page, page_text):
    (script,) = re.findall(r"<script>(.*?)</script>", page_text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert policies == [
        "default-src 'none'; media-src data:; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    ]
    assert not any(name.startswith("on") for _, a in page.elements for name in a)


def test_the_headline_says_what_was_found_and_what_chance_is(page):
    text = " ".join("".join(page.texts).split())
    assert "How well speech finds its text in 3 languages" in text
    assert "must find it among 4 written ones" in text
    assert "100.0% of the time in the 1 language it was trained on the speech of" in text
    assert "37.5% of the time in the 2 languages whose speech it never heard" in text
    assert "Guessing would be right 25.00% of the time" in text


def test_every_language_has_a_bar_a_row_and_examples_to_play(page, page_text):
    assert len(re.findall(r'<div class="bar (?:seen|unseen)"', page_text)) == 3
    assert 'class="bar unseen" title="Italian (unseen): recall@1 50.0%, 95% interval' in page_text
    players = [a["src"] for tag, a in page.elements if tag == "audio"]
    # English: 3 hits. Italian: 2 hits and 2 misses. Chinese: 1 hit and 3 misses. Of what is
    # confused, both sides of four pairs.
    assert len(players) == 3 + 4 + 4 + 8
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0].split(",")[1])))
    assert rate == 16_000
    assert len(sound) == pytest.approx(8_000, abs=2_500)
    assert np.abs(sound).max() == pytest.approx(0.3, abs=0.05)
    assert "rank 4 of 4" in page_text


def test_training_corpus_settings_and_cost_are_on_the_page(page):
    text = " ".join(part.strip() for part in page.texts if part.strip())
    assert "24 recordings, 1.00 hours, 200 audio tokens in 3 languages" in text
    assert "None: every row could be used." in text
    for stage in ("codebook 10.0 s", "tokenize 20.0 s", "train the model 9.5 s", "plan 1.0 s"):
        assert stage in text
    assert "1,000 parameters" in text
    assert "batch size 16" in text
    assert "k 1024" in text
    # Dev recall of the second evaluation: 75 seen, and (37.5 + 0) / 2 unseen.
    assert "200 9 1.500 1.0e-03 75.0 18.8" in text
    assert "sacrebleu signatures: nrefs:1" in text


def test_markup_in_the_data_stays_text(tmp_path):
    reject = {"id": HOSTILE, "uri": HOSTILE, "stage": "read", "reason": HOSTILE, "detail": HOSTILE}
    data = three_languages.make_data(str(tmp_path / "data"), reject)
    report = {
        "split": "test",
        "languages": {"it": language(0.5)},
        "means": {
            group: {
                "languages": [],
                **dict.fromkeys(["speech_to_text", "text_to_speech", "speech_to_english"]),
            }
            for group in ("seen", "unseen", "unseen_seen_script")
        },
        "index": {"model": HOSTILE},
    }
    text = render(
        report, examples={"it": [example(HOSTILE)]}, data=data, run=None, stages={HOSTILE: {}}
    )
    page = Page(text)
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.open == []
    # Seven times in the card, four in the rejects, once in the settings.
    assert sum(part.count(HOSTILE) for part in page.texts) >= 7
    assert "No training run was given" in text
    assert "could not be put into this page" in text


def test_what_cannot_be_loaded_is_left_out_and_the_rest_played(tmp_path):
    path = str(tmp_path / "tone.wav")
    soundfile.write(path, np.full(1600, 0.1), 16_000)
    examples = {
        "it": [example("a", audio="missing.wav", name="a"), example("b", audio=path, name="b")]
    }
    assert list(playable.sounds(examples)) == ["b"]


def test_sound_stops_at_the_limit_after_a_first_example_of_each_language(tmp_path, monkeypatch):
    path = str(tmp_path / "tone.wav")
    soundfile.write(path, 0.1 * np.ones(16_000), 16_000)
    one = len(playable.data_uri(np.full(16_000, 0.1, np.float32)))
    monkeypatch.setattr(playable, "MAX_BYTES", int(2.5 * one))
    examples = {
        code: [example("x", audio=path, name=f"{code}-{i}") for i in range(2)]
        for code in ("it", "pt", "ru")
    }
    assert list(playable.sounds(examples)) == ["it-0", "pt-0"]


def test_a_long_recording_is_cut():
    second = np.zeros(16_000, np.float32)
    uri = playable.data_uri(np.tile(second, 30))
    sound, _ = soundfile.read(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert 20 * 16_000 <= len(sound) < 21 * 16_000


def test_a_page_drawn_again_needs_no_more_than_the_evaluation_and_its_data(
    folder, tmp_path, capsys
):
    import shutil

    shutil.copytree(f"{folder}/evaluation", tmp_path / "moved")
    arguments = [f"--evaluation={tmp_path}/moved", f"--output={tmp_path}/page.html"]
    assert redraw.main(arguments) == 1
    assert "give --data" in capsys.readouterr().err
    arguments.append(f"--data={folder}/data")
    assert redraw.main([*arguments, "--dry-run"]) == 0
    assert f"data  {folder}/data" in capsys.readouterr().out
    assert not (tmp_path / "page.html").exists()
    assert redraw.main(arguments) == 0
    assert "the index is not at hand (--index)" in capsys.readouterr().out
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "No training run was given" in text
    assert "The index was not at hand" in text
    assert Page(text).open == []


def test_a_folder_that_was_not_evaluated_and_altered_scores_are_refused(folder, tmp_path, capsys):
    import shutil

    other = three_languages.make_data(str(tmp_path / "data"), {"reason": "empty-file"})
    arguments = [f"--evaluation={folder}/evaluation", f"--output={tmp_path}/page.html"]
    assert redraw.main([*arguments, f"--data={other.path}"]) == 1
    assert "another digest" in capsys.readouterr().err
    shutil.copytree(f"{folder}/evaluation", tmp_path / "evaluation")
    report = tmp_path / "evaluation" / "report.json"
    report.write_text(report.read_text("utf-8").replace("0.25", "0.75"), "utf-8")
    assert redraw.main([f"--evaluation={tmp_path}/evaluation", *arguments[1:]]) == 1
    assert "report.json was altered" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_page_of_an_older_evaluation_has_neither_groups_nor_xsim_and_its_own_intervals(folder):
    report = storage.read_json(f"{folder}/evaluation/report.json")
    new = report_page(folder, report)
    assert "xsim" in new
    assert "Wilson" in new
    for key in ("groups", "intervals"):
        del report[key]
    for entry in (*report["languages"].values(), *report["means"].values()):
        for task in ("speech_to_text", "text_to_speech", "speech_to_english"):
            for key in ("xsim_error", "index_differs"):
                (entry[task] or {}).pop(key, None)
            if entry[task]:
                entry[task]["exact_search"] = None
    old = report_page(folder, report)
    assert "xsim" not in old
    assert "2,000 resamples" in old
    assert Page(old).open == []


def report_page(folder: str, report: dict[str, Any]) -> str:
    data = OutputDir.open(f"{folder}/data", kind="pairs")
    return render(report, examples={}, data=data, run=None, stages={})
