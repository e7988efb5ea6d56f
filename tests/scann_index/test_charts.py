"""The charts: drawn where their numbers say, and told in words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from scann_index import charts, inequality, scatter, sweep_chart
from scann_index.charts import Line
from scann_index.scatter import Axis, Point
from tests.scann_index.pages import HOSTILE, Page, language


@pytest.mark.parametrize(
    ("highest", "whole", "expected"),
    [
        (4.9, False, [0, 1, 2, 3, 4, 5]),
        (100, False, [0, 20, 40, 60, 80, 100]),
        (0.36, False, [0, 0.1, 0.2, 0.3, 0.4]),
        (600, True, [0, 200, 400, 600]),
        (3, True, [0, 1, 2, 3]),
        (0, False, [0, 1]),
        (float("nan"), False, [0, 1]),
    ],
)
def test_ticks_are_round_and_reach_the_highest(highest, whole, expected):
    assert charts.ticks(highest, whole=whole) == pytest.approx(expected)


def test_a_line_is_drawn_where_its_numbers_say_and_told_in_words():
    chart = charts.line_chart("Loss", [Line("loss", [(100, 4.0), (200, 1.0)], "plain")])
    assert '<path d="M50.00 0.00L100.00 75.00"/>' in chart
    assert 'aria-label="Loss by training step. loss: 4 at step 100, 1 at step 200."' in chart


def test_a_bar_is_as_long_as_its_recall_and_its_whisker_as_its_interval():
    bars = charts.recall_bars({"it": language(0.5)})
    assert '<rect class="narrow" y="5" width="50.0%"' in bars
    assert '<line x1="45.00%" x2="55.00%" y1="10" y2="10"/>' in bars
    assert '<rect class="wide" y="5" width="90.0%"' in bars


def place(chart: str, note: str) -> tuple[float, float]:
    """Where a point stands, in percent from the left and from the top."""
    found = re.search(rf'left:([\d.-]+)%;top:([\d.-]+)%" title="{re.escape(note)}"', chart)
    assert found, note
    return float(found[1]), float(found[2])


def point(x: float, y: float, name: str = "a") -> Point:
    return Point(x, y, name, name, "seen", name)


def test_a_point_stands_where_its_numbers_say():
    square = Axis("", 0, 10, [0, 10])
    chart = scatter.scatter("t", [point(2.5, 10)], square, square, told="")
    assert place(chart, "a") == (25.0, 0.0)


def test_equal_factors_are_equally_far_apart_on_a_logarithmic_axis_and_zero_stands_before_them():
    axis = scatter.logarithmic("", [0, 1, 10, 100])
    one, ten, hundred = (axis.place(value) for value in (1, 10, 100))
    assert ten - one == pytest.approx(hundred - ten)
    assert 0 <= axis.place(0) < one - 0.05
    assert hundred < 1
    assert axis.marks == [0, 1, 10, 100]
    with pytest.raises(ValueError, match="above zero"):
        scatter.logarithmic("", [0.0])


def test_names_of_close_points_lie_on_different_sides():
    square = Axis("", 0, 100, [])
    sides = scatter._sides(
        [point(50, 50, "Italian"), point(51, 50, "Spanish")], square, square, 880
    )
    assert sides == ["left", "right"] or sides[0] != sides[1]
    many = [point(50, 50, "Italian") for _ in range(scatter.ALWAYS_NAMED + 1)]
    assert scatter._sides(many, square, square, 880).count("") > 20


def test_points_at_the_same_place_have_one_name_of_all_of_them():
    square = Axis("", 0, 10, [0, 10])
    points = [point(0, 5, "Italian"), point(0, 5, "Korean"), point(0, 6, "Persian")]
    chart = scatter.scatter("t", points, square, square, told="")
    names = re.findall(r'class="long">([^<]*)<', chart)
    assert names == ["Italian, Korean", "Persian"]
    assert chart.count('class="point') == 3
    assert chart.count('title="Italian\nKorean"') == 2


def report_of(**languages: dict[str, Any]) -> dict[str, Any]:
    """What `report.json` holds of some languages, as far as inequality needs it."""
    means = {}
    for group, seen in (("seen", True), ("unseen", False)):
        own = [e["speech_to_text"] for e in languages.values() if e["seen"] is seen]
        mean = float(np.mean([s["recall_at_1"] for s in own])) if own else 0.0
        interval = [mean - 0.03, mean + 0.04]
        scores = {"recall_at_1": mean, "recall_at_1_interval": interval} if own else None
        means[group] = {"speech_to_text": scores}
    return {"languages": languages, "means": means}


def test_inequality_is_measured_between_best_worst_and_seen_unseen():
    measured = inequality.measures(
        report_of(
            es=language(0.9, seen=True),
            de=language(0.7, seen=True),
            it=language(0.6),
            ja=language(0.2),
        )
    )
    assert (measured["best"], measured["worst"]) == ("es", "ja")
    assert measured["range"] == pytest.approx(0.7)
    assert measured["worst_quarter"] == pytest.approx(0.2)
    assert measured["deviation"] == pytest.approx(np.std([0.9, 0.7, 0.6, 0.2]))
    assert measured["gap"] == pytest.approx(0.4)
    # Down by .03 of the one and .04 of the other, up by .04 and .03: .05 together.
    assert measured["gap_interval"] == pytest.approx([0.35, 0.45])
    assert inequality.measures(report_of(es=language(0.9, seen=True))) == {}
    alone = report_of(es=language(0.5, seen=True), de=language(0.5, seen=True))
    assert inequality.measures(alone)["gap"] is None


def test_every_language_stands_at_its_hours_and_recall():
    spanish = language(0.75, seen=True) | {"name": "Spanish"}
    stats = {
        "groups": {
            "transcription/train/es": {"seconds": 3600.0},
            "translation/train/es": {"seconds": 3600.0},
            "transcription/test/it": {"seconds": 7200.0},
            "bitext/train/it": {"seconds": 0.0},
        }
    }
    hours = inequality.training_hours(stats)
    assert hours == {"es": 2.0}
    section = inequality.section(report_of(it=language(0.5), es=spanish), hours)
    assert place(section, "Spanish: 2.00 hours of speech in training, recall@1 75.0%") == (100, 25)
    assert place(section, "Italian: 0.00 hours of speech in training, recall@1 50.0%") == (0, 50)


def test_hours_that_differ_much_are_drawn_on_a_logarithmic_axis():
    assert not inequality.hours_axis([0, 1, 15]).log
    assert inequality.hours_axis([0, 1, 25]).log
    assert inequality.hours_axis([0.0, 0.0]).high == 1.0


def test_rank_correlation_is_of_the_order_alone():
    assert inequality.rank_correlation([1, 2, 3, 100], [0.1, 0.2, 0.25, 0.3]) == pytest.approx(1)
    assert inequality.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert inequality.rank_correlation([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(
        0.9487, abs=1e-4
    )
    assert np.isnan(inequality.rank_correlation([1, 1], [1, 2]))


def trial(leaves: int, recall: float, work: int, *, chosen: bool = False) -> dict[str, Any]:
    return {
        "leaves_searched": leaves,
        "reordered": 30,
        "recall_at_10": recall,
        "lower_half": recall - 0.01,
        "work": work,
        "chosen": chosen,
    }


def index_info(**shard: Any) -> dict[str, Any]:
    tree = {"name": "text-it-00000-of-00001", "rows": 150_000, "engine": "tree", "leaves": 400}
    exact = {"name": "text-en-00000-of-00001", "rows": 300, "engine": "exact", "leaves": 0}
    return {
        "options": {"engine": "auto", "exact_below": 20_000, "target_recall": 0.98},
        "shards": [{**tree, "recall_at_10": 0.985, **shard}, {**exact, "recall_at_10": 1.0}],
    }


def test_settings_tried_are_drawn_the_one_in_use_is_marked_and_exact_shards_are_said_to_be():
    sweep = [trial(40, 0.9, 1000), trial(80, 0.985, 2000, chosen=True), trial(400, 1.0, 8000)]
    info = index_info() | {"sweeps": {"text-it-00000-of-00001": sweep}}
    section = sweep_chart.section(info)
    text = " ".join(" ".join(Page(section).texts).split())
    assert "1 of 2 shards is searched exactly, as it has fewer than 20,000 rows" in text
    assert "finds 98.5% or more of the ten nearest" in text
    assert section.count('class="point') == 3
    assert section.count(" marked") == 1
    used = place(section, "80 leaves, 30 reordered: recall@10 98.50%, 2,000 comparisons a query")
    few = place(section, "40 leaves, 30 reordered: recall@10 90.00%, 1,000 comparisons a query")
    assert used[0] > few[0]
    assert used[1] < few[1]
    assert "in use 80 30 98.50 97.50 2,000" in text


def test_an_appended_shard_has_its_own_sweep_and_markup_in_names_stays_text():
    sweep = [trial(80, 0.985, 2000, chosen=True)]
    info = index_info(part="a00001") | {"sweeps": {"a00001/text-it-00000-of-00001": sweep}}
    assert 'role="img"' in sweep_chart.section(info)
    hostile = index_info(name=HOSTILE) | {"sweeps": {HOSTILE: sweep}}
    page = Page(sweep_chart.section(hostile))
    assert page.count("script") == page.count("img") == 0
    assert page.open == []


def test_an_index_without_anything_to_tune_says_so():
    info = index_info()
    del info["shards"][0]
    section = sweep_chart.section(info)
    assert "The one shard is searched exactly, as it has fewer than 20,000 rows" in section
    assert "<figure" not in section
