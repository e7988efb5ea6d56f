"""The shards of one tar archive, cut while it is read: memory stays flat however large it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from pipelines import archive, audio_reference
from pipelines.audio import SAMPLE_RATE, decode_content, most_bytes
from pipelines.rejects import Rejected
from pipelines.shard import Shard
from pipelines.utterance import Utterance

MOST_ROWS = 512
MOST_BYTES = 64 * 2**20
"""A shard ends at so many rows or bytes of files (35 minutes of 16-bit WAV at 16 kHz)."""

_Files = list[tuple[Utterance, "bytes | Rejected"]]


def decoded_shards(
    whole: Shard, max_seconds: float, is_finished: Callable[[Shard], bool]
) -> Iterator[Shard]:
    """Reads an archive once and yields its shards, decoded.

    Where a shard begins and ends follows from the archive and the rows alone, so that a run that is
    resumed cuts it the same way.

    Args:
        whole: all rows of the archive, validated; nothing is decoded yet. Its rejects go into the
            first shard.
        max_seconds: longer recordings are rejected.
        is_finished: whether an earlier run wrote a shard; by its `name` alone. Such a shard is read
            over, not decoded, not yielded.
    """
    contents: _Files = []
    size, shard = 0, dataclasses.replace(whole, utterances=[])
    for utterance, content in _contents(whole, max_seconds):
        contents.append((utterance, content))
        size += len(content) if isinstance(content, bytes) else 0
        if len(contents) >= MOST_ROWS or size >= MOST_BYTES:
            decoded = None if is_finished(shard) else _decoded(shard, contents, max_seconds)
            contents, size = [], 0
            shard = Shard(shard.index + 1, archive=whole.archive)
            if decoded is not None:
                yield decoded
                # Or it would stay until the next one is read.
                del decoded
    if (contents or shard.rejects) and not is_finished(shard):
        yield _decoded(shard, contents, max_seconds)


def _contents(whole: Shard, max_seconds: float) -> Iterator[tuple[Utterance, bytes | Rejected]]:
    """Each utterance with its file, in the order of the archive."""
    by_member: dict[str, list[Utterance]] = {}
    for utterance in whole.utterances:
        member = audio_reference.parse(utterance.audio).member
        by_member.setdefault(member, []).append(utterance)
    most = most_bytes(max_seconds)
    for member, content in archive.members(whole.archive, by_member, most_bytes=most):
        for utterance in by_member[member]:
            yield utterance, content


def _decoded(shard: Shard, contents: _Files, max_seconds: float) -> Shard:
    utterances, arrays, rejects = [], [], list(shard.rejects)
    for utterance, content in contents:
        reference = audio_reference.parse(utterance.audio)
        sound = decode_content(
            content,
            claimed_seconds=utterance.seconds,
            max_seconds=max_seconds,
            span=reference.span,
            speed=reference.speed,
        )
        if isinstance(sound, Rejected):
            rejects.append(sound.reject(utterance.id, utterance.audio, "decode"))
        else:
            utterances.append(utterance)
            arrays.append(sound)
    return dataclasses.replace(
        shard,
        utterances=utterances,
        rejects=rejects,
        arrays=arrays,
        seconds=[len(sound) / SAMPLE_RATE for sound in arrays],
    )
