"""What stands behind one vector of an index: a recording or a text, and the sentence it renders."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.pairs import Pair

MODALITIES = ("speech", "text")


def _no_tokens() -> np.ndarray:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that can be found.

    Args:
        id: unique within an index; a recording has the id of its pair.
        sentence_id: shared by every rendering of the sentence, in any language and modality.
        language: ISO 639 code.
        modality: one of `MODALITIES`.
        text: the text, or the transcript of the speech (empty where it is unknown).
        audio: where the sound is (`Utterance.audio`); empty for text.
        speaker: who speaks, where known.
        seconds: duration of the sound, 0 for text.
        split: `train`, `dev` or `test`.
        tokens: audio tokens, int16 `[frames]`, until the row is embedded; no index stores them.
        gender: of the speaker, as in `Utterance.gender`; empty where it is unknown.
    """

    id: str
    sentence_id: str
    language: str
    modality: str
    text: str
    audio: str = ""
    speaker: str = ""
    seconds: float = 0.0
    split: str = ""
    tokens: np.ndarray = field(default_factory=_no_tokens, compare=False, repr=False)
    gender: str = ""

    @property
    def content(self) -> str:
        """A hash that two rows share if one of them is enough: it decides their vector.

        Of speech the sound and its audio tokens, of text the text, both with their sentence.
        """
        digest = hashlib.sha256(self._words)
        digest.update(self.tokens.astype("<i2").tobytes())
        return digest.hexdigest()

    @property
    def place(self) -> int:
        """A number from the hash of what an index stores: decides the shard a row belongs to.

        Rows with the same content have the same place.
        """
        return int.from_bytes(hashlib.sha256(self._words).digest()[:8], "big")

    @property
    def _words(self) -> bytes:
        words = [self.modality, self.language, self.sentence_id]
        words += [self.audio or self.id] if self.modality == "speech" else [self.text]
        return "\0".join(words).encode("utf-8", "surrogatepass")


STORED = tuple(f.name for f in dataclasses.fields(Row) if f.name != "tokens")
_OPTIONAL = ("gender",)
"""Columns that are left out where they say nothing; older files have none of them."""


def rows_of(pair: Pair) -> Iterator[Row]:
    """The rows that a pair holds, one for each of its sides.

    The transcript of a `translation`'s speech is unknown: the corpus gives the other language only.
    """
    if pair.task == "bitext":
        yield _text(pair, pair.source_language, pair.source_text)
    else:
        yield Row(
            id=pair.id,
            sentence_id=pair.sentence_id,
            language=pair.source_language,
            modality="speech",
            text=pair.target_text if pair.task == "transcription" else "",
            audio=pair.audio,
            speaker=pair.speaker,
            seconds=pair.seconds,
            split=pair.split,
            tokens=pair.source_tokens,
            gender=pair.gender,
        )
    yield _text(pair, pair.target_language, pair.target_text)


def _text(pair: Pair, language: str, text: str) -> Row:
    row = Row("", pair.sentence_id, language, "text", text, split=pair.split)
    # The pair's own id would depend on which of several pairs with this text is kept.
    return dataclasses.replace(row, id=f"text-{language}-{row.content[:16]}")


def unique(rows: Sequence[Row]) -> list[Row]:
    """One row for each content, in an order of their own that doesn't depend on the one given.

    Of rows with the same content, one whose text is known is kept, and of those the first by split
    and id.
    """
    kept: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (not row.text, row.split, row.id)):
        kept.setdefault(row.content, row)
    return sorted(kept.values(), key=lambda row: row.id)


def to_parquet(rows: Sequence[Row]) -> bytes:
    """The stored columns of some rows as a Parquet file, the same bytes for the same rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(row, name) for row in rows] for name in STORED}
    for name in _OPTIONAL:
        if not any(columns[name]):
            del columns[name]
    types = {name: pa.float64() if name == "seconds" else pa.string() for name in columns}
    table = pa.table({name: pa.array(columns[name], types[name]) for name in columns})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def read_parquet(data: bytes) -> Any:
    """The `pyarrow.Table` that `to_parquet` wrote, with every stored column.

    Raises:
        ValueError: it is no Parquet file, or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not readable as Parquet: {error}") from None
    for name in _OPTIONAL:
        if name not in table.column_names:
            table = table.append_column(name, pa.array([""] * len(table), pa.string()))
    if tuple(table.column_names) != STORED:
        raise ValueError(f"has the columns {table.column_names}, expected {list(STORED)}")
    return table


def no_rows() -> Any:
    """A `pyarrow.Table` of no rows, with every stored column."""
    return read_parquet(to_parquet([]))


def from_table(table: Any) -> list[Row]:
    """The rows of a `pyarrow.Table`."""
    return [Row(**values) for values in table.to_pylist()]
