"""python -m benchmarks.study: a matrix of training runs, each evaluated, and what they show.

A study is a YAML file: `prepare` names folders and the files of pipelines.prepare that make them,
the first with the codebook of all; `factors`, whose levels are flags of model.train (the first
folder of `data` holds what is tested), are crossed with `seeds`; `trials` change the first cell,
one seed each; `build` and `evaluate` are flags of scann_index.build and evaluate, the same for all
cells. Every cell is trained, indexed and evaluated by the usual verbs into OUTPUT/cells/NAME; what
is complete is not made again. Then OUTPUT/results.md, results.json and results.svg are written, of
what there is.

    python -m benchmarks.study --study configs/demo/study.yaml --output study/demo
    python -m benchmarks.study --study configs/tuxpaint/study.yaml --output study/tuxpaint --dry-run

With a GPU, train by JAX in an environment of its own, which needs no TensorFlow, several cells at
a time; all else is done by this one:

    python -m benchmarks.study --study configs/tuxpaint/study.yaml --output study/tuxpaint \\
        --jax-python jax-venv/bin/python --jobs 6
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.study_commands import (
    Cell,
    Command,
    cells_of,
    commands_of,
    left,
    preparations,
    used_folders,
)
from pipelines import options as command_line
from pipelines.options import option
from pipelines.verb import verb


@dataclass(frozen=True)
class StudyOptions:
    """The options of `benchmarks.study`."""

    study: str = option(help="YAML file that declares the study")
    output: str = option(help="folder for the cells and the results")
    data: tuple[str, ...] = option(
        (),
        help="prepared folders to use, in place of preparing them into OUTPUT: each in its turn, "
        "as far as the cells need them",
    )
    backbone: str = option("", help="preset to use, in place of making OUTPUT/gemma3_270m")
    steps: int | None = option(
        None, help="training steps of every cell that has none of its own, in place of the study's"
    )
    seeds: tuple[int, ...] = option((), help="seeds, in place of the study's")
    cells: tuple[str, ...] = option((), help="only cells whose name starts so: llm,trial-tiny")
    jax_python: str = option(
        "", help="interpreter of an environment with JAX: trains there, on arrays of model.arrays"
    )
    jobs: int = option(
        1,
        help="cells made at a time, once data and arrays are made; each of several writes "
        "CELL/log.txt",
    )
    results_only: bool = option(False, help="run nothing: write the results of what is complete")
    dry_run: bool = option(False, help="print the cells and their commands, then stop")

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError("--jobs must be at least 1")


def run(commands: Iterable[Command], log: str = "") -> None:
    """Runs commands in their order.

    Args:
        commands: none of them complete.
        log: file for what they print; empty for the terminal.

    Raises:
        ChildProcessError: a command failed; run the study again to go on from there.
    """
    for command in commands:
        print(f"$ {command}", flush=True)
        call = [command.python or sys.executable, "-m", *command.arguments]
        environment = {**os.environ, **command.environment}
        with Path(log or os.devnull).open("ab") as file:
            target = file if log else None
            done = subprocess.run(call, env=environment, check=False, stdout=target, stderr=target)
        if done.returncode:
            told = f" ({log} tells why)" if log else ""
            raise ChildProcessError(
                f"{command.arguments[0]} failed{told}; run this again to go on from here"
            )


def run_cells(made: dict[Cell, list[Command]], options: StudyOptions) -> None:
    """Makes what the cells lack, `--jobs` of them at a time.

    Raises:
        ChildProcessError: as `run`; with several jobs once all other cells are made.
    """
    lacking = {cell: left(commands) for cell, commands in made.items()}
    arrays = [c for commands in lacking.values() for c in commands if _is_shared(c)]
    run({command.folder: command for command in arrays}.values())

    def make(number: int, cell: Cell) -> None:
        print(f"[{number}/{len(made)}] {cell.name}", flush=True)
        folder = Path(options.output, "cells", cell.name)
        folder.mkdir(parents=True, exist_ok=True)
        own = [command for command in lacking[cell] if not _is_shared(command)]
        run(own, str(folder / "log.txt") if options.jobs > 1 else "")

    if options.jobs == 1:
        for number, cell in enumerate(made, 1):
            make(number, cell)
        return
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(make, number, cell) for number, cell in enumerate(made, 1)]
        try:
            wait(futures)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for future in futures:
        future.result()


def _is_shared(command: Command) -> bool:
    return command.arguments[0] == "model.arrays"


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
    if not cells:
        raise ValueError(f"no cell's name starts with {' or '.join(options.cells)}; see --dry-run")
    needed = preparations(study, options, cells)
    made = {cell: commands_of(cell, study, options) for cell in cells}
    if options.dry_run:
        for line in dict.fromkeys(map(str, itertools.chain(needed, *made.values()))):
            print(line)
        return
    if not options.results_only:
        run(command for command in needed if not command.is_complete)
        run_cells(made, options)
    from benchmarks.study_results import write_results

    evaluations = {cell: commands[-1].folder for cell, commands in made.items()}
    data = {cell: used_folders(cell, study, options)[0] for cell in made}
    write_results(options.output, data, evaluations)


if __name__ == "__main__":
    sys.exit(main())
