"""What Terraform built, as Beam's flags: `--env outputs.json`.

terraform -chdir=terraform output -json > outputs.json
python -m pipelines.prepare --env outputs.json --corpus gs://… --output gs://…
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def beam_flags(path: str, given: Sequence[str] = ()) -> list[str]:
    """The flags of the output `beam_flags`, but for those given, and then those given.

    Args:
        path: a file that `terraform output -json` wrote.
        given: Beam's flags on the command line, which win.

    Raises:
        ValueError: the file can't be read, or holds no such output.
    """
    try:
        outputs = json.loads(Path(path).read_text(encoding="utf-8"))
        flags = outputs["beam_flags"]["value"]
        known = {str(name): str(value) for name, value in flags.items()}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"can't read --env {path}: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise ValueError(
            f"--env {path} has no beam_flags: write it by terraform output -json > {path}"
        ) from None
    names = {flag.split("=")[0].removeprefix("--") for flag in given}
    if "use_public_ips" in names:
        names.add("no_use_public_ips")
    added = [
        f"--{name}={value}" if value else f"--{name}"
        for name, value in known.items()
        if name not in names
    ]
    return [*added, *given]
