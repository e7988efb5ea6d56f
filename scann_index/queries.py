"""A query from outside: what it may hold, and why one is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pipelines.audio import decode_audio
from pipelines.rejects import Rejected
from pipelines.utterance import LANGUAGES
from scann_index.row import MODALITIES

MAX_ANSWERS = 50

_STATUS = {"too-long": 413, "not-audio": 415}


class Refused(Exception):
    """A request that is not answered, and why.

    Args:
        status: HTTP status.
        reason: a slug that can be counted.
        detail: a sentence for a person.
        unread: whether the client may still be sending.
    """

    def __init__(self, status: int, reason: str, detail: str, *, unread: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.unread = unread


@dataclass(frozen=True)
class Limits:
    """What is taken at most.

    Args:
        bytes: of a request.
        seconds: of sound.
        characters: of text.
        upload_seconds: that a request may take to arrive.
    """

    bytes: int = 8_000_000
    seconds: float = 30.0
    characters: int = 500
    upload_seconds: float = 30.0


@dataclass(frozen=True, eq=False)
class Query:
    """What to look for, by text or by sound, and where.

    Args:
        text: stripped; empty if there is sound.
        sound: float32 `[samples]` at 16 kHz, None if there is text.
        language: of the query, where known.
        languages: only results in these; empty for all.
        modality: only results of this kind; empty for both.
        k: how many results.
    """

    text: str = ""
    sound: np.ndarray | None = None
    language: str = ""
    languages: tuple[str, ...] = ()
    modality: str = ""
    k: int = 10


async def query_of(given: Mapping[str, Any], audio: bytes | None, limits: Limits) -> Query:
    """The query that some fields and a sound make up.

    Args:
        given: the fields, by the names of `Query`; values as a form or JSON has them.
        audio: the bytes of a sound file, or None.
        limits: on the text and the sound.

    Raises:
        Refused: there is no query, or two, or one of impossible values.
    """
    given = {name: value for name, value in given.items() if value not in (None, "")}
    known = [f.name for f in fields(Query) if f.name != "sound"]
    if unknown := sorted(set(given) - set(known)):
        raise _invalid(f"{unknown[0][:40]!r} is none of {', '.join([*known, 'audio'])}")
    text = _words(given, "text").strip()
    if bool(text) == (audio is not None):
        raise Refused(422, "missing-query", "give a text or a sound, one of them")
    if len(text) > limits.characters:
        detail = f"{len(text):,} characters, the most is {limits.characters:,}"
        raise Refused(413, "too-long", detail)
    language, modality = _words(given, "language"), _words(given, "modality")
    if language and language not in LANGUAGES:
        raise _invalid(f"language {language[:40]!r} is no code known here")
    if modality and modality not in MODALITIES:
        raise _invalid(f"modality {modality[:40]!r} is none of {', '.join(MODALITIES)}")
    languages, k = _codes(given), _count(given)
    sound = None
    if audio is not None:
        sound = await asyncio.to_thread(_decode, audio, limits.seconds)
    return Query(text, sound, language, languages, modality, k)


def _decode(data: bytes, seconds: float) -> np.ndarray:
    try:
        return decode_audio(data, max_seconds=seconds)
    except Rejected as rejected:
        status = _STATUS.get(rejected.reason, 422)
        raise Refused(status, rejected.reason, rejected.detail) from None


def _words(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise _invalid(f"{name} must be text, not {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _invalid(f"{name} holds half of a surrogate pair") from None
    return value


def _codes(given: Mapping[str, Any]) -> tuple[str, ...]:
    value = given.get("languages", "")
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise _invalid("languages must be codes, as a list or with commas between them")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _count(given: Mapping[str, Any]) -> int:
    value = given.get("k", 10)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ANSWERS:
        raise _invalid(f"k must be a number from 1 to {MAX_ANSWERS}")
    return value


def _invalid(detail: str) -> Refused:
    return Refused(422, "invalid-value", detail)
