"""python -m scann_index.report: draws the page of a finished evaluation again, without scoring."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.output_dir import OutputError
from pipelines.verb import verb
from scann_index.evaluation import Evaluation

DESCRIPTION = """\
Draws the report of a finished evaluation again, from the scores it holds: after an update of
Babelear, or with folders that were not at hand before. Data, run and index are looked for beside
the evaluation and recognized by their digests.

examples:
  python -m scann_index.report --evaluation demo/evaluation --output report.html
  python -m scann_index.report --evaluation eval --data gs://bucket/data --output report.html
"""


@dataclass(frozen=True)
class RedrawOptions:
    """The options of `scann_index.report`."""

    evaluation: str = option(help="folder written by scann_index.evaluate")
    output: str = option(help="the page to write, such as report.html; local or gs://")
    data: str = option("", help="the folder of pipelines.prepare, if not beside the evaluation")
    run: str = option("", help="the folder of model.train, if not beside the evaluation")
    index: str = option("", help="the folder of scann_index.build, if not beside the evaluation")
    dry_run: bool = option(False, help="print what was found and would be written, then stop")


@verb("report")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        RedrawOptions, argv, prog="python -m scann_index.report", description=DESCRIPTION
    )
    redraw(options)


def redraw(options: RedrawOptions) -> None:
    """Writes the page, unless dry, and says what could not be drawn.

    Raises:
        OutputError: the evaluation is not complete, a folder is another than was evaluated, or
            its data, which every page shows, is not at hand.
    """
    from scann_index.bundle import Bundle
    from scann_index.report import render

    evaluation = Evaluation.open(
        options.evaluation, data=options.data, run=options.run, index=options.index
    )
    sources = evaluation.sources
    if "data" not in sources:
        raise OutputError(
            f"the data that {options.evaluation} was made from is not beside it: give --data, "
            "the folder of pipelines.prepare"
        )
    for name in ("run", "index"):
        if name not in sources and evaluation.report["inputs"].get(name):
            print(f"report: the {name} is not at hand (--{name}); its parts are left out")
    if options.dry_run:
        for name, source in sources.items():
            print(f"  {name:<5} {source.path}")
        print(f"would write {options.output}")
        return
    page = render(
        evaluation.report,
        examples=evaluation.examples,
        data=sources["data"],
        run=sources.get("run"),
        stages=evaluation.stages,
        index=Bundle.open(sources["index"].path) if "index" in sources else None,
    )
    storage.write_bytes(options.output, page.encode("utf-8"))
    print(f"report: {options.output}")


if __name__ == "__main__":
    sys.exit(main())
