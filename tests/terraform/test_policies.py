"""checkov finds nothing in the configuration, nor in its plan; what it skips has a reason."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import environments
from tests.terraform.terraform_cli import CONFIGURATION

REPOSITORY = CONFIGURATION.parent


@pytest.fixture(scope="module")
def interpreter() -> str:
    """The interpreter of checkov's environment."""
    try:
        return environments.python("checkov")
    except RuntimeError as error:
        pytest.skip(str(error))


def scan(interpreter: str, framework: str, *arguments: str) -> dict[str, Any]:
    """What checkov finds; a list if it looks at several kinds of files."""
    ran = subprocess.run(
        [
            interpreter,
            str(Path(interpreter).with_name("checkov")),
            *arguments,
            f"--framework={framework}",
            "--output=json",
            "--skip-download",
            "--quiet",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=170,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def failures(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c["check_id"], c["resource"]) for c in found["results"]["failed_checks"]]


def test_the_configuration_passes_and_is_all_read(interpreter: str) -> None:
    found = scan(interpreter, "terraform", "--directory=terraform")
    assert failures(found) == []
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 50


def test_the_plan_of_everything_passes(interpreter: str, plan: Path) -> None:
    flags = (f"--file={plan}", f"--repo-root-for-plan-enrichment={CONFIGURATION}")
    found = scan(interpreter, "terraform_plan", *flags)
    assert failures(found) == []
    assert found["summary"]["passed"] > 50


def test_a_public_bucket_would_not_pass(interpreter: str, plan: Path, tmp_path: Path) -> None:
    text = plan.read_text("utf-8")
    assert '"public_access_prevention":"enforced"' in text
    planted = tmp_path / "plan.json"
    planted.write_text(
        text.replace(
            '"public_access_prevention":"enforced"', '"public_access_prevention":"inherited"'
        ).replace('"role":"roles/dataflow.viewer"', '"role":"roles/editor"'),
        "utf-8",
    )
    found = {
        check for check, _ in failures(scan(interpreter, "terraform_plan", f"--file={planted}"))
    }
    assert {"CKV_GCP_114", "CKV_GCP_117"} <= found


def test_every_skip_has_a_reason() -> None:
    files = [*CONFIGURATION.glob("*.tf"), *(REPOSITORY / "docker").glob("*.Dockerfile")]
    skips = re.findall(r"checkov:skip=(\w+)(.*)", "\n".join(f.read_text("utf-8") for f in files))
    assert skips
    assert [check for check, reason in skips if len(reason.split()) < 5] == []


def test_the_images_pass(interpreter: str) -> None:
    found = scan(interpreter, "dockerfile", "--directory=docker")
    assert failures(found) == []
    assert found["summary"]["passed"] > 20
