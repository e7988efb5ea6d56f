"""The parts of a report: what they tell, and that nothing in them is taken for markup."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scann_index import (
    confusion_cards,
    confusions,
    cost,
    group_bars,
    index_loss,
    language_confusion,
    playable,
    provenance,
)
from scann_index.bundle import Bundle
from tests.scann_index import three_languages
from tests.scann_index.pages import HOSTILE, Page, language


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


def test_what_is_confused_in_most_languages_comes_first_with_both_scores_and_sounds(tmp_path):
    index, _, _ = three_languages.make_all(str(tmp_path))
    pairs = confusions.find(Bundle.open(index), ["en", "it", "zh"], "test")
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
