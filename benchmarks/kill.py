"""Does a preparation that is killed again and again end with the bytes of an undisturbed one?

    python -m benchmarks.kill --kills 100 --seed 1

Prepares a small corpus (recordings in archives, and bitext; MFCC, no weights) once undisturbed.
Then starts it and kills it with SIGKILL, resuming it until it ends, again and again until there
were so many kills. Every other kill comes after a random share of the CPU time that the undisturbed
run took, and the others at a random file, right before or right after it gets its name, so that
the few milliseconds in which codebook and directory are published are hit as well. At each end the
directory is compared with the undisturbed one: the hash that stands for all its files, every file
hashed again, and that nothing half-written is left.

Each try is a fork of a process that has imported TensorFlow and Beam but not used them: importing
takes longer than all the rest.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sklearn.cluster  # noqa: F401
import tensorflow  # noqa: F401  (imported once, before the forks)

from benchmarks.corpus_memory import make_corpus
from pipelines import cut_shards, fit_codebook, prepare, storage  # noqa: F401
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND

FLAGS = ["--speech-encoder=mfcc", "--codebook-size=64", "--codebook-utterances=60", "--shards=4"]
rename = os.replace


def start(flags: list[str], on_rename: Callable[[str], None] | None = None) -> int:
    """Prepares in a process of its own; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        if on_rename is not None:
            at_rename(on_rename)
        status = prepare.main(flags)
    finally:
        os._exit(status)


def at_rename(call: Callable[[str], None]) -> None:
    """Calls before and after each file gets its name."""

    def replace(source: str, target: str) -> None:
        call(target)
        rename(source, target)
        call(target)

    os.replace = replace  # type: ignore[assignment]


def dies_at(count: int) -> Callable[[str], None]:
    """What kills its own process when it is called for the `count`th time."""
    left = count

    def call(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return call


def wait(pid: int, most_cpu: float = float("inf")) -> tuple[bool, float]:
    """Waits for the end, or kills after so many CPU seconds: whether it was killed, and its CPU."""
    ticks = os.sysconf("SC_CLK_TCK")
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                raise SystemExit(f"prepare failed with status {os.WEXITSTATUS(status)}")
            return os.WIFSIGNALED(status), usage.ru_utime + usage.ru_stime
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / ticks >= most_cpu:
            os.kill(pid, signal.SIGKILL)
            most_cpu = float("inf")
        time.sleep(0.002)


def phase(folder: Path) -> str:
    """How far a directory was when its process died."""
    if (folder / "COMPLETED").exists():
        return "complete"
    if (folder / "info.json").exists() or (folder / "stats.json").exists():
        return "publishing"
    if list((folder / "finished").glob("*.json")):
        return "some shards finished"
    if (folder / "codebook" / "card.json").exists():
        return "codebook fitted"
    if (folder / "codebook").exists():
        return "codebook half saved"
    return "begun" if (folder / "begun.json").exists() else "not begun"


def differences(folder: Path, undisturbed: OutputDir) -> list[str]:
    """In what a directory differs from the undisturbed one."""
    out = OutputDir.open(str(folder), kind=KIND)
    out.verify()
    found = [] if out.digest == undisturbed.digest else ["info.json"]
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    whole = Path(undisturbed.path)
    expected = {str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file()}
    found += sorted(names ^ expected)
    for name in undisturbed.info["files"]:
        if storage.read_bytes(out.file(name)) != storage.read_bytes(undisturbed.file(name)):
            found.append(name)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--utterances", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as place:
        compare(Path(place), arguments, dice)


def compare(place: Path, arguments: Any, dice: random.Random) -> None:
    """Kills until there were enough, and reports."""
    make_corpus(place / "fleurs", arguments.utterances, 0.6)
    bitext = place / "WikiMatrix.en-fr.tsv"
    lines = [f"1.2\tEnglish sentence {n}\tphrase française {n}\n" for n in range(200)]
    bitext.write_text("".join(lines), encoding="utf-8")
    flags = ["--corpus=fleurs", f"--corpus-path={place}/fleurs", f"--also=wikimatrix={bitext}"]
    flags += FLAGS
    renames = place / "renames"

    def count(_: str) -> None:
        with renames.open("a") as file:
            file.write("x")

    _, whole_cpu = wait(start([*flags, f"--output={place}/whole"], count))
    whole = OutputDir.open(f"{place}/whole", kind=KIND)
    events = renames.stat().st_size
    print(f"undisturbed: {whole_cpu:.1f} CPU s, {len(whole.info['files'])} files", flush=True)

    kills, ends, tries, phases = 0, 0, 0, Counter[str]()
    most = 0
    while kills < arguments.kills:
        folder, here = place / f"run-{ends}", 0
        while True:
            tries += 1
            own = [*flags, f"--output={folder}"]
            if tries % 2:
                killed, _ = wait(start(own), dice.uniform(0, whole_cpu * 0.7))
            else:
                killed, _ = wait(start(own, dies_at(dice.randint(1, events))))
            if not killed:
                break
            kills, here = kills + 1, here + 1
            phases[phase(folder)] += 1
        # Killed after all was done, it may have nothing left to do: that end counts as well.
        if found := differences(folder, whole):
            raise SystemExit(f"run {ends} differs after {here} kills: {', '.join(found[:5])}")
        ends, most = ends + 1, max(most, here)
        print(f"{kills:>4} kills, {ends} ends alike", flush=True)
    print(
        f"{kills} kills over {ends} directories, {most} in one at most; each ended with the bytes"
    )
    print("of the undisturbed one. Where they were when they died:")
    for name, times in phases.most_common():
        print(f"  {times:>4}  {name}")


if __name__ == "__main__":
    sys.exit(main())
