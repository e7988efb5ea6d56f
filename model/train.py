"""python -m model.train: pairs in, a trained dual encoder out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.pairs import open_together
from pipelines.verb import verb

KIND = "run"
DESCRIPTION = """\
Trains a dual encoder on prepared pairs: one language model, grown by audio tokens, that maps speech
and text to the same vector when they mean the same. Writes the model to OUTPUT/preset, its curve to
OUTPUT/log.jsonl and OUTPUT/tensorboard. Run it again after an interruption: it goes on from the
last checkpoint and ends with the same weights; near them on a GPU, whose sums have no fixed order.

example:
  python -m model.train --data demo/data --output demo/run
  tensorboard --logdir demo/run/tensorboard

on a machine without TensorFlow, with what `python -m model.arrays` wrote:
  KERAS_BACKEND=jax python -m model.train --arrays arrays --output run
"""


@dataclass(frozen=True)
class TrainOptions:
    """The options of `model.train`."""

    output: str = option(help="folder to write the run to")
    data: tuple[str, ...] = option(
        (),
        help="folder written by pipelines.prepare; with others of the same codebook, such as one "
        "of pipelines.translate, to train on all of them: data,translated",
    )
    arrays: str = option("", help="folder written by model.arrays, in place of --data")
    steps: int = option(900, help="training steps")
    batch_size: int = option(128, help="pairs a step; each is the others' negative")
    optimizer: str = option(
        "muon",
        help="muon moves the backbone's matrices by Muon, the rest by Adam; adam is Adam for all",
        choices=("muon", "adam"),
    )
    learning_rate: float = option(3e-3, help="peak learning rate of Adam")
    matrix_rate: float = option(6e-3, help="peak learning rate of Muon")
    warmup_steps: int = option(50, help="steps until those peaks, before a cosine decay to zero")
    scale: float = option(20.0, help="inverse temperature of the softmax")
    spread_out: float = option(1.0, help="weight of the spread-out loss")
    pooling: str = option("mean", help="how states become one vector", choices=("mean", "last"))
    standardize: bool = option(True, help="standardize pooled states per modality")
    embedding_dim: int = option(0, help="project to so many dimensions; 0 keeps the backbone's")
    normalization: str = option(
        "auto",
        help="romanize spells every script in Latin letters; casefold keeps the scripts; none "
        "keeps what a preset was trained on; auto: romanize for tiny, none for presets",
        choices=("auto", "romanize", "casefold", "none"),
    )
    text_units: str = option(
        "subwords",
        help="of a preset's tokenizer: its subwords; its pieces for single characters; or both: "
        "subwords as written, then characters, to which alone the normalization is done",
        choices=("subwords", "characters", "both"),
    )
    max_speech_tokens: int = option(48, help="longer sequences of audio tokens are cut")
    max_text_tokens: int = option(36, help="longer texts are cut")
    backbone: str = option(
        "tiny",
        help="tiny (from scratch), or a preset: a KerasHub name, kaggle://…, hf://…, a folder, "
        "local or gs://…",
    )
    pretrained: bool = option(True, help="a preset's weights; without, its architecture at random")
    layers: int = option(
        0, help="first layers of the backbone to keep; 0: 2 of tiny, all of others"
    )
    hidden_dim: int = option(192, help="width of tiny, a multiple of 8: four heads of even size")
    train: str = option(
        "auto",
        help="what moves besides the new rows: blocks and text table (all), blocks, or nothing "
        "(audio); auto: all for tiny, blocks for presets",
        choices=("auto", "all", "blocks", "audio"),
    )
    precision: str = option(
        "float32", help="what a preset computes in", choices=("float32", "bfloat16")
    )
    storage: str = option(
        "float32",
        help="what a preset's matrices are kept in on disk, and its frozen text table in memory",
        choices=("float32", "bfloat16"),
    )
    audio_rows: str = option(
        "centroids",
        help="what audio rows of the table start from: their centroids, or random as in the paper",
        choices=("centroids", "random"),
    )
    token_dropout: float = option(0.1, help="share of audio tokens left out, as augmentation")
    token_jitter: float = option(
        0.2, help="share of audio tokens replaced by one that sounds alike, as augmentation"
    )
    language_dropout: float = option(0.5, help="share of prefixes that leave the language out")
    bitext: float = option(0.0, help="share of each batch that is text–text pairs")
    evaluate_every: int = option(150, help="steps between dev evaluations and checkpoints")
    seed: int = option(0, help="seeds weights, order and augmentation")
    overwrite: bool = option(False, help="throw away what is there and begin anew")
    dry_run: bool = option(False, help="print data and model sizes, then stop")

    def __post_init__(self) -> None:
        if bool(self.data) == bool(self.arrays):
            raise ValueError("--data or --arrays is needed, and not both")
        for name in ("steps", "batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.steps % min(self.evaluate_every, self.steps):
            raise ValueError("--steps must be a multiple of --evaluate-every")
        if self.layers < 0:
            raise ValueError("--layers must be at least 1, or 0 for all")
        if self.hidden_dim % 8:
            raise ValueError("--hidden-dim must be a multiple of 8: four heads of even size")
        if not 0 <= self.bitext < 1:
            raise ValueError("--bitext is a share, at least 0 and below 1")

    def content(self) -> dict[str, Any]:
        """What decides the weights."""
        apart = ("output", "overwrite", "dry_run", "data", "arrays")
        return {k: v for k, v in command_line.as_dict(self).items() if k not in apart}


@verb("train")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        TrainOptions, argv, prog="python -m model.train", description=DESCRIPTION
    )
    if options.dry_run:
        print(plan(options))
    else:
        train(options)


def train(options: TrainOptions) -> OutputDir:
    """Trains or goes on training.

    Raises:
        OutputError: the data is not complete, or the output holds another run.
    """
    options, data = _resolved(options)
    out = OutputDir(options.output, kind=KIND)
    digests = [one.digest for one in data]
    content = {**options.content(), "data": digests if len(data) > 1 else digests[0]}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out

    from model import cost
    from model.feed import arrays_feed, pairs_feed
    from model.training_run import RunCallback, restore

    _be_deterministic()
    model = build(options, data)
    first_step = restore(model, out)

    feed = (arrays_feed if options.arrays else pairs_feed)(options, model.encoder, data)
    if first_step == 0:
        # Of a dataset of its own: tf.data shuffles a second pass over the same one differently,
        # and a resumed run would make only one.
        adapt(model.encoder, feed.batches(0))
    started = time.time()
    every = min(options.evaluate_every, options.steps)
    with RunCallback(
        out, feed.dev_recall, every=every, steps=options.steps, first_step=first_step
    ) as run:
        model.fit(
            feed.batches(first_step),
            steps_per_epoch=every,
            initial_epoch=first_step // every,
            epochs=-(-options.steps // every),
            callbacks=[run],
            shuffle=False,
            verbose=0,
        )
    model.encoder.save_to_preset(out.file("preset"))
    stats = cost.of_run(
        model,
        feed.batches(0),
        steps=options.steps,
        first_step=first_step,
        seconds=time.time() - started,
    )
    files = [f"preset/{name}" for name in storage.read_json(out.file("preset", "preset.json"))]
    info = data[0].info["pairs"] if options.arrays else sources(data)
    out.complete(files=[*files, "preset/preset.json"], stats=stats, info=info)
    print(f"{out.path}: {stats['parameters']:,} parameters, {stats['steps']} steps")
    return out


def build(options: TrainOptions, data: Sequence[OutputDir]) -> Any:
    """A compiled `ContrastiveModel` with fresh weights."""
    import keras

    from model.contrastive import ContrastiveModel
    from model.fresh_encoder import fresh_encoder, stored_encoder
    from model.optimizer import create_optimizer, head_axes
    from pipelines.codebook import Codebook

    if options.arrays:
        encoder = stored_encoder(options, data[0])
    else:
        codebook = Codebook.load(data[0].file("codebook"))
        encoder = fresh_encoder(options, codebook, tuple(trained_languages(*data)))
    model = ContrastiveModel(encoder, scale=options.scale, spread_out=options.spread_out)
    optimizer = create_optimizer(
        options.optimizer,
        steps=options.steps,
        warmup_steps=options.warmup_steps,
        learning_rate=options.learning_rate,
        matrix_rate=options.matrix_rate,
        heads=head_axes(encoder.backbone),
        precision=encoder.backbone.compute_dtype,
    )
    # On JAX, what is not compiled is run operation by operation.
    model.compile(optimizer=optimizer, jit_compile=keras.backend.backend() == "jax")
    optimizer.build(model.trainable_variables)
    return model


def sources(data: Sequence[OutputDir]) -> dict[str, Any]:
    """Which directories of pairs something was made of, for its `info.json`."""
    used = [{"path": one.path, "digest": one.digest} for one in data]
    return {"data": used[0], **({"also": used[1:]} if len(used) > 1 else {})}


def trained_languages(*data: OutputDir) -> list[str]:
    """The languages that have speech in the training split."""
    names = (group.split("/") for one in data for group in one.stats["groups"])
    return sorted({lang for task, split, lang in names if split == "train" and task != "bitext"})


def adapt(encoder: Any, batches: Any, count: int = 4) -> None:
    """Initializes the standardization from the first few batches."""
    import keras
    import numpy as np
    from keras import ops

    from model.dual_encoder import compiled_by_jax, modality

    if encoder.standardization is None:
        return
    uses_jax = keras.backend.backend() == "jax"
    pool = compiled_by_jax(encoder, encoder.pooled) if uses_jax else encoder.pooled
    chosen = [b if isinstance(b, dict) else b[0] for b in islice(batches, count)]
    ids = [ops.convert_to_tensor(b[side]) for b in chosen for side in ("source", "target")]
    pooled = [ops.convert_to_numpy(pool(part)) for part in ids]
    modalities = np.concatenate([ops.convert_to_numpy(modality(part)) for part in ids])
    encoder.standardization.adapt(np.concatenate(pooled), modalities)


def _resolved(options: TrainOptions) -> tuple[TrainOptions, list[OutputDir]]:
    """The options with those that arrays settled, and the data."""
    if not options.arrays:
        return options, open_together(options.data)
    from model.feed import settled

    arrays = OutputDir.open(options.arrays, kind="arrays")
    return settled(options, arrays), [arrays]


def _be_deterministic() -> None:
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "jax":
        # Its way back adds in no fixed order, and sequences are too short to gain from it.
        keras.config.disable_flash_attention()


def plan(options: TrainOptions) -> str:
    """What `--dry-run` prints."""
    options, data = _resolved(options)
    model = build(options, data)
    vocabulary = model.encoder.vocabulary
    pairs = sum(_training_pairs(one) for one in data)
    seen = options.steps * options.batch_size
    return "\n".join(
        [
            f"{', '.join(one.path for one in data)}: {pairs:,} training pairs, "
            f"seen {seen / max(pairs, 1):.1f} times each",
            f"  languages: {' '.join(vocabulary.trained_languages)}",
            f"  vocabulary: {vocabulary.text_size} text + {vocabulary.audio_tokens} audio rows",
            f"  backbone: {model.encoder.backbone.num_layers} layers, "
            f"{model.encoder.count_params():,} parameters",
            f"  would write {options.output}",
        ]
    )


def _training_pairs(data: OutputDir) -> int:
    if data.kind == "arrays":
        return int(data.stats["pairs"]["train"])
    groups = data.stats["groups"].items()
    return sum(int(group["pairs"]) for name, group in groups if name.split("/")[1] == "train")


if __name__ == "__main__":
    sys.exit(main())
