"""Vectors, queries and their true neighbours for `benchmarks.million`, made once and kept on disk.

Synthetic vectors imitate embeddings: a mixture with clusters of unequal sizes, in all of them a
spectrum that falls with a power law, rotated, of unit length. With the defaults two thirds of the
energy lies in a tenth of the dimensions, and neighbours lie in several leaves of a tree.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

BLOCK = 50_000
DECAY = 1.0
SPREAD = 1.5
ROWS_A_CLUSTER = 200

Blocks = Callable[[int, int], np.ndarray]


def synthetic(rows: int, dim: int, seed: int) -> Blocks:
    """A function that draws so many vectors with a seed of their own."""
    rng = np.random.default_rng(seed)
    clusters = max(64, rows // ROWS_A_CLUSTER)
    scale = np.arange(1, dim + 1) ** (-DECAY / 2)
    scale = (scale / np.linalg.norm(scale)).astype(np.float32)
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0].astype(np.float32)
    centres = rng.standard_normal((clusters, dim), np.float32) * scale
    share = np.arange(1, clusters + 1) ** -0.5
    share /= share.sum()

    def draw(count: int, block: int) -> np.ndarray:
        own = np.random.default_rng([seed, 1 + block])
        noise = own.standard_normal((count, dim), np.float32) * scale
        return unit((centres[own.choice(clusters, count, p=share)] + SPREAD * noise) @ rotation)

    return draw


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors at unit length, float32."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def prepare(folder: Path, rows: int, dim: int, queries: int, seed: int, source: str, log) -> None:
    """Writes `vectors.npy`, `queries.npy` and `tenth.npy`, unless they are there.

    Args:
        folder: where to.
        rows: how many vectors; the last `queries` of a `source` are held out.
        dim: of synthetic vectors.
        queries: how many; the first half tunes the engines, the second measures them.
        seed: of the synthetic vectors.
        source: an `.npy` file of real embeddings `[more than rows + queries, dim]`, or empty.
        log: gets lines of progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "tenth.npy").exists():
        return
    if source:
        real = np.load(source, mmap_mode="r", allow_pickle=False)
        if len(real) < rows + queries:
            raise ValueError(f"{source} has {len(real):,} rows; it takes {rows + queries:,}")
        dim = real.shape[1]
        asked = unit(real[-queries:])
        draw = None
    else:
        draw = synthetic(rows, dim, seed)
        asked = draw(queries, 10**6)
    vectors = np.lib.format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(rows, dim)
    )
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        block = draw(count, first) if draw else unit(real[first : first + count])
        vectors[first : first + count] = block
        log(f"vectors {first + count:,} of {rows:,}")
    vectors.flush()
    np.save(folder / "queries.npy", asked)
    from scann_index.engine import nearest_scores

    tenth = nearest_scores(vectors, asked, 10).min(axis=1)
    np.save(folder / "tenth.npy", tenth)
    log(f"true neighbours of {queries:,} queries")
