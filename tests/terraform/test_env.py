"""`--env outputs.json` gives Beam the flags that Terraform put out; flags that are given win."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import cloud
from pipelines import options as command_line
from pipelines.prepare import PrepareOptions


@pytest.fixture()
def outputs(everything: dict[str, Any], tmp_path: Path) -> str:
    """What `terraform output -json` writes."""
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(everything["values"]["outputs"]), "utf-8")
    return str(path)


def parse(*flags: str) -> tuple[PrepareOptions, list[str]]:
    given = ["--corpus=demo", "--output=o", *flags]
    return command_line.parse(PrepareOptions, given, prog="p", description="d", beam=True)


def test_a_verb_runs_on_the_cloud_that_the_outputs_describe(outputs: str) -> None:
    from apache_beam.options import pipeline_options

    _, flags = parse("--env", outputs)
    options = pipeline_options.PipelineOptions(flags)
    google = options.view_as(pipeline_options.GoogleCloudOptions)
    worker = options.view_as(pipeline_options.WorkerOptions)
    assert options.view_as(pipeline_options.StandardOptions).runner == "DataflowRunner"
    assert (google.project, google.region) == ("my-project-123", "us-central1")
    assert google.temp_location == "gs://my-project-123-ear-staging/temp"
    assert google.dataflow_kms_key.endswith("/cryptoKeys/key")
    assert google.flexrs_goal == "COST_OPTIMIZED"
    assert google.service_account_email == "ear-worker@my-project-123.iam.gserviceaccount.com"
    assert (
        worker.sdk_container_image == "us-central1-docker.pkg.dev/my-project-123/ear/worker:0a1b2c3"
    )
    assert (worker.use_public_ips, worker.max_num_workers, worker.disk_size_gb) == (False, 64, 50)


def test_beam_knows_every_flag_that_is_put_out(outputs: str) -> None:
    flags = cloud.beam_flags(outputs)
    assert parse(*flags) == parse("--env", outputs)


def test_a_flag_on_the_command_line_wins(outputs: str) -> None:
    _, flags = parse("--env", outputs, "--max_num_workers=2", "--use_public_ips")
    assert [f for f in flags if "max_num_workers" in f] == ["--max_num_workers=2"]
    assert "--no_use_public_ips" not in flags and "--use_public_ips" in flags


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "can't read"), ("{}", "has no beam_flags"), ("[]", "terraform output")],
)
def test_another_file_is_refused_with_the_way_to_make_it(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(content)
    with pytest.raises(SystemExit):
        parse(f"--env={path}")
    assert message in capsys.readouterr().err
