"""python -m benchmarks.million: a million vectors, this index against faiss and hnswlib.

Every engine is built, and tuned on the same queries to the same recall@10, in a process of its own,
so that its peak memory is its own. Then all are measured with other queries, by turns, each opened
again from what it left on disk: what else the machine does meets all of them, and medians are
shown. What is done is kept in OUTPUT/results.json: a run that was killed goes on from there. Peers
come with the `benchmark` extra:

  pip install -e '.[benchmark]'
  python -m benchmarks.million --rows 20000 --output /tmp/small     # a minute
  python -m benchmarks.million --output /tmp/million                # see docs/index.md; 8 GB
  python -m benchmarks.million --vectors embeddings.npy --rows 500000 --output /tmp/real
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)

import numpy as np  # isort: skip

from benchmarks.million_data import prepare  # isort: skip
from benchmarks.million_engines import ENGINES  # isort: skip

DEFAULT = "babelear,babelear-spill,faiss-ivfpq,hnswlib,faiss-hnsw"
SAME = ("rows", "dim", "queries", "seed", "vectors", "target")
"""Options that a run which goes on must have in common with the one before."""
RATES = (
    "single_queries_per_second",
    "single_queries_per_cpu_second",
    "batched_queries_per_second",
    "batched_queries_per_cpu_second",
)
STARTED = time.time()
SECONDS_A_MEASUREMENT = 4.0


def log(line: str) -> None:
    print(f"{time.time() - STARTED:7.1f} s  {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, help="folder for the data and results.json")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=640)
    parser.add_argument("--queries", type=int, default=2_000, help="half tune, half measure")
    parser.add_argument("--target", type=float, default=0.98, help="the recall@10 to reach")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vectors", default="", help=".npy file of real embeddings")
    parser.add_argument("--engines", default=DEFAULT, help=f"of {','.join(ENGINES)}")
    parser.add_argument("--minutes", type=float, default=25, help="an engine is stopped after")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--again", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := sorted(set(options.engines.split(",")) - set(ENGINES)):
        parser.error(f"no engine {', '.join(unknown)}; there are {', '.join(ENGINES)}")
    folder = Path(options.output)
    if name := options.one or options.again:
        known = read(folder / "results.json")["engines"]
        result = (
            measure(name, folder, known[name]) if options.again else make(name, folder, options)
        )
        write(folder / f"{name}.json", result)
        return
    described = {n: getattr(options, n) for n in SAME}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    results = read(path) if path.exists() else {}
    if results and results["data"] != described:
        parser.error(f"{folder} holds a run with other options: {results['data']}")
    results = {"data": described, "cores": os.cpu_count(), "engines": results.get("engines", {})}
    write(path, results)
    prepare(folder, options.rows, options.dim, options.queries, options.seed, options.vectors, log)
    names, engines = options.engines.split(","), results["engines"]
    for name in names:
        if "seconds" in engines.get(name, {}):
            log(f"{name}: built before")
            continue
        log(name)
        engines[name] = in_own_process("--one", name, folder, options.minutes)
        write(path, results)
        log(f"{name}: {json.dumps(engines[name])}")
    names = [name for name in names if "seconds" in engines[name]]
    for turn in range(options.rounds):
        for name in names:
            rounds = engines[name].setdefault("rounds", [])
            if len(rounds) > turn:
                continue
            rounds.append(in_own_process("--again", name, folder, options.minutes))
            write(path, results)
            log(f"{name}, round {turn + 1}: {json.dumps(rounds[-1])}")
    show({name: medians(engines[name]) for name in options.engines.split(",")})


def read(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def write(path: Path, value: Any) -> None:
    """Writes a JSON file, the whole of it or nothing."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(value, indent=2))
    temporary.replace(path)


def in_own_process(task: str, name: str, folder: Path, minutes: float) -> dict[str, Any]:
    """Runs a task of one engine in a fresh process; what went wrong, if it did."""
    result = folder / f"{name}.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.million", *sys.argv[1:], task, name]
    try:
        done = subprocess.run(command, timeout=minutes * 60)
    except subprocess.TimeoutExpired:
        return {"error": f"took over {minutes:g} minutes"}
    if done.returncode or not result.exists():
        return {"error": f"ended with status {done.returncode}"}
    found: dict[str, Any] = read(result)
    return found


def make(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Builds one engine and tunes it: of the settings that reach the target, those that cost least.

    Cost is processor time, which other work on the machine changes least.
    """
    engine = ENGINES[name]()
    memory = Memory()
    started, cpu = time.time(), time.process_time()
    engine.build(folder, options.target, log)
    built = {"seconds": time.time() - started, "cpu_seconds": time.process_time() - cpu}
    built |= memory.stop()
    log(f"  built in {built['seconds']:.0f} s")
    engine.open(folder)
    vectors, queries, tenth = load(folder)
    half = len(queries) // 2
    tried: dict[Any, tuple[float, float]] = {}

    def reaches(setting: Any) -> bool:
        engine.use(setting)
        cpu = time.process_time()
        found = engine.ask(queries[:half], os.cpu_count() or 1)
        cpu = time.process_time() - cpu
        tried[setting] = (recall(vectors, queries[:half], tenth[:half], found), cpu)
        log(f"  {engine.chosen}: recall {tried[setting][0]:.4f}, {half / cpu:,.0f} queries/CPU s")
        return tried[setting][0] >= options.target

    for ladder in engine.ladders:
        low, high, last = -1, 0, len(ladder) - 1
        while not reaches(ladder[high]) and high < last:
            # In leaps: what finds much is dear to try.
            low, high = high, min(last, 2 * high + 1)
        if tried[ladder[high]][0] < options.target:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reaches(ladder[middle]) else (middle, high)
    good = [setting for setting, (reached, _) in tried.items() if reached >= options.target]
    if good:
        best = min(good, key=lambda setting: tried[setting][1])
    else:
        best = max(tried, key=lambda setting: tried[setting][0])
    engine.use(best)
    return {
        **built,
        "settings": engine.chosen,
        "setting": best,
        "recall_at_10_tuned": tried[best][0],
    }


def measure(name: str, folder: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Opens an engine again and asks it what it was not tuned with."""
    memory = Memory()
    engine = ENGINES[name]()
    started = time.time()
    engine.open(folder)
    opened = time.time() - started
    engine.use(known["setting"])
    vectors, queries, tenth = load(folder)
    half = len(queries) // 2
    asked, truth = queries[half:], tenth[half:]
    cores = os.cpu_count() or 1
    reached = recall(vectors, asked, truth, engine.ask(asked, cores))
    singles = rate(lambda i: engine.ask(asked[i % half : i % half + 1], 1), 1)
    batches = rate(lambda i: engine.ask(asked, cores), len(asked))
    rates = dict(zip(RATES, (*singles, *batches), strict=True))
    return {"recall_at_10": reached, "open_seconds": opened, **rates, **memory.stop()}


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vectors, the queries, and for each query the score of its tenth nearest row."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    queries = np.load(folder / "queries.npy", allow_pickle=False)
    return vectors, queries, np.load(folder / "tenth.npy", allow_pickle=False)


def medians(engine: dict[str, Any]) -> dict[str, Any]:
    """An engine's line of the table: what the rounds found, in the middle."""
    rounds = [turn for turn in engine.get("rounds", []) if "error" not in turn]
    if not rounds:
        return {"error": engine.get("error", "was not measured")}
    found = {key: statistics.median(turn[key] for turn in rounds) for key in rounds[0]}
    return {
        **found,
        **{key: engine[key] for key in ("seconds", "cpu_seconds", "settings")},
        "build_gb": engine["peak_gb"],
    }


def recall(vectors: Any, queries: np.ndarray, tenth: np.ndarray, found: np.ndarray) -> float:
    """The share of the ten nearest rows among those found; of equally near ones any will do."""
    found = np.asarray(found, np.int64)
    hits = 0
    for row, query, limit in zip(found, queries, tenth, strict=True):
        own = np.unique(row[row >= 0])
        hits += min(10, int((vectors[own] @ query >= limit - 1e-5).sum()))
    return hits / (10 * len(queries))


def rate(ask: Any, queries: int) -> tuple[float, float]:
    """Queries a second and a processor second, after a warm-up."""
    ask(0)
    count, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < SECONDS_A_MEASUREMENT:
        ask(count)
        count += 1
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return count * queries / wall, count * queries / cpu


class Memory:
    """Watches this process's memory: what it holds itself, without the files it has mapped."""

    def __init__(self) -> None:
        self.most = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            text = Path("/proc/self/status").read_text()
            (line,) = [line for line in text.splitlines() if line.startswith("RssAnon")]
            self.most = max(self.most, int(line.split()[1]) * 1024)

    def stop(self) -> dict[str, float]:
        """The most there was, in GB."""
        self._done.set()
        self._thread.join()
        mapped = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"peak_gb": self.most / 1e9, "peak_gb_with_mapped_files": mapped / 1e9}


def show(engines: dict[str, Any]) -> None:
    """The table, and each peer as a ratio: above 1 this project does better."""
    columns = {
        "recall_at_10": "recall@10",
        "single_queries_per_second": "single/s",
        "single_queries_per_cpu_second": "/CPU s",
        "batched_queries_per_second": "batched/s",
        "batched_queries_per_cpu_second": "/CPU s",
        "seconds": "build s",
        "cpu_seconds": "CPU s",
        "build_gb": "build GB",
        "peak_gb": "open GB",
    }
    print(f"{'':<16}" + "".join(f"{title:>11}" for title in columns.values()))
    good = {name: result for name, result in engines.items() if "error" not in result}
    for name, result in engines.items():
        if name not in good:
            print(f"{name:<16}  {result['error']}")
            continue
        print(f"{name:<16}" + "".join(f"{result[c]:>11,.4g}" for c in columns))
    for ours in (name for name in good if name.startswith("babelear")):
        for peer in (name for name in good if not name.startswith("babelear")):
            times = {key: good[ours][key] / good[peer][key] for key in columns}
            print(
                f"{ours} / {peer}: queries a second {times[RATES[0]]:.2f} singly, "
                f"{times[RATES[2]]:.2f} batched; a CPU second {times[RATES[1]]:.2f}, "
                f"{times[RATES[3]]:.2f}; build {1 / times['cpu_seconds']:.2f} (CPU s), "
                f"memory {1 / times['build_gb']:.2f}"
            )


if __name__ == "__main__":
    main()
