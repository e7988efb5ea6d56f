"""Models small enough for every test, in the formats that translation engines read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tests.families import sentencepiece

WIDTH = 16


def make_ctranslate2(folder: str, *, tags: tuple[str, ...] = (), seed: int = 0) -> str:
    """A Transformer of random weights in CTranslate2's format; returns its folder.

    Args:
        folder: is made.
        tags: language tokens of its vocabulary, as `spa_Latn` or `>>eng<<`.
        seed: of its weights.
    """
    import sentencepiece as spm
    from ctranslate2.specs import transformer_spec

    proto = sentencepiece(vocab_size=90, model_type="unigram", unk_id=0, bos_id=1, eos_id=2)
    pieces = spm.SentencePieceProcessor(model_proto=proto)
    words = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())] + list(tags)
    spec = transformer_spec.TransformerSpec.from_config(num_layers=1, num_heads=2)
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return random.normal(scale=0.4, size=shape).astype(np.float32)

    def linear(layer: Any, rows: int, columns: int) -> None:
        layer.weight, layer.bias = matrix(rows, columns), matrix(rows)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(layer: Any, *, own: bool) -> None:
        norm(layer.layer_norm)
        sizes = [3 * WIDTH, WIDTH] if own else [WIDTH, 2 * WIDTH, WIDTH]
        for projection, rows in zip(layer.linear, sizes, strict=True):
            linear(projection, rows, WIDTH)

    for side in (spec.encoder, spec.decoder):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = matrix(len(words), WIDTH)
        side.position_encodings.encodings = matrix(128, WIDTH)
        side.scale_embeddings = True
        norm(side.layer_norm)
        for layer in side.layer:
            attention(layer.self_attention, own=True)
            if side is spec.decoder:
                attention(layer.attention, own=False)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 2 * WIDTH, WIDTH)
            linear(layer.ffn.linear_1, WIDTH, 2 * WIDTH)
    linear(spec.decoder.projection, len(words), WIDTH)
    # Ends soon, and never says a tag.
    spec.decoder.projection.bias[words.index("</s>")] += 3.0
    spec.decoder.projection.bias[len(words) - len(tags) :] -= 100.0
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    os.makedirs(folder)
    spec.validate()
    spec.optimize()
    spec.save(folder)
    for name in ("source.spm", "target.spm"):
        Path(folder, name).write_bytes(proto)
    return folder


def make_causal_lm(folder: str, says: dict[str, str]) -> str:
    """A `Gemma3CausalLM` preset that answers a sign with another one and then ends the line.

    Its only layer adds nothing, so that a token is followed by the one whose embedding is nearest
    to its own and longest. After a sign that it doesn't know it goes on for ever.

    Args:
        folder: is made.
        says: an answer for each last sign of a prompt, one token each.
    """
    import keras_hub

    from tests.families import LIKE_GEMMA

    tokenizer = keras_hub.tokenizers.Gemma3Tokenizer(
        sentencepiece(**LIKE_GEMMA), has_vision_tokens=False
    )
    backbone = keras_hub.models.Gemma3Backbone(
        vocabulary_size=tokenizer.vocabulary_size() + 3,
        image_size=None,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=WIDTH,
        intermediate_dim=WIDTH,
        head_dim=8,
    )
    for weight in backbone.weights:
        weight.assign(np.zeros(weight.shape))
    table = np.zeros(backbone.token_embedding.embeddings.shape, np.float32)
    (end_of_line,) = tokenizer("\n")
    for number, (sign, answer) in enumerate(says.items()):
        asked, answered = np.eye(WIDTH)[2 * number], np.eye(WIDTH)[2 * number + 1]
        table[tokenizer(sign)[0]] = asked
        table[tokenizer(answer)[0]] = 3 * (asked + answered)
        table[end_of_line] += 9 * answered
    backbone.token_embedding.embeddings.assign(table)
    preprocessor = keras_hub.models.Gemma3CausalLMPreprocessor(tokenizer)
    model = keras_hub.models.Gemma3CausalLM(backbone=backbone, preprocessor=preprocessor)
    model.save_to_preset(folder)
    return folder
