"""python -m benchmarks.million: a million vectors, this index against faiss and hnswlib.

Every engine is tuned on the same queries to the same recall@10, measured with others, and runs in a
process of its own, so that its peak memory is its own. What is done is kept in OUTPUT/results.json:
a run that was killed goes on with the next engine. Peers come with the `benchmark` extra:

  pip install -e '.[benchmark]'
  python -m benchmarks.million --rows 20000 --output /tmp/small     # a minute
  python -m benchmarks.million --output /tmp/million                # 45 minutes on two cores, 8 GB
  python -m benchmarks.million --vectors embeddings.npy --rows 500000 --output /tmp/real
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := sorted(set(options.engines.split(",")) - set(ENGINES)):
        parser.error(f"no engine {', '.join(unknown)}; there are {', '.join(ENGINES)}")
    folder = Path(options.output)
    if options.one:
        result = run(options.one, folder, options.target)
        (folder / f"{options.one}.json").write_text(json.dumps(result))
        return
    described = {n: getattr(options, n) for n in ("rows", "dim", "queries", "seed", "vectors")}
    path = folder / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if results and results["data"] != described:
        parser.error(f"{folder} holds other data: {results['data']}")
    results = {"data": described, "cores": os.cpu_count(), "engines": results.get("engines", {})}
    prepare(folder, options.rows, options.dim, options.queries, options.seed, options.vectors, log)
    for name in options.engines.split(","):
        if "seconds" in results["engines"].get(name, {}):
            log(f"{name}: measured before")
            continue
        log(name)
        results["engines"][name] = in_own_process(name, folder, options.minutes)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(results, indent=2))
        temporary.replace(path)
        log(f"{name}: {json.dumps(results['engines'][name])}")
    show(results["engines"])


def in_own_process(name: str, folder: Path, minutes: float) -> dict[str, Any]:
    """Runs one engine in a fresh process; what went wrong, if it did."""
    result = folder / f"{name}.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.million", *sys.argv[1:], "--one", name]
    try:
        done = subprocess.run(command, timeout=minutes * 60)
    except subprocess.TimeoutExpired:
        return {"error": f"took over {minutes:g} minutes"}
    if done.returncode or not result.exists():
        return {"error": f"ended with status {done.returncode}"}
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def run(name: str, folder: Path, target: float) -> dict[str, Any]:
    """Builds, tunes and measures one engine."""
    engine = ENGINES[name]()
    memory = Memory()
    started, cpu = time.time(), time.process_time()
    engine.build(folder, target, log)
    built = {"seconds": time.time() - started, "cpu_seconds": time.process_time() - cpu}
    log(f"  built in {built['seconds']:.0f} s")
    vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    queries = np.load(folder / "queries.npy", allow_pickle=False)
    tenth = np.load(folder / "tenth.npy", allow_pickle=False)
    half = len(queries) // 2
    cores = os.cpu_count() or 1
    for setting in engine.settings:
        engine.use(setting)
        tuned = recall(vectors, queries[:half], tenth[:half], engine.ask(queries[:half], cores))
        if tuned >= target:
            break
    log(f"  tuned: {engine.chosen} recall {tuned:.4f}")
    asked, truth = queries[half:], tenth[half:]
    reached = recall(vectors, asked, truth, engine.ask(asked, cores))
    singles = rate(lambda i: engine.ask(asked[i % half : i % half + 1], 1), 1)
    batches = rate(lambda i: engine.ask(asked, cores), len(asked))
    return {
        **built,
        "settings": engine.chosen,
        "recall_at_10_tuned": tuned,
        "recall_at_10": reached,
        "single_queries_per_second": singles[0],
        "single_queries_per_cpu_second": singles[1],
        "batched_queries_per_second": batches[0],
        "batched_queries_per_cpu_second": batches[1],
        **memory.stop(),
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
        "batched_queries_per_second": "batched/s",
        "seconds": "build s",
        "peak_gb": "peak GB",
    }
    print(f"{'':<20}" + "".join(f"{title:>12}" for title in columns.values()))
    good = {name: result for name, result in engines.items() if "seconds" in result}
    for name, result in engines.items():
        if name not in good:
            print(f"{name:<20}  {result['error']}")
            continue
        print(f"{name:<20}" + "".join(f"{result[c]:>12,.4g}" for c in columns))
    for ours in (name for name in good if name.startswith("babelear")):
        for peer in (name for name in good if not name.startswith("babelear")):
            a, b = good[ours], good[peer]
            single = a["single_queries_per_second"] / b["single_queries_per_second"]
            batched = a["batched_queries_per_second"] / b["batched_queries_per_second"]
            print(
                f"{ours} / {peer}: single {single:.2f}, batched {batched:.2f} times the queries; "
                f"build {b['seconds'] / a['seconds']:.2f}, memory {b['peak_gb'] / a['peak_gb']:.2f}"
            )


if __name__ == "__main__":
    main()
