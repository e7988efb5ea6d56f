"""Small recordings for tests, as bytes."""

from __future__ import annotations

import io

import numpy as np
import soundfile


def voice(seconds: float, rate: int = 16_000, *, seed: int = 0) -> np.ndarray:
    """Something with pitch, harmonics and noise: float32 `[samples]`, peak about 0.4."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * (random.uniform(90, 250) + 40 * time) * time
    tone = sum(np.sin(k * pitch) / k for k in range(1, 6))
    sound = 0.15 * tone + 0.01 * random.standard_normal(len(time))
    return sound.astype(np.float32)


def encoded(
    sound: np.ndarray, rate: int = 16_000, form: str = "WAV", subtype: str | None = None
) -> bytes:
    """A sound file: `form` and `subtype` are libsndfile's names."""
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=form, subtype=subtype)
    return file.getvalue()


def mp3_without_length(sound: np.ndarray, rate: int = 16_000) -> bytes:
    """A variable-rate MP3 that begins with sound, as a program writes it to a pipe."""
    data = encoded(sound, rate, "MP3")
    # The first frame holds the Xing header only; all frames begin with the same three half-bytes.
    return data[data.index(data[:2], 2) :]


def with_wav_size(data: bytes, size: int) -> bytes:
    """A WAV whose header says that so many bytes of sound follow."""
    place = data.index(b"data") + 4
    return data[:place] + size.to_bytes(4, "little") + data[place + 4 :]


def with_flac_samples(data: bytes, samples: int) -> bytes:
    """A FLAC whose header says that it holds so many samples; 0 stands for not known."""
    # The last 36 bits of the five bytes from 21 on (RFC 9639, section 8.2).
    field = int.from_bytes(data[21:26], "big") >> 36 << 36 | samples
    return data[:21] + field.to_bytes(5, "big") + data[26:]
