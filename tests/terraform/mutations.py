"""Every rename of an argument or block in `terraform/`, and whether Terraform notices it.

    python -m tests.terraform.mutations     # prints what was not noticed, and the share that was

What is renamed: arguments of blocks, types of blocks, of resources and of dynamic blocks, names of
variables and of locals. What is not: a resource's own name and an output's, which nothing needs to
know, and keys of maps, which are data; other tests hold those to the services' documents.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.terraform import standin
from tests.terraform.terraform_cli import CONFIGURATION, Module

BLOCK = re.compile(r'^(\s*)(\w+)((?: "[\w-]+")*) \{( \})?$')
ARGUMENT = re.compile(r"^(\s*)(\w+)\s+= ")
LABELLED = ("resource", "data", "variable", "dynamic")


@dataclass(frozen=True)
class Rename:
    """One word of one file, to be misspelt.

    Args:
        file: the file's name.
        line: the line's index.
        start: where the word begins in it.
        word: the word.
    """

    file: str
    line: int
    start: int
    word: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line + 1} {self.word}"

    def apply(self, lines: list[str]) -> list[str]:
        """The file's lines with a letter added to the word."""
        end = self.start + len(self.word)
        line = lines[self.line]
        return [*lines[: self.line], f"{line[:end]}x{line[end:]}", *lines[self.line + 1 :]]


def renames(file: Path) -> Iterator[Rename]:
    """Every rename in a file that `terraform fmt` has formatted."""
    inside = [True]  # of each open brace, whether it is a block's; expressions hold data
    heredoc = ""
    for number, line in enumerate(file.read_text("utf-8").splitlines()):
        if heredoc:
            heredoc = "" if line.strip() == heredoc else heredoc
            continue
        code = without_strings(line).split("#")[0]
        block, argument = BLOCK.match(line), ARGUMENT.match(code)
        if inside[-1] and block:
            yield Rename(file.name, number, block.start(2), block[2])
            if block[2] in LABELLED:
                label = re.search(r'"([\w-]+)"', block[3])
                assert label
                yield Rename(file.name, number, block.start(3) + label.start(1), label[1])
            if not block[4]:
                inside.append(True)
            continue
        if inside[-1] and argument:
            yield Rename(file.name, number, argument.start(2), argument[2])
        if start := re.search(r"<<-?(\w+)$", code):
            heredoc = start[1]
        for bracket in re.findall(r"[][{}()]", code):
            if bracket in "[{(":
                inside.append(False)
            else:
                inside.pop()


def without_strings(line: str) -> str:
    """The line with `_` in place of every string, whatever is interpolated in it."""
    out, at, depths = "", 0, []  # of each open string, the open braces of its interpolation
    while at < len(line):
        step, in_text = 1, bool(depths) and depths[-1] == 0
        masked = bool(depths)
        if in_text and line[at] == "\\":
            step = 2
        elif in_text and line.startswith("${", at):
            step, depths[-1] = 2, 1
        elif line[at] == '"':
            masked = True
            depths.pop() if in_text else depths.append(0)
        elif depths and not in_text:
            depths[-1] += {"{": 1, "}": -1}.get(line[at], 0)
        out += "_" * step if masked else line[at]
        at += step
    return out


def unnoticed(environment: dict[str, str], plan: dict[str, object]) -> tuple[list[Rename], int]:
    """The renames that neither `validate` nor `plan` notices, and how many there were.

    Args:
        environment: what makes Terraform use the stand-in provider.
        plan: variables that turn every option on.
    """
    found = [rename for file in sorted(CONFIGURATION.glob("*.tf")) for rename in renames(file)]
    workplace = threading.local()

    def survives(rename: Rename) -> bool:
        if not hasattr(workplace, "module"):
            folder = Path(tempfile.mkdtemp(dir=root)) / "module"
            workplace.module = Module.copy(folder, environment)
            workplace.module.succeed("init", "-backend=false")
            workplace.flag = workplace.module.variables("plan", plan)
        module: Module = workplace.module
        path = module.folder / rename.file
        original = path.read_text("utf-8")
        path.write_text("\n".join(rename.apply(original.splitlines())) + "\n", "utf-8")
        try:
            commands = (("validate",), ("plan", "-refresh=false", "-lock=false", workplace.flag))
            return all(module.run(*command).returncode == 0 for command in commands)
        finally:
            path.write_text(original, "utf-8")

    root = tempfile.mkdtemp()
    try:
        with ThreadPoolExecutor(2) as pool:
            survived = list(pool.map(survives, found))
    finally:
        shutil.rmtree(root)
    return [rename for rename, lives in zip(found, survived, strict=True) if lives], len(found)


def main() -> int:
    """Runs all mutations."""
    from tests.terraform.conftest import EVERYTHING

    with standin.serve() as environment:
        missed, count = unnoticed(environment, EVERYTHING)
    for rename in missed:
        print(rename)
    print(f"{count - len(missed)} of {count} renames were noticed ({1 - len(missed) / count:.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
