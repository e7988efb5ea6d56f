"""Sound from a reference: WAV, FLAC, OGG or MP3 becomes mono float32 at 16 kHz, or a `Rejected`.

The content decides what a file is, its name never does. Decoding is `pipelines.recording`'s,
resampling soxr's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import soxr

from pipelines import archive, audio_reference
from pipelines.audio_reference import AudioReference
from pipelines.audio_source import Recordings, speak
from pipelines.recording import Recording, Span, refuse_a_cut
from pipelines.rejects import Rejected

T = TypeVar("T")

SAMPLE_RATE = 16_000
"""Hz, of everything returned here."""
MIN_SECONDS = 0.05
MAX_SECONDS = 600.0
MAX_BYTES = 256 * 2**20
"""A larger file is refused unread, unless `max_seconds` of 24-bit stereo at 48 kHz are larger."""

_BYTES_PER_SECOND = 48_000 * 2 * 3
ESPEAK = "espeak:"
"""What a reference begins with that is to be spoken."""


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
    voices = iter(speak([r.file for r in parsed if r.file.startswith(ESPEAK)]))
    recordings = Recordings(most_bytes(max_seconds))
    results: list[np.ndarray | Rejected] = []

    def of_file(reference: AudioReference, claim: float | None) -> np.ndarray:
        recording = recordings.open(reference.file, again=reference.span is not None)
        part = reference.span, reference.speed
        return decode(recording, claim, min_seconds, max_seconds, *part)

    for reference, claim in zip(parsed, claims, strict=True):
        if reference.file.startswith(ESPEAK):
            voice = next(voices)
            if isinstance(voice, Rejected):
                results.append(voice)
            else:
                limits = min_seconds, max_seconds
                results.append(without_traceback(finish, *voice, reference.speed, *limits))
        elif reference.member:
            # Not here: another may lie before it in the archive.
            results.append(Rejected("missing-file", str(reference)))
        else:
            results.append(without_traceback(of_file, reference, claim))
    for place, sound_or_reject in _load_members(parsed, claims, min_seconds, max_seconds):
        results[place] = sound_or_reject
    return results


def most_bytes(max_seconds: float) -> int:
    """The size of the largest file that is read, if `max_seconds` of sound are allowed."""
    return max(MAX_BYTES, int(max_seconds * _BYTES_PER_SECOND))


def _load_members(
    references: Sequence[AudioReference],
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

    def of_content(content: bytes | Rejected, place: int) -> np.ndarray:
        if isinstance(content, Rejected):
            raise content
        part = references[place].span, references[place].speed
        return decode(Recording(content), claims[place], min_seconds, max_seconds, *part)

    for archive_path, places in wanted.items():
        most = most_bytes(max_seconds)
        for member, content in archive.members(archive_path, places, most_bytes=most):
            for place in places[member]:
                yield place, without_traceback(of_content, content, place)


def without_traceback(call: Callable[..., T], *arguments: Any) -> T | Rejected:
    """What a call returns or raises as `Rejected`."""
    try:
        return call(*arguments)
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
    return decode(Recording(data), claimed_seconds, min_seconds, max_seconds)


def decode(
    recording: Recording,
    claimed_seconds: float | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
    span: Span | None = None,
    speed: float = 1.0,
) -> np.ndarray:
    """`load_audio` of a recording that is open, or of a part of it, at some speed."""
    recording.refuse_longer(max_seconds, span)
    blocks, decoded = [np.empty(0, np.float32)], 0
    for block in recording.blocks(span):
        blocks.append(block)
        decoded += len(block)
        if decoded > max_seconds * recording.rate:
            break
    else:
        refuse_a_cut(decoded / recording.rate, claimed_seconds)
    return finish(np.concatenate(blocks), recording.rate, speed, min_seconds, max_seconds)


def finish(
    sound: np.ndarray, rate: int, speed: float, min_seconds: float, max_seconds: float
) -> np.ndarray:
    """float32 `[samples]` at `SAMPLE_RATE` within [-1, 1], if there is enough and not too much.

    Args:
        sound: mono, float32 `[samples]`.
        rate: samples a second.
        speed: how fast it is played; pitch goes with it.
        min_seconds: as in `load_audio`, of what is played.
        max_seconds: as in `load_audio`, of what is played.

    Raises:
        Rejected: `empty-audio`, `too-short`, `too-long`, `invalid-value` (the speed).
    """
    played = played_rate(rate, speed)
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


def at_speed(sound: np.ndarray, speed: float) -> np.ndarray:
    """Sound as `finish` gives it, faster or slower, pitch and all: float32 `[samples / speed]`.

    Raises:
        Rejected: `invalid-value`.
    """
    played = played_rate(SAMPLE_RATE, speed)
    resampled: np.ndarray = np.clip(soxr.resample(sound, played, SAMPLE_RATE), -1.0, 1.0)
    return resampled


def played_rate(rate: int, speed: float) -> float:
    """Samples a second at some speed: faster, it is as if there were as many in less time.

    Raises:
        Rejected: `invalid-value`.
    """
    if not audio_reference.is_speed(speed):
        slowest, fastest = audio_reference.SPEEDS
        detail = f"a speed of {speed:g}, allowed are {slowest:g} to {fastest:g}"
        raise Rejected("invalid-value", detail)
    return rate * speed
