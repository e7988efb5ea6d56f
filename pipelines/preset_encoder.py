"""Speech encoders out of KerasHub presets: by name from Kaggle, or a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import local_copy, quiet  # noqa: F401  (quiet before TensorFlow)
from pipelines.precision import policy

if TYPE_CHECKING:
    import keras

    from pipelines.speech_encoder import SpeechEncoder

KAGGLE = "kaggle:"
_ALIASES = {"whisper_base": "whisper_base_multi"}
_CLASSES = ("WhisperBackbone", "Gemma3nBackbone", "Gemma4Backbone")


def load(source: str, layer: int, precision: str) -> SpeechEncoder:
    """Builds the speech encoder of a preset.

    Args:
        source: `kaggle:` and the name of a preset, or a folder that holds one, local or `gs://…`.
        layer: from 1.
        precision: what it computes in, `float32` or `bfloat16`; weights are float32 in both.

    Raises:
        ValueError: there is no such preset or layer, or nothing in it hears.
    """
    from keras_hub import models

    name = source.removeprefix(KAGGLE)
    if source.startswith(KAGGLE):
        preset = _ALIASES.get(name, name)
    else:
        preset = local_copy.fetch_model(source)
        name = Path(preset).resolve().name
        _check_folder(preset)
    backbone = models.Backbone.from_preset(preset, dtype=policy(precision))
    if isinstance(backbone, models.WhisperBackbone):
        from pipelines.whisper import WhisperEncoder

        return WhisperEncoder(backbone, name, layer)
    if getattr(backbone, "audio_encoder", None) is None:
        raise ValueError(
            f"{source}: a {type(backbone).__name__} without an audio encoder; those of Whisper, "
            "Gemma 3n and the small Gemma 4 have one"
        )
    from keras_hub.layers import AudioConverter

    from pipelines.gemma_audio import GemmaAudioEncoder

    encoder = _computing_in(precision, backbone.audio_encoder)
    return GemmaAudioEncoder(encoder, AudioConverter.from_preset(preset), name, layer)


def _computing_in(precision: str, encoder: Any) -> Any:
    """An audio encoder, again if its own configuration says otherwise, as Gemma 4's may."""
    if encoder.compute_dtype == precision:
        return encoder
    again = type(encoder)(**{**encoder.get_config(), "dtype": policy(precision)})
    again.build(None)
    again.set_weights(encoder.get_weights())
    return again


def _check_folder(folder: str) -> None:
    """Refuses what no encoder is known for, before anything in it is built."""
    path = Path(folder, "config.json")
    if not path.is_file():
        raise ValueError(f"{folder} holds no KerasHub preset: no config.json")
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("class_name")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no preset's configuration: {error}") from None
    if kind not in _CLASSES:
        raise ValueError(f"{folder} is a preset of {kind}; there must be one of: {_CLASSES}")


def check_layer(layer: int, layers: int) -> None:
    """Raises `ValueError` for a layer that an encoder doesn't have."""
    if not 1 <= layer <= layers:
        raise ValueError(f"the encoder has layers 1 to {layers}, not {layer}")


def weights_sha256(model: keras.Model) -> str:
    """Hash of the weights in use: equal for equal numbers, wherever they were read from."""
    digest = hashlib.sha256()
    for variable in model.variables:
        digest.update(np.ascontiguousarray(variable.numpy(), "<f4").tobytes())
    return digest.hexdigest()
