"""Manifests of Lhotse (cuts) and NeMo: recordings, or parts of them, one JSON object a line.

Lhotse, `cuts.jsonl.gz`: a cut is a part of a recording, and each of its supervisions a part of the
cut, with `text`, `language`, `speaker`, `gender`; it becomes an utterance. NeMo, `manifest.json`:
`audio_filepath`, `text`, and if need be `offset`, `duration`, `lang`. Sources: the documentation
of `lhotse.cut`, and NeMo's "ASR datasets".
"""

from __future__ import annotations

import os
import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import storage
from pipelines.audio_reference import AudioReference
from pipelines.corpora.language_code import language_code
from pipelines.corpora.manifest import (
    readable,
    resolved,
    seconds_of,
    sentence_key,
    split_of,
    text_of,
    transcript_of,
)
from pipelines.corpora.table import json_object
from pipelines.corpora.text_file import lines
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import Utterance, normalized_gender

_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_SPLIT = re.compile(r"(?:^|[^a-z])(train|dev|valid|validation|val|test)(?:[^a-z]|$)")
_SPLIT_NAMES = {"valid": "dev", "validation": "dev", "val": "dev"}


class _JsonCorpus(ABC):
    """A JSONL file of utterances.

    Args:
        path: the manifest, local or a URL; it may be gzipped.
        audio_root: where relative paths start, a folder or a tar archive; the manifest's own folder
            if empty.
        languages: the language of rows that name none, if it is one.
        splits: the split of all rows, if it is one; else the manifest's name tells (`train_cuts`,
            `dev.json`), or a hash of the sentence, as in `ManifestCorpus`.

    Raises:
        ValueError: the manifest is not there, or there are several languages or splits.
    """

    name = "json"

    def __init__(
        self,
        path: str,
        *,
        audio_root: str = "",
        languages: Sequence[str] = (),
        splits: Sequence[str] = (),
    ) -> None:
        if not storage.exists(path):
            raise ValueError(f"--corpus-path {path}: no such file")
        if len(languages) > 1 or len(splits) > 1:
            raise ValueError(f"--corpus {self.name} takes one of --languages and one of --splits")
        self.path = path
        self.in_archives = audio_root.endswith(_ARCHIVES)
        self._root = audio_root or posixpath.dirname(path) or "."
        self._language = languages[0] if languages else ""
        found = _SPLIT.search(posixpath.basename(path).lower())
        self._split = splits[0] if splits else ""
        if found and not self._split:
            self._split = _SPLIT_NAMES.get(found[1], found[1])

    def rows(self) -> Iterator[Utterance | Reject]:
        """Every utterance in order, the bad ones as rejects."""
        name = posixpath.basename(self.path)
        try:
            for number, raw in lines(self.path):
                if raw.strip():
                    yield from self._row(f"{name}:{number}", raw)
        except Rejected as rejected:
            yield rejected.reject(name, self.path, "read")

    def card(self) -> dict[str, Any]:
        """What was read."""
        return {"name": self.name, "path": self.path}

    def _row(self, place: str, raw: bytes) -> Iterator[Utterance | Reject]:
        row: dict[str, Any] = {}
        try:
            row = json_object(raw)
            yield from self._utterances(row, place)
        except Rejected as rejected:
            id, uri = readable(row, "id") or place, readable(row, "audio_filepath")
            yield rejected.reject(id, uri, "read", place=place)

    @abstractmethod
    def _utterances(self, row: dict[str, Any], place: str) -> Iterator[Utterance | Reject]:
        """The utterances of one line of the manifest."""

    def _utterance(
        self, id: str, file: str, fields: dict[str, Any], span: tuple[float, float] | None
    ) -> Utterance:
        transcript = transcript_of({"transcript": fields.get("text")})
        language = text_of(fields, "language") or self._language
        if not language:
            raise Rejected("missing-value", "no language; give --languages if all rows have one")
        sentence_id = sentence_key(transcript)
        if self.in_archives:
            reference = AudioReference(self._root, file, span)
        else:
            reference = AudioReference(resolved(file, self._absolute_root()), span=span)
        return Utterance(
            id=id,
            audio=str(reference),
            language=language_code(language),
            transcript=transcript,
            sentence_id=sentence_id,
            split=self._split or split_of(sentence_id),
            speaker=text_of(fields, "speaker"),
            seconds=span[1] - span[0] if span else seconds_of({"seconds": fields.get("duration")}),
            gender=normalized_gender(text_of(fields, "gender")),
        )

    def _absolute_root(self) -> str:
        return self._root if storage.is_remote(self._root) else os.path.abspath(self._root)


class NemoCorpus(_JsonCorpus):
    """A NeMo manifest; a row with an `offset` is the part of the file that begins there."""

    name = "nemo"

    def _utterances(self, row: dict[str, Any], place: str) -> Iterator[Utterance | Reject]:
        source, target = (text_of(row, key) for key in ("source_lang", "target_lang"))
        if source and target and source != target:
            raise Rejected("missing-value", f"text in {target} for speech in {source}")
        language = next((t for k in ("lang", "language") if (t := text_of(row, k))), source)
        span, offset = None, number_of(row, "offset")
        if offset:
            duration = number_of(row, "duration")
            if not duration:
                raise Rejected("missing-value", "an 'offset' without a 'duration'")
            span = offset, offset + duration
        speaker = text_of(row, "speaker") or text_of(row, "speaker_id")
        fields = {**row, "language": language, "speaker": speaker}
        yield self._utterance(place, text_of(row, "audio_filepath"), fields, span)


class LhotseCorpus(_JsonCorpus):
    """Lhotse cuts; one with several supervisions gives as many utterances."""

    name = "lhotse"

    def _utterances(self, row: dict[str, Any], place: str) -> Iterator[Utterance | Reject]:
        supervisions = row.get("supervisions")
        if not isinstance(supervisions, list) or not supervisions:
            raise Rejected("missing-value", "a cut without supervisions")
        file, length = _recording(row)
        for number, fields in enumerate(supervisions):
            id = text_of(row, "id") or place
            id += f"-{number}" if len(supervisions) > 1 else ""
            try:
                if not isinstance(fields, dict):
                    raise Rejected("invalid-row", "a supervision that is no object")
                start = number_of(row, "start") + number_of(fields, "start")
                span = start, start + number_of(fields, "duration")
                whole = start < 0.001 and abs(span[1] - length) < 0.01
                yield self._utterance(id, file, fields, None if whole else span)
            except Rejected as rejected:
                yield rejected.reject(id, file, "read", place=place)


def _recording(cut: dict[str, Any]) -> tuple[str, float]:
    """The file of a cut's recording and its length in seconds."""
    recording = cut.get("recording")
    if not isinstance(recording, dict):
        raise Rejected("invalid-row", f"a {text_of(cut, 'type') or 'cut'} without a recording")
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        raise Rejected("invalid-row", "a recording that is not one file")
    source = sources[0]
    kind = text_of(source, "type")
    if kind not in ("file", "url"):
        # A command would be run by Lhotse; not here.
        raise Rejected("unsafe-path", f"a source of the type {kind!r}; allowed are file and url")
    if len(source.get("channels") or [0]) > 1:
        raise Rejected("invalid-row", "a recording of several channels; split them first")
    if recording.get("transforms"):
        raise Rejected("invalid-row", "a recording with transforms; save the result first")
    return text_of(source, "source"), number_of(recording, "duration")


def number_of(row: dict[str, Any], column: str) -> float:
    """A number of seconds, 0 if there is none.

    Raises:
        Rejected: `invalid-row`: it is no number, or below 0.
    """
    value = row.get(column, 0)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise Rejected("invalid-row", f"{column!r} is {str(value)[:40]!r}, not seconds")
    return float(value)
