"""The demo prepared on a Flink cluster: the same bytes as in one process, whoever dies on the way.

`make test-flink` runs these; they need Java, Maven's repository and some minutes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND
from tests.flink import cluster
from tests.flink.cluster import Cluster

pytestmark = [pytest.mark.flink, pytest.mark.timeout(600)]

SHARDS = 24
SLICE = ["--corpus=demo", "--speech-encoder=whisper_base@1", "--limit=480", f"--shards={SHARDS}"]
KEEP = "--environment_cache_millis=60000"
"""Python processes stay for the next step; a dead one too."""
FIT = ["--codebook-size=64", "--codebook-utterances=100"]


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of four slots and two Python processes."""
    jars = os.environ.get("FLINK_JARS") or pytest.fail("make test-flink fetches what it takes")
    with cluster.start(Path(jars), tmp_path_factory.mktemp("flink") / "cluster") as running:
        yield running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> OutputDir:
    """What one process makes."""
    folder = tmp_path_factory.mktemp("alone") / "data"
    assert prepare(folder, *FIT).wait() == 0
    return OutputDir.open(str(folder), kind=KIND)


def prepare(folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    """Starts the verb."""
    command = [sys.executable, "-m", "pipelines.prepare", *SLICE, *flags, f"--output={folder}"]
    return subprocess.Popen(command, env={**os.environ, "no_grpc_proxy": "localhost"})


def files(out: OutputDir) -> dict[str, str]:
    """The hashes of a directory's files, found to be right."""
    out.verify()
    return dict(out.info["files"])


def kill_a_worker(flink: Cluster, running: subprocess.Popen[bytes], folder: Path) -> None:
    """Kills the newest Python process once it writes shards."""
    finished = folder / "finished"
    while len(list(finished.glob("*.json"))) < 2:
        assert running.poll() is None, "ended before a worker could be killed"
        time.sleep(0.02)
    os.kill(flink.workers()[-1], signal.SIGKILL)
    assert len(list(finished.glob("*.json"))) < SHARDS * 3 / 4, "it was nearly over"


def test_a_cluster_makes_what_one_process_makes(
    flink: Cluster, alone: OutputDir, tmp_path: Path
) -> None:
    assert prepare(tmp_path / "data", *FIT, *flink.flags, KEEP).wait() == 0
    made = OutputDir.open(str(tmp_path / "data"), kind=KIND)
    assert files(made) == files(alone)
    assert len(files(made)) > 2 * SHARDS
    assert len(flink.workers()) >= 2


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(
    flink: Cluster, alone: OutputDir, tmp_path: Path
) -> None:
    folder, codebook = tmp_path / "data", f"--codebook={alone.file('codebook')}"
    running = prepare(folder, codebook, *flink.flags)
    kill_a_worker(flink, running, folder)

    assert running.wait() == 0
    assert files(OutputDir.open(str(folder), kind=KIND)) == files(alone)


def test_a_run_that_keeps_its_dead_worker_fails_and_goes_on_when_it_is_run_again(
    flink: Cluster, alone: OutputDir, tmp_path: Path
) -> None:
    folder, codebook = tmp_path / "data", f"--codebook={alone.file('codebook')}"
    running = prepare(folder, codebook, *flink.flags, KEEP)
    kill_a_worker(flink, running, folder)

    assert running.wait() != 0
    assert 2 <= len(list((folder / "finished").glob("*.json"))) < SHARDS
    assert prepare(folder, codebook, *flink.flags).wait() == 0
    assert files(OutputDir.open(str(folder), kind=KIND)) == files(alone)
