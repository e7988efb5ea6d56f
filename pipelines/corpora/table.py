"""Rows of a JSONL, CSV or TSV file, where one bad row costs that row alone.

Lines are split as bytes and each is decoded by itself, so that a stray byte, a NUL or an unclosed
quote doesn't take its neighbours along, as it does in a reader of the whole file.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pipelines.corpora import text_file
from pipelines.corpora.text_file import Line
from pipelines.rejects import Rejected

LONGEST_ROW = text_file.LONGEST_LINE
"""Bytes; a longer row is set aside."""

Row = tuple[int, "dict[str, Any] | Rejected"]
"""The number of its first line, from 1, and its values by column, or what is wrong with it."""

_MOST_LINES_IN_A_ROW = 100
_ROWS_TO_JUDGE_BY = 100
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TableError(ValueError):
    """The file as a whole can't be used; the message holds the fix."""


def read_rows(path: str, *, needed: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a table, in order; blank lines are left out.

    - `.jsonl`: an object a line.
    - `.csv`: a line of column names, then commas between fields and double quotes around those that
      hold a comma, a quote (doubled) or a newline (RFC 4180).
    - `.tsv`: a line of column names, then tabs between fields. Quotes mean nothing: there is no way
      to write a tab or a newline inside a field.

    Args:
        path: a local path or a URL of a filesystem Beam knows; its ending says what it is. It may
            be gzipped (`.jsonl.gz`).
        needed: the columns that must be there.
        optional: the other columns that are understood, named in messages.

    Yields:
        `Row`s; a rejected one has `invalid-utf8`, `invalid-row`, or `missing-column` (fewer fields
        than columns).

    Raises:
        TableError: no such file, another ending, no rows, UTF-16, or a needed column that is in no
            row (of a JSONL file: in none of the first 100).
    """
    ending = os.path.splitext(path.removesuffix(".gz"))[1].lower()
    readers = {".jsonl": _json_rows, ".csv": _csv_rows, ".tsv": _tsv_rows}
    if ending not in readers:
        raise TableError(f"{path}: the name must end in .jsonl, .csv or .tsv, to say what it is")
    rows = readers[ending](_lines(path))
    first = list(itertools.islice(rows, _ROWS_TO_JUDGE_BY))
    if not first:
        wanted = ", ".join(needed)
        raise TableError(f"{path} has no rows; give it one a recording, with at least {wanted}")
    columns = dict.fromkeys(c for _, row in first if isinstance(row, dict) for c in row)
    absent = [column for column in needed if column not in columns]
    # Where every row is bad in itself, the rejects say why.
    if absent and columns:
        raise TableError(
            f"{path} has no column {_quoted(absent)}; its columns are {_quoted(columns)}. "
            f"Needed are {', '.join(needed)}"
            + (f"; understood besides: {', '.join(optional)}" if optional else "")
        )
    yield from first
    yield from rows


def _lines(path: str) -> Iterator[Line]:
    try:
        for number, line in text_file.lines(path):
            if number == 1 and line.startswith(_UTF16_MARKS):
                raise TableError(f"{path} is UTF-16; save it as UTF-8")
            yield number, line
    except Rejected as rejected:
        raise TableError(rejected.detail) from None


def decoded(raw: bytes) -> str:
    """A line as text.

    Raises:
        Rejected: `invalid-utf8`, or `invalid-row` for a NUL byte and more than `LONGEST_ROW` bytes.
    """
    if len(raw) > LONGEST_ROW:
        raise Rejected("invalid-row", f"over {LONGEST_ROW} bytes")
    if b"\0" in raw:
        raise Rejected("invalid-row", "holds a NUL byte")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} of the row: {error.reason}"
        raise Rejected("invalid-utf8", detail) from None


def _json_rows(lines: Iterator[Line]) -> Iterator[Row]:
    for number, raw in lines:
        if raw.strip():
            yield number, _attempt(json_object, raw)


def json_object(raw: bytes) -> dict[str, Any]:
    """The object that a line of JSON holds.

    Raises:
        Rejected: `invalid-row`, `invalid-utf8`.
    """
    text = decoded(raw)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid-row", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Rejected("invalid-row", f"a JSON object is wanted, not {type(value).__name__}")
    return value


def _tsv_rows(lines: Iterator[Line]) -> Iterator[Row]:
    columns: list[str] = []
    for number, raw in lines:
        if not raw.strip():
            continue
        if not columns:
            columns = _columns(raw, _tsv_fields)
            continue
        yield number, _attempt(_tsv_record, columns, raw)


def _tsv_record(columns: list[str], raw: bytes) -> dict[str, Any]:
    return _by_column(columns, _tsv_fields(decoded(raw)))


def _tsv_fields(text: str) -> list[str]:
    return text.split("\t")


def _csv_rows(lines: Iterator[Line]) -> Iterator[Row]:
    ahead = _Ahead(lines)
    columns: list[str] = []
    while (line := ahead.take()) is not None:
        number, raw = line
        if not raw.strip():
            continue
        if not columns:
            columns = _columns(raw, _csv_fields)
            continue
        yield number, _attempt(_csv_record, columns, raw, ahead)


def _csv_record(columns: list[str], first: bytes, ahead: _Ahead) -> dict[str, Any]:
    """The record that begins with the line `first`; takes the lines it runs over from `ahead`.

    A quote that is never closed would swallow the rest of the file. So the lines after it count as
    part of the record only if together they make one of the right width.
    """
    raw = first
    fields = _csv_fields(_escaped(raw))
    for more in range(1, _MOST_LINES_IN_A_ROW):
        if fields is not None:
            break
        line = ahead.peek(more)
        if line is None:
            break
        raw += b"\n" + line
        try:
            fields = _csv_fields(_escaped(raw))
        except Rejected:
            break
        if fields is not None and len(fields) == len(columns):
            ahead.drop(more)
            decoded(raw)
            return dict(zip(columns, fields, strict=True))
    decoded(first)
    if fields is None or raw is not first:
        raise Rejected("invalid-row", "a quote is opened and never closed")
    return _by_column(columns, fields)


def _escaped(raw: bytes) -> str:
    # Fields are told apart before bytes are judged, so that a record is rejected as a whole.
    return raw.decode("utf-8", "surrogateescape")


def _csv_fields(text: str) -> list[str] | None:
    """The fields, or None if the text ends inside quotes."""
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            return None
        raise Rejected("invalid-row", f"not CSV: {error}") from None


class _Ahead:
    """Lines, of which the next ones can be looked at before they are taken."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._waiting: deque[Line] = deque()

    def take(self) -> Line | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)

    def peek(self, distance: int) -> bytes | None:
        """The line that `take` will return at the `distance`-th call from here."""
        missing = distance - len(self._waiting)
        self._waiting.extend(itertools.islice(self._lines, max(0, missing)))
        return self._waiting[distance - 1][1] if len(self._waiting) >= distance else None

    def drop(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()


def _attempt(read: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any] | Rejected:
    try:
        return read(*arguments)
    except Rejected as rejected:
        return rejected


def _columns(header: bytes, split: Callable[[str], list[str] | None]) -> list[str]:
    try:
        fields = split(decoded(header))
    except Rejected as rejected:
        raise TableError(f"the line of column names: {rejected}") from None
    if fields is None:
        raise TableError("the line of column names opens a quote and doesn't close it")
    columns = [field.strip() for field in fields]
    twice = {column: None for column in columns if columns.count(column) > 1}
    if twice:
        raise TableError(f"the line of column names has {_quoted(twice)} twice")
    return columns


def _by_column(columns: list[str], fields: list[str]) -> dict[str, Any]:
    if len(fields) < len(columns):
        absent = _quoted(columns[len(fields) :])
        detail = f"{len(fields)} fields under {len(columns)} columns: none for {absent}"
        raise Rejected("missing-column", detail)
    if len(fields) > len(columns):
        raise Rejected("invalid-row", f"{len(fields)} fields under {len(columns)} columns")
    return dict(zip(columns, fields, strict=True))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
