"""The engines that `benchmarks.million` compares: how each is built, tuned and asked.

An engine is a class with `build(vectors)`, `settings` from cheap to dear, `use(setting)` and
`ask(queries, threads)`, which returns the numbers of ten rows for each query.
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 50_000
LEAVES_A_ROOT = 2


class Babelear:
    """This project: a bundle written, swept, closed and opened again as any other."""

    def __init__(self, spill: bool = False, reorder: str = "float32") -> None:
        self.spill, self.reorder = spill, reorder
        self.settings: list[Any] = ["swept"]

    def build(self, folder: Path, target: float, log) -> None:
        """Builds over the vectors in a folder."""
        from pipelines.output_dir import OutputDir
        from scann_index.bundle import KIND, Bundle
        from scann_index.index_shards import finish
        from scann_index.making import finish_bundle, measure
        from scann_index.recipe import Choice
        from scann_index.row import Row
        from scann_index.summary import sweep_table

        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        queries = np.load(folder / "queries.npy", allow_pickle=False)
        held_out = queries[: len(queries) // 2]
        index = folder / "index"
        shutil.rmtree(index, ignore_errors=True)
        out = OutputDir(str(index), kind=KIND)
        out.begin({})
        names = ["text-en-00000-of-00001", "speech-en-00000-of-00001"]
        choice = Choice(engine="tree", spill=self.spill, reorder=self.reorder)
        for name, part in zip(names, (vectors, held_out), strict=True):
            modality = name.split("-")[0]
            rows = [Row(f"{i:08d}", f"s{i}", "en", modality, f"text {i}") for i in range(len(part))]
            finish(out.path, name, rows, part, choice)
            del rows
            log(f"  wrote {name}")
        cards, sweeps = measure(out, names, target, [])
        finish_bundle(
            out, cards, info={"model": {"digest": "none"}}, sweeps=sweeps, stats={}, seconds={}
        )
        for line in sweep_table(cards, sweeps):
            log(line)
        (self.shard,) = Bundle.open(out.path).shards(modality="text")
        self.shard.search(held_out[:1], 10)
        card = self.shard.card
        self.chosen = {"leaves": card.leaves, "leaves_searched": card.leaves_searched}
        self.chosen["reordered"] = card.reordered

    def use(self, setting: Any) -> None:
        """The sweep has chosen."""

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        return self.shard.search(queries, 10)[0]


class _Peer:
    """What peers have in common: rows are added in blocks from the disk."""

    def build(self, folder: Path, target: float, log) -> None:
        """Builds over the vectors in a folder."""
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        self.create(*vectors.shape)
        self.train(np.ascontiguousarray(vectors[:: max(1, len(vectors) // 100_000)]))
        log("  trained")
        for first in range(0, len(vectors), BLOCK):
            self.add(np.ascontiguousarray(vectors[first : first + BLOCK]))
            log(f"  added {min(first + BLOCK, len(vectors)):,}")

    def train(self, sample: np.ndarray) -> None:
        """Nothing to learn."""


class FaissIvfPq(_Peer):
    """Inverted lists of 4-bit codes, searched by SIMD, refined by the vectors: like a tree here."""

    def create(self, rows: int, dim: int) -> None:
        """An empty index."""
        import faiss

        leaves = round(LEAVES_A_ROOT * rows**0.5)
        spec = f"IVF{leaves},PQ{dim // 2}x4fs,RFlat"
        self.index = faiss.index_factory(dim, spec, faiss.METRIC_INNER_PRODUCT)
        shares = [2 ** (-step / 3) for step in range(24, -1, -1)]
        probes = sorted({max(1, round(leaves * share)) for share in shares})
        self.settings = list(itertools.product(probes, (2, 3, 5, 10, 20, 40)))
        self.settings.sort(key=lambda s: rows * s[0] / leaves / 10 + 30 * s[1])

    def train(self, sample: np.ndarray) -> None:
        """Learns from a sample."""
        self.index.train(sample)

    def add(self, block: np.ndarray) -> None:
        """Adds a block of rows."""
        self.index.add(block)

    def use(self, setting: Any) -> None:
        """Takes one of the settings."""
        import faiss

        probes, factor = setting
        self.index.k_factor = factor
        faiss.extract_index_ivf(self.index.base_index).nprobe = probes
        self.chosen = {"nprobe": probes, "reordered": 10 * factor}

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        import faiss

        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, 10)[1]


class FaissHnsw(_Peer):
    """faiss's graph over float32 vectors."""

    def __init__(self, neighbours: int = 16, effort: int = 100) -> None:
        self.neighbours, self.effort = neighbours, effort
        self.settings = [round(10 * 2 ** (step / 4)) for step in range(28)]

    def create(self, rows: int, dim: int) -> None:
        """An empty index."""
        import faiss

        self.index = faiss.IndexHNSWFlat(dim, self.neighbours, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = self.effort

    def add(self, block: np.ndarray) -> None:
        """Adds a block of rows."""
        self.index.add(block)

    def use(self, setting: Any) -> None:
        """Takes one of the settings."""
        self.index.hnsw.efSearch = setting
        self.chosen = {"ef": setting, "M": self.neighbours, "ef_construction": self.effort}

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        import faiss

        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, 10)[1]


class Hnswlib(FaissHnsw):
    """The graph by its inventors."""

    def create(self, rows: int, dim: int) -> None:
        """An empty index."""
        import hnswlib

        self.index: Any = hnswlib.Index("ip", dim)
        self.index.init_index(rows, M=self.neighbours, ef_construction=self.effort)
        self.index.set_num_threads(os.cpu_count() or 1)

    def add(self, block: np.ndarray) -> None:
        """Adds a block of rows."""
        self.index.add_items(block)

    def use(self, setting: Any) -> None:
        """Takes one of the settings."""
        self.index.set_ef(setting)
        self.chosen = {"ef": setting, "M": self.neighbours, "ef_construction": self.effort}

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        return self.index.knn_query(queries, 10, num_threads=threads)[0]


ENGINES: dict[str, Any] = {
    "babelear": Babelear,
    "babelear-spill": lambda: Babelear(spill=True),
    "babelear-int8": lambda: Babelear(reorder="int8"),
    "babelear-spill-int8": lambda: Babelear(spill=True, reorder="int8"),
    "faiss-ivfpq": FaissIvfPq,
    "hnswlib": Hnswlib,
    "faiss-hnsw": FaissHnsw,
}
