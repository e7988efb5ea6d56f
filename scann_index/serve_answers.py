"""Batches of queries to answers: sentences, by their nearest rendering, with all their others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scann_index.bundle import IndexShard
from scann_index.hits import first_of_each_sentence, ranked
from scann_index.listening import Listening
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
        listenings = [self._listening(query) for query in queries]
        owners = np.repeat(np.arange(len(queries)), [_count(one) for one in listenings])
        vectors = self._encode(queries, listenings, owners)
        results: list[list[dict[str, Any]] | Exception] = [ValueError("not searched")] * len(
            queries
        )
        groups: dict[tuple[tuple[str, ...], str, int], list[int]] = {}
        for place, query in enumerate(queries):
            groups.setdefault((query.languages, query.modality, query.k), []).append(place)
        for (languages, modality, k), places in groups.items():
            rows = np.flatnonzero(np.isin(owners, places))
            try:
                found = self._sentences(vectors[rows], languages, modality, k)
            except ValueError as error:
                for place in places:
                    results[place] = error
                continue
            for place in places:
                mine = [hits for hits, row in zip(found, rows, strict=True) if owners[row] == place]
                results[place] = self._described(_chosen(listenings[place], mine, k))
        return results

    def _listening(self, query: Query) -> Listening | None:
        if query.sound is None:
            return None
        return Listening(query.sound, self.searcher.window_seconds)

    def _encode(
        self, queries: Sequence[Query], listenings: Sequence[Listening | None], owners: np.ndarray
    ) -> np.ndarray:
        """The vectors of all texts and windows, in the order of `owners`: float32 `[n, dim]`."""
        model = self.searcher.model
        vectors = np.zeros((len(owners), self.searcher.bundle.dim), np.float32)
        is_typed = np.array([listenings[owner] is None for owner in owners], bool)
        languages = [queries[owner].language for owner in owners]
        if is_typed.any():
            typed = np.flatnonzero(is_typed)
            texts = [queries[owners[i]].text for i in typed]
            vectors[typed] = model.encode_text(texts, [languages[i] for i in typed])
        if not is_typed.all():
            spoken = np.flatnonzero(~is_typed)
            parts = [part for one in listenings if one is not None for part in one.parts]
            vectors[spoken] = model.encode_speech(parts, [languages[i] for i in spoken])
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
                results[place] = first_of_each_sentence(hits)[:k]
                # The same sentence was found several times, in several languages.
                if len(results[place]) < k and len(hits) >= depth and depth < rows:
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
                "start": hit.start,
                "end": hit.end,
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


def _count(listening: Listening | None) -> int:
    return 1 if listening is None else len(listening.windows)


def _chosen(listening: Listening | None, found: list[list[Hit]], k: int) -> list[Hit]:
    """The k nearest sentences of one query, which may have been heard in several windows."""
    if listening is None:
        return found[0]
    heard = listening.choose(found)
    return first_of_each_sentence(ranked(hit for _, hits in heard for hit in hits))[:k]
