"""A Flink cluster on this machine, Beam's job server before it, a pool of Python workers behind it.

Every part is a process of its own, as on several machines: a job manager, a task manager with
slots, the job server that turns a portable pipeline into a Flink job, and the pool that starts a
Python worker process when the task manager asks for one. One task manager a pool: each counts its
workers from 1, and would stop another's of the same number.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

# Flink 1.19 and Beam reach into the JDK, which Java 17 must be told to let them.
OPENED = ["lang", "lang.invoke", "lang.reflect", "net", "io", "nio", "text", "time", "util"]
OPENED += ["util.concurrent", "util.concurrent.atomic", "util.concurrent.locks"]
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JAVA += [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED]
JAVA += [
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/sun.net.util=ALL-UNNAMED",
]

CONFIGURATION = """\
jobmanager.rpc.address: localhost
jobmanager.rpc.port: {rpc}
rest.address: localhost
rest.port: {rest}
blob.server.port: 0
parallelism.default: {slots}
# Beam keeps Python workers for the next step only where its classes are the cluster's own.
classloader.resolve-order: parent-first
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 1 s
taskmanager.host: localhost
taskmanager.numberOfTaskSlots: {slots}
taskmanager.cpu.cores: {slots}
taskmanager.memory.task.heap.size: 256m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 64m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.managed.size: 128m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 64m
taskmanager.memory.jvm-overhead.max: 64m
io.tmp.dirs: {folder}
"""


@dataclass
class Cluster:
    """A running cluster.

    Args:
        job_port: where the job server listens.
        pool: the process that starts Python workers.
        pool_port: where it listens.
        slots: how many steps run at a time.
        workers_wanted: Python processes that the slots share.
    """

    job_port: int
    pool: subprocess.Popen[bytes]
    pool_port: int
    slots: int
    workers_wanted: int

    @property
    def flags(self) -> list[str]:
        """What makes a Beam pipeline run here."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.job_port}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self.pool_port}",
            f"--parallelism={self.slots}",
            f"--sdk_worker_parallelism={self.workers_wanted}",
        ]

    def workers(self) -> list[int]:
        """The process ids of the Python workers that run now."""
        children = Path(f"/proc/{self.pool.pid}/task").glob("*/children")
        return sorted(int(pid) for path in children for pid in path.read_text().split())


@contextmanager
def start(jars: Path, folder: Path, *, slots: int = 4, workers: int = 2) -> Iterator[Cluster]:
    """Starts everything, and ends it.

    Args:
        jars: what `make test-flink` fetched.
        folder: for configuration, logs and temporary files.
        slots: of the task manager.
        workers: how many Python processes the slots share.
    """
    rpc, rest, job_port, artifact_port, pool_port = free_ports(5)
    (folder / "conf").mkdir(parents=True)
    text = CONFIGURATION.format(rpc=rpc, rest=rest, slots=slots, folder=folder)
    (folder / "conf" / "flink-conf.yaml").write_text(text)
    flink = "org.apache.flink.runtime"
    configured = ["--configDir", str(folder / "conf")]
    with ExitStack() as stack:

        def java(name: str, heap: str, main: str, *arguments: str) -> None:
            command = [*JAVA, f"-Xmx{heap}", "-cp", f"{jars}/*", main, *arguments]
            stack.enter_context(running(folder / f"{name}.log", command))

        java(
            "job-manager",
            "512m",
            f"{flink}.entrypoint.StandaloneSessionClusterEntrypoint",
            *configured,
        )
        java("task-manager", "512m", f"{flink}.taskexecutor.TaskManagerRunner", *configured)
        java(
            "job-server",
            "512m",
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=localhost:{rest}",
            f"--job-port={job_port}",
            f"--artifact-port={artifact_port}",
            "--expansion-port=-1",
            f"--artifacts-dir={folder / 'artifacts'}",
        )
        command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main"]
        command.append(f"--service_port={pool_port}")
        pool = stack.enter_context(running(folder / "workers.log", command))
        wait_for_slots(rest, slots)
        for port in (job_port, pool_port):
            wait_for_port(port)
        yield Cluster(job_port, pool, pool_port, slots, workers)


@contextmanager
def running(log: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes to a log, ended at last."""
    # The pool starts workers by the name `python`; gRPC must not ask a proxy for localhost.
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "no_grpc_proxy": "localhost",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, start_new_session=True
        )
        try:
            yield process
        finally:
            # With what it started: the pool leaves its workers behind.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for_slots(rest: int, count: int, seconds: float = 60) -> None:
    """Waits until the task manager has offered its slots to the job manager."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://localhost:{rest}/overview", timeout=5) as answer:
                if json.load(answer)["slots-total"] == count:
                    return
        except OSError:
            pass
        time.sleep(0.3)
    raise TimeoutError(f"the cluster has not {count} slots after {seconds:g} s")


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Waits until somebody listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"nobody listens on port {port} after {seconds:g} s")
