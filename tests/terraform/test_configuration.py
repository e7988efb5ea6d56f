"""Terraform reads, plans and applies the configuration; mistakes planted in it are noticed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import mutations, schema, wire
from tests.terraform.conftest import DEFAULTS, EVERYTHING
from tests.terraform.terraform_cli import CONFIGURATION, Module, resources


def test_it_is_formatted(module: Module) -> None:
    assert module.succeed("fmt", "-check", "-diff", "-recursive") == ""


def test_it_is_valid(module: Module) -> None:
    assert "The configuration is valid" in module.succeed("validate", "-no-color")


def test_its_own_tests_pass(module: Module) -> None:
    printed = module.succeed("test", "-no-color")
    assert re.search(r"Success! (\d+) passed, 0 failed", printed)


def test_what_must_be_given_is_enough(defaults: dict[str, Any]) -> None:
    assert "google_workflows_workflow.run" in resources(defaults)
    assert not [address for address in resources(defaults) if "server" in address]


@pytest.mark.parametrize(("name", "values"), [("defaults", DEFAULTS), ("everything", EVERYTHING)])
def test_a_second_apply_changes_nothing(
    name: str, values: dict[str, Any], module: Module, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(name)
    flags = [f"-state={name}.tfstate", "-detailed-exitcode", module.variables(name, values)]
    ran = module.run("plan", "-no-color", *flags)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_option_makes_what_it_says(everything: dict[str, Any]) -> None:
    types = {address.split(".")[0] for address in resources(everything)}
    assert types == set(schema.SCHEMA["resources"]), "the schema is trimmed to what is in use"


def test_nothing_that_can_bear_labels_goes_without(everything: dict[str, Any]) -> None:
    blocks = schema.SCHEMA["resources"]
    bare = []
    for address, values in resources(everything).items():
        known = blocks[address.split(".")[0]]["attributes"]
        name = "user_labels" if "user_labels" in known else "labels"
        if name in known and values[name].get("team") != "speech":
            bare.append(address)
    assert bare == []


def test_no_resource_is_a_run_of_something() -> None:
    text = "\n".join(path.read_text("utf-8") for path in CONFIGURATION.glob("*.tf"))
    assert not re.findall(r"google_dataflow_\w*job|google_vertex_ai_\w*job|local-exec", text)


PLANTED = {
    "a value that isn't one": (
        "validate",
        "workflow.tf",
        '"LOG_ERRORS_ONLY"',
        '"LOG_ERRORS"',
        "is none of",
    ),
    "a required argument left out": (
        "validate",
        "registry.tf",
        '  format        = "DOCKER"\n',
        "",
        '"format" is required',
    ),
    "a text for a number": (
        "validate",
        "scheduler.tf",
        "retry_count = 3",
        'retry_count = "three"',
        "a number is required",
    ),
    "a block twice that may be there once": (
        "validate",
        "storage.tf",
        "  versioning {\n    enabled = true\n  }\n",
        "  versioning {\n    enabled = true\n  }\n" * 2,
        "No more than 1",
    ),
    "a resource that isn't there": (
        "validate",
        "outputs.tf",
        "google_workflows_workflow.run.name",
        "google_workflows_workflow.ran.name",
        "undeclared resource",
    ),
    "an attribute that isn't there": (
        "validate",
        "workflow.tf",
        'google_service_account.this["launcher"].email\n  source',
        'google_service_account.this["launcher"].mail\n  source',
        "Unsupported attribute",
    ),
    "a bucket that isn't there": (
        "plan",
        "templates.tf",
        'google_storage_bucket.this["staging"]',
        'google_storage_bucket.this["stagin"]',
        "Invalid index",
    ),
    "an account that isn't there": (
        "plan",
        "identities.tf",
        '"worker on raw"       =',
        '"workers on raw"      =',
        "Invalid index",
    ),
    "a file that isn't there": (
        "validate",
        "workflow.tf",
        "workflow.yaml",
        "workflow.yml",
        "no file exists",
    ),
    "public workers": (
        "test",
        "workflow.tf",
        "WORKER_IP_PRIVATE",
        "WORKER_IP_PUBLIC",
        "no public address",
    ),
    "public buckets": (
        "test",
        "storage.tf",
        'public_access_prevention    = "enforced"',
        'public_access_prevention    = "inherited"',
        "no public access",
    ),
    "no budget": ("test", "budget.tf", "var.budget.enabled ? 1 : 0", "0", "The budget is on"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_noticed(name: str, provider: dict[str, str], tmp_path: Path) -> None:
    by, file, right, wrong, message = PLANTED[name]
    copy = Module.copy(tmp_path / "module", provider)
    copy.succeed("init", "-backend=false")
    path = copy.folder / file
    text = path.read_text("utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong, 1), "utf-8")
    arguments = {
        "validate": ["validate", "-no-color"],
        "plan": ["plan", "-no-color", copy.variables("planted", EVERYTHING)],
        "test": ["test", "-no-color", "-filter=tests/defaults.tftest.hcl"],
    }
    if by == "plan":
        copy.succeed("validate")
    ran = copy.run(*arguments[by])
    assert ran.returncode != 0
    assert message in re.sub(r"[│\s]+", " ", ran.stdout + ran.stderr)


def test_renames_of_arguments_and_blocks_are_noticed(provider: dict[str, str]) -> None:
    missed, count = mutations.unnoticed(provider, EVERYTHING)
    print(f"{count - len(missed)} of {count} renames were noticed; not: {[*map(str, missed)]}")
    assert count > 400
    assert len(missed) <= count / 100, [*map(str, missed)]


def test_a_message_is_read_as_it_was_written() -> None:
    inner = wire.message((1, "ä"), (2, 300))
    fields = wire.parse(wire.message((1, inner), (3, 1), (1, b"\x00"), (4, None)))
    assert fields == {1: [inner, b"\x00"], 3: [1]}
    assert wire.text(wire.parse(inner), 1) == "ä"
    assert wire.message((2, 300)) == bytes.fromhex("10ac02")
