"""A query by text or by speech, put to every shard of an index that qualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.output_dir import OutputError
from scann_index.bundle import Bundle, IndexShard
from scann_index.row import Row


@dataclass(frozen=True, slots=True)
class Hit:
    """A row found.

    Args:
        rank: 1 for the nearest.
        score: cosine with the query, -1 to 1.
        row: what was found.
    """

    rank: int
    score: float
    row: Row


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence found, by whichever of its renderings is nearest.

    Args:
        rank: 1 for the nearest.
        hit: the rendering.
        renderings: its texts by language, as far as the index has them.
    """

    rank: int
    hit: Hit
    renderings: dict[str, str]


class Searcher:
    """An index and the model that made it.

    Args:
        bundle: the index.
        preset: folder of the model, which is loaded at the first query that needs it.

    Example:
        >>> searcher = Searcher.open("demo/index")
        >>> searcher.search(text="red apple", k=3)
        >>> searcher.answers(audio="question.wav", languages=["en"])
    """

    def __init__(self, bundle: Bundle, preset: str) -> None:
        self.bundle = bundle
        self.preset = preset

    @classmethod
    def open(cls, index: str, model: str = "") -> Searcher:
        """Opens an index.

        Args:
            index: its folder.
            model: a run or a preset; empty for the one the index was built with, if it is still
                there.

        Raises:
            OutputError: the index can't be used, or the model is not the one it was built with.
            ValueError: `model` holds no model.
        """
        from scann_index.build import find_model

        bundle = Bundle.open(index)
        if not model:
            return cls(bundle, _recorded_model(bundle))
        preset, digest = find_model(model)
        if digest != bundle.model_digest:
            raise OutputError(
                f"{index} was built with model {bundle.model_digest[:12]}, {model} is "
                f"{digest[:12]}; give --model {bundle.info['model'].get('path')}, or build the "
                f"index again: python -m scann_index.build --model {model}"
            )
        return cls(bundle, preset)

    @cached_property
    def model(self) -> Any:
        """The `DualEncoder`."""
        from model.dual_encoder import DualEncoder

        return DualEncoder.from_preset(self.preset)

    def encode(
        self, *, text: str | None = None, audio: str | np.ndarray | None = None, language: str = ""
    ) -> np.ndarray:
        """A query's vector.

        Args:
            text: what to look for, or None.
            audio: what to look for, or None: a reference as `pipelines.audio.load_audio` takes it,
                a waveform (float32, 16 kHz) or audio tokens (int16).
            language: of the query, where known.

        Returns:
            float32 `[1, dim]`.

        Raises:
            Rejected: the sound can't be decoded.
            ValueError: there is no query, or there are two.
        """
        if text is not None and audio is None:
            if not text.strip():
                raise ValueError("the text is empty")
            vector = self.model.encode_text([text.strip()], [language])
        elif audio is not None and text is None:
            if isinstance(audio, str):
                from pipelines.audio import load_audio

                audio = load_audio(audio)
            vector = self.model.encode_speech([audio], [language])
        else:
            raise ValueError("give a text or a sound, one of them")
        return np.asarray(vector, np.float32)

    def search(
        self,
        *,
        text: str | None = None,
        audio: str | np.ndarray | None = None,
        language: str = "",
        languages: Sequence[str] = (),
        modality: str = "",
        k: int = 10,
    ) -> list[Hit]:
        """The k nearest rows.

        Args:
            text: see `encode`.
            audio: see `encode`.
            language: see `encode`.
            languages: only rows in these; empty for all.
            modality: only `speech` or `text`; empty for both.
            k: how many are wanted.

        Raises:
            Rejected: the sound can't be decoded.
            ValueError: the index has no such rows, or the query is none.
        """
        vector = self.encode(text=text, audio=audio, language=language)
        (hits,) = self.search_vectors(vector, languages=languages, modality=modality, k=k)
        return hits

    def search_vectors(
        self,
        vectors: np.ndarray,
        *,
        languages: Sequence[str] = (),
        modality: str = "",
        k: int = 10,
    ) -> list[list[Hit]]:
        """The k nearest rows of each query, best first, from all shards that qualify.

        Args:
            vectors: float32 `[queries, dim]`, unit length.
            languages: as in `search`.
            modality: as in `search`.
            k: as in `search`.
        """
        shards = self._shards(languages, modality)
        found = [shard.search(vectors, k) for shard in shards]
        scores = np.concatenate([scores for _, scores in found], axis=1)
        places = np.concatenate([indices for indices, _ in found], axis=1)
        owners = np.repeat(np.arange(len(shards)), [scores.shape[1] for _, scores in found])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        rows: dict[tuple[int, int], Row] = {}
        for owner, shard in enumerate(shards):
            wanted = np.take_along_axis(places, order, axis=1)[owners[order] == owner]
            indices = np.unique(wanted[wanted >= 0]).tolist()
            keys = [(owner, index) for index in indices]
            rows.update(zip(keys, shard.rows_at(indices), strict=True))
        return [
            [
                Hit(rank, float(scores[query, c]), rows[int(owners[c]), int(places[query, c])])
                for rank, c in enumerate(columns, 1)
                if places[query, c] >= 0
            ]
            for query, columns in enumerate(order)
        ]

    def answers(
        self,
        *,
        text: str | None = None,
        audio: str | np.ndarray | None = None,
        language: str = "",
        languages: Sequence[str] = (),
        modality: str = "",
        k: int = 10,
    ) -> list[Answer]:
        """The k nearest sentences, each with its texts in all languages; as `search` otherwise."""
        vector = self.encode(text=text, audio=audio, language=language)
        rows = sum(len(shard) for shard in self._shards(languages, modality))
        depth, best = k, dict[str, Hit]()
        while True:
            (hits,) = self.search_vectors(vector, languages=languages, modality=modality, k=depth)
            for hit in hits:
                best.setdefault(hit.row.sentence_id, hit)
            if len(best) >= k or depth >= rows:
                break
            # The same sentence was found several times, in several languages.
            depth *= 4
        nearest = list(best.items())[:k]
        renderings = self._renderings([sentence for sentence, _ in nearest])
        return [
            Answer(rank, hit, renderings[sentence])
            for rank, (sentence, hit) in enumerate(nearest, 1)
        ]

    def _shards(self, languages: Sequence[str], modality: str) -> list[IndexShard]:
        bundle = self.bundle
        for kind, wanted, there in (
            ("rows in", languages, bundle.languages),
            ("rows of", [modality] if modality else [], bundle.modalities),
        ):
            if missing := sorted(set(wanted) - set(there)):
                raise ValueError(
                    f"{bundle.path} has no {kind} {', '.join(missing)}; it has {', '.join(there)}"
                )
        shards = bundle.shards(modality=modality or None, language=list(languages) or None)
        if not shards:
            raise ValueError(f"{bundle.path} has no {modality} in {', '.join(languages)}")
        return shards

    def _renderings(self, sentences: Sequence[str]) -> dict[str, dict[str, str]]:
        """The texts of some sentences by language; transcripts where there is no text."""
        found: dict[str, dict[str, str]] = {sentence: {} for sentence in sentences}
        for modality in ("text", "speech"):
            for shard in self.bundle.shards(modality=modality):
                for row in shard.rows_of_sentences(sentences):
                    if row.text:
                        found[row.sentence_id].setdefault(row.language, row.text)
        return found


def _recorded_model(bundle: Bundle) -> str:
    """The preset the index was built with, where it was then or as near to the index as then.

    Raises:
        OutputError: it is in neither place, or another one is.
    """
    from model.dual_encoder import preset_digest

    recorded = bundle.info["model"]
    places = [str(recorded.get("path", ""))]
    if recorded.get("relative"):
        places.append(storage.join(bundle.path, str(recorded["relative"])))
    for place in places:
        # An index may come from anywhere: what it names is looked for on this machine only.
        if not place or storage.is_remote(place) or not storage.exists(place):
            continue
        try:
            if preset_digest(place) == bundle.model_digest:
                return place
        except ValueError:
            continue
    raise OutputError(
        f"the model {bundle.model_digest[:12]} that {bundle.path} was built with is no longer at "
        f"{places[0]}; say where it is with --model"
    )
