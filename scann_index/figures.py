"""python -m scann_index.figures: an evaluation's charts as files for a paper."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pipelines import options as command_line
from pipelines import storage
from pipelines.options import option
from pipelines.verb import verb
from scann_index.evaluation import Evaluation

if TYPE_CHECKING:
    from scann_index.drawing import Drawing

FORMATS = ("svg", "png", "pdf")
DESCRIPTION = """\
Writes the charts of an evaluation for a paper: recall by language, recall against hours of training
speech, recall against the index's parameters, and the training curves; those whose numbers are at
hand. Data, run and index are looked for beside the evaluation and recognized by their digests. The
same evaluation gives the same bytes. Needs the extra: pip install 'babelear[figures]'.

examples:
  python -m scann_index.figures --evaluation demo/evaluation --output figures
  python -m scann_index.figures --evaluation eval --output figures --width 6.9 --formats pdf
"""


@dataclass(frozen=True)
class FigureOptions:
    """The options of `scann_index.figures`."""

    evaluation: str = option(help="folder written by scann_index.evaluate")
    output: str = option(help="folder to write to, local or gs://; files there are replaced")
    formats: tuple[str, ...] = option(("svg", "png"), help="of svg, png (300 dpi) and pdf")
    width: float = option(3.35, help="inches; 3.35 is a column of most two-column papers")
    data: str = option("", help="the folder of pipelines.prepare, if not beside the evaluation")
    run: str = option("", help="the folder of model.train, if not beside the evaluation")
    index: str = option("", help="the folder of scann_index.build, if not beside the evaluation")
    dry_run: bool = option(False, help="print the files that would be written, then stop")

    def __post_init__(self) -> None:
        if odd := sorted(set(self.formats) - set(FORMATS)):
            raise ValueError(f"--formats {odd[0]}: there are {', '.join(FORMATS)}")
        if not 2 <= self.width <= 20:
            raise ValueError("--width must be between 2 and 20 inches")


@verb("figures", extra="figures")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        FigureOptions, argv, prog="python -m scann_index.figures", description=DESCRIPTION
    )
    would = "would write " if options.dry_run else ""
    for path in figures(options):
        print(f"{would}{path}")


def figures(options: FigureOptions) -> list[str]:
    """Writes the figures, unless dry.

    Returns:
        The paths of the files.

    Raises:
        OutputError: the evaluation is not complete, or a folder is another than was evaluated.
        ValueError: there is nothing to draw.
        ImportError: matplotlib is not installed.
    """
    evaluation = Evaluation.open(
        options.evaluation, data=options.data, run=options.run, index=options.index
    )
    charts = charts_of(evaluation, options.width)
    if not charts:
        raise ValueError(f"{options.evaluation} holds no speech→text scores to draw")
    written = []
    for name, draw in charts.items():
        paths = [storage.join(options.output, f"{name}.{ending}") for ending in options.formats]
        written += paths
        if options.dry_run:
            continue
        drawing = draw()
        for path, ending in zip(paths, options.formats, strict=True):
            storage.write_bytes(path, drawing.save(ending))
        drawing.close()
    return written


def charts_of(evaluation: Evaluation, width: float) -> dict[str, Callable[[], Drawing]]:
    """What can be drawn of an evaluation, by the name of the file; a call draws it.

    Args:
        evaluation: the numbers.
        width: in inches.
    """
    from scann_index import inequality, paper_charts, provenance
    from scann_index.sweep_chart import swept

    languages, sources = evaluation.report["languages"], evaluation.sources
    if not inequality.recalls(languages):
        return {}
    charts: dict[str, Callable[[], Drawing]] = {
        "recall-by-language": partial(paper_charts.recall_by_language, languages, width)
    }
    if "data" in sources:
        hours = inequality.training_hours(sources["data"].stats)
        charts["recall-by-hours"] = partial(paper_charts.recall_by_hours, languages, hours, width)
    if "index" in sources:
        info = sources["index"].info
        for shard, trials in swept(info)[:1]:
            target = info["options"].get("target_recall")
            sweep = partial(paper_charts.sweep, shard, trials, target, width)
            charts["recall-by-index-settings"] = sweep
    if "run" in sources:
        seen = {code for code, entry in languages.items() if entry["seen"]}
        curves = provenance.curves(sources["run"], seen)
        charts["training"] = partial(paper_charts.training, curves, width)
    return charts


if __name__ == "__main__":
    sys.exit(main())
