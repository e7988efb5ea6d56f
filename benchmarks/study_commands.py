"""What a study's file declares, as cells and the commands that make them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from model.arrays import FIXED
from model.fresh_encoder import TINY
from pipelines import storage

if TYPE_CHECKING:
    from benchmarks.study import StudyOptions


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


@dataclass(frozen=True)
class Command:
    """One run of a verb.

    Args:
        folder: what it completes.
        arguments: those after `-m`.
        python: the interpreter, if not this one: it has JAX.
    """

    folder: str
    arguments: list[str]
    python: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that are set for it."""
        # Else the first process on a GPU takes most of its memory, and others find none.
        jax = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        return jax if self.python else {}

    @property
    def is_complete(self) -> bool:
        """Whether it has been run to its end."""
        return storage.exists(storage.join(self.folder, "COMPLETED"))

    def __str__(self) -> str:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*variables, self.python or "python", "-m", *self.arguments])


def left(commands: Sequence[Command]) -> list[Command]:
    """Those after the last that is complete: what they would need, it has."""
    done = [number for number, command in enumerate(commands, 1) if command.is_complete]
    return list(commands[max(done, default=0) :])


def commands_of(cell: Cell, study: dict[str, Any], options: StudyOptions) -> list[Command]:
    """What makes a cell, the last of them its evaluation."""
    folder = Path(options.output, "cells", cell.name)
    used = used_folders(cell, study, options)
    run, index, evaluation = (str(folder / name) for name in ("run", "index", "evaluation"))
    flags = {**cell.flags, "data": used, "output": run, "seed": cell.seed}
    if (preset := _preset(study, options)) and "backbone" not in flags:
        flags["backbone"] = preset
    if options.steps and "steps" not in flags:
        flags |= {"steps": options.steps, "evaluate-every": _interval(options.steps)}
    config = str(Path(options.study).parent / study["train"])
    built = {**study.get("build", {}), "model": run, "data": used[0], "output": index}
    if "speeds" in built:
        # All cells have one codebook: what the first hears of the test split, the others need not.
        built["cache"] = str(Path(options.output, "heard"))
    scored = {"index": index, "run": run, "data": used[0], "output": evaluation}
    train = Command(run, ["model.train", "--config", config, *_flags(flags)])
    return [
        *(_by_jax(config, flags, options) if options.jax_python else [train]),
        Command(index, ["scann_index.build", *_flags(built)]),
        Command(
            evaluation, ["scann_index.evaluate", *_flags({**study.get("evaluate", {}), **scored})]
        ),
    ]


def _interval(steps: int) -> int:
    """Steps between evaluations, which must divide all: a few hundred if they do."""
    return next((every for every in (400, 300, 250, 200, 150, 100) if steps % every == 0), steps)


def _by_jax(config: str, flags: dict[str, Any], options: StudyOptions) -> list[Command]:
    """Training on arrays: shared by the cells of both starts and all seeds that read the same."""
    run = flags["output"]
    settled = {"data", *(name.replace("_", "-") for name in FIXED)} - {"pretrained"}
    shared = {flag: value for flag, value in flags.items() if flag in settled}
    digest = storage.sha256(repr(sorted(shared.items())).encode())[:12]
    arrays = str(Path(options.output, "arrays", digest))
    made = _flags({**shared, "output": arrays})
    from_scratch = flags.get("backbone", TINY) == TINY
    trained = run if from_scratch else f"{run}-on-arrays"
    own = _flags({**flags, "data": "", "arrays": arrays, "output": trained})
    rows = ["model.text_rows", f"--model={trained}", f"--output={run}"]
    return [
        Command(arrays, ["model.arrays", "--config", config, *made]),
        Command(trained, ["model.train", "--config", config, *own], python=options.jax_python),
        *([] if from_scratch else [Command(run, rows)]),
    ]


def data_folders(study: dict[str, Any], options: StudyOptions) -> dict[str, str]:
    """Where each of the study's prepared folders is: the first holds the codebook of all.

    Raises:
        ValueError: `--data` names more of them than the study does.
    """
    names = list(study["prepare"])
    if not options.data:
        return {name: str(Path(options.output, name)) for name in names}
    if len(options.data) > len(names):
        raise ValueError(f"--data takes {len(names)} folders at most: {', '.join(names)}")
    return dict(zip(names, options.data, strict=False))


def used_folders(cell: Cell, study: dict[str, Any], options: StudyOptions) -> list[str]:
    """What a cell is trained on: the first holds what is tested.

    Raises:
        ValueError: `--data` lacks one of them.
    """
    folders = data_folders(study, options)
    names = cell.flags.get("data", list(study["prepare"]))
    if missing := [name for name in names if name not in folders]:
        raise ValueError(f"--data lacks {', '.join(missing)}, which {cell.name} is trained on")
    return [folders[name] for name in names]


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


def preparations(
    study: dict[str, Any], options: StudyOptions, cells: Sequence[Cell]
) -> list[Command]:
    """What these cells need: the first folder, others that they are trained on, and the preset."""
    needed = []
    folders = data_folders(study, options)
    first = next(iter(folders.values()))
    used = {folder for cell in cells for folder in used_folders(cell, study, options)}
    for name, config in ({} if options.data else study["prepare"]).items():
        path = Path(options.study).parent / config
        own = folders[name]
        if own not in {first, *used}:
            continue
        shared = [f"--codebook={first}/codebook"] if own != first else []
        if "held-out" in yaml.safe_load(path.read_text(encoding="utf-8")):
            shared.append(f"--held-out={first}")
        needed.append(
            Command(own, ["pipelines.prepare", "--config", str(path), f"--output={own}", *shared])
        )
    preset = _preset(study, options)
    if preset and not options.backbone:
        needed.append(Command(preset, ["model.pretrained", f"--output={preset}", "--check"]))
    return needed
