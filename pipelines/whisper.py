"""Whisper as a feature extractor: its encoder up to a middle layer.

The paper tokenises speech with the middle of USM (arXiv 2404.01616, section 3.1), which is not
public; Whisper's encoder (arXiv 2212.04356) stands in for it, in any size. The layers are
KerasHub's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pipelines.quiet  # noqa: F401  (before TensorFlow)
from pipelines import preset_encoder
from pipelines.length_batches import FRAMES_PER_SECOND
from pipelines.speech_encoder import SpeechEncoder, mean_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class WhisperEncoder(SpeechEncoder):
    """Whisper up to one of its layers.

    Args:
        backbone: a KerasHub `WhisperBackbone`; its decoder is not used.
        name: what the card calls it.
        layer: from 1, the transformer layer whose output is taken.

    Raises:
        ValueError: there is no such layer.
    """

    def __init__(self, backbone: Any, name: str, layer: int) -> None:
        self._num_mels: int = backbone.num_mels
        model = encoder_up_to(backbone, layer)
        super().__init__(
            {
                "name": name,
                "layer": layer,
                "frames_per_second": FRAMES_PER_SECOND,
                "dim": backbone.hidden_dim,
                "sha256": preset_encoder.weights_sha256(model),
            },
            model,
        )

    def features(self, samples: tf.Tensor) -> tf.Tensor:
        """Mean of two consecutive 50 Hz frames, which are centred on samples 0, 320, 640, …"""
        import tensorflow as tf

        assert self.model is not None
        frames = self.model(log_mel(samples, self._num_mels))
        return mean_of(2, tf.cast(frames, tf.float32))


def encoder_up_to(backbone: Any, layer: int) -> keras.Model:
    """The encoder from log-mel features to the output of a transformer layer.

    The final layer norm is left out: it belongs to the last layer.

    Args:
        backbone: a KerasHub `WhisperBackbone`.
        layer: from 1.

    Returns:
        A model from float32 [batch, 2 × frames, mels] at 100 Hz to the backbone's precision,
        [batch, frames, dim] at 50 Hz, at most 1,500 frames.

    Raises:
        ValueError: there is no such layer.
    """
    import keras

    layers = backbone.encoder_transformer_layers
    preset_encoder.check_layer(layer, len(layers))
    output = layers[layer - 1].output
    part = keras.Model(backbone.input["encoder_features"], output, name=f"whisper_layer_{layer}")
    # Its layers know what comes after them, and would keep the decoder.
    model = keras.models.clone_model(part)
    model.set_weights(part.get_weights())
    return model


def log_mel(samples: tf.Tensor, num_mels: int = 80) -> tf.Tensor:
    """Whisper's log-mel spectrogram, 100 Hz, of any length; part of a TensorFlow graph.

    The same numbers as KerasHub's `WhisperAudioConverter`, which pads every clip to one
    fixed length.

    Args:
        samples: float32 [batch, n], 16 kHz, −1 to 1, n a multiple of 160 and above 200.
        num_mels: bands, 80 but for the newest large models.

    Returns:
        float32 [batch, n / 160, num_mels].
    """
    import tensorflow as tf
    from keras_hub.layers import WhisperAudioConverter

    window, step = 400, 160
    padded = tf.pad(samples, [[0, 0], [window // 2, window // 2]], mode="REFLECT")
    spectrum = tf.signal.stft(padded, window, step, fft_length=window)[:, :-1]
    power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
    mel = tf.matmul(power, WhisperAudioConverter(num_mels=num_mels).mel_filters)
    log = tf.math.log(tf.maximum(mel, 1e-10)) / math.log(10.0)
    floor = tf.reduce_max(log, axis=[1, 2], keepdims=True) - 8.0
    return (tf.maximum(log, floor) + 4.0) / 4.0
