"""A codebook from a corpus, in Beam: a bounded sample of the training speech, fitted once.

No shuffle of everything: each worker keeps the few utterances whose hashes are the smallest, those
alone are decoded and encoded, and of each a few frames are kept. They go through files, since an
element of a pipeline should be small, to the one machine that fits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import audio_reference, storage
from pipelines import codebook as kmeans
from pipelines.encode_speech import Encoder, EncodeSpeech
from pipelines.long_recording import LongRecording
from pipelines.rejects import Rejected
from pipelines.shard import Shard
from pipelines.tokenize_speech import DecodeAudio
from pipelines.utterance import Utterance

import apache_beam as beam  # isort: skip

CHUNK = 200


@dataclass(eq=False)
class Sample(Shard):
    """Utterances of the sample.

    Args:
        frames_each: how many frames of each are kept at most.
    """

    frames_each: int = 0


@dataclass
class FitCodebook(beam.PTransform):
    """Numbered rows of a corpus to a codebook saved in `folder`.

    Args:
        folder: where `Codebook.save` writes; until then frames lie in `FOLDER-sample`.
        encoder: the speech encoder.
        size: k, the number of audio tokens.
        utterances: how many recordings to sample, all from the training split.
        frames: about how many frames to keep of them at most; the memory of the fit is this times
            the dimension of the features times 4 bytes.
        seed: seeds sampling and k-means.
        max_seconds: longer recordings are left out.
    """

    folder: str
    encoder: Encoder
    size: int
    utterances: int
    frames: int
    seed: int
    max_seconds: float

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: Any) -> Any:
        """Samples by the hash of the id, which gives the same sample again."""
        sampled = SampleFrames(self.seed)
        return (
            rows
            | "TrainingSpeech" >> beam.FlatMap(_training_speech)
            | "Sample" >> beam.combiners.Top.Smallest(self.utterances, key=self._rank)
            | "Chunk" >> beam.FlatMap(_chunks, self.frames)
            | beam.Reshuffle()
            | "DecodeAudio" >> beam.ParDo(DecodeAudio(self.max_seconds))
            | "Excerpt" >> beam.Map(_excerpts, self.seed)
            | "EncodeSpeech" >> EncodeSpeech(self.encoder, sampled)
            | "KeepFrames" >> beam.Map(_write, self._sample_folder)
            | "Gather" >> beam.combiners.ToList()
            | "Fit" >> beam.Map(self._fit)
        )

    @property
    def _sample_folder(self) -> str:
        return f"{self.folder}-sample"

    def _rank(self, utterance: Utterance) -> str:
        return _hash(self.seed, utterance.id).hex()

    def _fit(self, files: list[tuple[str, int, int]]) -> str:
        """Fits and saves what the files hold, each given by its path, frames and dimension."""
        if not files:
            raise ValueError(
                "no training speech to fit a codebook on: give rows with split `train`, "
                "or reuse a codebook with --codebook"
            )
        # Of a file without a single good recording not even the dimension is known.
        frames = np.empty((sum(f[1] for f in files), max(f[2] for f in files)), np.float32)
        filled = 0
        for path, count, _ in sorted(f for f in files if f[1]):
            loaded = np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False)
            frames[filled : filled + count] = loaded
            filled += count
            storage.remove(path)
        if not storage.is_remote(self.folder):
            storage.remove(self._sample_folder)
        encoder = self.encoder.load().card
        card = {
            "speech_encoder": self.encoder.name,
            **{f"speech_encoder_{name}": value for name, value in encoder.items()},
            "speech_encoder_precision": self.encoder.precision,
            "utterances_asked_for": self.utterances,
        }
        fitted = kmeans.fit(frames, self.size, seed=self.seed, card=card, overwrite=True)
        fitted.save(self.folder)
        return fitted.sha256


@dataclass(frozen=True)
class SampleFrames:
    """A few frames of an utterance, less its mean, in their order: float32 `[frames, dim]`."""

    seed: int

    def __call__(
        self, shard: Shard, utterances: Sequence[Utterance], features: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """At most `Sample.frames_each` of each, chosen by the seed and the utterance's id."""
        assert isinstance(shard, Sample)
        return [
            self._some(shard, utterance, frames)
            for utterance, frames in zip(utterances, features, strict=True)
        ]

    def _some(self, shard: Sample, utterance: Utterance, features: np.ndarray) -> np.ndarray:
        if len(features) <= shard.frames_each:
            return kmeans.normalize(features)
        random = np.random.default_rng(list(_hash(self.seed, utterance.id)))
        chosen = random.choice(len(features), shard.frames_each, replace=False)
        sampled: np.ndarray = kmeans.normalize(features)[np.sort(chosen)]
        return sampled


def _hash(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}/{text}".encode("utf-8", "surrogatepass")).digest()


def _training_speech(row: tuple[int, Any]) -> Iterator[Utterance]:
    if isinstance(row[1], Utterance) and row[1].split == "train":
        yield row[1]


def _chunks(utterances: list[Utterance], frames: int) -> Iterator[Sample]:
    """By archive, so that each is read once; what lies in none keeps its order."""
    by_archive: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        archive = audio_reference.archive_of(utterance.audio)
        by_archive.setdefault(archive, []).append(utterance)
    each = -(-frames // max(1, len(utterances)))
    in_none = by_archive.pop("", [])
    for index, start in enumerate(range(0, len(in_none), CHUNK)):
        yield Sample(index, in_none[start : start + CHUNK], frames_each=each)
    for archive, some in by_archive.items():
        yield Sample(0, some, archive=archive, frames_each=each)


def _excerpts(sample: Sample, seed: int) -> Sample:
    """Ten minutes are enough to hear of a long recording."""
    heard = dataclasses.replace(
        sample, utterances=[], rejects=list(sample.rejects), arrays=[], seconds=[]
    )
    for utterance, sound, seconds in zip(
        sample.utterances, sample.arrays, sample.seconds, strict=True
    ):
        if isinstance(sound, LongRecording):
            place = int.from_bytes(_hash(seed, utterance.id)[:4], "big") / 2**32
            try:
                sound = sound.excerpt(place)
            except Rejected as rejected:
                heard.rejects.append(rejected.reject(utterance.id, utterance.audio, "decode"))
                continue
        heard.utterances.append(utterance)
        heard.arrays.append(sound)
        heard.seconds.append(seconds)
    return heard


def _write(sample: Sample, folder: str) -> tuple[str, int, int]:
    """Writes a chunk's frames to a file, if there are any: its path, frames and dimension."""
    path = storage.join(folder, f"{sample.name}.npy")
    if not sample.arrays:
        return path, 0, 0
    frames = np.concatenate(sample.arrays)
    buffer = io.BytesIO()
    np.save(buffer, frames)
    storage.write_bytes(path, buffer.getvalue())
    return path, *frames.shape
