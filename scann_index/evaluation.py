"""A finished evaluation, opened together with what it was made from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from model.train import KIND as RUN
from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import KIND as PAIRS
from scann_index.bundle import KIND as INDEX

KIND = "evaluation"
_KINDS = {"data": PAIRS, "run": RUN, "index": INDEX}


@dataclass(frozen=True)
class Evaluation:
    """Scores, and the folders they came from as far as they are known.

    Args:
        out: the evaluation's folder, complete.
        report: what its `report.json` holds.
        sources: of `data`, `run` and `index` those that are at hand.
    """

    out: OutputDir
    report: dict[str, Any]
    sources: dict[str, OutputDir]

    @classmethod
    def open(cls, path: str, **named: str) -> Evaluation:
        """Opens an evaluation.

        Args:
            path: its folder.
            named: folders for `data`, `run` and `index`; those not given, or empty, are looked for
                beside the evaluation. A folder is taken only if it is the very one that was
                evaluated, by its digest.

        Raises:
            OutputError: the evaluation is not complete or was altered, or a folder that is named
                is not the one that was evaluated.
        """
        out = OutputDir.open(path, kind=KIND)
        _check_files(out)
        report = storage.read_json(out.file("report.json"))
        digests = report["inputs"]
        sources: dict[str, OutputDir] = {}
        for name, kind in _KINDS.items():
            digest = digests.get(name)
            if named.get(name):
                source = OutputDir.open(named[name], kind=kind)
                if source.digest != digest:
                    raise OutputError(
                        f"{named[name]} is not what {path} was made from: it has another digest; "
                        f"give the {name} folder that was evaluated, or leave --{name} out"
                    )
                sources[name] = source
            elif digest and (found := _beside(out, digest, kind)):
                sources[name] = found
        return cls(out, report, sources)

    @property
    def examples(self) -> dict[str, list[dict[str, Any]]]:
        """Hits and misses of each language, to be shown."""
        return {code: scored.get("examples", []) for code, scored in self.details.items()}

    @cached_property
    def details(self) -> dict[str, dict[str, Any]]:
        """What `languages/xx.json` holds, by language."""
        return {
            code: storage.read_json(self.out.file("languages", f"{code}.json"))
            for code in self.report["languages"]
        }

    @cached_property
    def stages(self) -> dict[str, dict[str, Any]]:
        """`stats.json` of the stages at hand, in their order."""
        names = {"data": "prepare", "run": "train", "index": "build"}
        found = {
            stage: self.sources[name].stats for name, stage in names.items() if name in self.sources
        }
        return {**found, "evaluate": self.out.stats}


def _check_files(out: OutputDir) -> None:
    """Refuses an evaluation whose scores are not those that were written."""
    for name, expected in out.info["files"].items():
        if name.endswith(".html"):
            continue
        path = out.file(name)
        if not storage.exists(path):
            raise OutputError(f"{path} is missing: evaluate again with --overwrite")
        if storage.sha256(storage.read_bytes(path)) != expected:
            raise OutputError(
                f"{path} was altered after the evaluation: evaluate again with --overwrite"
            )


def _beside(out: OutputDir, digest: str, kind: str) -> OutputDir | None:
    """The complete folder with a digest that lies in the same folder as the evaluation."""
    for path in _neighbours(out.path):
        try:
            if storage.read_bytes(path).decode("ascii", "replace").strip() == digest:
                return OutputDir.open(path.removesuffix("/COMPLETED"), kind=kind)
        except (OSError, OutputError):
            continue
    return None


def _neighbours(path: str) -> list[str]:
    """The `COMPLETED` of every folder beside one."""
    if storage.is_remote(path):
        return storage.list_files(path.rsplit("/", 1)[0], "*/COMPLETED")
    return storage.list_files(os.path.dirname(os.path.abspath(path)), "*/COMPLETED")
