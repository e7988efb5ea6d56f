"""Killed at any point and run again, a preparation ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND
from pipelines.prepare import main

REPOSITORY = Path(__file__).parents[2]
SHARDS = 6
FLAGS = (
    "--corpus=demo",
    "--limit=200",
    "--speech-encoder=mfcc",
    "--codebook-size=16",
    "--codebook-utterances=30",
    f"--shards={SHARDS}",
)
DICE = random.Random(2404)
# Each write ends in a rename. At the one asked for, the process kills itself or stands still.
PROGRAM = """
import os, signal, sys, time
what, ending, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
rename = os.replace
def replace(source, target):
    global left
    left -= str(target).endswith(ending)
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL) if what == "die" else time.sleep(600)
    rename(source, target)
os.replace = replace
from pipelines.prepare import main
sys.exit(main(sys.argv[4:]))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> OutputDir:
    """What every interrupted run must end with; don't write into it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "data"
    assert main([*FLAGS, f"--output={folder}"]) == 0
    return OutputDir.open(str(folder), kind=KIND)


def files(folder: str | Path) -> dict[str, int]:
    """Every file, relative to the folder, and the nanosecond in which it was written."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def is_temporary(name: str) -> bool:
    return Path(name).name.startswith(storage.TEMPORARY)


def start(folder: Path, what: str, ending: str, count: int) -> subprocess.Popen[bytes]:
    """Prepares in a process, and a session, of its own, up to a rename."""
    program = [sys.executable, "-c", PROGRAM, what, ending, str(count)]
    return subprocess.Popen(
        [*program, *FLAGS, f"--output={folder}"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def living(session: int) -> list[str]:
    """The command lines of what still runs in a session."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            state, _, _, session_id = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session_id) == session and state != "Z":
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def assert_finishes_like(undisturbed: OutputDir, folder: Path) -> None:
    before = files(folder)
    assert "COMPLETED" not in before

    assert main([*FLAGS, f"--output={folder}"]) == 0

    out = OutputDir.open(str(folder), kind=KIND)
    after = files(folder)
    assert out.info["files"] == undisturbed.info["files"]
    assert out.digest == undisturbed.digest
    assert sorted(after) == sorted(files(undisturbed.path))
    assert [name for name in after if is_temporary(name)] == []
    finished = {
        name
        for shard in storage.list_files(f"{folder}/finished")
        if f"finished/{Path(shard).name}" in before
        for name in [f"finished/{Path(shard).name}", *storage.read_json(shard)["files"]]
    }
    assert {name: after[name] for name in finished} == {name: before[name] for name in finished}


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("ending", "count", "there", "missing"),
    [
        ("codebook/card.json", 1, "codebook/codebook.npz", "codebook/card.json"),
        (".tfrecord", DICE.randint(3, 2 * SHARDS), "codebook/card.json", "COMPLETED"),
    ],
    ids=["while it saves the codebook", "while it writes a shard"],
)
def test_a_run_that_dies_before_a_rename_is_finished_by_the_next(
    undisturbed: OutputDir, tmp_path: Path, ending: str, count: int, there: str, missing: str
) -> None:
    folder = tmp_path / "data"
    process = start(folder, "die", ending, count)

    assert process.wait(120) == -signal.SIGKILL
    assert there in files(folder)
    assert missing not in files(folder)
    assert len([name for name in files(folder) if is_temporary(name)]) == 1
    assert wait_until(lambda: not living(process.pid), 10), living(process.pid)
    assert_finishes_like(undisturbed, folder)


@pytest.mark.timeout(150)
def test_a_run_killed_between_two_shards_is_finished_by_the_next(
    undisturbed: OutputDir, tmp_path: Path
) -> None:
    folder, shards = tmp_path / "data", DICE.randint(1, SHARDS - 2)
    finished = folder / "finished"
    # begun.json, card.json, and the mark of the shard after those.
    process = start(folder, "wait", ".json", 2 + shards + 1)
    try:
        assert wait_until(lambda: len(storage.list_files(str(finished))) == shards, 120)
        servers = [command for command in living(process.pid) if "espeak_server" in command]
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
        assert servers, "a server speaks, and must notice that nobody listens"
        assert wait_until(lambda: not living(process.pid), 10), living(process.pid)
    finally:
        if living(process.pid):
            os.killpg(process.pid, signal.SIGKILL)

    assert len(storage.list_files(str(finished))) == shards
    assert_finishes_like(undisturbed, folder)


@pytest.fixture
def unpublished(undisturbed: OutputDir, tmp_path: Path) -> Path:
    """A copy in which everything is done but for the publication."""
    folder = tmp_path / "data"
    for name in files(undisturbed.path):
        if name not in ("COMPLETED", "info.json", "stats.json"):
            storage.write_bytes(f"{folder}/{name}", storage.read_bytes(undisturbed.file(name)))
    return folder


def test_a_run_killed_before_it_published_publishes_the_next_time(
    undisturbed: OutputDir, unpublished: Path
) -> None:
    storage.write_bytes(f"{unpublished}/{storage.TEMPORARY}info", b"{")

    assert_finishes_like(undisturbed, unpublished)


def test_a_shard_without_its_mark_is_made_again(undisturbed: OutputDir, unpublished: Path) -> None:
    (unpublished / "finished" / "00003.json").unlink()
    (torn,) = unpublished.glob("train-00003-*")
    torn.write_bytes(torn.read_bytes()[:100])

    assert_finishes_like(undisturbed, unpublished)
