"""Evaluations side by side: differences worked out by hand, and what can't be compared refused."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError
from pipelines.utterance import LANGUAGES
from scann_index import query_ranks
from scann_index.compare import CompareOptions, compare_folders, main, names_of
from scann_index.compare_page import render
from scann_index.comparison import compare
from scann_index.confidence import interval_of_difference, wilson
from scann_index.evaluation import Evaluation
from tests.scann_index import three_languages
from tests.scann_index.pages import HOSTILE, Page

HALF = [1] * 10 + [2] * 10
MORE = [1] * 15 + [2] * 5


def make_evaluation(
    folder: Path | str,
    ranks: Mapping[str, Sequence[int]],
    *,
    split: str = "test",
    pool: int = 20,
    seen: Sequence[str] = ("es",),
    keep_queries: bool = True,
    first_query: int = 0,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> str:
    """An evaluation in which each query of a language had a rank, every query a sentence."""
    out = OutputDir(str(folder), kind="evaluation")
    out.begin({"split": split, "index": str(folder), **(options or {})})
    languages, files = {}, ["report.json"]
    for code, own in ranks.items():
        share = sum(rank == 1 for rank in own) / len(own)
        scores = {
            "queries": len(own),
            "pool": pool,
            "recall_at_1": share,
            "recall_at_1_interval": list(wilson(share, len(own))),
        }
        languages[code] = {
            **LANGUAGES[code]._asdict(),
            "seen": code in seen,
            "speech_to_text": scores,
        }
        if keep_queries:
            files.append(f"queries/{code}.parquet")
            write_queries(out.file(files[-1]), own, first_query)
    report = {"split": split, "pool": "texts", "languages": languages, "inputs": dict(inputs or {})}
    storage.write_json(out.file("report.json"), report)
    out.complete(files=files, stats={"wall_seconds": 12.0})
    return str(folder)


def write_queries(path: str, ranks: Sequence[int], first: int) -> None:
    names = [f"q{first + i:04}" for i in range(len(ranks))]
    columns: dict[str, Any] = dict.fromkeys(query_ranks._TEXTS, names)
    columns["task"] = ["speech_to_text"] * len(ranks)
    columns |= {"rank": ranks, "exact_rank": ranks, "score": [0.5] * len(ranks)}
    columns["xsim_error"] = [False] * len(ranks)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=query_ranks._schema()), buffer)
    storage.write_bytes(path, buffer.getvalue())


def compared(*folders: str) -> dict[str, Any]:
    return compare([Evaluation.open(folder) for folder in folders], [Path(f).name for f in folders])


def test_a_difference_is_of_the_same_queries_one_by_one(tmp_path):
    a = make_evaluation(tmp_path / "a", {"es": HALF})
    b = make_evaluation(tmp_path / "b", {"es": MORE})
    found = compared(a, b)
    assert found["paired"] is True
    spanish = found["languages"]["es"]
    assert [score["recall_at_1"] for score in spanish["scores"]] == [0.5, 0.75]
    nothing, difference = spanish["differences"]
    assert nothing is None
    assert difference["difference"] == pytest.approx(0.25)
    assert (difference["gained"], difference["lost"]) == (5, 0)
    # Five of twenty gained: of a binomial draw of 20 by 1/4, 95% lie between 1 or 2 and 9.
    low, high = difference["interval"]
    assert low == pytest.approx(0.075, abs=0.03)
    assert high == pytest.approx(0.45, abs=0.03)
    assert difference["better"] == 1
    back = compared(b, a)["languages"]["es"]["differences"][1]
    assert back["difference"] == pytest.approx(-0.25)
    assert back["better"] == 0


def test_without_queries_the_intervals_are_independent_and_wider_and_that_is_said(tmp_path, capsys):
    a = make_evaluation(tmp_path / "a", {"es": HALF})
    b = make_evaluation(tmp_path / "b", {"es": MORE}, keep_queries=False)
    found = compare_folders([a, b], CompareOptions(output=str(tmp_path / "c.html")))
    assert found["paired"] is False
    difference = found["languages"]["es"]["differences"][1]
    assert difference["difference"] == pytest.approx(0.25)
    low, high = difference["interval"]
    assert high > 0.48
    assert difference["better"] is None
    assert low < 0
    assert "take the evaluations for independent" in " ".join(capsys.readouterr().out.split())
    assert "take the evaluations for independent" in (tmp_path / "c.html").read_text("utf-8")


def test_the_independent_interval_adds_the_distances_to_the_ends_as_deviations():
    # Down by .03 and .04, up by .05 and .12.
    found = interval_of_difference(0.6, [0.57, 0.65], 0.5, [0.38, 0.54])
    assert found == pytest.approx((0.05, 0.23))


def test_a_better_one_is_named_only_where_the_interval_leaves_out_zero(tmp_path):
    a = make_evaluation(tmp_path / "a", {"es": [1] * 50 + [2] * 50, "it": HALF})
    b = make_evaluation(tmp_path / "b", {"es": [1] * 51 + [2] * 49, "it": HALF})
    differences = {c: e["differences"][1] for c, e in compared(a, b)["languages"].items()}
    assert differences["es"]["difference"] == pytest.approx(0.01)
    assert differences["es"]["better"] is None
    low, high = differences["it"]["interval"]
    assert low < 0 < high
    assert differences["it"]["better"] is None


def test_means_are_over_all_seen_and_unseen_languages(tmp_path):
    a = make_evaluation(tmp_path / "a", {"es": HALF, "it": HALF, "fr": HALF}, seen=["es"])
    b = make_evaluation(tmp_path / "b", {"es": MORE, "it": HALF, "fr": HALF}, seen=["es", "fr"])
    found = compared(a, b)
    means = found["means"]
    assert means["all"]["languages"] == ["es", "it", "fr"]
    assert means["all"]["differences"][1]["difference"] == pytest.approx(0.25 / 3)
    assert means["seen"]["languages"] == ["es"]
    assert means["unseen"]["languages"] == ["it"]
    assert means["all"]["scores"][1]["recall_at_1"] == pytest.approx(1.75 / 3)
    low, high = means["all"]["differences"][1]["interval"]
    assert low == pytest.approx(0.075 / 3, abs=0.01)
    assert high == pytest.approx(0.45 / 3, abs=0.01)
    assert "Seen by some and unseen by others: French" in found["notes"][-1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split": "dev"}, "the split 'test' in the one and 'dev' in the other"),
        ({"pool": 30}, "in Spanish they search 20 and 30 texts"),
        ({"ranks": {"es": HALF[1:]}}, "in Spanish they ask 20 and 19 queries"),
        ({"first_query": 7}, "in es they ask other queries"),
        ({"ranks": {"it": HALF}}, "no language in common"),
    ],
)
def test_what_does_not_belong_together_is_refused_with_the_reason(tmp_path, changed, said, capsys):
    a = make_evaluation(tmp_path / "a", {"es": HALF})
    b = make_evaluation(tmp_path / "b", **{"ranks": {"es": HALF}, **changed})
    assert main([a, b, f"--output={tmp_path}/c.html"]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c.html").exists()


def test_the_same_number_of_other_texts_is_refused(tmp_path):
    opened = [
        Evaluation.open(make_evaluation(tmp_path / name, {"es": HALF})) for name in ("a", "b")
    ]
    for evaluation, digest in zip(opened, ("one", "two"), strict=True):
        evaluation.report["languages"]["es"]["speech_to_text"]["pool_digest"] = digest
    with pytest.raises(OutputError, match="as many texts, but others"):
        compare(opened, ["a", "b"])


def test_a_command_line_that_compares_nothing_is_refused(tmp_path, capsys):
    a = make_evaluation(tmp_path / "a", {"es": HALF})
    b = make_evaluation(tmp_path / "b", {"es": HALF})
    output = f"--output={tmp_path}/c.html"
    assert main([a, output]) == 1
    assert "two evaluations or more" in capsys.readouterr().err
    assert main([a, f"{a}/", output]) == 1
    assert "named twice" in capsys.readouterr().err
    assert main([a, b, output, "--names=x"]) == 1
    assert "2 evaluations, but 1 --names" in capsys.readouterr().err
    assert main([a, str(tmp_path / "nowhere"), output]) == 1
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([a, b, "--output=c.txt"])
    assert "must end in .html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/x/base/evaluation", "/x/new/evaluation"], ("base", "new")),
        (["/x/one", "/x/two/"], ("one", "two")),
        (["gs://b/one/e", "gs://b/two/e"], ("one", "two")),
        (["/x/a/e", "/y/a/f", "/z/a/e"], ("/x/a/e", "/y/a/f", "/z/a/e")),
    ],
)
def test_evaluations_are_called_by_what_tells_them_apart(folders, names):
    assert names_of(folders) == names


def test_three_evaluations_are_printed_drawn_and_written_as_json(tmp_path, capsys):
    folders = [
        make_evaluation(tmp_path / "base", {"es": HALF, "it": HALF}),
        make_evaluation(tmp_path / "more", {"es": MORE, "it": HALF}),
        make_evaluation(tmp_path / "less", {"es": [2] * 20, "it": HALF}, options={"limit": 7}),
    ]
    arguments = [*folders, f"--output={tmp_path}/c.html"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "Spanish es 50.0 75.0 0.0 +25.0" in " ".join(capsys.readouterr().out.split())
    assert not list(tmp_path.glob("c.*"))
    assert main(arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Spanish es 50.0 75.0 0.0 +25.0" in printed
    assert "▲" in printed
    assert "▼" in printed
    assert "evaluate: limit: base –, more –, less 7" in printed
    found = json.loads((tmp_path / "c.json").read_text("utf-8"))
    assert [e["name"] for e in found["evaluations"]] == ["base", "more", "less"]
    assert found["options"] == {"evaluate: limit": [None, None, 7]}
    assert found["evaluations"][0]["cost"][0]["wall_seconds"] == 12.0
    page = (tmp_path / "c.html").read_text("utf-8")
    assert Page(page).open == []
    # Of Spanish: 50, 75 and 0 percent.
    for n, place in enumerate(("50.00", "75.00", "0.00")):
        assert f'<i class="mark e{n}" style="left:{place}%"' in page
    assert "better in <b>1</b> of them, worse in <b>0</b>, and in 1" in page


def test_the_stages_beside_an_evaluation_are_compared_too(tmp_path):
    folders = []
    for name, steps in (("a", 200), ("b", 300)):
        data = three_languages.make_data(str(tmp_path / name / "data"))
        run = three_languages.make_run(str(tmp_path / name / "run"), data, steps=steps)
        inputs = {"data": data.digest, "run": run.digest, "index": "elsewhere"}
        folder = tmp_path / name / "evaluation"
        folders.append(make_evaluation(folder, {"es": HALF}, inputs=inputs))
    opened = [Evaluation.open(folder) for folder in folders]
    assert [set(evaluation.sources) for evaluation in opened] == [{"data", "run"}] * 2
    found = compare(opened, ["a", "b"])
    assert found["options"] == {"train: steps": [200, 300]}
    cost = [(row["stage"], row["wall_seconds"]) for row in found["evaluations"][0]["cost"]]
    assert cost == [("prepare", 30.0), ("train", 9.5), ("evaluate", 12.0)]
    assert found["evaluations"][1]["sizes"] == {"parameters": "1,000"}
    (note,) = found["notes"]
    assert note.startswith("The index of a, b is not beside it")
    text = " ".join(" ".join(Page(render(found)).texts).split())
    assert "train: steps 200 300" in text
    assert "prepare: time 30.0 s 30.0 s" in text


def test_markup_in_names_and_options_stays_text_and_the_page_loads_nothing(tmp_path):
    opened = [
        Evaluation.open(make_evaluation(tmp_path / "a", {"es": HALF, "it": MORE})),
        Evaluation.open(make_evaluation(tmp_path / "b", {"es": MORE}, options={HOSTILE: HOSTILE})),
    ]
    for evaluation in opened:
        evaluation.report["languages"]["es"]["name"] = HOSTILE
    found = compare(opened, [HOSTILE, f"two {HOSTILE}"])
    found["notes"].append(HOSTILE)
    found["left_out"].append(HOSTILE)
    text = render(found)
    page = Page(text)
    assert page.open == []
    assert page.count("script") == page.count("img") == 0
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert not any("src" in a or "href" in a for _, a in page.elements)
    (policy,) = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert sum(part.count(HOSTILE) for part in page.texts) >= 10
