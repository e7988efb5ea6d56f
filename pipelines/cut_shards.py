"""Shards cut while their sound is decoded: memory stays flat, whatever they hold, and how much.

What is read together, the rows of an archive or those with a common hash, may be a thousand short
clips or a dozen recordings of ten hours.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np

from pipelines import archive, audio_reference
from pipelines.audio import ESPEAK, MIN_SECONDS, SAMPLE_RATE, finish, most_bytes, without_traceback
from pipelines.audio_reference import AudioReference
from pipelines.audio_source import Recordings, speak
from pipelines.long_recording import BLOCK_SECONDS, LongRecording, load
from pipelines.recording import Recording
from pipelines.rejects import Rejected
from pipelines.shard import Shard
from pipelines.utterance import Utterance

MOST_ROWS = 2048
MOST_SECONDS = 1000
"""A shard ends at so many rows or seconds of sound (64 MB), or with a long recording."""
SPOKEN_AT_ONCE = 256

Sound = np.ndarray | LongRecording
_Decode = Callable[[], Sound | Rejected]


def decoded_shards(
    whole: Shard, max_seconds: float, finished_rows: Callable[[Shard], int | None]
) -> Iterator[Shard]:
    """Reads and decodes the rows of a shard and yields them in one shard or several.

    Where one begins and ends follows from the rows and their sound alone, so that a run that is
    resumed cuts them the same way.

    Args:
        whole: all rows, validated; nothing is decoded yet. Its text pairs and rejects go into the
            first shard.
        max_seconds: longer recordings are rejected.
        finished_rows: how many rows an earlier run wrote of a shard, which it knows by its `name`
            alone; None if it wrote none. Such a shard is not decoded and not yielded.
    """
    rows = _from_archive(whole, max_seconds) if whole.archive else _from_files(whole, max_seconds)
    left = whole.rows
    part = dataclasses.replace(
        whole, utterances=[], rejects=list(whole.rejects), arrays=[], seconds=[]
    )
    while True:
        finished = finished_rows(part)
        if finished is None:
            _fill(part, rows)
            left -= part.rows
            yield part
        else:
            deque(itertools.islice(rows, finished - part.rows), maxlen=0)
            left -= finished
        if left <= 0:
            return
        part = dataclasses.replace(
            whole, utterances=[], pairs=[], rejects=[], arrays=[], seconds=[], part=part.part + 1
        )


def _fill(part: Shard, rows: Iterator[tuple[Utterance, _Decode]]) -> None:
    total = 0.0
    for number, (utterance, decode) in enumerate(rows, start=1):
        sound = decode()
        if isinstance(sound, Rejected):
            part.rejects.append(sound.reject(utterance.id, utterance.audio, "decode"))
        else:
            part.utterances.append(utterance)
            part.arrays.append(sound)
            if isinstance(sound, LongRecording):
                # How long, is known when it is encoded.
                part.seconds.append(0.0)
                total += MOST_SECONDS
            else:
                part.seconds.append(len(sound) / SAMPLE_RATE)
                total += part.seconds[-1]
        if number >= MOST_ROWS or total >= MOST_SECONDS:
            return


def _from_files(whole: Shard, max_seconds: float) -> Iterator[tuple[Utterance, _Decode]]:
    """Each utterance, and what decodes it; what is to be spoken is spoken together."""
    recordings = Recordings(most_bytes(max_seconds))
    for start in range(0, len(whole.utterances), SPOKEN_AT_ONCE):
        some = whole.utterances[start : start + SPOKEN_AT_ONCE]
        references = [audio_reference.parse(utterance.audio) for utterance in some]
        texts = [reference.file for reference in references if reference.file.startswith(ESPEAK)]
        spoken = cache(partial(speak, texts))
        for utterance, reference in zip(some, references, strict=True):
            if reference.file.startswith(ESPEAK):
                place = texts.index(reference.file)
                yield utterance, partial(_voice, spoken, place, reference.speed, max_seconds)
            else:
                yield utterance, partial(_file, recordings, utterance, reference, max_seconds)


def _voice(
    spoken: Callable[[], list[tuple[np.ndarray, int] | Rejected]],
    place: int,
    speed: float,
    max_seconds: float,
) -> Sound | Rejected:
    voice = spoken()[place]
    if isinstance(voice, Rejected):
        return voice
    return without_traceback(finish, *voice, speed, MIN_SECONDS, min(max_seconds, BLOCK_SECONDS))


def _file(
    recordings: Recordings, utterance: Utterance, reference: AudioReference, max_seconds: float
) -> Sound | Rejected:
    def opened() -> Sound:
        recording = recordings.open(reference.file, again=reference.span is not None)
        part = reference.span, reference.speed
        return load(reference.file, recording, utterance.seconds, max_seconds, *part)

    return without_traceback(opened)


def _from_archive(whole: Shard, max_seconds: float) -> Iterator[tuple[Utterance, _Decode]]:
    """Each utterance, and what decodes it, in the order of the archive."""
    by_member: dict[str, list[Utterance]] = {}
    for utterance in whole.utterances:
        member = audio_reference.parse(utterance.audio).member
        by_member.setdefault(member, []).append(utterance)
    # What lies in an archive can only be read into memory.
    most = most_bytes(min(max_seconds, BLOCK_SECONDS))
    for member, content in archive.members(whole.archive, by_member, most_bytes=most):
        for utterance in by_member[member]:
            yield utterance, partial(_member, content, utterance, max_seconds)


def _member(
    content: bytes | Rejected, utterance: Utterance, max_seconds: float
) -> Sound | Rejected:
    if isinstance(content, Rejected):
        return content
    reference = audio_reference.parse(utterance.audio)
    part = reference.span, reference.speed

    def opened() -> Sound:
        return load(content, Recording(content), utterance.seconds, max_seconds, *part)

    return without_traceback(opened)
