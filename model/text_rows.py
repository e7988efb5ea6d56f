"""python -m model.text_rows: gives a model trained on arrays the text rows it was trained without.

`model.arrays` keeps the rows of a preset's text table that the data uses. They are frozen, so all
the others are still where they were: in the preset. Here they come back, and texts with tokens that
the training data lacks mean something again. Of a model that started at random (`--no-pretrained`)
they are drawn, as those it was trained beside were.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.verb import verb

KIND = "run"
DESCRIPTION = """\
Writes a copy of a run of model.train --arrays with the whole text table of the preset it started
from, ready for search, for an index and for model.export. Needs TensorFlow and the preset.

example:
  python -m model.text_rows --model run --output whole
"""


@dataclass(frozen=True)
class TextRowsOptions:
    """The options of `model.text_rows`."""

    model: str = option(help="run of model.train --arrays")
    output: str = option(help="folder to write the whole run to")
    backbone: str = option("", help="the preset it started from, if it lies elsewhere now")
    overwrite: bool = option(False, help="replace what is there")


@verb("text_rows")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        TextRowsOptions, argv, prog="python -m model.text_rows", description=DESCRIPTION
    )
    write(options)


def write(options: TextRowsOptions) -> OutputDir:
    """Writes the whole run.

    Raises:
        OutputError: the run is not complete, or the output holds something else.
        ValueError: the run lacks no text rows, or the preset is another than it started from.
    """
    from model.preset_folder import MANIFEST, ROWS, TABLE, read_array, verified, write_array

    run = OutputDir.open(options.model, kind=KIND)
    hashes = verified(run.file("preset"))
    if ROWS not in hashes:
        raise ValueError(f"{options.model} has all its text rows")
    out = OutputDir(options.output, kind=KIND)
    content = {**run.info["options"], "text_rows_of": run.digest}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    kept = read_array(run.file("preset", TABLE))
    rows = read_array(run.file("preset", ROWS))
    storage.write_bytes(out.file("log.jsonl"), storage.read_bytes(run.file("log.jsonl")))
    config = storage.read_json(run.file("preset", "config.json"))
    settled = run.info["options"]
    if settled["pretrained"]:
        table = _whole_table(settled, options.backbone)
        if not np.array_equal(table[rows], kept):
            raise ValueError(f"{options.model} did not start from this preset: its rows are others")
    else:
        table = _drawn_beside(kept, rows, config["tokenizer"]["size"], seed=settled["seed"])
    names = [name for name in hashes if name not in (TABLE, ROWS, "config.json")]
    for name in names:
        storage.write_bytes(out.file("preset", name), storage.read_bytes(run.file("preset", name)))
    config["text_table"]["rows"] = len(table)
    storage.write_json(out.file("preset", "config.json"), config)
    write_array(out.file("preset", TABLE), table)
    names += ["config.json", TABLE]
    written = {n: storage.sha256(storage.read_bytes(out.file("preset", n))) for n in names}
    storage.write_json(out.file("preset", MANIFEST), written)
    files = [f"preset/{name}" for name in (*names, MANIFEST)]
    stats = {**run.stats, "parameters": run.stats["parameters"] + table.size - kept.size}
    made_of: dict[str, Any] = {k: run.info[k] for k in ("data", "also") if k in run.info}
    out.complete(files=files, stats=stats, info=made_of)
    print(f"{out.path}: {len(table):,} text rows, of which {len(rows):,} were there")
    return out


def _drawn_beside(kept: np.ndarray, rows: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """A random table of `count` rows, those that are kept in their places and the others alike."""
    import ml_dtypes

    stored = ml_dtypes.bfloat16 if kept.dtype == np.uint16 else np.dtype(np.float32)
    deviation = kept.view(stored).astype(np.float32).std()
    drawn = np.random.default_rng(seed).standard_normal((count, kept.shape[1]), np.float32)
    table: np.ndarray = (drawn * deviation).astype(stored).view(kept.dtype)
    table[rows] = kept
    return table


def _whole_table(settled: dict[str, Any], backbone: str) -> np.ndarray:
    """The text table that a run's arrays took theirs from, as it is stored."""
    from model.presets import load_pretrained

    pretrained = load_pretrained(
        backbone or settled["backbone"],
        new_rows=1,
        first_text=1,
        layers=settled["layers"],
        storage=settled["storage"],
    )
    return pretrained.text_table.bits()


if __name__ == "__main__":
    sys.exit(main())
