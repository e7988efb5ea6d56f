"""The nearest rows of several index shards, merged into one order that doesn't depend on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scann_index.bundle import IndexShard
from scann_index.row import Row


def merge(
    shards: Sequence[IndexShard], queries: np.ndarray, k: int
) -> list[list[tuple[float, Row]]]:
    """The k nearest rows of each query.

    Args:
        shards: where to search.
        queries: float32 `[queries, dim]`, unit length.
        k: how many are wanted, at least 1.

    Returns:
        For each query up to k cosines with their rows, best first, equal ones by their id: the same
        rows in the same order however many exact shards they lie in.
    """
    found = [shard.search(queries, k) for shard in shards]
    places = np.concatenate([indices for indices, _ in found], axis=1)
    scores = np.concatenate([scores for _, scores in found], axis=1)
    owners = np.repeat(np.arange(len(shards)), [each.shape[1] for _, each in found])
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    # Only those with equal scores among the first k need the ids of all that are as near.
    tied = (ordered[:, 1 : k + 1] == ordered[:, :-1][:, :k]) & (ordered[:, :-1][:, :k] > -np.inf)
    for query in np.flatnonzero(tied.any(axis=1)).tolist():
        last = ordered[query, min(k, ordered.shape[1]) - 1]
        near = order[query][(ordered[query] >= last) & (ordered[query] > -np.inf)]
        ids = _ids(shards, owners[near], places[query][near], near)
        by_id = sorted(ids, key=lambda c: (-scores[query, c], ids[c]))
        order[query, : len(by_id)] = by_id
    order = order[:, :k]
    rows: dict[tuple[int, int], Row] = {}
    for owner, shard in enumerate(shards):
        wanted = np.take_along_axis(places, order, axis=1)[owners[order] == owner]
        indices = np.unique(wanted[wanted >= 0]).tolist()
        keys = [(owner, index) for index in indices]
        rows.update(zip(keys, shard.rows_at(indices), strict=True))
    return [
        [
            (float(scores[query, c]), rows[int(owners[c]), int(places[query, c])])
            for c in columns
            if places[query, c] >= 0
        ]
        for query, columns in enumerate(order)
    ]


def _ids(
    shards: Sequence[IndexShard], owners: np.ndarray, places: np.ndarray, columns: np.ndarray
) -> dict[int, str]:
    """The id behind each column of the shards' answers."""
    found: dict[int, str] = {}
    for owner in np.unique(owners).tolist():
        own = owners == owner
        ids = shards[owner].ids_at(places[own].tolist())
        found.update(zip(columns[own].tolist(), ids, strict=True))
    return found
