"""python -m benchmarks.study: a matrix of training runs, each evaluated, and what they show.

A study is a YAML file: `prepare` names folders and the files of pipelines.prepare that make them,
the first with the codebook of all and with what is tested; `factors`, whose levels are flags of
model.train, are crossed with `seeds`; `trials` change the first cell, one seed each; `build` and
`evaluate` are flags of scann_index.build and evaluate, the same for all cells. Every cell is
trained, indexed and evaluated by the usual verbs, one after the other, into OUTPUT/cells/NAME; what
is complete is not made again. Then OUTPUT/results.md, results.json and results.svg are written, of
what there is.

    python -m benchmarks.study --study configs/demo/study.yaml --output study/demo
    python -m benchmarks.study --study configs/tuxpaint/study.yaml --output study/tuxpaint --dry-run
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.verb import verb


@dataclass(frozen=True)
class StudyOptions:
    """The options of `benchmarks.study`."""

    study: str = option(help="YAML file that declares the study")
    output: str = option(help="folder for the cells and the results")
    data: tuple[str, ...] = option(
        (), help="prepared folders to use, in place of preparing them into OUTPUT: each in its turn"
    )
    backbone: str = option("", help="preset to use, in place of making OUTPUT/gemma3_270m")
    steps: int | None = option(None, help="training steps of every cell, in place of the study's")
    seeds: tuple[int, ...] = option((), help="seeds, in place of the study's")
    cells: tuple[str, ...] = option((), help="only cells whose name starts so: llm,trial-tiny")
    results_only: bool = option(False, help="run nothing: write the results of what is complete")
    dry_run: bool = option(False, help="print the cells and their commands, then stop")


@dataclass(frozen=True, eq=False)
class Cell:
    """One training run of a study.

    Args:
        name: of its folder.
        condition: its levels joined, or the trial's name; the same for all seeds.
        seed: of `model.train`.
        flags: what it changes in the study's `train` file.
        is_trial: whether it changes the first cell, outside of the matrix.
    """

    name: str
    condition: str
    seed: int
    flags: dict[str, Any]
    is_trial: bool = False


def cells_of(study: dict[str, Any], seeds: Sequence[int] = ()) -> list[Cell]:
    """The cells of a study, in the order they are run: seed by seed, trials last."""
    seeds = seeds or study["seeds"]
    levels = [list(factor.items()) for factor in study["factors"].values()]
    cells = []
    for seed, chosen in itertools.product(seeds, itertools.product(*levels)):
        condition = "-".join(name for name, _ in chosen)
        flags = {flag: value for _, given in chosen for flag, value in given.items()}
        cells.append(Cell(f"{condition}-{seed}", condition, seed, flags))
    first = cells[0]
    for name, given in study.get("trials", {}).items():
        flags = {**first.flags, **given}
        cells.append(Cell(f"trial-{name}-{first.seed}", name, first.seed, flags, True))
    return cells


def commands_of(
    cell: Cell, study: dict[str, Any], options: StudyOptions
) -> list[tuple[str, list[str]]]:
    """What makes a cell: the folder each command completes, and its arguments after `-m`."""
    folder = Path(options.output, "cells", cell.name)
    folders = data_folders(study, options)
    first = next(iter(folders.values()))
    used = [folders[name] for name in cell.flags.get("data", folders)]
    run, index, evaluation = (str(folder / name) for name in ("run", "index", "evaluation"))
    flags = {**cell.flags, "data": used, "output": run, "seed": cell.seed}
    if (preset := _preset(study, options)) and "backbone" not in flags:
        flags["backbone"] = preset
    if options.steps:
        flags["steps"] = options.steps
    config = str(Path(options.study).parent / study["train"])
    built = {**study.get("build", {}), "model": run, "data": first, "output": index}
    scored = {"index": index, "run": run, "data": first, "output": evaluation}
    return [
        (run, ["model.train", "--config", config, *_flags(flags)]),
        (index, ["scann_index.build", *_flags(built)]),
        (evaluation, ["scann_index.evaluate", *_flags({**study.get("evaluate", {}), **scored})]),
    ]


def data_folders(study: dict[str, Any], options: StudyOptions) -> dict[str, str]:
    """Where each of the study's prepared folders is: the first holds what is tested.

    Raises:
        ValueError: `--data` names more or fewer of them than the study does.
    """
    names = list(study["prepare"])
    if not options.data:
        return {name: str(Path(options.output, name)) for name in names}
    if len(options.data) != len(names):
        raise ValueError(f"--data takes {len(names)} folders: {', '.join(names)}")
    return dict(zip(names, options.data, strict=True))


def _preset(study: dict[str, Any], options: StudyOptions) -> str:
    """The preset all cells start from; none where the study's file trains a model from scratch."""
    if options.backbone:
        return options.backbone
    trained = yaml.safe_load(Path(options.study).parent.joinpath(study["train"]).read_text())
    from_scratch = trained.get("backbone", "tiny") == "tiny"
    return "" if from_scratch else str(Path(options.output, "gemma3_270m"))


def _flags(values: dict[str, Any]) -> list[str]:
    flags = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            shown = ",".join(map(str, value)) if isinstance(value, list) else value
            flags.append(f"--{flag}={shown}")
    return flags


def preparations(study: dict[str, Any], options: StudyOptions) -> list[tuple[str, list[str]]]:
    """What all cells need, as in `commands_of`."""
    needed = []
    folders = data_folders(study, options)
    first = next(iter(folders.values()))
    for name, config in ({} if options.data else study["prepare"]).items():
        path = Path(options.study).parent / config
        own = folders[name]
        shared = [f"--codebook={first}/codebook"] if own != first else []
        if "held-out" in yaml.safe_load(path.read_text(encoding="utf-8")):
            shared.append(f"--held-out={first}")
        needed.append(
            (own, ["pipelines.prepare", "--config", str(path), f"--output={own}", *shared])
        )
    preset = _preset(study, options)
    if preset and not options.backbone:
        needed.append((preset, ["model.pretrained", f"--output={preset}", "--check"]))
    return needed


def run(commands: list[tuple[str, list[str]]]) -> None:
    """Runs what is not complete.

    Raises:
        ChildProcessError: a command failed; run the study again to go on from there.
    """
    for folder, arguments in commands:
        if storage.exists(storage.join(folder, "COMPLETED")):
            continue
        print(f"$ python -m {' '.join(arguments)}", flush=True)
        if subprocess.run([sys.executable, "-m", *arguments], check=False).returncode:
            raise ChildProcessError(f"{arguments[0]} failed; run this again to go on from here")


@verb("study")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        StudyOptions, argv, prog="python -m benchmarks.study", description=str(__doc__)
    )
    study = yaml.safe_load(Path(options.study).read_text(encoding="utf-8"))
    cells = [
        cell
        for cell in cells_of(study, options.seeds)
        if not options.cells or cell.name.startswith(options.cells)
    ]
    made = [commands_of(cell, study, options) for cell in cells]
    if options.dry_run:
        for _, arguments in itertools.chain(preparations(study, options), *made):
            print(f"python -m {' '.join(arguments)}")
        return
    if not options.results_only:
        run(preparations(study, options))
        for number, (cell, commands) in enumerate(zip(cells, made, strict=True), 1):
            print(f"[{number}/{len(cells)}] {cell.name}", flush=True)
            run(commands)
    from benchmarks.study_results import write_results

    evaluations = {cell: commands[-1][0] for cell, commands in zip(cells, made, strict=True)}
    data = next(iter(data_folders(study, options).values()))
    write_results(options.output, data, evaluations)


if __name__ == "__main__":
    sys.exit(main())
