"""Speech features that need no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pipelines.quiet  # noqa: F401  (before TensorFlow)
from pipelines.length_batches import FRAMES_PER_SECOND
from pipelines.speech_encoder import SpeechEncoder, mean_of

if TYPE_CHECKING:
    import tensorflow as tf


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

        from pipelines.whisper import log_mel

        cepstra = tf.signal.mfccs_from_log_mel_spectrograms(log_mel(samples))
        cepstra = mean_of(4, cepstra[..., : self.COEFFICIENTS])
        slope = _difference(cepstra)
        return tf.concat([cepstra, slope, _difference(slope)], axis=-1)


def _difference(frames: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    padded = tf.concat([frames[:, :1], frames, frames[:, -1:]], axis=1)
    return (padded[:, 2:] - padded[:, :-2]) / 2.0
