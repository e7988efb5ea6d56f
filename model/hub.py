"""keras_hub, also where TensorFlow is not installed.

Its backbones run on any backend of Keras, but some of its preprocessors, which nothing here uses,
import TensorFlow as they are loaded. Where there is none, they get an empty module in its place.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)


def load() -> Any:
    """The module `keras_hub`."""
    if "keras_hub" in sys.modules or importlib.util.find_spec("tensorflow") is not None:
        return importlib.import_module("keras_hub")
    sys.modules["tensorflow"] = types.ModuleType("tensorflow")
    try:
        return importlib.import_module("keras_hub")
    finally:
        # Keras itself asks later whether there is a TensorFlow.
        del sys.modules["tensorflow"]
