"""A dual encoder before its first step, as the options of `model.train` describe it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model.backbone import centroid_rows, create_backbone, extend_vocabulary, random_rows
from model.dual_encoder import DualEncoder
from model.matmul_layers import use_matmuls
from model.presets import deviation, draw_anew, freeze_blocks, load_pretrained, load_tokenizer
from model.text_table import TextTable
from model.tokenization import PresetTokenizer
from model.vocabulary import ANY_LANGUAGE, SPEECH, TEXT, Vocabulary
from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.codebook import Codebook
from pipelines.output_dir import OutputDir
from pipelines.utterance import LANGUAGES

from keras import ops  # isort: skip

if TYPE_CHECKING:
    from model.train import TrainOptions

TINY = "tiny"
TINY_LAYERS = 2
TINY_OWN = ("layers", "hidden_dim", "pooling", "standardize", "embedding_dim", "audio_rows")
"""Options of a tiny backbone that say nothing of its tokens."""


def fresh_encoder(
    options: TrainOptions, codebook: Codebook, trained_languages: tuple[str, ...]
) -> DualEncoder:
    """A dual encoder whose audio rows nobody has trained yet.

    Args:
        options: which backbone, how much of it, and what of it is trained.
        codebook: of the data.
        trained_languages: those with speech in the training split.

    Raises:
        ValueError: there is no such preset, or it does not fit the options.
    """
    build = _tiny if options.backbone == TINY else _pretrained
    encoder = build(options, codebook, trained_languages)
    use_matmuls(encoder.backbone)
    return encoder


def stored_encoder(options: TrainOptions, arrays: OutputDir) -> DualEncoder:
    """The encoder that `model.arrays` made, or one that this run's options draw in its place.

    Of a preset, its audio rows are drawn by the run's seed, or all of it without `pretrained`. A
    tiny one is made of any size and seed, since no token of its texts depends on them.
    """
    written = arrays.info["options"]
    encoder = DualEncoder.from_preset(arrays.file("preset"), for_arrays=True)
    codebook: Any = encoder.codebook
    if options.backbone == TINY:
        if any(getattr(options, name) != written[name] for name in ("seed", *TINY_OWN)):
            encoder = _tiny(options, codebook, encoder.vocabulary.trained_languages)
    elif options.pretrained != written["pretrained"]:
        _forget(encoder, options)
    elif options.seed != written["seed"]:
        own = ops.convert_to_numpy(encoder.backbone.token_embedding.embeddings)
        _assign_audio_rows(encoder, options, own[-codebook.size :].std())
    if options.train == "audio":
        freeze_blocks(encoder.backbone)
    use_matmuls(encoder.backbone)
    return encoder


def _forget(encoder: DualEncoder, options: TrainOptions) -> None:
    """Leaves of a preset its architecture alone.

    Languages start from rows of their own: where their names are tokenized, in `_prefix_rows`,
    they start from means of such rows.
    """
    tokenizer: Any = encoder.vocabulary.tokenizer
    text_table: Any = encoder.text_table
    whole = tokenizer.config()["size"]
    table = draw_anew(encoder.backbone, text_table, whole, seed=options.seed)
    own = encoder.backbone.token_embedding.embeddings
    rows = ops.convert_to_numpy(own).copy()
    first_text = encoder.vocabulary.first_text
    rows[:first_text] = table[:first_text]
    rows[SPEECH] = rows[TEXT]
    own.assign(rows)
    _assign_audio_rows(encoder, options, table.std())


def _assign_audio_rows(encoder: DualEncoder, options: TrainOptions, spread: float) -> None:
    """Draws the audio rows by the run's seed, to a standard deviation."""
    codebook: Any = encoder.codebook
    own = encoder.backbone.token_embedding.embeddings
    rows = ops.convert_to_numpy(own).copy()
    audio = _audio_rows(options, codebook, rows.shape[1])
    rows[-codebook.size :] = audio * (spread / audio.std())
    own.assign(rows)


def _tiny(
    options: TrainOptions, codebook: Codebook, trained_languages: tuple[str, ...]
) -> DualEncoder:
    """A small Gemma 3 over bytes, from random weights: all of it is trained."""
    if options.train not in ("auto", "all"):
        raise ValueError("--backbone tiny starts from random weights: --train all is all it can do")
    vocabulary = _vocabulary(options, codebook, trained_languages, "romanize")
    width = options.hidden_dim
    text_only = create_backbone(
        vocabulary.text_size,
        seed=options.seed,
        num_layers=options.layers or TINY_LAYERS,
        hidden_dim=width,
        head_dim=width // 4,
        intermediate_dim=width * 8 // 3 // 8 * 8,
    )
    backbone = extend_vocabulary(text_only, _audio_rows(options, codebook, width))
    return _encoder(options, backbone, vocabulary, codebook)


def _pretrained(
    options: TrainOptions, codebook: Codebook, trained_languages: tuple[str, ...]
) -> DualEncoder:
    """A preset's first layers and its tokenizer, with new rows for prefix and audio."""
    prefix_rows = Vocabulary(codebook.size, trained_languages).first_text
    pretrained = load_pretrained(
        options.backbone,
        new_rows=prefix_rows + codebook.size,
        first_text=prefix_rows,
        layers=options.layers,
        pretrained=options.pretrained,
        precision=options.precision,
        storage=options.storage,
        trainable_text=options.train == "all",
        seed=options.seed,
    )
    # After the seed is set: setting it takes TensorFlow Text's resources away.
    vocabulary = _vocabulary(
        options,
        codebook,
        trained_languages,
        "none",
        preset=options.backbone,
        text_rows=pretrained.text_table.rows,
    )
    own = pretrained.backbone.token_embedding.embeddings
    audio = _audio_rows(options, codebook, own.shape[1])
    audio *= deviation(pretrained.text_table) / audio.std()
    prefix = _prefix_rows(vocabulary, pretrained.text_table)
    own.assign(np.concatenate([prefix, audio]).astype(np.float32))
    if options.train == "audio":
        freeze_blocks(pretrained.backbone)
    return _encoder(
        options, pretrained.backbone, vocabulary, codebook, text_table=pretrained.text_table
    )


def _vocabulary(
    options: TrainOptions,
    codebook: Codebook,
    trained_languages: tuple[str, ...],
    normalization: str,
    *,
    preset: str = "",
    text_rows: int = 0,
) -> Vocabulary:
    if options.normalization != "auto":
        normalization = options.normalization
    tokenizer = None
    if preset:
        tokenizer = PresetTokenizer(
            load_tokenizer(preset),
            size=text_rows,
            normalization=normalization,
            units=options.text_units,
        )
    return Vocabulary(
        audio_tokens=codebook.size,
        trained_languages=trained_languages,
        normalization=normalization,
        max_speech_tokens=options.max_speech_tokens,
        max_text_tokens=options.max_text_tokens,
        tokenizer=tokenizer,
    )


def _audio_rows(options: TrainOptions, codebook: Codebook, width: int) -> np.ndarray:
    """What audio rows start from, up to scale: float `[k, width]`."""
    if options.audio_rows == "centroids":
        return centroid_rows(codebook.centroids, width, seed=options.seed)
    return random_rows(codebook.size, width, seed=options.seed)


def _prefix_rows(vocabulary: Vocabulary, text_table: TextTable) -> np.ndarray:
    """What the prefix's rows start from: float32 `[prefix rows, width]`.

    Both modalities start as the token the model expects first (`<bos>`), so that its attention
    finds the anchor it was trained with. A language starts as the mean of its English name's
    tokens, an unknown one as the mean of all languages.
    """
    import tensorflow as tf

    def mean_row(token_ids: list[int]) -> np.ndarray:
        values = text_table(np.array(token_ids or [0], np.int32))
        mean: np.ndarray = ops.convert_to_numpy(ops.cast(values, "float32")).mean(axis=0)
        return mean

    tokenizer: Any = vocabulary.tokenizer
    rows = np.zeros((vocabulary.first_text, text_table.dim), np.float32)
    rows[SPEECH] = rows[TEXT] = mean_row([tokenizer.first_token or 0])
    names = tf.constant([language.name for language in LANGUAGES.values()])
    tokens = dict(zip(LANGUAGES, tokenizer.split(names).to_list(), strict=True))
    for place, code in enumerate(vocabulary.trained_languages):
        rows[ANY_LANGUAGE + 1 + place] = mean_row(tokens[code])
    rows[ANY_LANGUAGE] = np.mean([mean_row(own) for own in tokens.values()], axis=0)
    return rows


def _encoder(
    options: TrainOptions,
    backbone: Any,
    vocabulary: Vocabulary,
    codebook: Codebook,
    *,
    text_table: TextTable | None = None,
) -> DualEncoder:
    return DualEncoder(
        backbone,
        vocabulary,
        codebook,
        pooling=options.pooling,
        standardize=options.standardize,
        dim=options.embedding_dim,
        text_table=text_table,
        storage=options.storage,
    )
