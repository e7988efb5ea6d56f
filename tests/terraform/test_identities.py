"""Who may do what: the table in docs/cloud.md is the one that Terraform makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.conftest import EVERYTHING
from tests.terraform.terraform_cli import resources

DOCUMENT = Path(__file__).parents[2] / "docs" / "cloud.md"
BEGIN, END = "<!-- roles: begin -->\n", "<!-- roles: end -->\n"


def grants(state: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Account, role and resource of every grant to an account of ours."""
    found = resources(state)
    prefix = f"{EVERYTHING['name']}-"
    for address, values in found.items():
        kind = address.split(".")[0]
        if not kind.endswith("_iam_member") or not values["member"].startswith(
            f"serviceAccount:{prefix}"
        ):
            continue
        account = values["member"].split(":")[1].split("@")[0].removeprefix(prefix)
        place = {
            "google_project_iam_member": lambda v: "project",
            "google_storage_bucket_iam_member": lambda v: f"bucket {v['bucket'].split('-')[-1]}",
            "google_artifact_registry_repository_iam_member": lambda v: "repository",
            "google_service_account_iam_member": lambda v: (
                f"account {v['service_account_id'].split(prefix)[1].split('@')[0]}"
            ),
        }[kind](values)
        role = values["role"]
        if role == found["google_project_iam_custom_role.launcher"]["name"]:
            role = "custom role launcher"
        yield account, role, place


def table(state: dict[str, Any]) -> str:
    """The grants as a table in Markdown."""
    rows = sorted(grants(state), key=lambda grant: (grant[0], grant[2], grant[1]))
    lines = [f"| {account} | {role} | {place} |" for account, role, place in rows]
    return "\n".join(["| account | role | on |", "|---|---|---|", *lines]) + "\n"


def test_the_documented_table_is_the_real_one(everything: dict[str, Any]) -> None:
    made = table(everything)
    print(made)
    text = DOCUMENT.read_text("utf-8")
    assert text.split(BEGIN)[1].split(END)[0] == made


def test_no_role_on_the_whole_project_is_broad(everything: dict[str, Any]) -> None:
    on_project = {role for _, role, place in grants(everything) if place == "project"}
    assert on_project == {
        "custom role launcher",
        "roles/dataflow.viewer",
        "roles/dataflow.worker",
        "roles/logging.logWriter",
        "roles/monitoring.metricWriter",
        "roles/workflows.invoker",
    }


def test_the_launcher_may_start_and_watch_jobs_and_no_more(everything: dict[str, Any]) -> None:
    role = resources(everything)["google_project_iam_custom_role.launcher"]
    assert role["permissions"] == [
        "aiplatform.customJobs.create",
        "aiplatform.customJobs.get",
        "dataflow.jobs.create",
        "dataflow.jobs.get",
        "dataflow.messages.list",
    ]


def test_the_launcher_acts_as_the_two_accounts_of_jobs_alone(everything: dict[str, Any]) -> None:
    users = [grant for grant in grants(everything) if grant[1] == "roles/iam.serviceAccountUser"]
    assert sorted(users) == [
        ("launcher", "roles/iam.serviceAccountUser", "account trainer"),
        ("launcher", "roles/iam.serviceAccountUser", "account worker"),
    ]


def test_nobody_writes_to_the_corpus(everything: dict[str, Any]) -> None:
    roles = {role for _, role, place in grants(everything) if place == "bucket raw"}
    assert roles == {"roles/storage.objectViewer"}


@pytest.mark.parametrize(
    "address", ["google_storage_bucket_iam_member", "google_project_iam_member"]
)
def test_no_grant_is_to_everyone(everything: dict[str, Any], address: str) -> None:
    members = {v["member"] for a, v in resources(everything).items() if a.startswith(address)}
    assert members and not members & {"allUsers", "allAuthenticatedUsers"}


def test_googles_agents_may_use_the_key_and_nothing_else(everything: dict[str, Any]) -> None:
    agents = [
        values
        for address, values in resources(everything).items()
        if address.startswith("google_kms_crypto_key_iam_member")
    ]
    assert {values["role"] for values in agents} == {"roles/cloudkms.cryptoKeyEncrypterDecrypter"}
    assert len({values["member"] for values in agents}) == 7
