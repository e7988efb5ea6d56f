"""A pipeline runs here and now unless told otherwise, and never fetches a runner."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from pipelines import beam_runner


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prism can't be fetched."""

    def fetch(*_: Any) -> None:
        raise AssertionError("tried to download Prism")

    monkeypatch.setattr(prism_runner, "urlopen", fetch)
    monkeypatch.setattr(prism_runner.PrismRunner, "run_pipeline", fetch)


@pytest.mark.parametrize(
    "flags", [[], ["--runner=DirectRunner"], ["--runner", "direct"], ["--runner=FnApiRunner"]]
)
def test_a_pipeline_runs_in_this_process(flags: list[str]) -> None:
    ran: list[Any] = []

    def build(pipeline: beam.Pipeline) -> None:
        ran.append(pipeline.runner)
        doubled = pipeline | beam.Create([1, 2, 3]) | beam.Map(lambda number: number * 2)
        assert_that(doubled, equal_to([2, 4, 6]))

    result = beam_runner.run(build, flags)

    assert result.state == "DONE"
    assert isinstance(ran[0], FnApiRunner)


def test_flags_reach_the_pipelines_options() -> None:
    seen: list[dict[str, Any]] = []

    def build(pipeline: beam.Pipeline) -> None:
        seen.append(pipeline.options.get_all_options())
        _ = pipeline | beam.Create([1])

    beam_runner.run(build, ["--job_name=babel", "--direct_num_workers=1", "--save_main_session"])

    assert (seen[0]["job_name"], seen[0]["direct_num_workers"]) == ("babel", 1)
    assert seen[0]["save_main_session"] is False


@pytest.mark.parametrize(
    ("no_proxy", "expected"),
    [(None, "localhost"), ("a.org,b.org", "a.org,b.org,localhost"), ("localhost", None)],
)
def test_worker_processes_are_not_asked_for_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str | None, expected: str | None
) -> None:
    monkeypatch.setenv("no_proxy", no_proxy or "")
    # Set first, so that it is put back afterwards.
    monkeypatch.setenv("no_grpc_proxy", "")
    monkeypatch.delenv("no_grpc_proxy")
    for _ in range(2):
        beam_runner.run(lambda pipeline: pipeline | beam.Create([1]))

    assert os.environ.get("no_grpc_proxy") == expected  # noqa: SIM112


def test_another_runner_is_the_one_that_is_named() -> None:
    with pytest.raises(ValueError, match="Unexpected pipeline runner: Nobody"):
        beam_runner.run(lambda pipeline: None, ["--runner=Nobody"])


def test_an_error_in_a_step_is_raised_here() -> None:
    def fail(number: int) -> None:
        raise ValueError(f"{number} is too many")

    with pytest.raises(ValueError, match="3 is too many"):
        beam_runner.run(lambda pipeline: pipeline | beam.Create([3]) | beam.Map(fail))


def test_an_error_elsewhere_is_told_with_what_to_do() -> None:
    def fail(number: int) -> None:
        raise ValueError(f"{number} is too many")

    flags = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]
    with pytest.raises(beam_runner.PipelineFailed) as failed:
        beam_runner.run(lambda pipeline: pipeline | beam.Create([3]) | beam.Map(fail), flags)

    assert "3 is too many" in str(failed.value)
    assert str(failed.value).endswith("the same command goes on: what is finished is kept.")


def test_the_bar_counts_finished_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with beam_runner.progress("count sheep", str(tmp_path), "*.json", 3):
        for number in range(3):
            (tmp_path / f"{number}.json").write_text("{}")
        (tmp_path / "other.txt").write_text("")

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("count sheep")
    assert "3/3" in line


def test_a_failure_ends_the_bar_and_its_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), beam_runner.progress("fail", str(tmp_path), "*", 1):
        raise KeyError
    time.sleep(0.1)

    assert threading.active_count() <= before
