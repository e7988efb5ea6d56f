"""Imports every module of the packages installed in a folder, and prints what came of it as JSON.

    python -I -S import_all.py INSTALLED SITE_PACKAGES ABSENT

Isolated (-I) and without site (-S): neither the checkout nor an editable installation can be found,
only the folder and, for what Babelear is built on, the packages of an environment. Packages named
in ABSENT, separated by commas, are as good as not installed there.
"""

import importlib
import json
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any


class Absent:
    """Makes packages look as if they weren't installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = set(names)

    def find_spec(self, name: str, *_: Any) -> None:
        """Python asks this first."""
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    """Imports and prints: the modules, the errors, and who was the first to import TensorFlow."""
    installed, packages, absent = sys.argv[1:]
    sys.path[:] = [installed, *sys.path, packages]
    sys.meta_path.insert(0, Absent(absent.split(",")))  # type: ignore[arg-type]
    modules, errors, heavy = [], {}, ""
    # In the order in which they may import each other, but for `model`, which needs TensorFlow.
    for package in ("pipelines", "scann_index", "model"):
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            modules.append(module.name)
            try:
                importlib.import_module(module.name)
            except Exception as error:
                errors[module.name] = f"{type(error).__name__}: {error}"
            if not heavy and {"tensorflow", "keras", "scann"} & set(sys.modules):
                heavy = module.name
    print(json.dumps({"modules": modules, "errors": errors, "heavy": heavy}))


main()
