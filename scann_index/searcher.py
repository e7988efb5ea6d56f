"""A query by text, by speech or by vectors, put to every shard of an index that qualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias, overload

import numpy as np

from pipelines import storage
from pipelines.output_dir import OutputError
from scann_index.bundle import Bundle, IndexShard
from scann_index.hits import Answer as Answer
from scann_index.hits import Hit as Hit
from scann_index.hits import Passage as Passage
from scann_index.hits import first_of_each_sentence, ranked
from scann_index.listening import Listening
from scann_index.merge import merge
from scann_index.windows import Window

Sound: TypeAlias = str | bytes | np.ndarray
"""A reference as `pipelines.audio.load_audio` takes it, the bytes of a file, a waveform (float32,
mono, 16 kHz) or audio tokens (integers)."""

WINDOW_SECONDS = (1.0, 30.0)
"""Between these lies the window that follows from an index's own recordings."""
UNKNOWN_SECONDS = 10.0
"""The window of an index without recordings: a sentence read aloud."""


class Searcher:
    """An index and the model that made it.

    Args:
        bundle: the index.
        preset: folder of the model, which is loaded at the first query that needs it.

    Example:
        >>> searcher = Searcher.open("demo/index")
        >>> searcher.search(text="red apple", k=3)  # a list of hits
        >>> searcher.search(text=["red apple", "wolf"], k=3)  # one list for each
        >>> searcher.answers(audio="question.m4a", languages=["en"])
        >>> searcher.passages(audio="lecture.mp3")  # in order of time
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

        model = DualEncoder.from_preset(self.preset)
        model.speeds = self.bundle.speeds
        return model

    @cached_property
    def window_seconds(self) -> float:
        """How long an utterance is: what nearly all recordings of the index stay below."""
        seconds = [shard.seconds for shard in self.bundle.shards(modality="speech")]
        known = np.concatenate([np.zeros(0), *seconds])
        known = known[known > 0]
        usual = 1.25 * float(np.percentile(known, 95)) if len(known) else UNKNOWN_SECONDS
        return float(np.clip(usual, *WINDOW_SECONDS))

    def encode(
        self,
        *,
        text: str | Sequence[str] | None = None,
        audio: Sound | Sequence[Sound] | None = None,
        language: str = "",
    ) -> np.ndarray:
        """Queries to vectors; a recording, however long, is one query.

        Args:
            text: what to look for, one text or several.
            audio: what to look for, one sound or several.
            language: of the queries, where known.

        Returns:
            float32 `[queries, dim]`, unit length.

        Raises:
            Rejected: a sound can't be decoded.
            ValueError: there is no query, or there are texts and sounds.
        """
        if (text is None) == (audio is None):
            raise ValueError("give a text or a sound, one of them")
        if text is not None:
            texts = [one.strip() for one in ([text] if isinstance(text, str) else text)]
            if not all(texts):
                raise ValueError("the text is empty")
            vectors = self.model.encode_text(texts, [language] * len(texts))
        else:
            assert audio is not None
            many = [audio] if isinstance(audio, (str, bytes, np.ndarray)) else audio
            sounds = [_samples(one) for one in many]
            vectors = self.model.encode_speech(sounds, [language] * len(sounds))
        return np.asarray(vectors, np.float32)

    @overload
    def search(
        self,
        *,
        text: str | None = ...,
        audio: Sound | None = ...,
        language: str = ...,
        languages: Sequence[str] = ...,
        modality: str = ...,
        k: int = ...,
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        *,
        text: Sequence[str] | None = ...,
        audio: Sequence[Sound] | None = ...,
        vectors: np.ndarray | None = ...,
        language: str = ...,
        languages: Sequence[str] = ...,
        modality: str = ...,
        k: int = ...,
    ) -> list[list[Hit]]: ...

    def search(
        self,
        *,
        text: str | Sequence[str] | None = None,
        audio: Sound | Sequence[Sound] | None = None,
        vectors: np.ndarray | None = None,
        language: str = "",
        languages: Sequence[str] = (),
        modality: str = "",
        k: int = 10,
    ) -> list[Hit] | list[list[Hit]]:
        """The k nearest rows, of one query or of several at once.

        Args:
            text: what to look for, one text or several.
            audio: what to look for, one sound or several. One that is much longer than the
                recordings of the index is searched window by window, see `passages`: each of the
                k rows is then found once, where in the recording it is nearest.
            vectors: what to look for, float32 `[queries, dim]`, unit length.
            language: of the queries, where known.
            languages: only rows in these; empty for all.
            modality: only `speech` or `text`; empty for both.
            k: how many are wanted.

        Returns:
            Hits, best first: a list for one text or sound, a list of lists for several.

        Raises:
            Rejected: a sound can't be decoded.
            ValueError: the index has no such rows, or the query is none.
        """
        scope: dict[str, Any] = {"languages": languages, "modality": modality, "k": k}
        if vectors is not None:
            if text is not None or audio is not None:
                raise ValueError("give a text, a sound or vectors, one of them")
            return self.search_vectors(vectors, **scope)
        if text is None and isinstance(audio, (str, bytes, np.ndarray)):
            heard = self._heard(audio, language, scope)
            return ranked(hit for _, hits in heard for hit in hits)[:k]
        found = self.search_vectors(self.encode(text=text, audio=audio, language=language), **scope)
        return found[0] if isinstance(text, str) else found

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
        return [
            [Hit(rank, score, row) for rank, (score, row) in enumerate(found, 1)]
            for found in merge(shards, vectors, k)
        ]

    def answers(
        self,
        *,
        text: str | None = None,
        audio: Sound | None = None,
        language: str = "",
        languages: Sequence[str] = (),
        modality: str = "",
        k: int = 10,
    ) -> list[Answer]:
        """The k nearest sentences, each with its texts in all languages; as `search` otherwise."""
        scope: dict[str, Any] = {"languages": languages, "modality": modality}
        if audio is not None and text is None:
            heard = self._heard(audio, language, {**scope, "k": k}, by_sentence=True)
            nearest = ranked(hit for _, hits in heard for hit in hits)
            return self._answers([first_of_each_sentence(nearest)[:k]])[0]
        vector = self.encode(text=text, audio=audio, language=language)
        return self._answers(self._sentences(vector, k=k, **scope))[0]

    def passages(
        self,
        *,
        audio: Sound,
        language: str = "",
        languages: Sequence[str] = (),
        modality: str = "",
        k: int = 1,
    ) -> list[Passage]:
        """A recording from front to back: what is nearest to each of its utterances.

        Args:
            audio: a sound of any length. One much longer than the recordings of the index (see
                `window_seconds`) is cut at its pauses, and what is too long still is slid over;
                of windows that overlap, the one that finds best is kept.
            language: as in `search`.
            languages: as in `search`.
            modality: as in `search`.
            k: how many sentences are wanted for each passage.

        Returns:
            Passages in order of time; none if the recording is silent.
        """
        scope: dict[str, Any] = {"languages": languages, "modality": modality, "k": k}
        heard = self._heard(audio, language, scope, by_sentence=True)
        answers = self._answers([hits for _, hits in heard])
        return [
            Passage(window.start, window.end, found)
            for (window, _), found in zip(heard, answers, strict=True)
        ]

    def _heard(
        self, audio: Sound, language: str, scope: dict[str, Any], by_sentence: bool = False
    ) -> list[tuple[Window, list[Hit]]]:
        """The windows of a recording that do not overlap, and what each found."""
        self._shards(scope["languages"], scope["modality"])
        search = self._sentences if by_sentence else self.search_vectors
        samples = _samples(audio)
        if not np.issubdtype(samples.dtype, np.floating):
            vectors = self.encode(audio=samples, language=language)
            return [(Window(0.0, 0.0), search(vectors, **scope)[0])]
        listening = Listening(samples, self.window_seconds)
        if not listening.windows:
            return []
        vectors = self.encode(audio=listening.parts, language=language)
        return listening.choose(search(vectors, **scope))

    def _sentences(
        self, vectors: np.ndarray, *, languages: Sequence[str], modality: str, k: int
    ) -> list[list[Hit]]:
        """The nearest row of each of the k nearest sentences, for each query."""
        rows = sum(len(shard) for shard in self._shards(languages, modality))
        depth = k
        while True:
            found = self.search_vectors(vectors, languages=languages, modality=modality, k=depth)
            nearest = [first_of_each_sentence(hits) for hits in found]
            if depth >= rows or min(map(len, nearest), default=k) >= k:
                return [hits[:k] for hits in nearest]
            # The same sentence was found several times, in several languages.
            depth *= 4

    def _answers(self, found: Sequence[Sequence[Hit]]) -> list[list[Answer]]:
        sentences = {hit.row.sentence_id: None for hits in found for hit in hits}
        renderings = self._renderings(list(sentences))
        return [
            [
                Answer(rank, replace(hit, rank=rank), renderings[hit.row.sentence_id])
                for rank, hit in enumerate(hits, 1)
            ]
            for hits in found
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


def _samples(audio: Sound) -> np.ndarray:
    """A waveform (float32, 16 kHz) or audio tokens."""
    if isinstance(audio, np.ndarray):
        return audio
    from scann_index.recording import load

    return load(audio)


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
