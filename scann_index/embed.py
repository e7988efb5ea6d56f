"""Prepared pairs to embeddings, in Beam: read rows, embed them by RunInference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before Beam)
from pipelines.length_batches import FRAMES_PER_SECOND
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, from_example, shard_paths
from scann_index.heard_tokens import heard
from scann_index.row import MODALITIES, rows_of
from scann_index.row import Row as Row

import apache_beam as beam  # isort: skip
from apache_beam.ml.inference.base import ModelHandler, RunInference  # isort: skip

BLOCK_ROWS = 1024
SOUND_SECONDS = 600
"""So much sound is in memory at a time, or a single recording: 38 MB for each speed."""


@dataclasses.dataclass
class ReadRows(beam.PTransform):
    """The rows of some splits of a prepared directory, as they come; some may share their content.

    Args:
        data: a complete directory of pairs.
        splits: of `pipelines.utterance.SPLITS`.
        modalities: of `scann_index.row.MODALITIES`.
        limit: read only so many pairs; None for all.
    """

    data: str
    splits: Sequence[str]
    modalities: Sequence[str] = MODALITIES
    limit: int | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pbegin: Any) -> Any:
        """Reads each file in a worker; with a limit all of them in one, which has to count."""
        data = OutputDir.open(self.data, kind=KIND)
        paths = [path for split in self.splits for path in shard_paths(data, split)]
        sources = [[path] for path in paths] if self.limit is None else [paths]
        return (
            pbegin
            | beam.Create(sources)
            | beam.Reshuffle()
            | "ReadRows" >> beam.FlatMap(_read, tuple(self.modalities), self.limit)
        )


def _read(paths: list[str], modalities: tuple[str, ...], limit: int | None) -> Iterator[Row]:
    import tensorflow as tf

    examples = tf.data.TFRecordDataset(paths)
    if limit is not None:
        examples = examples.take(limit)
    for serialized in examples.as_numpy_iterator():
        for row in rows_of(from_example(serialized)):
            if row.modality in modalities:
                yield row


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """Rows and the vectors the model gave them.

    Args:
        rows: what was embedded.
        vectors: float32 `[rows, dim]`, unit length, parallel to them.
    """

    rows: Sequence[Row]
    vectors: np.ndarray


class PresetHandler(ModelHandler[Sequence[Row], Embedded, Any]):
    """Blocks of rows to embeddings by a `DualEncoder`, for `RunInference`.

    Args:
        preset: its folder.
        digest: its `preset_digest`: a worker that finds another model there refuses to use it.
        speeds: see `DualEncoder.speeds`.
        cache: where the audio tokens that these take are kept, see `heard_tokens`.

    The handler says which model, and each worker process loads it for itself. A block is one
    element: the model batches it by its own measure.
    """

    def __init__(
        self, preset: str, digest: str, speeds: Sequence[float] = (), cache: str = ""
    ) -> None:
        super().__init__()
        self.preset = preset
        self.digest = digest
        self.speeds = tuple(speeds)
        self.cache = cache

    def load_model(self) -> Any:
        """Loads the model once per process.

        Raises:
            ValueError: the preset is missing, damaged, or not the one meant.
        """
        from model.dual_encoder import DualEncoder, preset_digest

        found = preset_digest(self.preset)
        if found != self.digest:
            raise ValueError(f"{self.preset} is {found[:12]}, expected {self.digest[:12]}")
        model = DualEncoder.from_preset(self.preset)
        model.speeds = self.speeds
        return model

    def run_inference(
        self,
        batch: Sequence[Sequence[Row]],
        model: Any,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Embedded]:
        """Embeds each block of the batch."""
        return [Embedded(rows, embed_rows(rows, model, self.cache)) for rows in batch]

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """One block at a time."""
        return {"min_batch_size": 1, "max_batch_size": 1}


def embed_rows(rows: Sequence[Row], model: Any, cache: str = "") -> np.ndarray:
    """The vectors of some rows of either modality: float32 `[rows, dim]`.

    Rows go to the model sorted by length, which spares it padding.
    """
    vectors = np.zeros((len(rows), model.width), np.float32)
    for modality in MODALITIES:
        places = [i for i, row in enumerate(rows) if row.modality == modality]
        if not places:
            continue
        places.sort(key=lambda i: (len(rows[i].tokens), len(rows[i].text)))
        languages = [rows[i].language for i in places]
        if modality == "speech":
            vectors[places] = _embed_speech([rows[i] for i in places], languages, model, cache)
        else:
            vectors[places] = model.encode_text([rows[i].text for i in places], languages)
    return vectors


def _embed_speech(
    rows: Sequence[Row], languages: Sequence[str], model: Any, cache: str
) -> np.ndarray:
    """The vectors of recordings: of their audio tokens, or of their sound at several speeds."""
    if not model.speeds:
        vectors: np.ndarray = model.encode_speech([row.tokens for row in rows], languages)
        return vectors
    parts = []
    # Whole recordings in the order given, cut where another `SOUND_SECONDS` begin.
    begun = np.cumsum([len(row.tokens) for row in rows]) // (SOUND_SECONDS * FRAMES_PER_SECOND)
    for some in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(begun)) + 1):
        tokens = heard([rows[i] for i in some], model, cache)
        parts.append(model.encode_heard(tokens, [languages[i] for i in some]))
    return np.concatenate(parts)


@dataclasses.dataclass
class Embed(beam.PTransform):
    """Rows to `(Row, vector)`, the vector float32 `[dim]` of unit length.

    Args:
        preset: folder of the model.
        digest: its `preset_digest`.
    """

    preset: str
    digest: str

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Embeds in blocks of up to `BLOCK_ROWS`."""
        return (
            rows
            | beam.BatchElements(min_batch_size=BLOCK_ROWS, max_batch_size=BLOCK_ROWS)
            | RunInference(PresetHandler(self.preset, self.digest))
            | beam.FlatMap(lambda block: zip(block.rows, block.vectors, strict=True))
        )
