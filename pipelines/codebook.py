"""k-means over speech-encoder features: the step that turns sound into discrete audio tokens.

Section 3.1 of the paper: the frames of a pretrained speech encoder's middle layer are clustered,
and each frame is replaced by the number of its nearest centroid.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipelines import storage

MAX_CODEBOOK_BYTES = 512 << 20
BLOCK_FRAMES = 600 * 25
FEWEST_FRAMES = 39
"""For each centroid: fewer, and faiss too warns that they follow the sample more than speech."""
_FRAMES_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Codebook:
    """Centroids in a standardized feature space.

    Args:
        centroids: float32 `[k, dim]`, of frames normalized by `normalize`.
        deviation: float32 `[dim]`, the spread of each dimension over the sample.
        card: how it was made: speech encoder, k, seed, sample size; goes wherever it goes.

    Each utterance's own mean is subtracted before the division: it holds the speaker and the
    channel more than the words.
    """

    centroids: np.ndarray
    deviation: np.ndarray
    card: dict[str, Any]

    @property
    def size(self) -> int:
        """k, the number of audio tokens."""
        return len(self.centroids)

    @property
    def sha256(self) -> str:
        """What identifies the numbers in it."""
        return storage.sha256(self.centroids.tobytes() + self.deviation.tobytes())

    def refuse_other_encoder(self, card: dict[str, Any]) -> None:
        """Raises `ValueError` if an encoder isn't the one whose features were clustered.

        Args:
            card: the `SpeechEncoder.card` of the encoder at hand.
        """
        for name in ("layer", "dim", "sha256"):
            asked = self.card.get(f"speech_encoder_{name}")
            if asked is not None and asked != card[name]:
                raise ValueError(
                    f"the codebook was fitted on {self.card['speech_encoder']} with {name} "
                    f"{asked}; this one has {card[name]}: other weights are another encoder"
                )

    def assign(self, features: np.ndarray) -> np.ndarray:
        """Audio tokens of one utterance.

        Args:
            features: float32 `[frames, dim]` from the encoder named in the card.

        Returns:
            int16 `[frames]`, each in `[0, k)`.

        Raises:
            ValueError: the features have another dimension than the centroids.
        """
        return self.assign_all([features])[0]

    def assign_all(self, utterances: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Audio tokens of many utterances: what `assign` gives for each, in half the time.

        Raises:
            ValueError: as in `assign`.
        """
        for features in utterances:
            if features.ndim != 2 or features.shape[1] != self.centroids.shape[1]:
                raise ValueError(
                    f"features of shape {features.shape} don't fit centroids of dimension "
                    f"{self.centroids.shape[1]}: were they made by "
                    f"{self.card.get('speech_encoder')}?"
                )
        if not utterances:
            return []
        frames = np.concatenate([normalize(features) for features in utterances])
        tokens = np.empty(len(frames), np.int16)
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            block = slice(start, start + _FRAMES_AT_ONCE)
            tokens[block] = (frames[block] @ self._directions - self._penalties).argmax(1)
        return np.split(tokens, np.cumsum([len(u) for u in utterances])[:-1])

    @cached_property
    def _directions(self) -> np.ndarray:
        """Centroids over deviation, transposed: float32 `[dim, k]`."""
        return np.ascontiguousarray((self.centroids / self.deviation).T)

    @cached_property
    def _penalties(self) -> np.ndarray:
        """Half of each centroid's squared length: float32 `[k]`."""
        halves: np.ndarray = 0.5 * np.square(self.centroids).sum(1)
        return halves

    def neighbors(self, count: int = 8) -> np.ndarray:
        """The tokens nearest to each: int64 `[k, min(count, k - 1)]`, nearest first."""
        lengths = np.square(self.centroids).sum(1)
        distances = lengths[:, None] + lengths[None, :] - 2 * self.centroids @ self.centroids.T
        np.fill_diagonal(distances, np.inf)
        order: np.ndarray = distances.argsort(axis=1)[:, : min(count, self.size - 1)]
        return order

    def save(self, folder: str) -> None:
        """Writes `codebook.npz` (arrays only) and then `card.json` into a folder."""
        buffer = io.BytesIO()
        np.savez(buffer, centroids=self.centroids, deviation=self.deviation)
        storage.write_bytes(storage.join(folder, "codebook.npz"), buffer.getvalue())
        storage.write_json(
            storage.join(folder, "card.json"), {**self.card, "k": self.size, "sha256": self.sha256}
        )

    @classmethod
    def load(cls, folder: str) -> Codebook:
        """Reads what `save` wrote.

        Raises:
            ValueError: the arrays are not those the card names, or don't fit together.
        """
        data = storage.read_bytes(storage.join(folder, "codebook.npz"))
        if len(data) > MAX_CODEBOOK_BYTES:
            raise ValueError(f"{folder}/codebook.npz is larger than {MAX_CODEBOOK_BYTES} bytes")
        card = storage.read_json(storage.join(folder, "card.json"))
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                codebook = cls(arrays["centroids"], arrays["deviation"], card)
        except Exception as error:  # zipfile alone has half a dozen for what isn't whole
            raise ValueError(f"{folder}/codebook.npz is damaged: {error}") from error
        if codebook.sha256 != card["sha256"]:
            raise ValueError(f"{folder}/codebook.npz is damaged: its hash is not the card's")
        return codebook


def normalize(features: np.ndarray) -> np.ndarray:
    """Subtracts an utterance's mean frame: float32 `[frames, dim]` in and out.

    Of a recording of over ten minutes each ten have a mean of their own, so that it can be worked
    through in blocks (`pipelines.long_recording`).
    """
    starts = range(0, max(1, len(features)), BLOCK_FRAMES)
    blocks = [features[start : start + BLOCK_FRAMES] for start in starts]
    centred = [block - block.mean(0, keepdims=True) for block in blocks]
    return centred[0] if len(centred) == 1 else np.concatenate(centred)


def fit(
    frames: np.ndarray,
    k: int,
    *,
    seed: int,
    rounds: int = 15,
    card: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> Codebook:
    """Lloyd's algorithm on a sample of frames.

    Args:
        frames: float32 `[n, dim]`, each already through `normalize` with its own utterance.
        k: how many audio tokens, at most n. The paper uses 1024.
        seed: chooses the first centroids among the frames.
        rounds: Lloyd rounds at most.
        card: facts about the sample, kept with the codebook.
        overwrite: whether `frames` may be changed, which saves the memory of a copy.

    Raises:
        ValueError: there are fewer frames than centroids.

    On one thread, because the order in which threads add up would change the last bits, and with
    them the tokens, from run to run.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if len(frames) < k:
        raise ValueError(
            f"{len(frames)} frames are too few for {k} audio tokens; "
            "give more speech or a smaller --codebook-size"
        )
    deviation = _deviation(frames)
    scaled = np.divide(frames, deviation, out=frames if overwrite else None)
    with threadpool_limits(1):
        kmeans = KMeans(
            k, init="random", n_init=1, max_iter=rounds, random_state=seed, copy_x=False
        )
        kmeans.fit(scaled)
    centroids = kmeans.cluster_centers_.astype(np.float32)
    record = {
        "frames": len(frames),
        "seed": seed,
        "inertia_per_frame": kmeans.inertia_ / len(frames),
    }
    return Codebook(centroids, deviation, {**(card or {}), **record})


def advice(card: dict[str, Any]) -> str:
    """What to say of a codebook's sample, empty if it was large enough.

    Args:
        card: of a saved codebook.
    """
    if card["frames"] >= FEWEST_FRAMES * card["k"]:
        return ""
    return (
        f"the codebook's {card['k']} centroids were fitted on {card['frames']:,} frames, "
        f"{card['frames'] / card['k']:.0f} each: {FEWEST_FRAMES} are the least, 200 good; give "
        "more speech, --codebook-utterances and --codebook-frames, or a smaller --codebook-size"
    )


def _deviation(frames: np.ndarray) -> np.ndarray:
    """The standard deviation of each dimension, float32 `[dim]`, 0 taken for a very small one.

    In blocks and in float64: in float32 a million frames don't add up, and all at once they would
    need as much memory again.
    """
    blocks = [frames[start : start + 4096] for start in range(0, len(frames), 4096)]
    mean = sum(block.sum(0, dtype=np.float64) for block in blocks) / len(frames)
    squares = sum(np.square(block - mean).sum(0) for block in blocks) / len(frames)
    deviation: np.ndarray = np.maximum(np.sqrt(squares), 1e-6).astype(np.float32)
    return deviation
