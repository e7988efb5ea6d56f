"""A codebook from a corpus, in Beam: a bounded sample of the training speech, fitted once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import audio_reference
from pipelines import codebook as kmeans
from pipelines.shard import Shard
from pipelines.speech_encoder import load_speech_encoder
from pipelines.tokenize_speech import DecodeAudio, encode_speech, sample_frames
from pipelines.utterance import Utterance

import apache_beam as beam  # isort: skip

CHUNK = 200


@dataclass
class FitCodebook(beam.PTransform):
    """Numbered rows of a corpus to a codebook saved in `folder`.

    Args:
        folder: where `Codebook.save` writes.
        speech_encoder: its name, as `load_speech_encoder` takes it.
        size: k, the number of audio tokens.
        utterances: how many recordings to sample, all from the training split.
        frames: how many frames to keep of them at most; the memory of the fit.
        seed: seeds sampling and k-means.
        max_seconds: longer recordings are left out.
        precision: what the speech encoder computes in, `float32` or `bfloat16`.
    """

    folder: str
    speech_encoder: str
    size: int
    utterances: int
    frames: int
    seed: int
    max_seconds: float
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Samples by the hash of the id, which needs no shuffle and gives the same sample again."""
        frames_each = -(-self.frames // self.utterances)
        return (
            rows
            | "TrainingSpeech" >> beam.FlatMap(_training_speech)
            | "Sample" >> beam.combiners.Top.Smallest(self.utterances, key=self._rank)
            | "Chunk" >> beam.FlatMap(_chunks)
            | beam.Reshuffle()
            | "DecodeAudio" >> beam.ParDo(DecodeAudio(self.max_seconds))
            | "EncodeSpeech" >> encode_speech(self.speech_encoder, self.precision)
            | "SampleFrames" >> beam.Map(_frames, frames_each, self.seed)
            | "Gather" >> beam.combiners.ToList()
            | "Fit" >> beam.Map(self._fit)
        )

    def _rank(self, utterance: Utterance) -> str:
        return hashlib.sha256(f"{self.seed}/{utterance.id}".encode()).hexdigest()

    def _fit(self, chunks: list[tuple[int, np.ndarray]]) -> str:
        if not chunks:
            raise ValueError(
                "no training speech to fit a codebook on: give rows with split `train`, "
                "or reuse a codebook with --codebook"
            )
        in_order = [frames for _, frames in sorted(chunks, key=lambda c: c[0])]
        # Of a chunk without a single good recording not even the dimension is known.
        frames = np.concatenate([f for f in in_order if len(f)] or in_order[:1])
        encoder = load_speech_encoder(self.speech_encoder, self.precision).card
        card = {
            "speech_encoder": self.speech_encoder,
            **{f"speech_encoder_{name}": value for name, value in encoder.items()},
            "speech_encoder_precision": self.precision,
            "utterances_asked_for": self.utterances,
        }
        fitted = kmeans.fit(frames, self.size, seed=self.seed, card=card)
        fitted.save(self.folder)
        return fitted.sha256


def _training_speech(row: tuple[int, Any]) -> Iterator[Utterance]:
    if isinstance(row[1], Utterance) and row[1].split == "train":
        yield row[1]


def _chunks(sample: list[Utterance]) -> Iterator[Shard]:
    # By archive, so that each is read in one chunk or two; what lies in none keeps its order.
    sample = sorted(sample, key=lambda u: audio_reference.archive_of(u.audio))
    for index in range(0, len(sample), CHUNK):
        yield Shard(index, sample[index : index + CHUNK])


def _frames(shard: Shard, each: int, seed: int) -> tuple[int, np.ndarray]:
    """A few frames of each utterance, less its mean: `(chunk, float32 [frames, dim])`."""
    sampled = [
        sample_frames(kmeans.normalize(features), each, seed + shard.index + i)
        for i, features in enumerate(shard.arrays)
    ]
    return shard.index, np.concatenate(sampled or [np.zeros((0, 0), np.float32)])
