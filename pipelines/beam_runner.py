"""Runs a Beam pipeline, in this process unless a runner is named, behind a progress bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)

import apache_beam as beam  # isort: skip
from apache_beam.options.pipeline_options import PipelineOptions  # isort: skip
from apache_beam.options.pipeline_options import SetupOptions  # isort: skip


def run(build: Callable[[Any], Any], beam_flags: Sequence[str] = ()) -> Any:
    """Builds and runs a pipeline to its end.

    Args:
        build: gets the `beam.Pipeline` and applies transforms to it.
        beam_flags: flags for Beam's `PipelineOptions`. Without `--runner` the pipeline runs in this
            process: Beam's own default, `DirectRunner`, first tries to download another one.

    Returns:
        The finished `PipelineResult`.
    """
    options = PipelineOptions(list(beam_flags))
    options.view_as(SetupOptions).save_main_session = False
    runner = None
    if not any(flag.split("=")[0] == "--runner" for flag in beam_flags):
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        runner = FnApiRunner()
    pipeline = beam.Pipeline(runner=runner, options=options)
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@contextmanager
def progress(title: str, folder: str, pattern: str, total: int) -> Iterator[None]:
    """A progress bar that counts the files a pipeline has finished, whatever runner writes them.

    Args:
        title: shown before the bar.
        folder: where the files appear.
        pattern: which files count.
        total: how many there will be.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(title, total=total)
        done = threading.Event()

        def watch() -> None:
            seconds = 2.0 if storage.is_remote(folder) else 0.3
            while not done.wait(seconds):
                bar.update(task, completed=len(storage.list_files(folder, pattern)))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            bar.update(task, completed=len(storage.list_files(folder, pattern)))
