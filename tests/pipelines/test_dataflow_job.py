"""What Dataflow would be told: captured where a job's description is put down, and read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import prepare, right_fitting
from pipelines.output_dir import OutputDir
from scann_index import build
from tests import captured_job, fake_storage
from tests.captured_job import Job
from tests.pipelines.test_codebook import codebook

import apache_beam as beam  # isort: skip

CLOUD = [
    "--service_account_email=worker@my-project-123.iam.gserviceaccount.com",
    "--network=babelear",
    "--subnetwork=regions/europe-west4/subnetworks/babelear-workers",
    "--no_use_public_ips",
    "--worker_machine_type=n2-standard-8",
    "--max_num_workers=16",
    "--disk_size_gb=50",
    "--experiments=use_runner_v2",
]
PREPARE = ["--corpus=gs://bucket/speech.tsv", "--speech-encoder=mfcc", *CLOUD]
RAM = {"min_ram_bytes": str(8 * 10**9)}


@pytest.fixture(scope="module")
def objects() -> Iterator[fake_storage.Objects]:
    """A bucket with a manifest of 40 MB, whose recordings nobody put there."""
    with captured_job.bucket() as objects:
        rows = (f"{n}.wav\ten\t{n} {'and so on ' * 98}\ttrain" for n in range(40_000))
        objects["speech.tsv"] = "\n".join(["audio\tlanguage\ttranscript\tsplit", *rows]).encode()
        yield objects


@pytest.fixture(scope="module")
def fitting(objects: fake_storage.Objects) -> Job:
    """The job that fits a codebook, with an encoder on a GPU."""
    flags = [*PREPARE, "--output=gs://bucket/pairs", "--accelerator=nvidia-l4"]
    return captured_job.capture(objects, prepare.main, flags)


@pytest.fixture(scope="module")
def tokenizing(objects: fake_storage.Objects, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job that tokenizes, told to wait for cheaper machines."""
    folder = str(tmp_path_factory.mktemp("codebook"))
    codebook().save(folder)
    flags = [*PREPARE, f"--codebook={folder}", "--output=gs://bucket/tokens"]
    return captured_job.capture(objects, prepare.main, [*flags, "--flexrs_goal=COST_OPTIMIZED"])


@pytest.fixture(scope="module")
def embedding(
    objects: fake_storage.Objects,
    tiny_data: OutputDir,
    tiny_preset: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Job:
    """The job that embeds and indexes; what comes before it runs here."""
    output = str(tmp_path_factory.mktemp("index") / "index")
    flags = [f"--model={tiny_preset}", f"--data={tiny_data.path}", f"--output={output}"]
    with pytest.raises(SystemExit):
        build.main([*flags, "--template_location=here"])
    return captured_job.capture(objects, build.main, [*flags, *CLOUD])


def test_machines_are_private_and_of_the_type_that_was_asked_for(fitting: Job) -> None:
    pool = fitting.machines
    assert pool["machineType"] == "n2-standard-8"
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert pool["network"] == "babelear"
    assert pool["subnetwork"] == "regions/europe-west4/subnetworks/babelear-workers"
    assert pool["diskSizeGb"] == 50
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 16


def test_workers_run_our_image_as_our_account(fitting: Job) -> None:
    environment = fitting.description["environment"]
    assert environment["serviceAccountEmail"] == "worker@my-project-123.iam.gserviceaccount.com"
    assert "use_runner_v2" in environment["experiments"]
    images = fitting.machines["sdkHarnessContainerImages"]
    assert {image["containerImage"] for image in images} == {"registry/worker:1"}
    (docker,) = {environment.payload for environment in fitting.environments()}
    assert b"registry/worker:1" in docker


def test_machines_wait_to_be_cheap_only_if_asked_to(fitting: Job, tokenizing: Job) -> None:
    asked = tokenizing.description["environment"]["flexResourceSchedulingGoal"]
    assert asked == "FLEXRS_COST_OPTIMIZED"
    assert "flexResourceSchedulingGoal" not in fitting.description["environment"]


def test_a_codebook_is_fitted_on_machines_that_a_model_fits_on(fitting: Job) -> None:
    steps = fitting.steps()
    assert steps["ReadCorpus"] == {}
    names = ("TrainingSpeech", "Sample", "Chunk", "DecodeAudio", "EncodeSpeech", "Gather", "Fit")
    for name in names:
        assert steps[f"FitCodebook/{name}"] == RAM, name


def test_the_encoder_alone_is_given_a_gpu(fitting: Job) -> None:
    components = fitting.pipeline.components
    gpu = b"type:nvidia-l4;count:1;install-nvidia-driver"
    asking = [
        transform.unique_name
        for transform in components.transforms.values()
        if transform.environment_id
        and gpu in components.environments[transform.environment_id].resource_hints.values()
    ]
    assert any(name.endswith("BeamML_RunInference") for name in asking)
    assert all(name.startswith("FitCodebook/EncodeSpeech/RunInference") for name in asking)


def test_flexible_scheduling_takes_one_kind_of_machine(tokenizing: Job) -> None:
    steps = tokenizing.steps()
    names = ("ReadCorpus", "GroupIntoShards", "SkipFinished", "DecodeAudio")
    for name in (*names, "EncodeSpeech", "WriteShard"):
        assert steps[name] == {}, name


def test_an_index_is_made_on_machines_that_a_model_fits_on(embedding: Job) -> None:
    steps = embedding.steps()
    assert steps["ReadRows"] == {}
    heavy = {name for name, hints in steps.items() if hints == RAM}
    assert "WriteIndexShards" in heavy and any("Embed" in name for name in heavy)


def test_rows_are_read_by_workers_alone(
    fitting: Job, tokenizing: Job, objects: fake_storage.Objects
) -> None:
    manifest = len(objects["speech.tsv"])
    # Hashed once, and opened for its first row, of which a reader fetches 16 MB twice.
    assert objects.downloaded["speech.tsv"] < 2 * (manifest + 2 * 2**24 + 2**20)
    for job in (fitting, tokenizing):
        assert job.pipeline.ByteSize() < 200_000
    assert not [name for name in objects.downloaded if name.endswith(".wav")]


def test_nothing_is_in_the_bucket_but_what_the_launcher_decided(
    fitting: Job, tokenizing: Job, objects: fake_storage.Objects
) -> None:
    assert set(objects) - {"speech.tsv"} == {
        "pairs/begun.json",
        "tokens/begun.json",
        "tokens/codebook/card.json",
        "tokens/codebook/codebook.npz",
    }


def test_a_setup_file_takes_the_packages_along(
    objects: fake_storage.Objects, tmp_path: Path
) -> None:
    setup = Path(__file__).parents[2] / "setup.py"
    flags = ["--corpus=demo", f"--output={tmp_path / 'pairs'}", f"--setup_file={setup}"]
    job = captured_job.capture(objects, prepare.main, flags)
    (name,) = [name for name in objects if name.endswith("/workflow.tar.gz")]
    with tarfile.open(fileobj=io.BytesIO(objects.pop(name))) as archive:
        files = {member.partition("/")[2] for member in archive.getnames()}
    assert {"setup.py", "pipelines/prepare.py", "model/train.py"} <= files
    assert "scann_index/report_assets/page.html" in files
    for environment in job.environments():
        (staged,) = environment.dependencies
        assert b"workflow.tar.gz" in staged.role_payload


def test_workers_without_the_packages_are_refused_before_anything_starts(
    objects: fake_storage.Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = [flag for flag in captured_job.FLAGS if "image" not in flag]
    assert prepare.main(["--corpus=demo", f"--output={tmp_path / 'pairs'}", *bare]) == 1
    assert "--sdk_container_image" in capsys.readouterr().err
    assert "staging/job_object" not in objects


def environments(flags: list[str], hints: dict[str, str]) -> int:
    """How many environments a pipeline of a light and a heavy step has."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    light = pipeline | beam.Create([1]) | beam.Map(str)
    _ = light | "Heavy" >> beam.Map(str).with_resource_hints(**hints)
    right_fitting.fit(pipeline, PipelineOptions(flags))
    return len(pipeline.to_runner_api().components.environments)


@pytest.mark.parametrize("runner", ["DirectRunner", "FnApiRunner", "PortableRunner", "FlinkRunner"])
def test_other_runners_keep_all_steps_in_one_process(runner: str) -> None:
    assert environments([f"--runner={runner}"], {"min_ram": "8GB"}) == 1
    assert environments(["--runner=DataflowRunner"], {"min_ram": "8GB"}) == 2


def test_a_gpu_cannot_be_had_cheaper_by_waiting() -> None:
    gpu = {"accelerator": "type:nvidia-l4;count:1;install-nvidia-driver"}
    flags = ["--runner=DataflowRunner"]
    assert environments(flags, gpu) == 2
    with pytest.raises(ValueError, match="no GPUs: leave out --flexrs_goal"):
        environments([*flags, "--flexrs_goal=COST_OPTIMIZED"], gpu)
