"""A recording to search with: any format, any length that fits into memory, from disk or at hand.

What `pipelines.audio` reads (WAV, FLAC, OGG, MP3) it reads. For the rest (a phone's m4a, a
browser's WebM, a film's sound) ffmpeg is asked, where it is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile

import numpy as np

from pipelines import audio as sound
from pipelines.rejects import Rejected

MAX_SECONDS = 7200.0
"""Longer recordings are refused: at 16 kHz two hours take 460 MB."""
_FFMPEG_SECONDS = 600
# Containers of sound only: a playlist could name other files, or addresses.
_FORMATS = "aac,aiff,amr,ape,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav,webm,wv"


def load(recording: str | bytes, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Decodes a recording.

    Args:
        recording: a path, a URL of any filesystem Beam knows, an `espeak:` URI, or a file's bytes.
        max_seconds: a longer one is refused.

    Returns:
        float32 `[samples]`, mono, 16 kHz, in [-1, 1].

    Raises:
        Rejected: it is none, see `pipelines.audio.load_audio`; `not-audio` says so if ffmpeg could
            help and isn't installed.
        OSError: the disk or the network failed.
    """
    try:
        if isinstance(recording, bytes):
            return sound.decode_audio(recording, max_seconds=max_seconds)
        return sound.load_audio(recording, max_seconds=max_seconds)
    except Rejected as rejected:
        if rejected.reason != "not-audio":
            raise
        program = shutil.which("ffmpeg")
        if program is None:
            detail = f"{rejected.detail}; with ffmpeg installed, other formats are searched as well"
            raise Rejected(rejected.reason, detail) from None
        data = recording if isinstance(recording, bytes) else _bytes(recording)
        return _converted(program, data, max_seconds, rejected)


def _bytes(reference: str) -> bytes:
    from pipelines import storage

    return storage.read_bytes(reference)


def _converted(program: str, data: bytes, max_seconds: float, refused: Rejected) -> np.ndarray:
    """What ffmpeg makes of a file: as `load`."""
    with tempfile.NamedTemporaryFile(prefix="babelear-") as file:
        file.write(data)
        file.flush()
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"]
        command += ["-format_whitelist", _FORMATS, "-i", f"file:{file.name}", "-vn", "-ac", "1"]
        # A little more than is allowed, so that what is too long is seen to be.
        command += ["-ar", str(sound.SAMPLE_RATE), "-t", str(max_seconds + 1)]
        try:
            done = subprocess.run(
                [*command, "-f", "f32le", "pipe:1"], capture_output=True, timeout=_FFMPEG_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise Rejected("not-audio", f"ffmpeg took over {_FFMPEG_SECONDS} s") from None
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], "<f4")
    if done.returncode or not len(samples):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        words = f"; ffmpeg: {last[0]}" if last else ""
        raise Rejected(refused.reason, refused.detail + words)
    if len(samples) > max_seconds * sound.SAMPLE_RATE:
        raise Rejected("too-long", f"over {max_seconds:g} s")
    if not np.isfinite(samples).all():
        raise Rejected("non-finite-samples", "holds NaN or infinite samples")
    return np.clip(samples, -1.0, 1.0)
