"""Indexes of made-up vectors, for tests that need no model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from pipelines.output_dir import OutputDir
from scann_index.bundle import KIND, shard_name, write_shard
from scann_index.recipe import Choice
from scann_index.row import Row


def clustered(count: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    """Unit vectors around 50 centres that all seeds share: float32 `[count, dim]`."""
    centres = np.random.default_rng(99).normal(size=(50, dim))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, 50, count)] + 0.7 * rng.normal(size=(count, dim))
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def exact_neighbours(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The k nearest by comparison with every row."""
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]


def rows_for(group: str, count: int, first: int = 0) -> list[Row]:
    """Rows of `modality/language`, sentences s0, s1, …, or from a later number on."""
    modality, language = group.split("/")
    return [
        Row(f"{language}-{modality}-{i}", f"s{i}", language, modality, f"{language} text {i}")
        for i in range(first, first + count)
    ]


def make_bundle(
    folder: str,
    groups: Mapping[str, np.ndarray],
    *,
    exact_below: int | None = None,
    choice: Choice | None = None,
    first: int = 0,
    model: Mapping[str, str] | None = None,
) -> str:
    """A complete index with one shard for each `modality/language`."""
    out = OutputDir(folder, kind=KIND)
    out.begin({})
    cards = [
        write_shard(
            folder,
            shard_name(*group.split("/"), 0, 1),
            rows_for(group, len(vectors), first),
            vectors,
            exact_below=exact_below,
            choice=choice,
        )
        for group, vectors in groups.items()
    ]
    info = {
        "dim": next(iter(groups.values())).shape[1],
        "model": dict(model or {"digest": "0" * 64, "path": "/nowhere"}),
        "shards": [dataclasses.asdict(card) for card in cards],
    }
    out.complete(files=[name for card in cards for name in card.files], stats={}, info=info)
    return folder
