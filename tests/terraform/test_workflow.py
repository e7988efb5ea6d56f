"""The workflow that Terraform puts up, executed against a cloud made of a few hundred lines.

Its source and its environment are those of the state after `apply`; its requests are held against
the services' discovery documents.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import discovery, environments
from tests.terraform.fake_cloud import Cloud, serve
from tests.terraform.terraform_cli import resources

ARGUMENT = {"run": "first", "corpus": "gs://my-project-123-ear-raw/speech.tsv"}
DATA, MODELS = "gs://my-project-123-ear-data/first", "gs://my-project-123-ear-models/first"


class Runner:
    """Executes the workflow of a state.

    Args:
        state: what `terraform show -json` prints.
        emulator: a process of `run_workflow.py`.
        folder: where the workflow is written to.
    """

    def __init__(
        self, state: dict[str, Any], emulator: subprocess.Popen[str], folder: Path
    ) -> None:
        workflow = resources(state)["google_workflows_workflow.run"]
        self.environment: dict[str, str] = dict(workflow["user_env_vars"])
        self.emulator = emulator
        self.path = folder / "workflow.yaml"
        self.path.write_text(workflow["source_contents"], "utf-8")

    def run(self, cloud: Cloud, argument: dict[str, Any]) -> dict[str, Any]:
        """What the execution ends with: `{"result": …}` or `{"error": …}`."""
        assert self.emulator.stdin and self.emulator.stdout
        with serve(cloud) as address:
            execution = {
                "workflow": str(self.path),
                "argument": argument,
                "address": address,
                "environment": {"GOOGLE_CLOUD_PROJECT_ID": "my-project-123", **self.environment},
            }
            print(json.dumps(execution), file=self.emulator.stdin, flush=True)
            ended: dict[str, Any] = json.loads(self.emulator.stdout.readline())
        return ended


@pytest.fixture(scope="module")
def emulator() -> Iterator[subprocess.Popen[str]]:
    """The emulator, waiting for executions."""
    script = Path(__file__).with_name("run_workflow.py")
    process = subprocess.Popen(
        [environments.python("workflows"), script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    assert process.stdin
    process.stdin.close()
    process.wait()


@pytest.fixture()
def workflow(everything: dict[str, Any], emulator: subprocess.Popen[str], tmp_path: Path) -> Runner:
    """The workflow with every option on."""
    return Runner(everything, emulator, tmp_path)


def launched(cloud: Cloud, verb: str) -> list[dict[str, Any]]:
    parameters = [body["launchParameter"] for _, url, body in cloud.requests if "launch" in url]
    return [p for p in parameters if p["parameters"]["verb"] == verb]


def trained(cloud: Cloud) -> list[dict[str, Any]]:
    return [body for verb, url, body in cloud.requests if verb == "POST" and "customJobs" in url]


def test_all_stages_run_in_their_order_until_each_output_is_complete(workflow: Runner) -> None:
    cloud = Cloud()
    assert workflow.run(cloud, ARGUMENT) == {
        "result": {
            "pairs": f"{DATA}/pairs",
            "model": f"{MODELS}/model",
            "index": f"{DATA}/index",
            "report": f"{DATA}/evaluation/report.html",
        }
    }
    posted = [(url, body) for verb, url, body in cloud.requests if verb == "POST"]
    stages = [
        body.get("launchParameter", {}).get("parameters", {}).get("verb") for _, body in posted
    ]
    assert stages == ["prepare"] * 3 + [None] + ["build"] * 4 + ["evaluate"] * 2
    assert len(cloud.complete) == 4


def test_each_stage_reads_what_the_one_before_it_wrote(workflow: Runner) -> None:
    cloud = Cloud()
    workflow.run(cloud, {**ARGUMENT, "prepare": {"shards": 256}, "train": ["--steps=9"]})
    assert launched(cloud, "prepare")[0]["parameters"] == {
        "verb": "prepare",
        "corpus": ARGUMENT["corpus"],
        "output": f"{DATA}/pairs",
        "shards": "256",
    }
    (job,) = trained(cloud)
    (pool,) = job["jobSpec"]["workerPoolSpecs"]
    assert pool["containerSpec"]["args"] == [
        "--steps=9",
        f"--data={DATA}/pairs",
        f"--output={MODELS}/model",
    ]
    assert launched(cloud, "build")[0]["parameters"] == {
        "verb": "build",
        "model": f"{MODELS}/model/preset",
        "data": f"{DATA}/pairs",
        "output": f"{DATA}/index",
    }
    assert launched(cloud, "evaluate")[0]["parameters"] == {
        "verb": "evaluate",
        "index": f"{DATA}/index",
        "data": f"{DATA}/pairs",
        "run": f"{MODELS}/model",
        "output": f"{DATA}/evaluation",
    }


def test_with_an_engine_transcripts_are_translated_and_training_reads_both(
    workflow: Runner,
) -> None:
    cloud = Cloud()
    engine = {"engine": "ctranslate2:gs://my-project-123-ear-models/nllb", "into": "en"}
    workflow.run(cloud, {**ARGUMENT, "translate": engine, "train": ["--bitext=0.25"]})

    assert [launch["parameters"] for launch in launched(cloud, "translate")] == [
        {"verb": "translate", "data": f"{DATA}/pairs", "output": f"{DATA}/translated", **engine}
    ] * 2
    (job,) = trained(cloud)
    (pool,) = job["jobSpec"]["workerPoolSpecs"]
    assert pool["containerSpec"]["args"][:2] == [
        "--bitext=0.25",
        f"--data={DATA}/pairs,{DATA}/translated",
    ]
    order = [url for verb, url, _ in cloud.requests if verb == "POST"]
    assert "customJobs" in order[3 + 2]


def test_jobs_are_private_labelled_encrypted_and_run_as_their_own_account(workflow: Runner) -> None:
    cloud = Cloud()
    workflow.run(cloud, ARGUMENT)
    (job,) = trained(cloud)
    launches = [
        launch for verb in ("prepare", "build", "evaluate") for launch in launched(cloud, verb)
    ]
    for launch in launches:
        environment = launch["environment"]
        assert environment["ipConfiguration"] == "WORKER_IP_PRIVATE"
        assert environment["serviceAccountEmail"].startswith("ear-worker@")
        assert environment["additionalUserLabels"] == {"application": "ear", "team": "speech"}
        assert environment["kmsKeyName"].endswith("/cryptoKeys/key")
        assert environment["maxWorkers"] == 64
    assert job["jobSpec"]["serviceAccount"].startswith("ear-trainer@")
    assert job["labels"] == {"application": "ear", "team": "speech"}
    assert job["encryptionSpec"]["kmsKeyName"].endswith("/cryptoKeys/key")
    (pool,) = job["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"] == {
        "machineType": "a2-highgpu-1g",
        "acceleratorType": "NVIDIA_TESLA_A100",
        "acceleratorCount": 1,
    }


def test_one_stage_runs_alone(workflow: Runner) -> None:
    cloud = Cloud()
    ended = workflow.run(cloud, {"run": "first", "stages": ["train"]})
    assert "result" in ended
    assert [verb for verb, _, _ in cloud.requests].count("POST") == len(trained(cloud)) == 1


def test_what_is_complete_is_not_run_again(workflow: Runner) -> None:
    folders = (f"{DATA}/pairs", f"{MODELS}/model", f"{DATA}/index", f"{DATA}/evaluation")
    cloud = Cloud(complete={f"{folder}/COMPLETED" for folder in folders})
    assert "result" in workflow.run(cloud, ARGUMENT)
    assert [verb for verb, _, _ in cloud.requests] == ["GET"] * 4


def test_failed_jobs_are_tried_again_and_services_asked_again(workflow: Runner) -> None:
    failed = {"prepare": ["JOB_STATE_DONE", "JOB_STATE_FAILED"], "train": ["JOB_STATE_FAILED"]}
    cloud = Cloud(outcomes=failed, unavailable=2)
    assert "result" in workflow.run(cloud, {**ARGUMENT, "stages": ["prepare", "train"]})
    assert (len(launched(cloud, "prepare")), len(trained(cloud))) == (4, 2)


@pytest.mark.parametrize(
    ("stage", "state", "jobs", "message"),
    [
        ("prepare", "JOB_STATE_FAILED", 3, "JOB_STATE_FAILED: out of disk"),
        ("train", "JOB_STATE_FAILED", 3, "JOB_STATE_FAILED: out of memory"),
        ("build", "JOB_STATE_CANCELLED", 1, "ended as JOB_STATE_CANCELLED"),
        ("train", "JOB_STATE_CANCELLED", 1, "ended as JOB_STATE_CANCELLED"),
    ],
)
def test_what_keeps_failing_or_was_cancelled_fails_the_run_with_its_error(
    workflow: Runner, stage: str, state: str, jobs: int, message: str
) -> None:
    cloud = Cloud(outcomes={stage: [state] * 9})
    error = workflow.run(cloud, {**ARGUMENT, "stages": [stage]})["error"]
    assert error.startswith(f"{stage}: ") and message in error
    assert len(launched(cloud, stage) if stage != "train" else trained(cloud)) == jobs


def test_jobs_that_never_complete_their_output_end(workflow: Runner) -> None:
    cloud = Cloud(launches={"build": 100})
    error = workflow.run(cloud, {**ARGUMENT, "stages": ["build"]})["error"]
    assert "is not complete after 6 successful jobs" in error


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"run": "../other", "corpus": "c"}, "run: give a name"),
        ({"corpus": "c"}, "run: give a name"),
        ({"run": "first"}, "corpus: give the manifest"),
        ({"run": "first", "corpus": "c", "stages": ["trian"]}, '"trian" is none of prepare'),
        ({"run": "first", "stages": ["translate"]}, "translate: give its options"),
    ],
)
def test_a_wrong_argument_is_refused_before_any_job(
    workflow: Runner, argument: dict[str, Any], message: str
) -> None:
    cloud = Cloud()
    assert message in workflow.run(cloud, argument)["error"]
    assert not cloud.requests


def test_the_scheduler_starts_the_workflow_as_it_is_started_by_hand(
    everything: dict[str, Any], workflow: Runner
) -> None:
    (target,) = resources(everything)["google_cloud_scheduler_job.run[0]"]["http_target"]
    body = json.loads(base64.b64decode(target["body"]))
    assert discovery.problems("POST", target["uri"], {}, body) == []
    assert "/workflows/ear/executions" in target["uri"]
    cloud = Cloud()
    assert "result" in workflow.run(cloud, json.loads(body["argument"]))
    (job,) = trained(cloud)
    assert "--steps=900" in job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]


@pytest.mark.parametrize("field", ["serviceAccountEmail", "ipConfiguration", "maxWorkers"])
def test_a_misspelt_field_of_a_request_is_found(workflow: Runner, field: str) -> None:
    environment = json.loads(workflow.environment["ENVIRONMENT"])
    environment[f"{field}s"] = environment.pop(field)
    workflow.environment["ENVIRONMENT"] = json.dumps(environment)
    error = workflow.run(Cloud(), ARGUMENT)["error"]
    assert f"no field {field}s" in error["body"]["error"]["message"]
