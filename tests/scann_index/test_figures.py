"""Charts for a paper: readable at a column's width, the same bytes from the same numbers."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from scann_index import figures, paper_charts
from scann_index.charts import Line
from tests.scann_index import three_languages
from tests.scann_index.pages import language
from tests.scann_index.test_compare import HALF, MORE, make_evaluation

ALL = ("recall-by-language", "recall-by-hours", "training")
SMALLEST = 5.9
"""Points: what a journal still takes for letters in a figure."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An evaluation beside the data and the run that it was made from."""
    folder = str(tmp_path_factory.mktemp("figures"))
    data = three_languages.make_data(f"{folder}/data")
    run = three_languages.make_run(f"{folder}/run", data)
    ranks = {"en": MORE, "it": HALF, "zh": HALF}
    inputs = {"data": data.digest, "run": run.digest, "index": "elsewhere"}
    make_evaluation(f"{folder}/evaluation", ranks, seen=["en"], inputs=inputs)
    return folder


def test_every_chart_is_written_in_every_format_and_twice_the_same(folder, tmp_path, capsys):
    arguments = [f"--evaluation={folder}/evaluation", "--formats=svg,png,pdf"]
    assert figures.main([*arguments, f"--output={tmp_path}/dry", "--dry-run"]) == 0
    would = capsys.readouterr().out.splitlines()
    assert f"would write {tmp_path}/dry/training.pdf" in would
    assert len(would) == 3 * 3
    assert not (tmp_path / "dry").exists()
    for name in ("one", "two"):
        assert figures.main([*arguments, f"--output={tmp_path}/{name}"]) == 0
    printed = capsys.readouterr().out.split()
    assert len(printed) == 2 * 3 * 3
    for name in ALL:
        for ending in ("svg", "png", "pdf"):
            first = (tmp_path / "one" / f"{name}.{ending}").read_bytes()
            assert first == (tmp_path / "two" / f"{name}.{ending}").read_bytes(), (name, ending)
        with Image.open(tmp_path / "one" / f"{name}.png") as image:
            assert image.width == pytest.approx(3.35 * 300, abs=1)


def test_text_stays_text_and_large_enough_to_read(folder, tmp_path):
    options = figures.FigureOptions(
        evaluation=f"{folder}/evaluation", output=str(tmp_path), formats=("svg",)
    )
    paths = figures.figures(options)
    assert [Path(path).stem for path in paths] == list(ALL)
    svg = Path(paths[0]).read_text("utf-8")
    for name in ("English", "Italian", "Chinese"):
        assert f">{name}</text>" in svg
    for path in paths:
        text = Path(path).read_text("utf-8")
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", text)]
        assert sizes
        assert min(sizes) >= SMALLEST
        assert 'width="241.2pt"' in text


def test_a_hundred_languages_stand_side_by_side():
    languages = {f"l{i:03}": language(i / 100, seen=i % 2 == 0) for i in range(100)}
    drawing = paper_charts.recall_by_language(languages, 3.35)
    with Image.open(io.BytesIO(drawing.save("png"))) as image:
        wide, high = (pixels / 300 for pixels in image.size)
    assert len(drawing.axes) == 3
    assert wide == pytest.approx(6.9, abs=0.01)
    assert high < 9


def test_the_setting_in_use_is_marked_among_those_tried():
    trials = [
        {"leaves_searched": n, "reordered": r, "recall_at_10": 1 - 1 / n, "work": n * r}
        | {"chosen": (n, r) == (40, 30)}
        for n in (10, 40, 160)
        for r in (20, 30)
    ]
    drawing = paper_charts.sweep({"rows": 150_000}, trials, 0.98, 3.35)
    (axes,) = drawing.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines["20"].get_xdata()) == [200, 800, 3200]
    assert list(lines["in use"].get_xdata()) == [1200]
    assert list(lines["in use"].get_ydata()) == [97.5]
    assert list(lines["target"].get_ydata()) == [98, 98]


def test_names_are_names_even_with_signs_of_mathematics():
    hostile = language(0.5) | {"name": "$x_1$ <b> & co"}
    svg = paper_charts.recall_by_hours({"it": hostile}, {}, 3.35).save("svg").decode("utf-8")
    assert "$x_1$ &lt;b&gt; &amp; co</text>" in svg


def test_a_run_without_dev_recall_has_its_loss_alone():
    curves = {"loss": [Line("loss", [(1, 2.0), (2, 1.0)], "plain")], "recall": []}
    drawing = paper_charts.training(curves, 3.35)
    assert [axes.get_ylabel() for axes in drawing.axes] == ["loss"]
    assert len(drawing.save("png")) > 1000


@pytest.mark.parametrize(
    ("flag", "said"),
    [("--formats=svg,gif", "there are svg, png, pdf"), ("--width=0.1", "between 2 and 20")],
)
def test_what_cannot_be_drawn_is_refused(flag, said, capsys):
    with pytest.raises(SystemExit):
        figures.main(["--evaluation=x", "--output=y", flag])
    assert said in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named(folder, tmp_path, monkeypatch, capsys):
    for name in [n for n in sys.modules if n.startswith(("matplotlib", "scann_index.paper"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("scann_index.paper_charts", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.ticker", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = [f"--evaluation={folder}/evaluation", f"--output={tmp_path}/figures"]
    assert figures.main(arguments) == 1
    assert "pip install 'babelear[figures]'" in capsys.readouterr().err
