"""Evaluation from the command line to report.json, every score worked out by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index import results
from scann_index.bundle import Bundle
from scann_index.evaluate import EvaluateOptions, evaluate, main
from scann_index.scoring import score_language
from tests.scann_index import three_languages
from tests.scann_index.three_languages import make_index, speech_row, text_row


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = str(tmp_path_factory.mktemp("three"))
    index, data, run = three_languages.make_all(folder)
    return {"index": index, "data": data.path, "run": run.path}


@pytest.fixture(scope="module")
def report(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict:
    output = str(tmp_path_factory.mktemp("evaluation") / "out")
    return evaluate(EvaluateOptions(output=output, **inputs))


def test_a_language_that_finds_everything_scores_one(report):
    english = report["languages"]["en"]
    assert english["seen"] is True
    assert english["pool"] == 4
    scores = english["speech_to_text"]
    assert scores["queries"] == 4
    assert scores["recall_at_1"] == 1.0
    # Wilson's lower end for 4 of 4: 1 / (1 + 1.96² / 4).
    assert scores["recall_at_1_interval"] == [pytest.approx(1 / (1 + 3.8415 / 4), abs=1e-4), 1.0]
    assert scores["mean_reciprocal_rank"] == 1.0
    assert scores["word_error_rate"] == 0.0
    assert english["text_to_speech"]["recall_at_1"] == 1.0
    assert english["speech_to_english"] is None


def test_recall_rank_and_error_rates_are_those_worked_out_by_hand(report):
    italian = report["languages"]["it"]
    assert italian["seen"] is False
    scores = italian["speech_to_text"]
    # Ranks 1, 2 (behind s1), 4 (behind s4, s1, s2) and 1.
    assert scores["recall_at_1"] == 0.5
    assert scores["recall_at_5"] == 1.0
    assert scores["mean_reciprocal_rank"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 1) / 4)
    # Wilson for 2 of 4: 1/2 ± 1.96 · sqrt(1/16 + 1.96² / 64) / (1 + 1.96² / 4).
    assert scores["recall_at_1_interval"] == pytest.approx([0.15, 0.85], abs=1e-3)
    assert scores["chance"] == 0.25
    # "gatto" for "cane", "vela bianca" for "mela": 1 + 2 of the 4 + 4 + 1 + 2 words that were said,
    # 4 + 8 of their 19 + 18 + 4 + 11 characters.
    assert scores["word_error_rate"] == pytest.approx(3 / 11)
    assert scores["character_error_rate"] == pytest.approx(12 / 52)
    assert scores["exact_search"]["recall_at_1"] == 0.5
    assert scores["index_differs"] is False
    assert scores["index_loss_at_1"] == 0.0


def test_text_to_speech_ranks_the_recordings_of_each_text(report):
    scores = report["languages"]["it"]["text_to_speech"]
    # Cosines, s3's recording being of length sqrt(.99): text 1 with the recordings: 1, .8, .5, 0:
    # first. Text 2: 0, .6, .3, 0: first. Text 3: 0, 0, .1, 0: first. Text 4: 0, 0, .8, 1: first.
    assert scores["recall_at_1"] == 1.0
    assert scores["mean_reciprocal_rank"] == 1.0


def test_translation_by_retrieval_is_scored_by_bleu_and_its_signature_kept(report):
    scores = report["languages"]["it"]["speech_to_english"]
    assert scores["recall_at_1"] == 0.5
    # Found: the black cat sleeps now (right), the same for the dog, a sail for an apple, a sail.
    # n-grams that match: 11 of 14, 7 of 10, 3 of 6, 2 of 4; as long as the reference.
    assert scores["bleu"] == pytest.approx(100 * (11 / 14 * 7 / 10 * 3 / 6 * 2 / 4) ** 0.25)
    assert 0 < scores["chrf"] < 100
    assert scores["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert scores["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0")


def test_chinese_has_a_character_error_rate_only_and_ties_count_against_it(report):
    scores = report["languages"]["zh"]["speech_to_text"]
    # Always s1: right once; the right answer of the others is tied with two wrong ones behind it.
    assert scores["recall_at_1"] == 0.25
    assert scores["mean_reciprocal_rank"] == pytest.approx((1 + 3 / 4) / 4)
    assert scores["word_error_rate"] is None
    # 猫 for 猫, 狗, 苹果 and 帆: 0 + 1 + 2 + 1 of 5 characters.
    assert scores["character_error_rate"] == pytest.approx(4 / 5)


def test_means_are_over_seen_unseen_and_unseen_with_a_seen_script(report):
    means = report["means"]
    assert means["seen"]["languages"] == ["en"]
    assert means["unseen"]["languages"] == ["it", "zh"]
    assert means["unseen_seen_script"]["languages"] == ["it"]
    assert means["seen"]["speech_to_text"]["recall_at_1"] == 1.0
    assert means["unseen"]["speech_to_text"]["recall_at_1"] == pytest.approx((0.5 + 0.25) / 2)
    assert means["unseen_seen_script"]["speech_to_text"]["recall_at_1"] == 0.5
    # The word error rate is averaged over those that have one.
    assert means["unseen"]["speech_to_text"]["word_error_rate"] == pytest.approx(3 / 11)
    assert means["seen"]["speech_to_english"] is None
    low, high = means["unseen"]["speech_to_text"]["recall_at_1_interval"]
    assert 0 < low < 0.375 < high < 1


def test_report_json_holds_what_its_readers_rely_on(report):
    parts = {"split", "pool", "languages", "means", "groups", "intervals", "inputs", "index"}
    assert set(report) == parts
    assert report["split"] == "test"
    assert set(report["inputs"]) == {"index", "data", "run"}
    assert report["index"]["engines"] == {"exact": 6}
    for language in report["languages"].values():
        assert isinstance(language["seen"], bool)
        assert language["pool"] == 4
        low, high = language["speech_to_text"]["recall_at_1_interval"]
        assert 0 <= low <= language["speech_to_text"]["recall_at_1"] <= high <= 1
    # Strict JSON: NaN is not allowed.
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_recordings_without_a_transcript_are_searched_but_have_no_error_rate(tmp_path):
    from dataclasses import replace

    speech = [replace(speech_row("it", 0), text=""), speech_row("it", 1)]
    texts = [text_row("it", 0), text_row("it", 1)]
    places = [(1, 0, 0, 0), (0, 1, 0, 0)]
    unknown = make_index(str(tmp_path / "one"), [(speech[:1], places[:1]), (texts, places)])
    scores = score_language(Bundle.open(unknown), "it")["speech_to_text"]
    assert scores["recall_at_1"] == 1.0
    assert scores["word_error_rate"] is None
    assert scores["character_error_rate"] is None
    both = make_index(str(tmp_path / "two"), [(speech, places), (texts, places)])
    assert score_language(Bundle.open(both), "it")["speech_to_text"]["word_error_rate"] == 0.0


def test_what_an_index_loses_stands_beside_exact_search_and_is_warned_of(report):
    changed = json.loads(json.dumps(report))
    assert results.warnings(changed) == []
    assert results.approximate(changed) == []
    scores = changed["languages"]["it"]["speech_to_text"]
    scores.update(recall_at_1=0.494, index_loss_at_1=0.006, index_differs=True)
    (line,) = results.warnings(changed)
    assert line.startswith("Italian (it) speech→text: the index finds 49.4 where exact search")
    assert results.approximate(changed) == ["it"]
    scores["index_loss_at_1"] = 0.004
    assert results.warnings(changed) == []


def test_examples_are_hits_and_misses_with_what_was_found(inputs):
    examples = score_language(Bundle.open(inputs["index"]), "it", examples=1)["examples"]
    hit, miss = examples
    assert hit["rank"] == 1
    assert hit["top"][0]["right"] is True
    assert miss["rank"] in (2, 4)
    assert miss["top"][0]["right"] is False
    assert len(miss["top"]) == 3
    assert miss["top"][0]["score"] == pytest.approx(0.8, abs=0.01)
    english = dict(zip(three_languages.SENTENCES, three_languages.TEXTS["en"], strict=True))
    assert miss["english"] == english[miss["sentence_id"]]


def test_the_command_prints_the_table_and_copies_the_report(inputs, tmp_path, capsys):
    arguments = [f"--{name}={path}" for name, path in inputs.items()]
    arguments += [f"--output={tmp_path}/out", f"--report-prefix={tmp_path}/demo/report"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Italian it" in printed
    assert "unseen, seen script" in printed
    assert f"{tmp_path}/demo/report.html" in printed
    copy = json.loads(Path(tmp_path, "demo/report.json").read_text("utf-8"))
    assert copy["languages"]["it"]["speech_to_text"]["recall_at_1"] == 0.5
    assert Path(tmp_path, "demo/report.html").read_bytes() == (
        Path(tmp_path, "out/report.html").read_bytes()
    )
    OutputDir.open(f"{tmp_path}/out", kind="evaluation").verify()

    Path(tmp_path, "demo/report.html").unlink()
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert "nothing to do" in again
    assert "Italian it" in again
    assert Path(tmp_path, "demo/report.html").exists()


def test_an_interrupted_evaluation_keeps_finished_languages(inputs, tmp_path):
    options = EvaluateOptions(output=str(tmp_path / "out"), **inputs)
    first = evaluate(options)
    finished = tmp_path / "out" / "languages" / "it.json"
    kept = storage.read_json(str(finished))
    kept["speech_to_text"]["recall_at_1"] = 0.125
    storage.write_json(str(finished), kept)
    (tmp_path / "out" / "languages" / "zh.json").unlink()
    (tmp_path / "out" / "COMPLETED").unlink()
    second = evaluate(options)
    assert second["languages"]["it"]["speech_to_text"]["recall_at_1"] == 0.125
    assert second["languages"]["zh"] == first["languages"]["zh"]


def test_a_run_of_another_model_is_refused(inputs, tmp_path, capsys):
    data = OutputDir.open(inputs["data"], kind="pairs")
    other = make_index(
        str(tmp_path / "index"),
        [([speech_row("en", 0)], [(1, 0, 0, 0)]), ([text_row("en", 0)], [(1, 0, 0, 0)])],
        model="another",
        data=data.digest,
    )
    arguments = [f"--{name}={path}" for name, path in {**inputs, "index": other}.items()]
    assert main([*arguments, f"--output={tmp_path}/out"]) == 1
    assert "another model" in capsys.readouterr().err


def test_a_run_on_other_data_is_refused_and_the_right_data_named(inputs, tmp_path, capsys):
    reject = {"id": "x", "uri": "", "stage": "read", "reason": "missing-value", "detail": ""}
    other = three_languages.make_data(str(tmp_path / "data"), reject)
    arguments = [f"--{name}={path}" for name, path in {**inputs, "data": other.path}.items()]
    assert main([*arguments, f"--output={tmp_path}/out"]) == 1
    assert f"give --data {inputs['data']}" in capsys.readouterr().err


def test_a_language_without_speech_is_an_error_that_names_those_there_are(inputs, tmp_path, capsys):
    arguments = [f"--{name}={path}" for name, path in inputs.items()]
    assert main([*arguments, f"--output={tmp_path}/out", "--languages=it,ko"]) == 1
    assert "no test speech in ko; there is en, it, zh" in capsys.readouterr().err
    assert main([*arguments, f"--output={tmp_path}/dev", "--split=dev"]) == 1
    assert "no speech of the dev split" in capsys.readouterr().err


def test_a_dry_run_prints_the_pools_and_writes_nothing(inputs, tmp_path, capsys):
    arguments = [f"--{name}={path}" for name, path in inputs.items()]
    assert main([*arguments, f"--output={tmp_path}/out", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "en   seen          4 recordings,       4 texts" in printed
    assert "it   unseen        4 recordings,       4 texts" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("width", [80, 100, 108])
def test_the_table_fits_its_terminal_and_cuts_nothing(report, width):
    widest = json.loads(json.dumps(report))
    for language in (*widest["languages"].values(), *widest["means"].values()):
        for task in results.TASKS:
            if language[task]:
                language[task].update(queries=12_345, recall_at_1=1.0, recall_at_5=1.0, bleu=100.0)
                language[task].update(recall_at_1_interval=[0.4, 0.59])
                language[task].update(word_error_rate=1.5, character_error_rate=1.5)
    console = Console(width=width, file=io.StringIO())
    console.print(results.table(widest, width))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    italian = next(line for line in lines if "Italian it" in line)
    assert "±9.5" in italian
