"""A dual encoder as `mteb`, the public embedding benchmark, wants one: its `EncoderProtocol`.

    import mteb
    from scann_index.mteb_adapter import MtebEncoder

    tasks = mteb.get_tasks(tasks=["FleursA2TRetrieval.v2", "FleursT2ARetrieval.v2"])
    mteb.evaluate(MtebEncoder("demo/run"), tasks, encode_kwargs={"batch_size": 64})

Needs the extra `mteb`, which is imported only where the benchmark asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pipelines.audio import SAMPLE_RATE
from pipelines.utterance import LANGUAGES

_RENAMED = {"cmn": "zh"}
"""Languages that FLEURS' configurations call otherwise than `LANGUAGES` does."""


class MtebEncoder:
    """Encodes the texts and the recordings that the benchmark hands over.

    Args:
        model_name: a run or a preset.
        revision: its `preset_digest`, where it must be this one; None for any.
        device: ignored: TensorFlow takes a GPU where there is one.
        name_language: put the language of a task's subset (`it_it`) into the prefix, as the
            evaluation here does. Without it every input gets the prefix of an unknown language.

    Raises:
        ValueError: there is no model, or it is of another revision.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        name_language: bool = True,
        **_: Any,
    ) -> None:
        from scann_index.build import find_model

        self.preset, self.revision = find_model(model_name)
        if revision not in (None, self.revision):
            raise ValueError(f"{model_name} is of revision {self.revision[:12]}, not {revision}")
        self.name_language = name_language

    @cached_property
    def encoder(self) -> Any:
        """The `DualEncoder`, loaded when it is first needed."""
        from model.dual_encoder import DualEncoder

        return DualEncoder.from_preset(self.preset)

    @cached_property
    def mteb_model_meta(self) -> Any:
        """What the benchmark writes beside the scores: a `ModelMeta`."""
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        return ModelMeta.create_empty(
            {
                "name": f"babelear/{self.revision[:12]}",
                "revision": self.revision,
                "embed_dim": self.encoder.width,
                "n_parameters": int(self.encoder.count_params()),
                "similarity_fn_name": ScoringFunction.COSINE,
                "modalities": ["text", "audio"],
                "use_instructions": False,
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Sequence[Any]]],
        *,
        task_metadata: Any = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: Any = None,
        **_: Any,
    ) -> np.ndarray:
        """Batches to unit vectors.

        Args:
            inputs: batches with either `text`, strings, or `audio`, each with an `array` (float
                `[samples]` or `[channels, samples]`) and its `sampling_rate` in Hz.
            task_metadata: not needed: texts and recordings get the same prefixes in all tasks.
            hf_split: not needed.
            hf_subset: names the language.
            prompt_type: not needed: queries and documents are encoded alike.

        Returns:
            float32 `[inputs, width]`.

        Raises:
            ValueError: a batch has neither text nor audio, or both.
        """
        language = language_of(hf_subset) if self.name_language else ""
        vectors = [np.zeros((0, self.encoder.width), np.float32)]
        for batch in inputs:
            kinds = {"text", "audio"} & set(batch)
            if len(kinds) != 1:
                raise ValueError(f"a batch of {', '.join(batch)}: text or audio expected, one of")
            items = batch[kinds.pop()]
            named = [language] * len(items)
            if "text" in batch:
                vectors.append(self.encoder.encode_text(list(items), named))
            else:
                sounds = [waveform(item) for item in items]
                vectors.append(self.encoder.encode_speech(sounds, named))
        return np.concatenate(vectors)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> np.ndarray:
        """Cosines of unit vectors: `[n, dim]`, `[m, dim]` to float32 `[n, m]`."""
        cosines: np.ndarray = np.atleast_2d(embeddings1) @ np.atleast_2d(embeddings2).T
        return cosines

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> np.ndarray:
        """Cosines of the unit vectors at the same places: `[n, dim]` twice to float32 `[n]`."""
        cosines: np.ndarray = np.einsum(
            "nd,nd->n", np.atleast_2d(embeddings1), np.atleast_2d(embeddings2)
        )
        return cosines


def language_of(subset: str) -> str:
    """The key of `LANGUAGES` that a subset such as `it_it`, `cmn_hans_cn` or `es_419` is of.

    Empty where there is none (`default`), as the language then is unknown.
    """
    code = subset.partition("_")[0].partition("-")[0]
    code = _RENAMED.get(code, code)
    return code if code in LANGUAGES else ""


def waveform(sound: Any) -> np.ndarray:
    """A recording of the benchmark as the model takes it: float32, mono, 16 kHz, within [-1, 1].

    Args:
        sound: anything with an `array` (float `[samples]` or `[channels, samples]`) and a
            `sampling_rate` in Hz: a dictionary, or a decoder of `datasets`.

    Raises:
        ValueError: it holds no samples, or NaN.
    """
    import soxr

    samples = np.asarray(sound["array"], np.float32)
    if samples.ndim == 2:
        samples = samples.mean(axis=0)
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise ValueError(f"a recording of shape {samples.shape} is empty or holds NaN")
    peak = float(np.abs(samples).max())
    samples = samples / peak if peak > 1 else samples
    rate = int(sound["sampling_rate"])
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    return np.clip(samples, -1.0, 1.0).astype(np.float32)
