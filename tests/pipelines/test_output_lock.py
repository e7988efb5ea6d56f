"""Two processes can't write one directory, and a dead one holds nobody up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import output_lock
from pipelines.output_dir import OutputBusyError, OutputDir, State
from pipelines.status import lines, status

PROGRAM = """
import sys
from pipelines.output_dir import OutputDir
out = OutputDir(sys.argv[1], kind="pairs")
out.begin({"shards": 4})
print("begun", flush=True)
sys.stdin.read()
out.release()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun to write `tmp_path/data`, and stops when its input ends."""
    command = [sys.executable, "-c", PROGRAM, f"{tmp_path}/data"]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        yield process
        process.kill()


def begin(folder: Path, overwrite: bool = False) -> State:
    return OutputDir(f"{folder}/data", kind="pairs").begin({"shards": 4}, overwrite=overwrite)


def test_a_second_writer_is_refused_and_told_who_writes(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    before = sorted(os.listdir(tmp_path / "data"))

    for overwrite in (False, True):
        with pytest.raises(OutputBusyError) as refused:
            begin(tmp_path, overwrite)
        assert str(refused.value) == (
            f"{tmp_path}/data is being written by process {writer.pid} on {socket.gethostname()}; "
            "wait until it is done, or choose another --output"
        )
    assert sorted(os.listdir(tmp_path / "data")) == before == ["begun.json", "lock.json"]


def test_status_tells_a_running_directory_from_a_killed_one(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    found = status(f"{tmp_path}/data")
    assert (found["state"], found["writer"]["pid"]) == ("running", writer.pid)
    said = lines(found)
    assert said[0].startswith(f"{tmp_path}/data: pairs, running by process {writer.pid} on ")
    assert not any("run the command" in line for line in said)

    writer.kill()
    writer.wait()
    found = status(f"{tmp_path}/data")
    assert (found["state"], found.get("writer")) == ("unfinished", None)
    assert "run the command that makes it again" in lines(found)[-1]


def test_the_lock_of_a_dead_process_is_taken_over_without_a_word(
    tmp_path: Path, writer: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert (tmp_path / "data" / output_lock.NAME).exists()

    assert begin(tmp_path) is State.RESUMED
    assert capfd.readouterr() == ("", "")


def test_a_writer_that_lets_go_leaves_nothing_behind(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    writer.communicate(b"")
    assert os.listdir(tmp_path / "data") == ["begun.json"]

    out = OutputDir(f"{tmp_path}/data", kind="pairs")
    out.begin({"shards": 4})
    out.complete(files=[], stats={})
    assert output_lock.holder(f"{tmp_path}/data") is None
    assert sorted(os.listdir(tmp_path / "data")) == [
        "COMPLETED",
        "begun.json",
        "info.json",
        "stats.json",
    ]


def test_a_process_killed_before_it_let_go_of_what_was_complete_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    out = OutputDir(f"{tmp_path}/data", kind="pairs")
    out.begin({"shards": 4})
    out.complete(files=[], stats={})
    (tmp_path / "data" / output_lock.NAME).write_text("{")

    assert begin(tmp_path) is State.COMPLETE
    assert not (tmp_path / "data" / output_lock.NAME).exists()


def test_what_is_complete_is_found_complete_where_nothing_can_be_written(tmp_path: Path) -> None:
    out = OutputDir(f"{tmp_path}/data", kind="pairs")
    out.begin({"shards": 4})
    out.complete(files=[], stats={})
    before = os.stat(tmp_path / "data").st_mtime_ns

    assert begin(tmp_path) is State.COMPLETE
    assert os.stat(tmp_path / "data").st_mtime_ns == before


def test_a_process_may_begin_again_what_it_began(tmp_path: Path) -> None:
    first = OutputDir(f"{tmp_path}/data", kind="pairs")
    assert first.begin({"shards": 4}) is State.NEW
    assert begin(tmp_path) is State.RESUMED
