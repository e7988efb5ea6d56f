"""What tests need that pip can't install."""

from __future__ import annotations

import os
import shutil

import pytest

from pipelines.translation.apertium import DATA

needs_apertium = pytest.mark.skipif(
    not shutil.which("lt-proc") or not os.path.isfile(f"{DATA}/modes/spa-eng.mode"),
    reason="Apertium is not installed: apt-get install apertium apertium-eng-spa",
)
