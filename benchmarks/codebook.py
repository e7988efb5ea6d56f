"""What does a round of k-means cost, and what would it on a sample for 8,192 tokens?

    python -m benchmarks.codebook --frames 40000 --k 256,1024,4096

Random frames of Whisper-base's width: what is in them makes no difference to the time of a round.
One thread, as `pipelines.codebook.fit` runs: the same sample then gives the same bytes. The floor
is the matrix product of frames and centroids at the rate of one large product on that thread.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines import codebook


def product_gflops() -> float:
    """The rate of one large float32 product on one thread."""
    matrix = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    best = float("inf")
    with threadpool_limits(1):
        for _ in range(5):
            start = time.process_time()
            matrix @ matrix
            best = min(best, time.process_time() - start)
    return float(2 * 2048**3 / best / 1e9)


def round_seconds(frames: np.ndarray, k: int) -> float:
    """CPU seconds of one round: four more rounds than two, over four."""
    seconds = []
    for rounds in (2, 6):
        start = time.process_time()
        codebook.fit(frames, k, seed=0, rounds=rounds)
        seconds.append(time.process_time() - start)
    return (seconds[1] - seconds[0]) / 4


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--k", default="256,1024,4096")
    arguments = parser.parse_args()
    count, dim = arguments.frames, arguments.dim
    frames = np.random.default_rng(0).standard_normal((count, dim), dtype=np.float32)
    peak = product_gflops()
    print(f"{count:,} frames of {dim}; one large product: {peak:.0f} GFLOP/s on one thread")
    print(f"{'k':>6} {'s a round':>10} {'GFLOP/s':>8} {'over floor':>11}")
    rate = peak
    for k in map(int, arguments.k.split(",")):
        seconds = round_seconds(frames, k)
        rate = 2 * count * k * dim / seconds / 1e9
        print(f"{k:>6,} {seconds:>10.2f} {rate:>8.0f} {peak / rate:>11.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    most = 200 * 8192
    one = 2 * most * 8192 * 512 / rate / 1e9
    print(
        f"at the last rate {most:,} frames of 512 and k = 8,192 would take {one:.0f} s a round, "
        f"{15 * one / 60:.0f} min in 15 rounds, and {most * 512 * 4 / 2**30:.1f} GiB"
    )


if __name__ == "__main__":
    main()
