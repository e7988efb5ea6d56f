"""The stand-in provider, and Terraform's plans and states, made once for all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import environments, standin
from tests.terraform.terraform_cli import Module

DEFAULTS: dict[str, Any] = {
    "project_id": "my-project-123",
    "image_tag": "0a1b2c3",
    "budget": {"billing_account": "012345-6789AB-CDEF01"},
}
EVERYTHING: dict[str, Any] = {
    **DEFAULTS,
    "name": "ear",
    "region": "us-central1",
    "labels": {"team": "speech"},
    "kms_key": "projects/keys/locations/us-central1/keyRings/ring/cryptoKeys/key",
    "buckets": {"force_destroy": True, "temporary_days": 3, "noncurrent_days": 2},
    "beam": {"max_workers": 64, "flexible_scheduling": True},
    "training": {
        "machine_type": "a2-highgpu-1g",
        "accelerator_type": "NVIDIA_TESLA_A100",
        "spot": True,
    },
    "workflow": {"retries": 2, "protected": True},
    "alerts": {"emails": ["one@example.org", "two@example.org"]},
    "schedule": {
        "cron": "0 3 * * 1",
        "argument": {"run": "weekly", "corpus": "gs://b/speech.tsv", "train": ["--steps=900"]},
    },
    "server": {
        "index": "gs://my-project-123-ear-data/first/index",
        "invokers": ["group:ear@example.org"],
    },
}


@pytest.fixture(scope="session", autouse=True)
def tools() -> Iterator[None]:
    """Begins to install what is missing while the first tests run."""
    process = environments.prepare("workflows", "checkov")
    yield
    process.wait()


@pytest.fixture(scope="session")
def provider() -> Iterator[dict[str, str]]:
    """The environment that makes Terraform use the stand-in provider."""
    with standin.serve() as environment:
        yield environment


@pytest.fixture(scope="session")
def module(provider: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Module:
    """A copy of `terraform/`, initialized; don't change it."""
    copy = Module.copy(tmp_path_factory.mktemp("terraform") / "module", provider)
    copy.succeed("init", "-backend=false")
    return copy


def _applied(module: Module, name: str, values: dict[str, Any]) -> dict[str, Any]:
    flags = [f"-state={name}.tfstate", module.variables(name, values)]
    module.succeed("apply", "-auto-approve", *flags)
    shown: dict[str, Any] = json.loads(module.succeed("show", "-json", f"{name}.tfstate"))
    return shown


@pytest.fixture(scope="session")
def defaults(module: Module) -> dict[str, Any]:
    """The state after `apply` with nothing but what must be given."""
    return _applied(module, "defaults", DEFAULTS)


@pytest.fixture(scope="session")
def everything(module: Module) -> dict[str, Any]:
    """The state after `apply` with every option on."""
    return _applied(module, "everything", EVERYTHING)


@pytest.fixture(scope="session")
def plan(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan of everything, as JSON in a file."""
    flag = module.variables("plan", EVERYTHING)
    module.succeed("plan", "-out=everything.plan", flag)
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    path.write_text(module.succeed("show", "-json", "everything.plan"), "utf-8")
    return path
