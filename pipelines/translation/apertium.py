"""Apertium: rule-based translation between related languages, without a GPU.

A direction is a *mode*: a chain of small programs (analyser, tagger, transfer, generator) that
Debian's `apertium-…` packages describe in a `.mode` file. The chain is started once in a worker,
program by program and without a shell, and then given text after text, each ended by a NUL byte,
which makes every program pass on what it has.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pipelines import storage
from pipelines.rejects import Rejected
from pipelines.translation.engine import Engine, EngineOptions, Translation
from pipelines.translation.language_names import iso_639_3

DATA = "/usr/share/apertium"
END = b"[]"
"""An empty blank behind each text, without which a full stop at its end is lost."""
SECONDS = 30.0
"""A chain that takes longer for one text hangs."""
# Names of modes that are neither two letters nor ISO 639-3's three.
_OTHER_NAMES = {"bs": "hbs", "hr": "hbs", "sr": "hbs", "ms": "zlm", "hy": "hye"}
_RESERVED = re.compile(r"([\\^$\[\]{}/@<>])")
_ESCAPED = re.compile(r"\\(.)")
# Unknown to the analyser, to the bilingual dictionary, to the generator.
_MARKED = re.compile(r"(?<!\w)[*@#](?=\w)")


class Apertium(Engine):
    """Apertium as Debian installs it: `apt-get install apertium-eng-spa`.

    Args:
        options: only `engine` matters.
        path: where its data lies; empty for where Debian puts it.

    The score is the share of words that it knows, in [0, 1]; it copies the others.
    """

    name: ClassVar[str] = "apertium"
    min_score: ClassVar[float | None] = 0.5

    def __init__(self, options: EngineOptions, path: str) -> None:
        super().__init__(options, path or DATA)
        if not shutil.which("lt-proc") or not Path(self.path, "modes").is_dir():
            raise ValueError(
                "Apertium is not installed: apt-get install apertium-eng-spa, or whichever pair "
                "you need (apt-cache search ^apertium-)"
            )
        self._chains: dict[str, _Chain] = {}

    def identity(self, source: str, target: str) -> dict[str, Any]:
        """The mode and the hash of all files it names."""
        mode = self._mode(source, target)
        files = [mode, *(a for program in programs(mode) for a in program if os.path.isfile(a))]
        hashes = "".join(storage.sha256(storage.read_bytes(path)) for path in files)
        return {
            "engine": self.name,
            "mode": Path(mode).stem,
            "model_sha256": storage.sha256(hashes.encode()),
        }

    def load(self) -> None:
        """Nothing: a chain starts when its direction is first asked for."""

    def translate(
        self, texts: Sequence[str], source: str, target: str
    ) -> list[Translation | Rejected]:
        """One text after another through the chain; a chain that fails is started anew."""
        mode = self._mode(source, target)
        found: list[Translation | Rejected] = []
        for text in texts:
            chain = self._chains.get(mode) or self._chains.setdefault(mode, _Chain(mode))
            try:
                said = chain.ask(escaped(text))
            except BaseException:
                self._chains.pop(mode).close()
                raise
            found.append(interpreted(said))
        return found

    def close(self) -> None:
        """Ends the programs of all chains."""
        while self._chains:
            self._chains.popitem()[1].close()

    def _mode(self, source: str, target: str) -> str:
        """The file of a direction, under whichever code its packagers chose."""
        froms, intos = _names(source), _names(target)
        for one in froms:
            for other in intos:
                path = os.path.join(self.path, "modes", f"{one}-{other}.mode")
                if os.path.isfile(path):
                    return path
        raise Rejected(
            "unsupported-language",
            f"Apertium has no {froms[0]}-{intos[0]} here (apertium -l lists what it has)",
        )


class _Chain:
    """The programs of one mode, running."""

    def __init__(self, mode: str) -> None:
        self._programs: list[subprocess.Popen[bytes]] = []
        # When nobody uses it any more, or when this process ends.
        self._finalize = weakref.finalize(self, _end, self._programs)
        source: Any = subprocess.PIPE
        for command in programs(mode):
            program = subprocess.Popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            if self._programs:
                source.close()
            self._programs.append(program)
            source = program.stdout

    def ask(self, text: str) -> str:
        """What comes out for one text.

        Raises:
            OSError: the chain broke, or took longer than `SECONDS`.
        """
        first, last = self._programs[0].stdin, self._programs[-1].stdout
        assert first is not None
        assert last is not None
        first.write(text.encode() + END + b"\0")
        first.flush()
        deadline = time.monotonic() + SECONDS
        said = bytearray()
        while not said.endswith(b"\0"):
            left = max(deadline - time.monotonic(), 0.0)
            if not select.select([last], [], [], left)[0]:
                raise TimeoutError(f"no answer in {SECONDS:.0f} s")
            block = os.read(last.fileno(), 1 << 16)
            if not block:
                raise BrokenPipeError("a program of the chain ended")
            said += block
        # A program that ends makes the ones behind it send NUL bytes of their own.
        if said.count(0) != 1 or not said.endswith(END + b"\0"):
            raise BrokenPipeError("a program of the chain ended")
        return said[: -len(END) - 1].decode("utf-8")

    def close(self) -> None:
        """Ends the programs."""
        self._finalize()


def _end(programs: list[subprocess.Popen[bytes]]) -> None:
    for program in programs:
        program.kill()
    for program in programs:
        program.wait()
        for pipe in (program.stdin, program.stdout):
            if pipe:
                pipe.close()


def programs(mode: str) -> list[list[str]]:
    """The commands of a mode, unknown words to be marked, to be flushed by a NUL byte."""
    lexer = shlex.shlex(Path(mode).read_text(encoding="utf-8"), posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            commands.append([])
        elif word != "$2":
            commands[-1].append("-g" if word == "$1" else word)
    return [[name, "-z", *arguments] for name, *arguments in commands]


def escaped(text: str) -> str:
    """A text as the chain takes it: what means something to it escaped."""
    return _RESERVED.sub(r"\\\1", _MARKED.sub("", text).replace("\0", ""))


def interpreted(said: str) -> Translation:
    """What the chain said, without its marks; the score is the share of words without one."""
    text = _ESCAPED.sub(r"\1", said)
    words = len(re.findall(r"\w+", text))
    plain, marks = _MARKED.subn("", text)
    return Translation(plain.strip(), max(words - marks, 0) / words if words else 0.0)


def _names(code: str) -> list[str]:
    found = [iso_639_3(code), code]
    return [*found, _OTHER_NAMES[code]] if code in _OTHER_NAMES else found
