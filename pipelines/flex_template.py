"""What a Dataflow flex template runs: the next Beam pipeline that a verb's output lacks.

A template launches one job, but a verb runs several pipelines one after the other, each reading
what the one before it wrote. Verbs keep what is finished, though, so launching the template again
goes on with the next pipeline; the last launch finds nothing left to run, completes the output and
launches a job that reads it back. Whoever launches repeats it until the output is complete, which
`terraform/workflow.yaml` does.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from pipelines import quiet, storage  # noqa: F401  (quiet before Beam)

VERBS = {
    "prepare": ("pipelines.prepare", "PrepareOptions"),
    "translate": ("pipelines.translate", "TranslateOptions"),
    "build": ("scann_index.build", "BuildOptions"),
    "evaluate": ("scann_index.evaluate", "EvaluateOptions"),
}
"""Module and options of each, by name: some are of later packages, which this one can't import."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb up to the first pipeline, which is described at Beam's `--template_location`.

    Args:
        argv: `--verb`, the verb's own flags and Beam's, as the template's launcher gives them.

    Returns:
        The exit status: not 0 if no job was described.
    """
    from pipelines.beam_runner import TemplateWritten

    parser = argparse.ArgumentParser(prog="python -m pipelines.flex_template", allow_abbrev=False)
    parser.add_argument("--verb", required=True, choices=VERBS)
    arguments, flags = parser.parse_known_args(argv)
    if not any(flag.split("=")[0] == "--template_location" for flag in flags):
        parser.error("--template_location is missing: this runs inside a flex template only")
    module, options_class = VERBS[arguments.verb]
    verb: Any = importlib.import_module(module)
    own, beams = divide(flags, getattr(verb, options_class))
    try:
        status: int = verb.main([*own, *beams])
        if status == 0:
            read_back(own, beams)
    except TemplateWritten:
        return 0
    return status or 1


def divide(flags: Sequence[str], options_class: type) -> tuple[list[str], list[str]]:
    """A verb's own flags, and Beam's.

    Args:
        flags: as a template's launcher writes them: `--codebook_size=64`, for the template's
            parameters have the names of the options.
        options_class: the verb's options.

    Returns:
        The verb's flags, spelled as the verb does (`--codebook-size=64`), and all others.
    """
    names = {field.name for field in dataclasses.fields(options_class)}
    own, others = [], []
    for flag in flags:
        name, equals, value = flag.partition("=")
        if name.removeprefix("--") in names:
            own.append(name.replace("_", "-") + equals + value)
        else:
            others.append(flag)
    return own, others


def read_back(own: Sequence[str], beams: Sequence[str]) -> None:
    """Describes a job that hashes every file of a complete output again.

    Args:
        own: the verb's flags; `--output` is the directory.
        beams: Beam's.

    Raises:
        TemplateWritten: it did.
    """
    import apache_beam as beam

    from pipelines import beam_runner

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--output", required=True)
    folder = parser.parse_known_args(own)[0].output
    hashes = storage.read_json(storage.join(folder, "info.json"))["files"]
    files = [(storage.join(folder, name), sha256) for name, sha256 in hashes.items()]

    def build(pipeline: Any) -> None:
        _ = pipeline | beam.Create(files) | beam.Reshuffle() | "ReadBack" >> beam.MapTuple(check)

    beam_runner.run(build, beams)


def check(path: str, sha256: str) -> None:
    """Hashes a file.

    Raises:
        ValueError: it is not what was written.
    """
    if storage.file_sha256(path) != sha256:
        raise ValueError(f"{path} is damaged: its SHA-256 is not the one in info.json")


if __name__ == "__main__":
    sys.exit(main())
