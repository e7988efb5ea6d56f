"""The audio encoders of Gemma 3n and Gemma 4 as feature extractors: descendants of the paper's USM.

Both are Conformers (arXiv 2303.01037) over a log-mel spectrogram at 100 Hz that two convolutions
bring to 25 Hz. A middle layer is taken, before Gemma 3n's reduction to 6.25 Hz and before the
projection into the language model. Attention looks back only, so that what is padded behind a clip
changes little of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pipelines.quiet  # noqa: F401  (before TensorFlow)
from pipelines import preset_encoder
from pipelines.length_batches import FRAMES_PER_SECOND
from pipelines.speech_encoder import SpeechEncoder

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_STEP = 160
"""Samples between two frames of a spectrogram."""


class GemmaAudioEncoder(SpeechEncoder):
    """An audio encoder of Gemma up to one of its Conformer layers.

    Args:
        encoder: KerasHub's `Gemma3nAudioEncoder` or `Gemma4AudioEncoder`.
        converter: the preset's `Gemma3nAudioConverter` or `Gemma4AudioConverter`; what it says of
            the spectrogram is followed, but for dither, which is random.
        name: what the card calls it.
        layer: from 1.

    Raises:
        ValueError: there is no such layer, or its frames don't come 25 a second.
    """

    def __init__(self, encoder: Any, converter: Any, name: str, layer: int) -> None:
        self._converter = converter
        self._is_3n = type(encoder).__name__ == "Gemma3nAudioEncoder"
        strides = encoder.sscp_conv_stride_size if self._is_3n else encoder.sscp_stride_sizes
        reduction = math.prod(stride[0] for stride in strides)
        step = converter.hop_length if self._is_3n else converter.stride
        if (converter.sampling_rate, step, reduction) != (16_000, _STEP, 4):
            raise ValueError(
                f"{name} makes a frame of {step * reduction} samples at "
                f"{converter.sampling_rate} Hz, not one of 640 at 16 kHz"
            )
        model = encoder_up_to(encoder, layer)
        super().__init__(
            {
                "name": name,
                "layer": layer,
                "frames_per_second": FRAMES_PER_SECOND,
                "dim": encoder.hidden_size,
                "sha256": preset_encoder.weights_sha256(model),
            },
            model,
        )

    def features(self, samples: tf.Tensor) -> tf.Tensor:
        """The layer's states, each of 40 ms."""
        import tensorflow as tf

        assert self.model is not None
        log_mel = log_mel_3n if self._is_3n else log_mel_4
        return tf.cast(self.model(log_mel(samples, self._converter)), tf.float32)


def encoder_up_to(encoder: Any, layer: int) -> keras.Model:
    """The encoder from log-mel features to the output of a Conformer layer.

    Args:
        encoder: KerasHub's `Gemma3nAudioEncoder` or `Gemma4AudioEncoder`.
        layer: from 1.

    Returns:
        A model from float32 [batch, 4 × frames, mels] at 100 Hz to [batch, frames, dim] at 25 Hz.

    Raises:
        ValueError: there is no such layer.
    """
    import keras
    import tensorflow as tf

    is_3n = type(encoder).__name__ == "Gemma3nAudioEncoder"
    blocks = encoder.conformer if is_3n else encoder.conformer_blocks
    preset_encoder.check_layer(layer, len(blocks))

    class UpTo(keras.Model):  # type: ignore[misc]
        """The layers that are used, and no others, so that no others are saved or hashed."""

        def __init__(self) -> None:
            super().__init__(name=f"gemma_audio_layer_{layer}")
            self.subsample = encoder.subsample_conv_projection
            self.blocks = blocks[:layer]

        def build(self, input_shape: Any) -> None:
            """Nothing is left to be built."""
            self.built = True

        def call(self, mel: tf.Tensor) -> tf.Tensor:
            """Every frame counts: silence behind a clip is heard as silence."""
            if is_3n:
                frames = self.subsample(mel)
                nothing_masked = tf.zeros(tf.shape(frames)[:2], tf.bool)
                for block in self.blocks:
                    frames = block((frames, nothing_masked))
                return frames
            all_valid = tf.ones(tf.shape(mel)[:2], tf.bool)
            frames, mask = self.subsample(mel, all_valid)
            for block in self.blocks:
                frames = block(frames, mask, tf.constant(encoder._causal_valid_mask_np))
            return frames

    model = UpTo()
    model.build((None, None, encoder.input_feat_size))
    return model


def log_mel_3n(samples: tf.Tensor, converter: Any) -> tf.Tensor:
    """Gemma 3n's log-mel spectrogram, of any length; part of a TensorFlow graph.

    The same numbers as KerasHub's `Gemma3nAudioConverter`, which works in Python, of a clip with
    silence behind it: whole frames alone are made, and there is to be one for each 160 samples.

    Args:
        samples: float32 [batch, n], 16 kHz, n a multiple of 160.
        converter: a `Gemma3nAudioConverter`.

    Returns:
        float32 [batch, n / 160, mels].
    """
    import tensorflow as tf

    sound = tf.pad(samples, [[0, 0], [0, converter.frame_length - _STEP]])
    sound *= converter.input_scale_factor
    if converter.preemphasis > 0:
        later = sound[:, 1:] - converter.preemphasis * sound[:, :-1]
        share = 1.0 - converter.preemphasis if converter.preemphasis_htk_flavor else 1.0
        sound = tf.concat([sound[:, :1] * share, later], axis=1)
    mel = _mel(sound, converter, converter.fft_length)
    return _normalized(tf.math.log(tf.maximum(mel, converter.mel_floor)), converter)


def log_mel_4(samples: tf.Tensor, converter: Any) -> tf.Tensor:
    """Gemma 4's log-mel spectrogram, of any length; part of a TensorFlow graph.

    The same numbers as KerasHub's `Gemma4AudioConverter`, which pads every clip to one fixed
    length.

    Args:
        samples: float32 [batch, n], 16 kHz, n a multiple of 160.
        converter: a `Gemma4AudioConverter`.

    Returns:
        float32 [batch, n / 160, mels].
    """
    import tensorflow as tf

    before = converter.frame_length // 2
    behind = converter.frame_length - _STEP - before
    sound = tf.pad(samples, [[0, 0], [before, max(0, behind)]])
    mel = _mel(sound, converter, converter.num_fft_bins)[:, : tf.shape(samples)[1] // _STEP]
    return _normalized(tf.math.log(mel + converter.mel_floor), converter)


def _mel(sound: tf.Tensor, converter: Any, fft_length: int) -> tf.Tensor:
    import tensorflow as tf

    frames = tf.signal.frame(sound, converter.frame_length, _STEP) * converter.window
    magnitudes = tf.abs(tf.signal.rfft(frames, [fft_length]))
    return tf.matmul(magnitudes, tf.cast(converter.mel_filters, tf.float32))


def _normalized(spectrum: tf.Tensor, converter: Any) -> tf.Tensor:
    import tensorflow as tf

    if converter.per_bin_mean is not None:
        spectrum -= tf.constant(converter.per_bin_mean, tf.float32)
    if converter.per_bin_stddev is not None:
        spectrum /= tf.constant(converter.per_bin_stddev, tf.float32)
    return spectrum
