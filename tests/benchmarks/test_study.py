from pathlib import Path

import pytest
import yaml

from benchmarks.study import Cell, StudyOptions, cells_of, commands_of, main
from benchmarks.study_results import over_seeds, results_of, shown
from model.train import TrainOptions
from pipelines import options as command_line
from scann_index.evaluation import Evaluation

CONFIGS = Path("configs")
STUDIES = sorted(CONFIGS.glob("*/study*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_cell_of_a_study_is_a_command_that_its_verb_takes(path):
    study = yaml.safe_load(path.read_text())
    options = StudyOptions(study=str(path), output="out", steps=300, seeds=(5,))
    cells = cells_of(study, options.seeds)
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.seed for cell in cells} == {5}
    for cell in cells:
        (run, train), _, (_, evaluate) = commands_of(cell, study, options)
        parsed, _ = command_line.parse(TrainOptions, train[1:], prog="train", description="")
        assert (parsed.seed, parsed.steps, parsed.output) == (5, 300, run)
        assert f"--run={run}" in evaluate
        for flag, value in (cell.flags | {"steps": 300}).items():
            if flag == "data":
                value = tuple(f"out/{name}" for name in value)
            assert getattr(parsed, flag.replace("-", "_")) == value


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


def test_an_interval_over_seeds_is_students_and_one_seed_keeps_that_of_its_queries():
    three = over_seeds([0.4, 0.5, 0.6])
    assert three["interval"] == pytest.approx([0.5 - 0.2484, 0.5 + 0.2484], abs=1e-3)
    assert over_seeds([0.4], [0.3, 0.5])["interval_of"] == "queries"
    assert shown(three, "R@1") == "50.0 (25.2 to 74.8)"
    assert shown(over_seeds([0.4, 0.4]), "BLEU, unseen") == "0.4 (0.4 to 0.4)"
    assert shown(over_seeds([]), "R@1") == "–"


def test_a_dry_run_prints_every_command_in_order(capsys):
    assert main([f"--study={STUDIES[0]}", "--output=out", "--dry-run", "--cells=llm"]) == 0
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
    assert main([f"--study={study}", "--output=out", "--data=one,two"]) == 1
    assert "study: --data takes 4 folders: data, data-more" in capsys.readouterr().err


def test_a_small_study_runs_resumes_and_tells_what_it_found(tiny_data, tmp_path, capfd):
    """One cell of a tiny model, through the real verbs."""
    (tmp_path / "train.yaml").write_text(
        "steps: 4\nevaluate-every: 4\nbatch-size: 12\nwarmup-steps: 1\nlayers: 1\n"
        "hidden-dim: 32\nmax-speech-tokens: 24\nmax-text-tokens: 24\nbackbone: tiny\n"
    )
    study = {"prepare": {"data": "no.yaml"}, "train": "train.yaml", "seeds": [0]}
    study |= {"factors": {"pooling": {"mean": {}}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    given = [f"--study={tmp_path}/study.yaml", f"--output={tmp_path}/out"]
    given += [f"--data={tiny_data.path}", "--backbone=tiny"]
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
