"""Runs a Beam pipeline, in this process unless a runner is named, behind a progress bar."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    right_fitting,
    storage,
)
from pipelines.output_dir import OutputError
from pipelines.progress import progress_bar

import apache_beam as beam  # isort: skip
from apache_beam.options.pipeline_options import GoogleCloudOptions  # isort: skip
from apache_beam.options.pipeline_options import PipelineOptions  # isort: skip
from apache_beam.options.pipeline_options import SetupOptions  # isort: skip
from apache_beam.options.pipeline_options import StandardOptions  # isort: skip
from apache_beam.options.pipeline_options import WorkerOptions  # isort: skip


IN_THIS_PROCESS = ("direct", "directrunner", "fnapirunner")
"""Beam's names of the runner that this module takes, in small letters."""


class PipelineFailed(OutputError):
    """The pipeline failed on another runner; the message holds what that says of it."""


class TemplateWritten(SystemExit):
    """The pipeline was described at `--template_location`: somebody else is to run it, later."""


def run(build: Callable[[Any], Any], beam_flags: Sequence[str] = ()) -> Any:
    """Builds and runs a pipeline to its end.

    Args:
        build: gets the `beam.Pipeline` and applies transforms to it.
        beam_flags: flags for Beam's `PipelineOptions`. Without `--runner`, and with
            `--runner=DirectRunner`, the pipeline runs on this machine: in this process, or in
            several with `--direct_running_mode=multi_processing --direct_num_workers=N`. Nothing is
            downloaded for it, as Beam itself would (its DirectRunner first fetches Prism).

    Returns:
        The finished `PipelineResult`.

    Raises:
        PipelineFailed: it failed elsewhere than in this process, where its own error is raised.
        TemplateWritten: `--template_location` was given, so nothing has run yet that whoever called
            could go on with.
        ValueError: the flags contradict each other, or leave Dataflow's workers without Babelear.
    """
    options = PipelineOptions(list(beam_flags))
    options.view_as(SetupOptions).save_main_session = False
    name = options.view_as(StandardOptions).runner or "DirectRunner"
    runner = None
    if name.lower() in IN_THIS_PROCESS:
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        runner = FnApiRunner()
    elif "dataflow" in name.lower():
        _refuse_bare_workers(options)
    # gRPC would ask a proxy for the worker processes on this machine, and wait for ever.
    exempt = os.environ.get("no_grpc_proxy", os.environ.get("no_proxy", ""))  # noqa: SIM112
    if "localhost" not in exempt.split(","):
        os.environ["no_grpc_proxy"] = f"{exempt},localhost".strip(",")  # noqa: SIM112
    pipeline = beam.Pipeline(runner=runner, options=options)
    build(pipeline)
    right_fitting.fit(pipeline, options)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:
        if name.lower() in IN_THIS_PROCESS:
            raise
        raise PipelineFailed(
            f"{error}\nThe pipeline failed on {name}. Once the cause is mended, the same command "
            "goes on: what is finished is kept."
        ) from error
    if options.view_as(GoogleCloudOptions).template_location:
        raise TemplateWritten(0)
    return result


def _refuse_bare_workers(options: PipelineOptions) -> None:
    """Raises ValueError where every worker would fail, minutes later, to import our modules."""
    setup, image = options.view_as(SetupOptions), options.view_as(WorkerOptions).sdk_container_image
    if not (image or setup.setup_file or setup.extra_packages or setup.requirements_file):
        raise ValueError(
            "Dataflow's workers have no Babelear: give --sdk_container_image=… (docs/cloud.md "
            "tells how to build it) or --setup_file=./setup.py"
        )


@contextmanager
def progress(title: str, folder: str, pattern: str, total: int | None) -> Iterator[None]:
    """A progress bar that counts the files a pipeline has finished, whatever runner writes them.

    Args:
        title: shown before the bar.
        folder: where the files appear.
        pattern: which files count.
        total: how many there will be; None if that is not known.
    """
    with progress_bar() as bar:
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
