"""The engines that `benchmarks.million` compares: how each is built, kept, tuned and asked.

An engine is a class with `build(folder, target, log)`, which leaves it on disk, `open(folder)`,
`ladders` of settings, each from few found to many, `use(setting)`, and `ask(queries, threads)`,
which returns the numbers of ten rows for each query.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 50_000
LEAVES_A_ROOT = 2
MOST_CANDIDATES = 5_000


class Babelear:
    """This project: a bundle written, swept, closed and opened again as any other."""

    def __init__(self, spill: bool = False, reorder: str = "float32") -> None:
        self.spill, self.reorder = spill, reorder
        self.ladders: list[list[Any]] = [["swept"]]

    def _index(self, folder: Path) -> Path:
        return folder / f"index{'-spill' * self.spill}-{self.reorder}"

    def build(self, folder: Path, target: float, log) -> None:
        """Builds over the vectors in a folder."""
        from pipelines.output_dir import OutputDir
        from scann_index.bundle import KIND
        from scann_index.index_shards import finish
        from scann_index.making import finish_bundle, measure
        from scann_index.recipe import Choice
        from scann_index.row import Row
        from scann_index.summary import sweep_table

        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        queries = np.load(folder / "queries.npy", allow_pickle=False)
        held_out = queries[: len(queries) // 2]
        index = self._index(folder)
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

    def open(self, folder: Path) -> None:
        """Opens the bundle, its hashes compared."""
        from scann_index.bundle import Bundle

        (self.shard,) = Bundle.open(str(self._index(folder))).shards(modality="text")
        card = self.shard.card
        self.chosen = {"leaves": card.leaves, "leaves_searched": card.leaves_searched}
        self.chosen["reordered"] = card.reordered

    def use(self, setting: Any) -> None:
        """The sweep has chosen."""

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        return self.shard.search(queries, 10)[0]


class _Peer:
    """What peers have in common: rows are added in blocks from the disk, the index is one file."""

    name = ""

    def build(self, folder: Path, target: float, log) -> None:
        """Builds over the vectors in a folder."""
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        self.create(*vectors.shape)
        self.train(np.ascontiguousarray(vectors[:: max(1, len(vectors) // 100_000)]))
        log("  trained")
        for first in range(0, len(vectors), BLOCK):
            self.add(np.ascontiguousarray(vectors[first : first + BLOCK]))
            log(f"  added {min(first + BLOCK, len(vectors)):,}")
        self.save(str(folder / f"{self.name}.index"))

    def open(self, folder: Path) -> None:
        """Loads what was built."""
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        self.load(str(folder / f"{self.name}.index"), *vectors.shape)

    def train(self, sample: np.ndarray) -> None:
        """Nothing to learn."""


class _Faiss(_Peer):
    """What is the same for all indexes of faiss."""

    def add(self, block: np.ndarray) -> None:
        """Adds a block of rows."""
        self.index.add(block)

    def save(self, path: str) -> None:
        """Writes the index to a file."""
        import faiss

        faiss.write_index(self.index, path)

    def load(self, path: str, rows: int, dim: int) -> None:
        """Reads the index from a file."""
        import faiss

        self.index: Any = faiss.read_index(path)

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        import faiss

        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, 10)[1]


class FaissIvfPq(_Faiss):
    """Inverted lists of 4-bit codes, searched by SIMD, refined by the vectors: like a tree here."""

    name = "faiss-ivfpq"

    def create(self, rows: int, dim: int) -> None:
        """An empty index."""
        import faiss

        spec = f"IVF{self._leaves(rows)},PQ{dim // 2}x4fs,RFlat"
        self.index = faiss.index_factory(dim, spec, faiss.METRIC_INNER_PRODUCT)

    def _leaves(self, rows: int) -> int:
        return round(LEAVES_A_ROOT * rows**0.5)

    def load(self, path: str, rows: int, dim: int) -> None:
        """Reads the index from a file."""
        super().load(path, rows, dim)
        leaves = self._leaves(rows)
        probes = _ladder(max(1, leaves // 256), leaves // 2)
        self.ladders = [[(probe, factor) for probe in probes] for factor in (2, 3, 5, 10, 20, 40)]

    def train(self, sample: np.ndarray) -> None:
        """Learns from a sample."""
        self.index.train(sample)

    def use(self, setting: Any) -> None:
        """Takes one of the settings."""
        import faiss

        probes, factor = setting
        # Read from a file, it is no IndexRefineFlat any more to Python, but to C++.
        refine = faiss.downcast_index(self.index)
        refine.k_factor = factor
        faiss.extract_index_ivf(refine.base_index).nprobe = probes
        self.chosen = {"nprobe": probes, "reordered": 10 * factor}


class _Graph(_Peer):
    """A graph of neighbours, tuned by the length of the list of candidates.

    Args:
        neighbours: M, the links of a row; twice as many on the lowest level.
        effort: the list's length while it is built.
    """

    def __init__(self, neighbours: int, effort: int) -> None:
        self.neighbours, self.effort = neighbours, effort
        self.name = f"{type(self).__name__.lower()}-{neighbours}-{effort}"
        self.ladders = [_ladder(10, MOST_CANDIDATES)]

    def use(self, setting: Any) -> None:
        """Takes one of the settings."""
        self._use(setting)
        self.chosen = {"ef": setting, "M": self.neighbours, "ef_construction": self.effort}


class FaissHnsw(_Graph, _Faiss):
    """faiss's graph over float32 vectors."""

    def create(self, rows: int, dim: int) -> None:
        """An empty index."""
        import faiss

        self.index = faiss.IndexHNSWFlat(dim, self.neighbours, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = self.effort

    def _use(self, candidates: int) -> None:
        self.index.hnsw.efSearch = candidates


class Hnswlib(_Graph):
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

    def save(self, path: str) -> None:
        """Writes the index to a file."""
        self.index.save_index(path)

    def load(self, path: str, rows: int, dim: int) -> None:
        """Reads the index from a file."""
        import hnswlib

        self.index = hnswlib.Index("ip", dim)
        self.index.load_index(path, rows)

    def _use(self, candidates: int) -> None:
        self.index.set_ef(candidates)

    def ask(self, queries: np.ndarray, threads: int) -> np.ndarray:
        """Ten rows for each query."""
        return self.index.knn_query(queries, 10, num_threads=threads)[0]


def _ladder(least: int, most: int) -> list[int]:
    """Whole numbers from `least` to `most` in steps of 3%."""
    ladder = [least]
    while ladder[-1] < most:
        ladder.append(min(most, max(ladder[-1] + 1, round(1.03 * ladder[-1]))))
    return ladder


ENGINES: dict[str, Any] = {
    "babelear": Babelear,
    "babelear-spill": lambda: Babelear(spill=True),
    "babelear-int8": lambda: Babelear(reorder="int8"),
    "babelear-spill-int8": lambda: Babelear(spill=True, reorder="int8"),
    "faiss-ivfpq": FaissIvfPq,
    "hnswlib": lambda: Hnswlib(neighbours=32, effort=100),
    "faiss-hnsw": lambda: FaissHnsw(neighbours=32, effort=100),
}
