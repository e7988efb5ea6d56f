"""What `pipelines.prepare` left, as its tests look at it."""

from __future__ import annotations

from pathlib import Path

from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs


def opened(folder: Path | str) -> OutputDir:
    """A complete directory of pairs."""
    return OutputDir.open(str(folder), kind=KIND)


def all_pairs(out: OutputDir) -> list[Pair]:
    """The pairs of all splits."""
    return [pair for split in ("train", "dev", "test") for pair in read_pairs(out, split)]


def contents(folder: Path) -> dict[str, int]:
    """Every file and the nanosecond in which it was written."""
    return {str(p): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}
