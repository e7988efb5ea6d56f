"""The unit of work: a slice of the corpus that is read, tokenized and written in one go.

A row's shard follows from the hash of its id, so that the same row always lands in the same shard,
rows with the same id meet there, and a finished shard can be skipped when a run is resumed.

Rows whose sound lies in a tar archive stay together instead, since an archive is read once, from
front to back. What is too much for memory is cut into several shards while it is decoded:
`pipelines.cut_shards`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines import audio_reference
from pipelines.pairs import Pair
from pipelines.rejects import Reject
from pipelines.utterance import LANGUAGES, SPLITS, Utterance

Row = Utterance | Pair | Reject


@dataclass(eq=False)
class Shard:
    """Some rows of a corpus on their way to audio tokens.

    Args:
        index: which shard; 0 of an archive's.
        utterances: the recordings not rejected so far.
        pairs: text–text pairs that need no tokenization.
        rejects: what was set aside so far.
        arrays: parallel to `utterances`: after decoding waveforms (float32 `[samples]`) and, in
            place of those too long for memory, `LongRecording`s; then audio tokens (int16
            `[frames]`), or what else is made of features.
        seconds: parallel to `utterances`, the duration of each sound.
        archive: the archive that holds all the sounds, or empty.
        part: which of those that the shard, or its archive, was cut into.
    """

    index: int
    utterances: list[Utterance] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    arrays: list[Any] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    archive: str = ""
    part: int = 0

    @property
    def name(self) -> str:
        """Unique within a run: `00003`, `00003-00001` for what was cut from it, or
        `7d1a0c39b2e4-00003` for the fourth of an archive."""
        if self.archive:
            return f"{archive_name(self.archive)}-{self.part:05d}"
        return f"{self.index:05d}-{self.part:05d}" if self.part else f"{self.index:05d}"

    @property
    def rows(self) -> int:
        """How many rows of the corpus it stands for."""
        return len(self.utterances) + len(self.pairs) + len(self.rejects)


def shard_index(row_id: str, count: int) -> int:
    """Which of `count` shards a row belongs to."""
    digest = hashlib.sha256(row_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % count


def archive_name(path: str) -> str:
    """What stands for an archive in the names of files."""
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def unit_of(row: Row, count: int) -> tuple[str, int]:
    """What has to be read together with a row: its archive and 0, or an empty string and a shard.

    Parts of one recording go by the recording, so that it is decoded in one place.
    """
    if not isinstance(row, Utterance):
        return "", shard_index(row.id, count)
    reference = audio_reference.parse(row.audio)
    if reference.member:
        return reference.file, 0
    return "", shard_index(reference.file if reference.span else row.id, count)


def validate(index: int, rows: Iterable[tuple[int, Row]], archive: str = "") -> Shard:
    """Sorts the rows of one shard into good ones and rejects.

    Args:
        index: which shard.
        archive: the archive it belongs to, as in `Shard`.
        rows: each with its place in the corpus. Of rows with the same id the first is kept.
    """
    shard = Shard(index, archive=archive)
    seen: set[str] = set()
    for _, row in sorted(rows, key=lambda numbered: numbered[0]):
        if isinstance(row, Reject):
            shard.rejects.append(row)
            continue
        problem = _problem(row, seen)
        seen.add(row.id)
        if problem is not None:
            uri = row.audio
            shard.rejects.append(Reject(row.id, uri, "validate", *problem))
        elif isinstance(row, Pair):
            shard.pairs.append(row)
        else:
            transcript = unicodedata.normalize("NFC", row.transcript.strip())
            shard.utterances.append(replace(row, transcript=transcript))
    return shard


def _problem(row: Utterance | Pair, seen: set[str]) -> tuple[str, str] | None:
    """Why a row can't be used: a reason and a sentence; None if it can."""
    if row.id in seen:
        return "duplicate-id", f"another row has the id {row.id!r}; the first one is kept"
    if isinstance(row, Pair):
        languages, text = [row.source_language, row.target_language], row.target_text
    else:
        languages, text = [row.language], row.transcript
    for language in languages:
        if language not in LANGUAGES:
            return "unknown-language", f"{language!r} is not in pipelines.utterance.LANGUAGES"
    if row.split not in SPLITS:
        return "unknown-split", f"{row.split!r} is none of {', '.join(SPLITS)}"
    if not text.strip():
        return "empty-transcript", "the transcript has no characters but white space"
    return None
