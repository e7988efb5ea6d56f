"""The page: one file, nothing loaded, nothing from the data taken for markup."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index import (
    confusion_cards,
    confusions,
    cost,
    group_bars,
    index_loss,
    language_confusion,
    playable,
    provenance,
    redraw,
)
from scann_index.bundle import Bundle
from scann_index.evaluate import EvaluateOptions, evaluate
from scann_index.report import render
from tests.scann_index import three_languages

HOSTILE = '<script>alert("x")</script>\'"><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Every element of a page with its attributes, its text, and whether its tags are balanced."""

    VOID = frozenset({"meta", "rect", "line", "path", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


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


def example(text: str, *, audio: str = "nowhere.wav", name: str = "it-1") -> dict[str, Any]:
    found = {"text": text, "english": text, "sentence_id": text, "score": 0.5, "right": False}
    return {
        "id": name,
        "sentence_id": text,
        "transcript": text,
        "english": text,
        "audio": audio,
        "speaker": text,
        "seconds": 0.5,
        "rank": 2,
        "top": [found],
    }


def language(recall: float, *, seen: bool = False) -> dict[str, Any]:
    interval = [recall - 0.05, recall + 0.05]
    scores = {"recall_at_1": recall, "recall_at_10": 0.9, "recall_at_1_interval": interval}
    return {
        "name": "Italian",
        "family": "Romance",
        "script": "Latn",
        "seen": seen,
        "pool": 4,
        "speech_to_text": {**scores, "chance": 0.25, "pool": 4, "exact_search": None},
        "text_to_speech": None,
        "speech_to_english": None,
    }


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


def test_shown_languages_are_spread_from_best_to_worst_of_seen_and_unseen():
    languages = {f"s{i}": language(i / 100, seen=True) for i in range(50)}
    languages |= {f"u{i}": language(i / 100) for i in range(3)}
    shown = playable.shown_languages(languages)
    assert shown[:2] == ["s49", "s42"]
    assert shown[7:] == ["s0", "u2", "u1", "u0"]


def test_few_of_many_rejects_are_shown_with_their_true_number(tmp_path):
    reject = {"id": "clip-1", "uri": "a.wav", "stage": "decode", "reason": "empty-file"}
    data = three_languages.make_data(str(tmp_path), {**reject, "detail": "0 bytes"})
    shown = provenance.rejects(data)
    assert "<b>empty-file</b> 1" in shown
    assert "<code>clip-1</code> 0 bytes <code>a.wav</code>" in shown
    assert "1 of 25 rows" in shown


def test_what_is_confused_in_most_languages_comes_first_with_both_scores_and_sounds(folder):
    pairs = confusions.find(Bundle.open(f"{folder}/index"), ["en", "it", "zh"], "test")
    found = [(pair["said"], pair["found"], pair["languages"]) for pair in pairs]
    # Chinese recordings all lie at the first text; two Italian ones lie at a wrong text.
    assert found == [
        ("s2", "s1", ["it", "zh"]),
        ("s3", "s1", ["zh"]),
        ("s4", "s1", ["zh"]),
        ("s3", "s4", ["it"]),
    ]
    example = pairs[0]["example"]
    # In Chinese it is wrong by more: 1 to 0, in Italian .8 to .6.
    assert example["language"] == "zh"
    assert (example["said"]["text"], example["found"]["text"]) == ("狗", "猫")
    assert example["said"]["score"] == pytest.approx(0)
    assert example["found"]["score"] == pytest.approx(1)
    assert example["found"]["id"] == "zh-s1-test"
    italian = pairs[3]["example"]
    # (.5, .3, .1, .8) is of length sqrt(.99).
    assert italian["said"]["score"] == pytest.approx(0.1 / 0.99**0.5, abs=1e-4)
    assert italian["found"]["score"] == pytest.approx(0.8 / 0.99**0.5, abs=1e-4)


def test_two_sentences_taken_for_each_other_are_one_pair_that_says_so(tmp_path):
    shards = [
        ([three_languages.speech_row("it", i) for i in (0, 1)], [(0, 1, 0, 0), (1, 0, 0, 0)]),
        ([three_languages.text_row("it", i) for i in (0, 1)], [(1, 0, 0, 0), (0, 1, 0, 0)]),
    ]
    bundle = Bundle.open(three_languages.make_index(str(tmp_path), shards))
    (pair,) = confusions.find(bundle, ["it"], "test")
    assert {pair["said"], pair["found"]} == {"s1", "s2"}
    assert pair["the_other_way"] == ["it"]
    cards = confusion_cards.cards([pair], {"it": language(0.5)}, {})
    assert "and the other way round in it" in cards
    assert "No recording of it in this split." in cards


def test_markup_in_a_confused_sentence_stays_text():
    side = {"id": "x", "text": HOSTILE, "english": HOSTILE, "audio": HOSTILE, "score": 0.5}
    pair = {
        "said": HOSTILE,
        "found": HOSTILE,
        "languages": ["it"],
        "recordings": 1,
        "the_other_way": [],
        "example": {"language": "it", "said": side, "found": side},
    }
    hostile = {"it": language(0.5) | {"name": HOSTILE}}
    page = Page(confusion_cards.cards([pair], hostile, {"x": HOSTILE}))
    assert page.count("script") == page.count("img") == 0
    assert page.open == []
    assert sum(part.count(HOSTILE) for part in page.texts) >= 6


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


def test_cost_is_told_for_each_stage_and_what_was_not_recorded_is_a_dash():
    stages = {
        "prepare": {"wall_seconds": {"codebook": 30.0, "tokenize": 70.0}},
        "train": {"wall_seconds": 100.0, "cpu_seconds": 150.0, "peak_memory_bytes": 2_000_000_000},
        "evaluate": {},
    }
    prepare, train = cost.of_stages(stages)
    assert prepare["wall_seconds"] == 100.0
    assert prepare["cpu_seconds"] is None
    assert train["cpu_seconds"] == 150.0
    text = " ".join(Page(cost.section(stages)).texts)
    assert "prepare the speech 1 min 40 s 50% – –" in " ".join(text.split())
    assert "train the model 1 min 40 s 50% 2 min 30 s 2.00 GB" in " ".join(text.split())


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.6, "60 min 0 s"),
        (5400, "1 h 30 min"),
    ],
)
def test_durations_are_told_as_a_person_would(seconds, told):
    assert cost.duration(seconds) == told


def between_languages(folder: str) -> dict[str, Any]:
    """Spoken English finds its own texts; Italian finds English ones, once of the same sentence."""
    places = [(1, 0, 0, 0), (0, 1, 0, 0)]
    elsewhere = [(0, 0, 1, 0), (0, 0, 0, 1)]
    shards = [
        ([three_languages.speech_row("en", i) for i in (0, 1)], places),
        ([three_languages.text_row("en", i) for i in (0, 1)], places),
        ([three_languages.speech_row("it", i) for i in (0, 1)], [places[0], places[0]]),
        ([three_languages.text_row("it", i) for i in (0, 1)], elsewhere),
        ([three_languages.speech_row("zh", 0)], places[:1]),
    ]
    bundle = Bundle.open(three_languages.make_index(folder, shards))
    return language_confusion.find(bundle, ["en", "it", "zh"], "test")


def test_speech_that_finds_a_text_of_another_language_is_counted_there(tmp_path):
    found = between_languages(str(tmp_path))
    # Chinese has no texts to be found.
    assert found["languages"] == ["en", "it"]
    assert found["found"] == [[1.0, 0.0], [1.0, 0.0]]
    assert found["right"] == [1.0, 0.5]
    assert found["queries"] == [2, 2]


@pytest.mark.parametrize("largest", [20, 1])
def test_which_language_answers_is_shown_whatever_the_languages_are_called(
    tmp_path, monkeypatch, largest
):
    monkeypatch.setattr(language_confusion, "MAX_SQUARE", largest)
    found = between_languages(str(tmp_path))
    names = {"en": language(1.0, seen=True) | {"name": HOSTILE}, "it": language(0.5)}
    page = Page(language_confusion.section(found, names))
    text = " ".join(" ".join(page.texts).split())
    assert "in the language that was spoken 50.0% of the time" in text
    assert "in whatever language, 75.0% of the time" in text
    shown = f"{HOSTILE} 100 100 Italian 100 50" if largest == 20 else f"Italian → {HOSTILE} 100.0%"
    assert shown in text
    assert page.open == []
    assert page.count("script") == page.count("img") == 0
    assert language_confusion.section({}, names) == ""


def groups(**changed: Any) -> dict[str, Any]:
    group = {"languages": ["it"], "queries": 20, "recall_at_1": 0.5}
    one = {**group, "recall_at_1_interval": [0.4, 0.6], "comparable": True}
    speaker = {"count": 30, "least_queries": 10, "counted": 20, "lowest": 0.1, "tenth": 0.2}
    speaker |= {"median": 0.5, "ninetieth": 0.8, "highest": 0.9, "deviation": 0.04}
    found = {"script": {"Latn": one}, "corpus": {}, "gender": {"unknown": one}, "speaker": speaker}
    return {"groups": {**found, **changed}}


def test_groups_are_drawn_where_there_are_two_to_compare():
    alone = group_bars.section(groups())
    assert "Script" not in alone
    assert "Gender" not in alone
    assert "Speakers with 10 queries or more: 20 of 30." in alone
    assert "speakers of one language differ by 4.0 points" in alone
    assert '<rect class="narrow" x="20.0%" y="5" width="60.0%"' in alone
    one = groups()["groups"]["script"]["Latn"]
    female, male = one | {"recall_at_1": 0.7}, one | {"recall_at_1": 0.3}
    both = group_bars.section(groups(gender={"male": male, "female": female, "unknown": one}))
    names = re.findall(r"<span>(\w+)</span>", both)
    assert names == ["female", "unknown", "male"]
    assert "Means over the 1 languages that have all of them." in both
    assert group_bars.section({}) == '<div class="groups"></div>'


def test_markup_in_the_names_of_groups_stays_text():
    one = groups()["groups"]["script"]["Latn"] | {"languages": [HOSTILE]}
    page = Page(group_bars.section(groups(corpus={HOSTILE: one, f"{HOSTILE}2": one})))
    assert page.count("script") == page.count("img") == 0
    assert page.open == []
    assert sum(part.count(HOSTILE) for part in page.texts) == 2


def differing(own: float, exact: float, **more: Any) -> dict[str, Any]:
    entry = language(own)
    entry["speech_to_text"] |= {"exact_search": {"recall_at_1": exact}, **more}
    return entry


def test_what_the_index_loses_is_told_by_language_in_reports_old_and_new():
    means = {group: {"speech_to_text": None} for group in ("seen", "unseen", "unseen_seen_script")}
    same = {"languages": {"it": language(0.5)}, "means": means}
    assert "every rank agrees" in index_loss.section(same)
    new = {"it": differing(0.5, 0.5, index_differs=False), "pt": differing(0.5, 0.6)}
    new["pt"]["speech_to_text"]["index_differs"] = True
    new["pt"]["name"] = HOSTILE
    for languages in (new, {"it": language(0.5), "pt": differing(0.5, 0.6) | {"name": HOSTILE}}):
        page = Page(index_loss.section({"languages": languages, "means": means}))
        text = " ".join(" ".join(page.texts).split())
        assert "In 1 of 2 languages some ranks of speech → text differ" in text
        assert f"{HOSTILE} pt 50.0 60.0 -10.00" in text
        assert page.count("script") == 0


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
