"""Audio tokens of recordings at several speeds, kept for the next model of the same codebook.

Hearing is the speech encoder's work, nearly all that an index of speeds costs; models that share a
codebook hear the same. A file holds a block of recordings and is named by all that decides its
tokens, so a block is found again where the same recordings are indexed by the same options.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.rejects import Rejected
from scann_index.row import Row

_METRICS = "unreadable_recordings"


def heard(rows: Sequence[Row], model: Any, cache: str = "") -> list[list[np.ndarray]]:
    """The audio tokens of recordings, read again and heard at each speed of the model.

    A recording that can't be read is counted, and known by its row's own audio tokens at any speed.

    Args:
        rows: of speech, at least one.
        model: a `DualEncoder` with a codebook and `speeds`.
        cache: where tokens are kept, local or remote; empty keeps none.

    Returns:
        What `DualEncoder.hear` does: for the recordings' own speed and for each of the model's, a
        list parallel to `rows` of int16 `[frames]`.
    """
    path = storage.join(cache, f"{_key(rows, model)}.npz") if cache else ""
    if path and (kept := _read(path, (1 + len(model.speeds), len(rows)))):
        return kept
    sounds = _sounds(rows)
    tokens: list[list[np.ndarray]] = model.hear(sounds)
    # What can't be read today may be readable tomorrow.
    if path and all(sound.dtype == np.float32 for sound in sounds):
        _write(path, tokens)
    return tokens


def unreadable(result: Any) -> dict[str, int]:
    """By reason, the recordings a finished `PipelineResult` knows by their audio tokens alone."""
    from apache_beam.metrics import MetricsFilter

    found = result.metrics().query(MetricsFilter().with_namespace(_METRICS))["counters"]
    return {counter.key.metric.name: int(counter.result or 0) for counter in found}


def _sounds(rows: Sequence[Row]) -> list[np.ndarray]:
    """Waveforms; of a recording that can't be read again, counted, its audio tokens."""
    from apache_beam.metrics import Metrics

    from pipelines.audio import load_audio_batch

    sounds = []
    for row, sound in zip(rows, load_audio_batch([row.audio for row in rows]), strict=True):
        if isinstance(sound, Rejected):
            Metrics.counter(_METRICS, sound.reason).inc()
        sounds.append(row.tokens if isinstance(sound, Rejected) else sound)
    return sounds


def _key(rows: Sequence[Row], model: Any) -> str:
    # A row's content has its own audio tokens: other sound under an old name is another block.
    codebook = [model.codebook.card["speech_encoder"], model.codebook.sha256]
    parts = [*codebook, list(model.speeds), [row.content for row in rows]]
    return storage.sha256(json.dumps(parts).encode())[:32]


def _write(path: str, tokens: list[list[np.ndarray]]) -> None:
    buffer = io.BytesIO()
    lengths = np.array([[len(one) for one in part] for part in tokens], np.int32)
    flat = np.concatenate([one for part in tokens for one in part]).astype(np.int16)
    np.savez(buffer, lengths=lengths, tokens=flat)
    storage.write_bytes(path, buffer.getvalue())


def _read(path: str, shape: tuple[int, int]) -> list[list[np.ndarray]]:
    """What was kept of so many speeds and recordings; nothing if that is not there, or damaged."""
    try:
        with np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False) as file:
            lengths, tokens = file["lengths"], file["tokens"]
    except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return []
    if lengths.shape != shape or tokens.shape != (lengths.sum(),):
        return []
    parts = np.split(tokens, np.cumsum(lengths.ravel())[:-1])
    return [parts[start : start + shape[1]] for start in range(0, len(parts), shape[1])]
