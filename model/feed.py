"""Where a run's batches come from: pairs by tf.data, or the arrays of `model.arrays` by NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from model.data import Augmentation
from pipelines.output_dir import OutputDir

if TYPE_CHECKING:
    from model.dual_encoder import DualEncoder
    from model.train import TrainOptions


@dataclass(frozen=True)
class Feed:
    """A run's data, whatever form it has.

    Args:
        batches: from a step on, endless, for `fit`; the same each time it is called.
        dev_recall: recall@1 of an encoder by language, on the dev split.
    """

    batches: Callable[[int], Iterator[Any]]
    dev_recall: Callable[[DualEncoder], dict[str, float]]


def pairs_feed(options: TrainOptions, encoder: DualEncoder, data: Sequence[OutputDir]) -> Feed:
    """Of directories of `pipelines.prepare`."""
    from model.data import training_batches
    from model.training_run import dev_recall
    from pipelines.pairs import read_pairs

    def batches(first_step: int) -> Any:
        return training_batches(
            data,
            encoder.vocabulary,
            batch_size=options.batch_size,
            seed=options.seed,
            first_step=first_step,
            bitext=options.bitext,
            augmentation=_augmentation(options, encoder),
        )

    pairs = [p for p in read_pairs(data, "dev") if p.task == "transcription"]
    return Feed(batches, partial(dev_recall, pairs=pairs))


def arrays_feed(options: TrainOptions, encoder: DualEncoder, data: Sequence[OutputDir]) -> Feed:
    """Of one directory of `model.arrays`; needs no TensorFlow."""
    from model.array_data import ArrayPairs, BatchMaker, dev_recall

    arrays = data[0]
    maker = BatchMaker(
        ArrayPairs.load(arrays, "train"),
        encoder.vocabulary,
        batch_size=options.batch_size,
        seed=options.seed,
        bitext=options.bitext,
        augmentation=_augmentation(options, encoder),
    )
    return Feed(maker.batches, partial(dev_recall, pairs=ArrayPairs.load(arrays, "dev")))


def settled(options: TrainOptions, arrays: OutputDir) -> TrainOptions:
    """The options of a run on arrays: what was settled when they were written need not be said.

    Raises:
        ValueError: it is said, and otherwise.
    """
    from model.arrays import FIXED
    from model.fresh_encoder import TINY, TINY_OWN

    values = {name: arrays.info["options"][name] for name in FIXED}
    if values["backbone"] == TINY:
        values = {name: value for name, value in values.items() if name not in TINY_OWN}
    elif values["pretrained"]:
        # A preset can be forgotten; what was drawn without it can't be had back.
        del values["pretrained"]
    else:
        values["seed"] = arrays.info["options"]["seed"]
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    for name, value in values.items():
        given = getattr(options, name)
        if given not in (value, defaults[name]):
            raise ValueError(
                f"--{name.replace('_', '-')} was settled when {arrays.path} was written: "
                f"{value}, now {given}"
            )
    return dataclasses.replace(options, **values)


def _augmentation(options: TrainOptions, encoder: DualEncoder) -> Augmentation:
    codebook: Any = encoder.codebook
    return Augmentation(
        token_dropout=options.token_dropout,
        token_jitter=options.token_jitter,
        neighbors=codebook.neighbors(),
        language_dropout=options.language_dropout,
    )
