"""Sound from a reference: WAV, FLAC, OGG or MP3 becomes mono float32 at 16 kHz, or a `Rejected`.

The content decides what a file is, its name never does. Decoding is libsndfile's (soundfile),
resampling soxr's. libsndfile returns part of a cut file without a word, so `pipelines.containers`
first checks that the file is whole, and what was decoded is compared with what was promised.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import soundfile
import soxr

from pipelines import archive, audio_reference, containers
from pipelines.audio_source import Recordings, speak
from pipelines.rejects import Rejected

SAMPLE_RATE = 16_000
"""Hz, of everything returned here."""
MIN_SECONDS = 0.05
MAX_SECONDS = 600.0
MAX_BYTES = 256 * 2**20
"""A larger file is refused unread, unless `max_seconds` of 24-bit stereo at 48 kHz are larger."""

_RATES = range(4_000, 768_001)
_BYTES_PER_SECOND = 48_000 * 2 * 3
_BLOCK_SAMPLES = 2**20
# libsndfile has 2**63 - 1 for a FLAC that doesn't know its length.
_UNKNOWN_FRAMES = 2**62
_ESPEAK = "espeak:"


def load_audio(
    reference: str,
    *,
    claimed_seconds: float | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
) -> np.ndarray:
    """Reads, decodes, mixes down and resamples one recording.

    Args:
        reference: a local path, a URL of any filesystem Beam knows (`gs://…`), an `espeak:` URI,
            or any other form that `pipelines.audio_reference` knows.
        claimed_seconds: the duration the corpus claims, to notice a cut file; None if it doesn't.
        min_seconds: less sound than this is rejected.
        max_seconds: more sound than this is rejected, by the header where that tells.

    Returns:
        float32 `[samples]` at `SAMPLE_RATE`, in [-1, 1]: the mean of the channels, scaled down to a
        peak of 1 where it was above.

    Raises:
        Rejected: the reference can't be turned into sound: `unsafe-path`, `missing-file` (also what
            isn't a regular file or may not be read), `empty-file`, `not-audio`, `empty-audio`,
            `truncated-audio` (also damaged inside), `non-finite-samples`, `too-short`, `too-long`,
            `invalid-value` (a speed),
            for `espeak:` what `Synthesizer.speak` gives, and what `archive.members` gives.
        OSError: the disk or the network failed; another try may succeed.
    """
    (result,) = load_audio_batch(
        [reference],
        claimed_seconds=[claimed_seconds],
        min_seconds=min_seconds,
        max_seconds=max_seconds,
    )
    if isinstance(result, Rejected):
        raise result
    return result


def load_audio_batch(
    references: Sequence[str],
    *,
    claimed_seconds: Sequence[float | None] | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
) -> list[np.ndarray | Rejected]:
    """`load_audio` of several references.

    All `espeak:` URIs are spoken in one call, an archive is read once, and so is a recording of
    which several parts are wanted one after another.

    Args:
        references: as in `load_audio`.
        claimed_seconds: one a reference, or None if nothing is claimed of any.
        min_seconds: as in `load_audio`.
        max_seconds: as in `load_audio`.

    Returns:
        In the order of `references`, what `load_audio` returns or raises as `Rejected`.

    Raises:
        OSError: as in `load_audio`.
    """
    claims = claimed_seconds if claimed_seconds is not None else [None] * len(references)
    parsed = [audio_reference.parse(reference) for reference in references]
    voices = iter(speak([r.file for r in parsed if r.file.startswith(_ESPEAK)]))
    recordings = Recordings(most_bytes(max_seconds))
    results: list[np.ndarray | Rejected] = []
    for reference, claim in zip(parsed, claims, strict=True):
        try:
            if reference.file.startswith(_ESPEAK):
                voice = next(voices)
                if isinstance(voice, Rejected):
                    raise voice
                results.append(_finish(*voice, reference.speed, min_seconds, max_seconds))
            elif reference.member:
                # Not here: another may lie before it in the archive.
                results.append(Rejected("missing-file", str(reference)))
            else:
                data = recordings.read(reference.file)
                sound, rate = _decode(data, claim, max_seconds, reference.span)
                results.append(_finish(sound, rate, reference.speed, min_seconds, max_seconds))
        except Rejected as rejected:
            results.append(rejected.without_traceback())
    for place, sound_or_reject in _load_members(parsed, claims, min_seconds, max_seconds):
        results[place] = sound_or_reject
    return results


def most_bytes(max_seconds: float) -> int:
    """The size of the largest file that is read, if `max_seconds` of sound are allowed."""
    return max(MAX_BYTES, int(max_seconds * _BYTES_PER_SECOND))


def _load_members(
    references: Sequence[audio_reference.AudioReference],
    claims: Sequence[float | None],
    min_seconds: float,
    max_seconds: float,
) -> Iterator[tuple[int, np.ndarray | Rejected]]:
    """The place of each reference into an archive, and its sound; each archive is read once."""
    wanted: dict[str, dict[str, list[int]]] = {}
    for place, reference in enumerate(references):
        if reference.member:
            members = wanted.setdefault(reference.file, {})
            members.setdefault(reference.member, []).append(place)
    for archive_path, places in wanted.items():
        most = most_bytes(max_seconds)
        for member, content in archive.members(archive_path, places, most_bytes=most):
            for place in places[member]:
                sound = decode_content(
                    content,
                    claimed_seconds=claims[place],
                    min_seconds=min_seconds,
                    max_seconds=max_seconds,
                    span=references[place].span,
                    speed=references[place].speed,
                )
                yield place, sound


def decode_content(
    content: bytes | Rejected,
    *,
    claimed_seconds: float | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
    span: tuple[float, float] | None = None,
    speed: float = 1.0,
) -> np.ndarray | Rejected:
    """`decode_audio` for what may have been rejected before; returns a reject, raises none.

    Args:
        content: a whole file, or why there is none.
        claimed_seconds: as in `load_audio`.
        min_seconds: as in `load_audio`.
        max_seconds: as in `load_audio`.
        span: the part that is wanted, from and to in seconds; None for all of it.
        speed: how fast it is played; pitch goes with it.
    """
    if isinstance(content, Rejected):
        return content
    try:
        sound, rate = _decode(content, claimed_seconds, max_seconds, span)
        return _finish(sound, rate, speed, min_seconds, max_seconds)
    except Rejected as rejected:
        return rejected.without_traceback()


def decode_audio(
    data: bytes,
    *,
    claimed_seconds: float | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
) -> np.ndarray:
    """`load_audio` of a file's bytes.

    Args:
        data: the whole file: WAV, FLAC, OGG (Vorbis or Opus) or MP3, at 4 to 768 kHz.
        claimed_seconds: as in `load_audio`.
        min_seconds: as in `load_audio`.
        max_seconds: as in `load_audio`.

    Returns:
        As in `load_audio`.

    Raises:
        Rejected: as in `load_audio`.
    """
    sound, rate = _decode(data, claimed_seconds, max_seconds)
    return _finish(sound, rate, 1.0, min_seconds, max_seconds)


class _Sequential(soundfile.SoundFile):
    """A sound file read from front to back.

    soundfile seeks after each block it reads, which fails at the end of a FLAC whose header doesn't
    know its length (any that was written to a pipe).
    """

    def seekable(self) -> bool:
        return False


def _decode(
    data: bytes,
    claimed: float | None,
    max_seconds: float,
    span: tuple[float, float] | None = None,
) -> tuple[np.ndarray, int]:
    """Mono samples, float32 `[samples]` at the file's own rate, and that rate in Hz."""
    if not data:
        raise Rejected("empty-file", "0 bytes")
    if span is not None:
        return _decode_part(data, *span, max_seconds)
    try:
        file = _Sequential(io.BytesIO(containers.whole(data)))
    except soundfile.SoundFileError as error:
        raise Rejected("not-audio", f"can't be opened: {_words(error)}") from None
    with file:
        rate = file.samplerate
        promised = file.frames if 0 <= file.frames < _UNKNOWN_FRAMES else None
        if rate not in _RATES:
            raise Rejected("not-audio", f"a sample rate of {rate} Hz; allowed are 4 to 768 kHz")
        if promised is not None and promised > max_seconds * rate:
            detail = f"{promised / rate:.1f} s by its header, the most is {max_seconds:g} s"
            raise Rejected("too-long", detail)
        sound = _mono_samples(file, promised, max_seconds)
    seconds = len(sound) / rate
    if promised is not None and seconds + 0.1 < promised / rate:
        detail = f"{seconds:.2f} s of sound, its header promises {promised / rate:.2f} s"
        raise Rejected("truncated-audio", detail)
    if claimed is not None and seconds + 0.1 < claimed * 0.9:
        detail = f"{seconds:.2f} s of sound, the corpus claims {claimed:.2f} s"
        raise Rejected("truncated-audio", detail)
    return sound, rate


def _decode_part(
    data: bytes, start: float, end: float, max_seconds: float
) -> tuple[np.ndarray, int]:
    """`_decode` from one second to another, without decoding what lies before."""
    if not 0 < end - start <= max_seconds:
        reason = "too-long" if end > start else "empty-audio"
        raise Rejected(reason, f"from {start:g} s to {end:g} s, the most is {max_seconds:g} s")
    try:
        with soundfile.SoundFile(io.BytesIO(containers.whole(data))) as file:
            rate = file.samplerate
            if rate not in _RATES:
                raise Rejected("not-audio", f"a sample rate of {rate} Hz; allowed are 4 to 768 kHz")
            if file.frames + 0.1 * rate < end * rate:
                detail = f"{file.frames / rate:.2f} s of sound, a part ends at {end:.2f} s"
                raise Rejected("truncated-audio", detail)
            file.seek(min(round(start * rate), file.frames))
            block = file.read(round((end - start) * rate), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise Rejected("truncated-audio", f"damaged or cut: {_words(error)}") from None
    if not np.isfinite(block).all():
        raise Rejected("non-finite-samples", "holds NaN or infinite samples")
    return _mean_of_channels(block), rate


def _mono_samples(file: _Sequential, promised: int | None, max_seconds: float) -> np.ndarray:
    block_size = max(1, _BLOCK_SAMPLES // file.channels)
    most = promised if promised is not None else int(max_seconds * file.samplerate) + 1
    blocks = [np.empty(0, np.float32)]
    frames = 0
    while frames < most:
        wanted = min(block_size, most - frames)
        try:
            block = file.read(wanted, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise Rejected("truncated-audio", f"damaged or cut: {_words(error)}") from None
        if not np.isfinite(block).all():
            raise Rejected("non-finite-samples", "holds NaN or infinite samples")
        blocks.append(_mean_of_channels(block))
        frames += len(block)
        if len(block) < wanted:
            break
    return np.concatenate(blocks)


def _mean_of_channels(block: np.ndarray) -> np.ndarray:
    # In float64: the sum of two huge float32 channels would be infinite.
    mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64)
    return np.asarray(mono, dtype=np.float32)


def _words(error: Exception) -> str:
    """libsndfile's message without the Python object it names."""
    return str(error).rpartition(">: ")[2].removeprefix("Error : ") or "no reason given"


def _finish(
    sound: np.ndarray, rate: int, speed: float, min_seconds: float, max_seconds: float
) -> np.ndarray:
    """float32 `[samples]` at `SAMPLE_RATE` within [-1, 1], if there is enough and not too much."""
    slowest, fastest = audio_reference.SPEEDS
    if not slowest <= speed <= fastest:
        detail = f"a speed of {speed:g}, allowed are {slowest:g} to {fastest:g}"
        raise Rejected("invalid-value", detail)
    # Played faster, it is as if there were as many samples in less time.
    played = rate * speed
    seconds = len(sound) / played
    if seconds == 0:
        raise Rejected("empty-audio", "0 samples")
    if seconds < min_seconds:
        raise Rejected("too-short", f"{seconds:.4f} s, the least is {min_seconds:g} s")
    if seconds > max_seconds:
        raise Rejected("too-long", f"over {max_seconds:g} s")
    peak = np.abs(sound).max()
    if peak > 1:
        # Scaled, not clipped: float files on the scale of integers exist.
        sound = sound / peak
    if played != SAMPLE_RATE:
        sound = soxr.resample(sound, played, SAMPLE_RATE)
    # The resampling filter overshoots by a few percent.
    return np.clip(sound, -1.0, 1.0)
