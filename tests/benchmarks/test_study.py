from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from benchmarks.study import StudyOptions, main, run_cells
from benchmarks.study_commands import Cell, Command, cells_of, commands_of
from benchmarks.study_plot import dots
from benchmarks.study_results import over_seeds, results_of, shown
from model.arrays import FIXED
from model.fresh_encoder import TINY_OWN
from model.train import TrainOptions
from pipelines import options as command_line
from scann_index.build import BuildOptions
from scann_index.evaluation import Evaluation

CONFIGS = Path("configs")
STUDIES = sorted(CONFIGS.glob("*/study*.yaml"))


def train_options(command: Command) -> TrainOptions:
    arguments = command.arguments[1:]
    return command_line.parse(TrainOptions, arguments, prog="train", description="")[0]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_cell_of_a_study_is_a_command_that_its_verb_takes(path):
    study = yaml.safe_load(path.read_text())
    options = StudyOptions(study=str(path), output="out", steps=500, seeds=(5,))
    cells = cells_of(study, options.seeds)
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.seed for cell in cells} == {5}
    for cell in cells:
        train, build, evaluate = commands_of(cell, study, options)
        built = command_line.parse(BuildOptions, build.arguments[1:], prog="", description="")[0]
        assert (built.cache == "out/heard") is bool(built.speeds)
        parsed = train_options(train)
        steps = cell.flags.get("steps", 500)
        assert (parsed.seed, parsed.steps, parsed.output) == (5, steps, train.folder)
        assert f"--run={train.folder}" in evaluate.arguments
        for flag, value in cell.flags.items():
            if flag == "data":
                value = tuple(f"out/{name}" for name in value)
            assert getattr(parsed, flag.replace("-", "_")) == value


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_with_jax_cells_train_on_arrays_and_those_of_a_preset_get_its_text_rows_back(path):
    study = yaml.safe_load(path.read_text())
    options = StudyOptions(study=str(path), output="out", jax_python="jax/python")
    for cell in cells_of(study):
        by_verb = {c.arguments[0]: c for c in commands_of(cell, study, options)}
        written, trained = (train_options(by_verb[v]) for v in ("model.arrays", "model.train"))
        assert (by_verb["model.train"].python, trained.arrays) == ("jax/python", written.output)
        assert settled_alike(written, trained), cell.name
        assert ("model.text_rows" in by_verb) is (trained.backbone != "tiny")
        last = by_verb.get("model.text_rows", by_verb["model.train"])
        assert f"--run={last.folder}" in by_verb["scann_index.evaluate"].arguments


def test_both_starts_and_all_seeds_share_arrays_and_other_texts_and_data_have_their_own():
    path = CONFIGS / "tuxpaint" / "study.yaml"
    study = yaml.safe_load(path.read_text())
    options = StudyOptions(study=str(path), output="out", jax_python="jax/python")
    arrays = defaultdict(set)
    for cell in cells_of(study):
        arrays[commands_of(cell, study, options)[0].folder].add(cell.condition)
    shared = next(names for names in arrays.values() if "llm-characters-speech" in names)
    assert {"random-characters-speech", "adam"} <= shared
    assert not {"llm-both-speech", "llm-characters-bitext", "subwords", "tiny"} & shared


def settled_alike(written: TrainOptions, trained: TrainOptions) -> bool:
    """As `model.feed.settled` demands it of a run on arrays."""
    own = TINY_OWN if trained.backbone == "tiny" else ("pretrained",)
    return all(getattr(written, n) == getattr(trained, n) for n in FIXED if n not in own)


def a_command(folder: Path, code: str) -> Command:
    """`python -m timeit` runs a line of code, as a verb would."""
    return Command(str(folder), ["timeit", "-n1", "-r1", code])


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_one_cell_fails_at_is_raised_and_what_is_complete_is_not_made_again(jobs, tmp_path):
    folders = {name: tmp_path / name for name in ("done", "bad", "good")}
    for folder in folders.values():
        folder.mkdir()
    (folders["done"] / "COMPLETED").touch()
    lines = {name: f"open({str(f / 'made')!r}, 'w').close()" for name, f in folders.items()}
    lines["bad"] = "1 / 0"
    made = {
        Cell(name, name, 0, {}): [
            # What a complete command needed is not made for it.
            a_command(tmp_path / "nowhere", "1 / 0"),
            a_command(folders["done"], "1 / 0"),
            *([] if name == "done" else [a_command(folder, lines[name])]),
        ]
        for name, folder in folders.items()
    }
    options = StudyOptions(study="", output=str(tmp_path / "out"), jobs=jobs)
    with pytest.raises(ChildProcessError, match="timeit failed"):
        run_cells(made, options)
    # One at a time, a failure ends it; else the others are made to their end.
    assert (folders["good"] / "made").exists() is (jobs > 1)
    if jobs > 1:
        log = tmp_path / "out" / "cells" / "bad" / "log.txt"
        assert "ZeroDivisionError" in log.read_text()


def test_options_that_name_no_cell_or_no_job_are_refused(capsys):
    given = [f"--study={STUDIES[0]}", "--output=out", "--dry-run"]
    assert main([*given, "--cells=nothing"]) == 1
    assert "no cell's name starts with nothing" in capsys.readouterr().err
    with pytest.raises(ValueError, match="--jobs"):
        StudyOptions(study="", output="", jobs=0)


def test_a_small_study_trains_by_jax(tiny_data, tmp_path, jax_python):
    given = small_study(tiny_data, tmp_path)
    assert main([*given, f"--jax-python={jax_python}", "--jobs=2"]) == 0
    assert "| mean | 1 |" in (tmp_path / "out" / "results.md").read_text()
    assert "shards" in (tmp_path / "out" / "cells" / "mean-0" / "log.txt").read_text()


def test_the_matrix_is_every_level_with_every_seed_and_trials_change_its_first_cell():
    study = {
        "seeds": [0, 1],
        "factors": {
            "start": {"llm": {}, "random": {"pretrained": False}},
            "n": {"a": {"scale": 1}},
        },
        "trials": {"last": {"pooling": "last"}},
    }
    cells = cells_of(study)
    assert [c.name for c in cells] == [
        "llm-a-0",
        "random-a-0",
        "llm-a-1",
        "random-a-1",
        "trial-last-0",
    ]
    assert cells[1].flags == {"pretrained": False, "scale": 1}
    assert cells[-1].flags == {"scale": 1, "pooling": "last"}


@pytest.mark.parametrize("text", ["both", "subwords", "romanized-subwords"])
def test_the_legend_of_a_plot_is_no_wider_than_the_plot(text):
    names = [
        f"{start}-{text}-{data}" for start in ("random", "llm") for data in ("a", "b", "bitext")
    ]
    found = {"mean": 0.5, "interval": None}
    row = {"name": "Greek", "seen": True, "recall_at_1": dict.fromkeys(names, found)}
    figure = dots({"conditions": names, "languages": {"el": row}}).figure
    figure.canvas.draw()
    (legend,) = figure.legends
    assert 0 < legend.get_window_extent().width <= figure.bbox.width


def test_an_interval_over_seeds_is_students_and_one_seed_keeps_that_of_its_queries():
    three = over_seeds([0.4, 0.5, 0.6])
    assert three["interval"] == pytest.approx([0.5 - 0.2484, 0.5 + 0.2484], abs=1e-3)
    assert over_seeds([0.4], [0.3, 0.5])["interval_of"] == "queries"
    assert shown(three, "R@1") == "50.0 (25.2 to 74.8)"
    assert shown(over_seeds([0.4, 0.4]), "BLEU, unseen") == "0.4 (0.4 to 0.4)"
    assert shown(over_seeds([]), "R@1") == "–"


def test_a_dry_run_prints_every_command_in_order(capsys):
    assert (
        main([f"--study={STUDIES[0]}", "--output=out", "--dry-run", "--cells=llm-subwords-speech"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines[:5]] == [
        "pipelines.prepare",
        "model.pretrained",
        "model.train",
        "scann_index.build",
        "scann_index.evaluate",
    ]


def test_further_folders_are_prepared_with_the_codebook_of_the_first(capsys):
    study = str(CONFIGS / "tuxpaint" / "study-speech.yaml")
    assert main([f"--study={study}", "--output=out", "--dry-run"]) == 0
    first, *others = [
        line for line in capsys.readouterr().out.splitlines() if "pipelines.prepare" in line
    ]
    assert "--codebook" not in first
    assert len(others) == 3
    assert all("--codebook=out/data/codebook" in line for line in others)
    held_out = [line for line in others if "--held-out=out/data" in line]
    assert [line.split()[4] for line in held_out] == ["configs/tuxpaint/prepare-names.yaml"]
    assert main([f"--study={study}", "--output=out", "--data=one,two,three,four,five"]) == 1
    assert "study: --data takes 4 folders at most: data, data-more" in capsys.readouterr().err


def test_folders_that_no_chosen_cell_is_trained_on_are_not_needed(capsys):
    study = [f"--study={CONFIGS / 'demo' / 'study.yaml'}", "--output=out", "--dry-run"]
    assert main([*study, "--cells=llm-subwords-words"]) == 0
    lines = capsys.readouterr().out.splitlines()
    prepared = [line.split("=")[1].split()[0] for line in lines if "pipelines.prepare" in line]
    assert prepared == ["out/data", "out/data-voices", "out/data-words"]
    trained, built, scored = lines[-3:]
    assert "--data=out/data-voices,out/data-words" in trained, "the first is what is tested:"
    assert "--data=out/data-voices " in built and "--data=out/data-voices " in scored
    assert main([*study, "--cells=llm-subwords-speech", "--data=own"]) == 0
    assert "pipelines.prepare" not in capsys.readouterr().out
    assert main([*study, "--cells=llm-subwords-words", "--data=own"]) == 1
    assert "--data lacks data-voices, data-words" in capsys.readouterr().err


def small_study(data, folder) -> list[str]:
    (folder / "train.yaml").write_text(
        "steps: 4\nevaluate-every: 4\nbatch-size: 12\nwarmup-steps: 1\nlayers: 1\n"
        "hidden-dim: 32\nmax-speech-tokens: 24\nmax-text-tokens: 24\nbackbone: tiny\n"
    )
    study = {"prepare": {"data": "no.yaml"}, "train": "train.yaml", "seeds": [0]}
    study |= {"factors": {"pooling": {"mean": {}}}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    given = [f"--study={folder}/study.yaml", f"--output={folder}/out"]
    return [*given, f"--data={data.path}", "--backbone=tiny"]


def test_a_small_study_runs_resumes_and_tells_what_it_found(tiny_data, tmp_path, capfd):
    """One cell of a tiny model, through the real verbs."""
    given = small_study(tiny_data, tmp_path)
    assert main(given) == 0
    text = (tmp_path / "out" / "results.md").read_text()
    assert "| mean | 1 |" in text
    assert "| Italian (it) | Latn | none | 1.00 |" in text
    assert "recall@1" in (tmp_path / "out" / "results.svg").read_text()
    capfd.readouterr()
    assert main(given) == 0
    assert "$ python" not in capfd.readouterr().out

    evaluation = Evaluation.open(str(tmp_path / "out" / "cells" / "mean-0" / "evaluation"))
    twice = {Cell(name, name, 0, {}): evaluation for name in ("one", "other")}
    differences = results_of(twice)["differences"]["other"]
    assert {value["mean"] for value in differences.values()} == {0.0}
