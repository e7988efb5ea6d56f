"""Presets of four families, a few kB each: random weights, tokenizers trained on a few words."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import numpy as np

TEXTS = (
    "red cat",
    "chat rouge",
    "gatto nero",
    "le poisson bleu",
    "a black horse and a white moon",
    "oiseau vert",
    "la luna bianca",
    "cane verde",
    "белый кот",
)
LAYERS = 3
WIDTH = 32
SIZES: dict[str, Any] = {"num_layers": LAYERS, "hidden_dim": WIDTH, "intermediate_dim": 48}
FAMILIES = ("gemma3", "qwen3", "llama3", "xlm_roberta")
# As Gemma's: bytes for what has no piece, no space added or taken away.
LIKE_GEMMA = {
    "vocab_size": 330,
    "model_type": "bpe",
    "byte_fallback": True,
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "normalization_rule_name": "identity",
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "pad_piece": "<pad>",
    "bos_piece": "<bos>",
    "eos_piece": "<eos>",
}


def sentencepiece(**options: Any) -> bytes:
    """A SentencePiece model of `TEXTS`."""
    import sentencepiece as spm

    buffer = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 5),
        model_writer=buffer,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return buffer.getvalue()


def byte_pairs(special: list[str]) -> tuple[dict[str, int], list[str]]:
    """A byte pair vocabulary of `TEXTS` and its merges."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(TEXTS * 5, trainer)
    model = json.loads(learner.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return model["vocab"], merges


def _gemma3(models: Any, tokenizers: Any) -> tuple[Any, Any]:
    tokenizer = tokenizers.Gemma3Tokenizer(sentencepiece(**LIKE_GEMMA), has_vision_tokens=False)
    backbone = models.Gemma3Backbone(
        # As some published tables are, larger than the vocabulary.
        vocabulary_size=tokenizer.vocabulary_size() + 3,
        image_size=None,
        num_query_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        use_sliding_window_attention=True,
        sliding_window_size=16,
        **SIZES,
    )
    return backbone, tokenizer


def _qwen3(models: Any, tokenizers: Any) -> tuple[Any, Any]:
    tokenizer = tokenizers.Qwen3Tokenizer(*byte_pairs(["<|im_end|>", "<|endoftext|>"]))
    backbone = models.Qwen3Backbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_query_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        **SIZES,
    )
    return backbone, tokenizer


def _llama3(models: Any, tokenizers: Any) -> tuple[Any, Any]:
    special = ["begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id"]
    tokenizer = tokenizers.Llama3Tokenizer(*byte_pairs([f"<|{name}|>" for name in special]))
    backbone = models.Llama3Backbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_query_heads=4,
        num_key_value_heads=2,
        **SIZES,
    )
    return backbone, tokenizer


def _xlm_roberta(models: Any, tokenizers: Any) -> tuple[Any, Any]:
    proto = sentencepiece(vocab_size=90, model_type="unigram", unk_id=0, bos_id=1, eos_id=2)
    tokenizer = tokenizers.XLMRobertaTokenizer(proto)
    backbone = models.XLMRobertaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_heads=4,
        max_sequence_length=64,
        dropout=0.0,
        **SIZES,
    )
    return backbone, tokenizer


def make_preset(family: str, folder: str, *, seed: int = 0) -> str:
    """Writes a preset of one of `FAMILIES`; returns its folder."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(seed)
    backbone, tokenizer = globals()[f"_{family}"](keras_hub.models, keras_hub.tokenizers)
    for weight in backbone.weights:
        # Norms start as ones or zeros: moved, so that a lost one shows.
        if len(weight.shape) == 1:
            noise = np.random.default_rng(0).normal(scale=0.2, size=weight.shape)
            weight.assign(np.asarray(weight) + noise)
    path = os.path.join(folder, family)
    backbone.save_to_preset(path)
    tokenizer.save_to_preset(path)
    return path
