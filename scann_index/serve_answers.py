"""Batches of queries to answers: sentences, by their nearest rendering, with all their others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scann_index.bundle import IndexShard
from scann_index.queries import Query
from scann_index.row import Row
from scann_index.searcher import Hit, Searcher

FIRST_DEPTH = 4
ROWS_IN_MEMORY = 200_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is: the number of its shard, and its own number there."""

    shard: int
    number: int


class Answerer:
    """Answers batches of queries from an index; not for several threads at a time.

    Args:
        searcher: the index and its model.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.shards: list[IndexShard] = searcher.bundle.shards()
        self._in_memory = sum(map(len, self.shards)) <= ROWS_IN_MEMORY

    def warm_up(self) -> None:
        """Loads the model and the index, so that the first query need not wait for them."""
        self.answer([Query(text="a")])
        if "speech" in self.searcher.bundle.modalities:
            self.answer([Query(sound=np.zeros(16_000, np.float32))])

    def answer(self, queries: Sequence[Query]) -> list[list[dict[str, Any]] | Exception]:
        """The answers to each query, best first, or why there are none."""
        vectors = self._encode(queries)
        results: list[list[dict[str, Any]] | Exception] = [ValueError("not searched")] * len(
            queries
        )
        groups: dict[tuple[tuple[str, ...], str, int], list[int]] = {}
        for place, query in enumerate(queries):
            groups.setdefault((query.languages, query.modality, query.k), []).append(place)
        for (languages, modality, k), places in groups.items():
            try:
                found = self._sentences(vectors[places], languages, modality, k)
            except ValueError as error:
                for place in places:
                    results[place] = error
                continue
            for place, hits in zip(places, found, strict=True):
                results[place] = self._described(hits)
        return results

    def _encode(self, queries: Sequence[Query]) -> np.ndarray:
        """The vectors of all queries: float32 `[queries, dim]`."""
        model = self.searcher.model
        vectors = np.zeros((len(queries), self.searcher.bundle.dim), np.float32)
        spoken = [i for i, query in enumerate(queries) if query.sound is not None]
        typed = [i for i, query in enumerate(queries) if query.sound is None]
        if typed:
            languages = [queries[i].language for i in typed]
            vectors[typed] = model.encode_text([queries[i].text for i in typed], languages)
        if spoken:
            sounds = [queries[i].sound for i in spoken]
            vectors[spoken] = model.encode_speech(sounds, [queries[i].language for i in spoken])
        return vectors

    def _sentences(
        self, vectors: np.ndarray, languages: Sequence[str], modality: str, k: int
    ) -> list[list[Hit]]:
        """For each vector the nearest row of each of the k nearest sentences."""
        rows = sum(map(len, self.shards))
        results: list[list[Hit]] = [[] for _ in vectors]
        left, depth = list(range(len(vectors))), FIRST_DEPTH * k
        while left:
            found = self.searcher.search_vectors(
                vectors[left], languages=languages, modality=modality, k=depth
            )
            again = []
            for place, hits in zip(left, found, strict=True):
                best: dict[str, Hit] = {}
                for hit in hits:
                    best.setdefault(hit.row.sentence_id, hit)
                results[place] = list(best.values())[:k]
                # The same sentence was found several times, in several languages.
                if len(best) < k and len(hits) >= depth and depth < rows:
                    again.append(place)
            left, depth = again, depth * 4
        return results

    def _described(self, hits: Sequence[Hit]) -> list[dict[str, Any]]:
        renderings = self._renderings([hit.row.sentence_id for hit in hits])
        return [
            {
                "rank": rank,
                "score": round(hit.score, 4),
                "sentence_id": hit.row.sentence_id,
                "language": hit.row.language,
                "modality": hit.row.modality,
                "text": hit.row.text,
                "renderings": self._by_language(renderings[hit.row.sentence_id], hit.row),
            }
            for rank, hit in enumerate(hits, 1)
        ]

    def _by_language(self, rows: Sequence[tuple[Place, Row]], found: Row) -> list[dict[str, Any]]:
        """One text and one recording of each language, what was found before others."""
        texts: dict[str, str] = {}
        sounds: dict[str, str] = {}
        for place, row in sorted(rows, key=lambda placed: placed[1].id != found.id):
            if row.text and (row.modality == "text" or row.id == found.id):
                texts.setdefault(row.language, row.text)
            if row.audio:
                sounds.setdefault(row.language, f"{self.shards[place.shard].name}/{place.number}")
        for _, row in rows:
            if row.text:
                texts.setdefault(row.language, row.text)
        return [
            {"language": code, "text": texts.get(code, ""), "audio": sounds.get(code)}
            for code in sorted({*texts, *sounds}, key=lambda code: (code != found.language, code))
        ]

    @cached_property
    def _by_sentence(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hashes of sentence ids, sorted, and the shard and number of the row each belongs to."""
        hashes = [
            np.array([hash(name) for name in shard.table["sentence_id"].to_pylist()], np.int64)
            for shard in self.shards
        ]
        sizes = [len(part) for part in hashes]
        keys = np.concatenate(hashes)
        order = np.argsort(keys, kind="stable")
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        numbers = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
        return keys[order], owners[order], numbers[order]

    def _renderings(self, sentences: Sequence[str]) -> dict[str, list[tuple[Place, Row]]]:
        """All rows of some sentences, and where they are."""
        keys, owners, numbers = self._by_sentence
        wanted = np.array([hash(name) for name in sentences], np.int64)
        starts, stops = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
        rows: dict[str, list[tuple[Place, Row]]] = {name: [] for name in sentences}
        places = [np.arange(a, b) for a, b in zip(starts, stops, strict=True)]
        chosen = np.concatenate([np.zeros(0, np.int64), *places])
        for owner in np.unique(owners[chosen]).tolist():
            mine = numbers[chosen[owners[chosen] == owner]].tolist()
            for number, row in zip(mine, self._rows(owner, mine), strict=True):
                if row.sentence_id in rows:
                    rows[row.sentence_id].append((Place(owner, number), row))
        return rows

    def _rows(self, owner: int, numbers: list[int]) -> list[Row]:
        shard = self.shards[owner]
        if self._in_memory:
            return [shard.rows[number] for number in numbers]
        return shard.rows_at(numbers)

    def row(self, shard: str, number: int) -> Row:
        """A row by the name of its shard and its number there.

        Raises:
            KeyError: there is none.
        """
        for one in self.shards:
            if one.name == shard and 0 <= number < len(one):
                return one.rows_at([number])[0]
        raise KeyError(f"{shard}/{number}")
