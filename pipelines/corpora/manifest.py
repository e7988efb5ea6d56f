"""A user's own recordings, listed in a JSONL, CSV or TSV manifest.

    audio,language,transcript,sentence_id,split,speaker,gender
    clips/0001.flac,de,Guten Morgen!,greeting-1,train,anna,female
    gs://bucket/0002.mp3,fr,Bonjour !,greeting-1,train,,

One row a recording. The columns:

| column | without it |
|---|---|
| `audio`: a path, a URL, or another form of `pipelines.audio_reference` | the row is rejected |
| `language`: a key of `pipelines.utterance.LANGUAGES` | the row is rejected |
| `transcript`: what is said | the row is rejected |
| `id`: unique | the manifest's name and the line: `manifest.csv:2` |
| `sentence_id`: the same for all recordings and translations of a sentence | a hash of the \
transcript, whatever its case, punctuation and spacing: equal texts are one sentence |
| `split`: `train`, `dev` or `test` | by a hash of the sentence id: 80% train, 10% dev, 10% test, \
no sentence in two of them |
| `speaker` | empty |
| `gender` of the speaker: `female`, `male` or your own word | empty |
| `seconds`: how long the recording is, to notice a cut one | no such check |

Other columns are ignored. An `audio` path that isn't absolute starts at the manifest's folder, or
at `audio_root`, and may not lead out of it; absolute paths and URLs are taken as they are.
"""

from __future__ import annotations

import hashlib
import math
import os
import posixpath
import unicodedata
from collections.abc import Iterator
from typing import Any

from pipelines import storage
from pipelines.corpora.table import read_rows
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import LANGUAGES, SPLITS, Utterance, normalized_gender

NEEDED = ("audio", "language", "transcript")
OPTIONAL = ("id", "sentence_id", "split", "speaker", "gender", "seconds")
LONGEST_TRANSCRIPT = 10_000
"""Characters; a longer one is a quote or a newline gone astray, not a sentence."""


class ManifestCorpus:
    """A corpus read from a manifest; see the module for its columns.

    Args:
        path: the manifest, local or a URL of a filesystem Beam knows, ending in `.jsonl`, `.csv`
            or `.tsv`, and in `.gz` if it is gzipped.
        audio_root: the folder where relative audio paths start; the manifest's own if None.

    Attributes:
        name: the manifest's file name without its ending.
    """

    def __init__(self, path: str, *, audio_root: str | None = None) -> None:
        self.path = path
        folder = audio_root if audio_root is not None else path.rpartition("/")[0]
        self.audio_root = folder if storage.is_remote(folder) else os.path.abspath(folder)
        self.name = os.path.splitext(posixpath.basename(path).removesuffix(".gz"))[0]

    def rows(self) -> Iterator[Utterance | Reject]:
        """Every row in order, as an utterance or as a reject of the stage `read`.

        Files are not opened here, and ids not compared.

        Raises:
            TableError: the manifest as a whole can't be used.
        """
        for line, row in read_rows(self.path, needed=NEEDED, optional=OPTIONAL):
            place = f"{posixpath.basename(self.path)}:{line}"
            try:
                if isinstance(row, Rejected):
                    raise row
                yield self._utterance(row, place)
            except Rejected as rejected:
                id, uri = readable(row, "id") or place, readable(row, "audio")
                yield rejected.reject(id, uri, "read", place=place)

    def card(self) -> dict[str, Any]:
        """The manifest's name and hash."""
        digest = storage.file_sha256(self.path)
        return {"name": self.name, "manifest": self.path, "sha256": digest}

    def _utterance(self, row: dict[str, Any], place: str) -> Utterance:
        for column in NEEDED:
            if column not in row:
                raise Rejected("missing-column", f"no {column!r}")
        transcript = transcript_of(row)
        language, split = text_of(row, "language"), text_of(row, "split")
        sentence_id = text_of(row, "sentence_id") or sentence_key(transcript)
        if not language:
            raise Rejected("missing-value", "'language' is empty")
        if language not in LANGUAGES:
            raise Rejected("unknown-language", f"{language[:40]!r}{_nearest_language(language)}")
        if split and split not in SPLITS:
            raise Rejected("unknown-split", f"{split[:40]!r}; it is train, dev or test")
        return Utterance(
            id=text_of(row, "id") or place,
            audio=resolved(text_of(row, "audio"), self.audio_root),
            language=language,
            transcript=transcript,
            sentence_id=sentence_id,
            split=split or split_of(sentence_id),
            speaker=text_of(row, "speaker"),
            seconds=seconds_of(row),
            gender=normalized_gender(text_of(row, "gender")),
        )


def sentence_key(transcript: str) -> str:
    """The sentence id of a transcript that was given none.

    Args:
        transcript: in any language; the key doesn't depend on which.

    Returns:
        16 hexadecimal digits, equal for texts that differ in case, punctuation or spacing only.
    """
    folded = unicodedata.normalize("NFKC", transcript).casefold()
    letters = "".join(c for c in folded if not unicodedata.category(c).startswith("P"))
    words = " ".join(letters.split()) or " ".join(folded.split())
    return hashlib.sha256(words.encode("utf-8")).hexdigest()[:16]


def split_of(sentence_id: str) -> str:
    """The split of a sentence that was given none: 80% train, 10% dev, 10% test."""
    number = int.from_bytes(hashlib.sha256(sentence_id.encode("utf-8")).digest()[:8], "big")
    return (("train",) * 8 + ("dev", "test"))[number % 10]


def text_of(row: dict[str, Any], column: str) -> str:
    """The value as text, NFC, spaces around it removed; empty if there is none."""
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Rejected("invalid-row", f"{column!r} must be text, not {type(value).__name__}")
    text = unicodedata.normalize("NFC", str(value)).strip()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Rejected("invalid-utf8", f"{column!r} holds half of a surrogate pair") from None
    if "\0" in text:
        reason = "unsafe-path" if column == "audio" else "invalid-row"
        raise Rejected(reason, f"{column!r} holds a NUL character")
    return text


def transcript_of(row: dict[str, Any]) -> str:
    """The value of `transcript`, each run of white space one space.

    Raises:
        Rejected: `empty-transcript`, `invalid-row` (too long, no text), `invalid-utf8`.
    """
    text = " ".join(text_of(row, "transcript").split())
    if len(text) > LONGEST_TRANSCRIPT:
        detail = f"a transcript of {len(text)} characters, the most is {LONGEST_TRANSCRIPT}"
        raise Rejected("invalid-row", detail)
    if all(unicodedata.category(c)[0] in "CZ" for c in text):
        raise Rejected("empty-transcript", "no visible character in it")
    return text


def seconds_of(row: dict[str, Any]) -> float | None:
    """The value of `seconds`, None if there is none.

    Raises:
        Rejected: `invalid-row`: it is no number above 0.
    """
    text = text_of(row, "seconds")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Rejected("invalid-row", f"'seconds' must be a number above 0, not {text[:40]!r}")
    return seconds


def resolved(reference: str, root: str) -> str:
    """An audio reference, relative paths joined to the folder `root`.

    Raises:
        Rejected: `missing-value`, `unsafe-path`: it leads out of that folder.
    """
    if not reference:
        raise Rejected("missing-value", "'audio' is empty")
    if storage.is_remote(reference) or reference.startswith(("espeak:", "tar:", "/")):
        return reference
    scheme, separator, folder = root.rpartition("://")
    # By the names alone: a symbolic link inside the folder may lead anywhere, it is the user's.
    path = posixpath.normpath(posixpath.join(folder, reference))
    if not path.startswith(folder.rstrip("/") + "/"):
        detail = f"{reference[:200]!r} leads out of {root}; name a folder above it as audio root"
        raise Rejected("unsafe-path", detail)
    return scheme + separator + path


def _nearest_language(code: str) -> str:
    plain = code.lower().replace("_", "-").partition("-")[0]
    return f"; did you mean {plain!r}?" if plain in LANGUAGES else ""


def readable(row: dict[str, Any] | Rejected, column: str) -> str:
    """A value of a row that may be broken, for a person to find it by."""
    value = "" if isinstance(row, Rejected) else row.get(column)
    return str(value if value is not None else "").encode("utf-8", "replace").decode()[:500]
