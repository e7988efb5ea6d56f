"""Random KerasHub presets of the real classes, small enough for every test, saved in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MELS = 32


def whisper(folder: Path, num_mels: int = 80) -> str:
    """Three layers of width 16."""
    from keras_hub.models import WhisperBackbone

    _seed()
    backbone = WhisperBackbone(
        vocabulary_size=7,
        num_layers=3,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        num_mels=num_mels,
        max_encoder_sequence_length=3000,
        max_decoder_sequence_length=4,
    )
    return _saved(folder, backbone)


def gemma4(folder: Path, **converter: Any) -> str:
    """Three Conformer layers of width 16 beside a language model of one layer."""
    from keras_hub.layers import Gemma4AudioConverter
    from keras_hub.models import Gemma4Backbone
    from keras_hub.src.models.gemma4.gemma4_audio_encoder import Gemma4AudioEncoder

    _seed()
    encoder = Gemma4AudioEncoder(
        input_feat_size=MELS,
        hidden_size=16,
        num_heads=2,
        num_layers=3,
        sscp_conv_channels=(4, 2),
        output_proj_dims=12,
        output_dim=8,
    )
    backbone = Gemma4Backbone(
        vocabulary_size=11,
        image_size=16,
        num_layers=1,
        num_query_heads=1,
        num_key_value_heads=1,
        hidden_dim=8,
        intermediate_dim=8,
        head_dim=8,
        audio_encoder=encoder,
    )
    return _saved(folder, backbone, Gemma4AudioConverter(num_mels=MELS, **converter))


def gemma3n(folder: Path, **converter: Any) -> str:
    """Three Conformer layers of width 16 beside a language model of one layer."""
    from keras_hub.layers import Gemma3nAudioConverter
    from keras_hub.models import Gemma3nBackbone

    _seed()
    encoder = {
        "hidden_size": 16,
        "input_feat_size": MELS,
        "sscp_conv_channel_size": [4, 2],
        "sscp_conv_kernel_size": [(3, 3), (3, 3)],
        "sscp_conv_stride_size": [(2, 2), (2, 2)],
        "sscp_conv_group_norm_eps": 1e-5,
        "num_hidden_layers": 3,
        "rms_norm_eps": 1e-6,
        "gradient_clipping": 1e10,
        "residual_weight": 0.5,
        "num_attention_heads": 2,
        "attention_chunk_size": 12,
        "num_attention_context_right": 0,
        "num_attention_context_left": 13,
        "attention_logit_cap": 50.0,
        "conv_kernel_size": 5,
        "reduction_factor": 4,
    }
    backbone = Gemma3nBackbone(
        text_vocab_size=11,
        text_hidden_size=8,
        num_hidden_layers=1,
        pad_token_id=0,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=[8],
        hidden_activation="gelu_approximate",
        layer_types=["full_attention"],
        sliding_window=4,
        rope_theta=10_000.0,
        max_position_embeddings=16,
        vocab_size_per_layer_input=11,
        hidden_size_per_layer_input=2,
        altup_num_inputs=2,
        laurel_rank=1,
        audio_encoder_config=encoder,
        audio_hidden_size=16,
    )
    settings: dict[str, Any] = {
        "feature_size": MELS,
        "sampling_rate": 16_000,
        "padding_value": 0.0,
        "return_attention_mask": True,
        "frame_length_ms": 32.0,
        "hop_length_ms": 10.0,
        "min_frequency": 125.0,
        "max_frequency": 7600.0,
        "preemphasis": 0.97,
        "preemphasis_htk_flavor": True,
        "fft_overdrive": True,
        "dither": 0.0,
        "input_scale_factor": 1.0,
        "mel_floor": 1e-5,
        "per_bin_mean": None,
        "per_bin_stddev": None,
        "padding_side": "right",
    }
    return _saved(folder, backbone, Gemma3nAudioConverter(**{**settings, **converter}))


def _seed() -> None:
    """With some random weights two channels of convolutions are both dead, and all sounds alike."""
    import keras

    keras.utils.set_random_seed(0)


def _saved(folder: Path, backbone: Any, converter: Any = None) -> str:
    backbone.save_to_preset(str(folder))
    if converter is not None:
        converter.save_to_preset(str(folder))
    return str(folder)
