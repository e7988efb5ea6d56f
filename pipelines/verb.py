"""How a verb ends: what its user can mend is a line of text and status 1, not a traceback."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.output_dir import OutputError
from pipelines.rejects import TooManyRejects

MENDABLE = (OutputError, TooManyRejects, ValueError, OSError, ImportError)
"""Wrong options and inputs, files that are missing, locked or full, extras not installed."""

_Arguments = Sequence[str] | None


class Main(Protocol):
    """A verb's entry point."""

    def __call__(self, argv: _Arguments = None) -> int:
        """The arguments, `sys.argv[1:]` if None, to the exit status."""


def verb(name: str, *, extra: str = "") -> Callable[[Callable[[_Arguments], None]], Main]:
    """Makes a function that does a verb's work its `main`.

    Args:
        name: what a message starts with.
        extra: the one to install where a module is missing, for verbs that need one.

    Returns:
        A decorator. What it makes returns the exit status: 0, or 1 after one of `MENDABLE`.

    Example:
        >>> @verb("prepare")
        ... def main(argv: Sequence[str] | None = None) -> None:
        ...     prepare(parse(argv))
    """

    def decorate(work: Callable[[_Arguments], None]) -> Main:
        @functools.wraps(work)
        def main(argv: _Arguments = None) -> int:
            try:
                work(argv)
            except MENDABLE as error:
                missing = extra and isinstance(error, ImportError)
                fix = f"; pip install 'babelear[{extra}]'" if missing else ""
                print(f"{name}: {error}{fix}", file=sys.stderr)
                return 1
            return 0

        return main

    return decorate
