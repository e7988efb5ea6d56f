from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from scann_index.margin import Matches
from scann_index.mine_chart import chart
from scann_index.mine_quality import BY_SENTENCE, Curve, Gold, gold_of, quality, read_gold


def side(*sentences: str) -> dict[str, list[list[str]]]:
    return {
        "names": [[f"row-{i}"] for i, _ in enumerate(sentences)],
        "sentences": [s.split() for s in sentences],
    }


def matches(*pairs: tuple[int, int, float]) -> Matches:
    left, right, margins = (np.array(column) for column in zip(*pairs, strict=True))
    return Matches(left, right, margins, margins.astype(np.float32), np.ones(len(left), np.uint8))


def test_rows_that_share_a_sentence_belong_together():
    gold = gold_of(BY_SENTENCE, side("a", "b c", "d"), side("c", "x", "a"))
    assert gold.matchable.tolist() == [True, True, False]
    judged = gold.judge(matches((0, 2, 1.5), (1, 0, 1.2), (2, 1, 1.1), (0, 0, 1.0)))
    assert judged.tolist() == [True, True, False, False]


def test_a_file_says_which_ids_belong_together(tmp_path):
    path = tmp_path / "gold.tsv"
    path.write_text("row-0\trow-1\nrow-0\trow-2\n")
    gold = gold_of(str(path), side("", ""), side("", "", ""))
    assert gold.matchable.tolist() == [True, False]
    assert gold.judge(matches((0, 2, 1.0), (0, 0, 1.0))).tolist() == [True, False]
    path.write_text("row-0 row-1\n")
    with pytest.raises(ValueError, match=r"gold.tsv:1: a left id, a tab and a right id"):
        read_gold(str(path))
    path.write_text("elsewhere\trow-1\n")
    with pytest.raises(ValueError, match="compare its ids with theirs"):
        gold_of(str(path), side("", ""), side("", ""))


def test_precision_recall_and_f1_are_those_counted_by_hand():
    found = matches((0, 0, 1.4), (1, 1, 1.3), (2, 9, 1.2), (3, 3, 1.1))
    right = np.array([True, True, False, True])
    curve = Curve.of(found, right, np.array([True, True, False, True, True]))
    assert curve.at(1.25) == {
        "threshold": 1.25,
        "pairs": 2,
        "right": 2,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }
    assert curve.at(1.2)["precision"] == pytest.approx(2 / 3)
    assert curve.at(1.0)["recall"] == 0.75
    assert curve.at(2.0) | {"precision": None} == {
        "threshold": 2.0,
        "pairs": 0,
        "right": 0,
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
    }


def test_a_left_row_found_twice_counts_once_in_recall():
    found = matches((0, 0, 1.4), (0, 1, 1.3), (1, 2, 1.2))
    curve = Curve.of(found, np.array([True, True, True]), np.array([True, True]))
    assert curve.at(1.25)["recall"] == 0.5
    assert curve.at(1.25)["precision"] == 1.0
    assert curve.at(1.0)["recall"] == 1.0


def test_the_threshold_is_the_one_of_the_largest_f1():
    # Taking 1, 2, 3, 4 pairs: F1 of .5, .4, .667, .571; the cut lies between 1.2 and 1.1.
    found = matches((0, 0, 1.4), (1, 9, 1.3), (2, 2, 1.2), (3, 9, 1.1))
    curve = Curve.of(
        found, np.array([True, False, True, False]), np.array([True, False, True, True])
    )
    assert curve.best_threshold() == pytest.approx(1.15)
    # Equal margins can't be cut apart.
    equal = matches((0, 0, 1.4), (1, 9, 1.4))
    curve = Curve.of(equal, np.array([True, False]), np.array([True, False]))
    assert curve.best_threshold() == pytest.approx(1.4)
    assert curve.at(curve.best_threshold())["pairs"] == 2


def test_the_threshold_is_chosen_on_dev_rows_and_judged_on_the_others():
    gold = Gold([frozenset({str(i)}) for i in range(6)], [frozenset({str(i)}) for i in range(6)])
    dev = np.array([True, True, True, False, False, False])
    # Dev: right at 1.5 and 1.2, wrong at 1.1. Test: right at 1.3, wrong at 1.18 and 1.05.
    found = matches(
        (0, 0, 1.5), (3, 3, 1.3), (1, 1, 1.2), (4, 5, 1.18), (2, 0, 1.1), (5, 4, 1.05)
    )  # fmt: skip
    report = quality(found, gold, dev, None)
    assert report["threshold"] == pytest.approx(1.15)
    assert report["dev"]["f1"] == pytest.approx(0.8)
    assert report["test"]["pairs"] == 2
    assert report["test"]["precision"] == 0.5
    assert report["test"]["recall"] == pytest.approx(1 / 3)
    assert report["test"]["rows"] == report["test"]["matchable"] == 3
    assert quality(found, gold, dev, 1.25)["test"]["precision"] == 1.0


def test_the_chart_is_well_formed_and_names_its_lines():
    gold = Gold([frozenset("a"), frozenset("b")], [frozenset("a"), frozenset("b")])
    report = quality(matches((0, 0, 1.5), (1, 0, 1.1)), gold, np.array([False, False]), 1.3)
    svg = chart(report, "Precision & recall <by threshold>")
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Precision & recall <by threshold>" in texts
    assert {"precision", "recall", "F1", "1.300"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 3
