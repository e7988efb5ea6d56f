"""The inference step: sound in, what is wanted of its features out.

Features are a thousand times as large as the audio tokens made of them (51 kB a second of Whisper
base). So what is made of features is made where they are computed, and they travel nowhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before Beam)
from pipelines.audio import SAMPLE_RATE
from pipelines.codebook import Codebook
from pipelines.long_recording import LongRecording
from pipelines.rejects import OUT_OF_MEMORY, Rejected
from pipelines.shard import Shard
from pipelines.shard_coder import ShardCoder  # noqa: F401  (registers itself)
from pipelines.utterance import Utterance

import apache_beam as beam  # isort: skip
from apache_beam.ml.inference.base import ModelHandler, RunInference  # isort: skip

if TYPE_CHECKING:
    from pipelines.speech_encoder import SpeechEncoder

Use = Callable[[Shard, Sequence[Utterance], Sequence[np.ndarray]], list[np.ndarray]]
"""Makes an array `[rows, …]` of the features, float32 `[frames, dim]`, of each of some utterances
of a shard, or of a block of one. It is pickled, so it is light."""


@dataclasses.dataclass(frozen=True)
class AssignTokens:
    """Features to audio tokens, int16 `[frames]`: the nearest centroids of a saved codebook.

    Args:
        folder: where `Codebook.save` wrote it.
    """

    folder: str

    def __call__(
        self, shard: Shard, utterances: Sequence[Utterance], features: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """The tokens of each utterance's frames."""
        return _codebook(self.folder).assign_all(features)


@lru_cache(maxsize=1)
def _codebook(folder: str) -> Codebook:
    return Codebook.load(folder)


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Which speech encoder, and where it runs.

    Args:
        name: what `pipelines.speech_encoder.load_speech_encoder` takes.
        precision: what it computes in, `float32` or `bfloat16`.
        copies: on each worker machine, all its processes asking those; 0 for one a process.
        accelerator: the GPU it asks Dataflow for, `type:nvidia-l4;count:1;install-nvidia-driver`,
            or empty.
    """

    name: str
    precision: str = "float32"
    copies: int = 0
    accelerator: str = ""

    def load(self) -> SpeechEncoder:
        """The encoder in this process, kept."""
        from pipelines.speech_encoder import load_speech_encoder

        return load_speech_encoder(self.name, self.precision)


class SpeechEncoderHandler(ModelHandler[Shard, Shard, Any]):
    """Decoded shards to shards of what `use` makes of the features.

    Args:
        encoder: which.
        use: applied to a shard's features, and to each block of a long recording.

    A shard is one element: its clips are sorted and batched by length inside the encoder, which
    wastes less padding than batches made of whatever arrives together.
    """

    def __init__(self, encoder: Encoder, use: Use) -> None:
        super().__init__(model_copies=encoder.copies or None)
        self.encoder = encoder
        self.use = use

    def load_model(self) -> SpeechEncoder:
        """Loads the encoder, once per process or as often as there are to be copies."""
        loaded = self.encoder.load()
        if isinstance(self.use, AssignTokens):
            _codebook(self.use.folder).refuse_other_encoder(loaded.card)
        return loaded

    def run_inference(
        self, batch: Sequence[Shard], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Shard]:
        """Encodes each shard of the batch."""
        return [self._encoded(shard, model) for shard in batch]

    def get_num_bytes(self, batch: Sequence[Shard]) -> int:
        """Of sound in memory; Beam would pickle all of it to know."""
        arrays = (a for shard in batch for a in shard.arrays)
        return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """One shard at a time."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def _encoded(self, shard: Shard, model: Any) -> Shard:
        short = [i for i, a in enumerate(shard.arrays) if not isinstance(a, LongRecording)]
        encoded = dict(zip(short, model.encode_each([shard.arrays[i] for i in short]), strict=True))
        good = [i for i in short if not isinstance(encoded[i], Rejected)]
        utterances, features = [shard.utterances[i] for i in good], [encoded[i] for i in good]
        made = dict(zip(good, self.use(shard, utterances, features), strict=True))
        result = dataclasses.replace(
            shard, utterances=[], rejects=list(shard.rejects), arrays=[], seconds=[]
        )
        for i, (utterance, sound) in enumerate(zip(shard.utterances, shard.arrays, strict=True)):
            array, seconds = made.get(i, encoded.get(i)), shard.seconds[i]
            if isinstance(sound, LongRecording):
                try:
                    array, seconds = self._long(shard, utterance, sound, model)
                except Rejected as rejected:
                    array = rejected
            if isinstance(array, Rejected):
                stage = "encode" if array.reason == OUT_OF_MEMORY else "decode"
                result.rejects.append(array.reject(utterance.id, utterance.audio, stage))
                continue
            result.utterances.append(utterance)
            result.arrays.append(array)
            result.seconds.append(seconds)
        return result

    def _long(
        self, shard: Shard, utterance: Utterance, recording: LongRecording, model: Any
    ) -> tuple[np.ndarray, float]:
        """What is made of all blocks, joined, and how long they are in seconds."""
        made, samples = [], 0
        for block in recording.blocks():
            samples += len(block)
            (features,) = model.encode_each([block])
            if isinstance(features, Rejected):
                raise features
            made += self.use(shard, [utterance], [features])
        return np.concatenate(made), samples / SAMPLE_RATE


@dataclasses.dataclass
class EncodeSpeech(beam.PTransform):
    """Decoded shards through the encoder, as `SpeechEncoderHandler` describes.

    Args:
        encoder: which, and where it runs.
        use: what is made of the features.
    """

    encoder: Encoder
    use: Use

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, shards: Any) -> Any:
        """`RunInference`, which alone asks for the GPU.

        Copies are told apart by a tag that each pipeline makes for itself, so that two jobs on one
        machine never share a model.
        """
        step = RunInference(SpeechEncoderHandler(self.encoder, self.use))
        if self.encoder.accelerator:
            step = step.with_resource_hints(accelerator=self.encoder.accelerator)
        return shards | step.with_output_types(Shard)
