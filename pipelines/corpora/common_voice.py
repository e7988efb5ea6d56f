"""Releases of Common Voice, packed or unpacked, and tables written as theirs are.

The tables are tab-separated, with a line of column names and without quoting; a backslash takes the
meaning from the character behind it, as the readers of CoVoST 2 have it (`get_covost_splits.py`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from pipelines import storage
from pipelines.audio_reference import AudioReference
from pipelines.corpora.table import decoded
from pipelines.corpora.text_file import lines
from pipelines.rejects import Rejected

_FIELD = re.compile(r"((?:[^\t\\]|\\.)*)(?:\t|$)", re.DOTALL)


class Release:
    """Where a release of Common Voice in one language has its table and its clips.

    Args:
        folder: the folder of all releases.
        language: Common Voice's code.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, folder: str, language: str) -> None:
        unpacked = storage.join(folder, language)
        table = storage.join(unpacked, "validated.tsv")
        self.clips = storage.join(unpacked, "clips")
        self.archive = "" if storage.exists(self.clips) else _archive(folder, language)
        self.table, self.member = (table, "") if storage.exists(table) else (self.archive, "")
        if not self.table:
            raise ValueError(
                f"{folder} has no Common Voice in {language}: neither {language}.tar.gz nor "
                f"{language}/validated.tsv and {language}/clips"
            )
        if self.table == self.archive:
            self.member = "validated.tsv"

    def reference(self, file_name: str) -> str:
        """The audio reference of a clip."""
        if self.archive:
            return str(AudioReference(self.archive, f"clips/{file_name}"))
        return storage.join(self.clips, file_name)


def _archive(folder: str, language: str) -> str:
    for path in storage.list_files(folder, "*.tar.gz"):
        name = posixpath.basename(path)
        if name == f"{language}.tar.gz" or re.fullmatch(
            rf"cv-corpus-[0-9.]+-[0-9-]+-{re.escape(language)}\.tar\.gz", name
        ):
            return path
    return ""


def table_rows(
    path: str, member: str, needed: Sequence[str]
) -> Iterator[tuple[str, dict[str, str] | Rejected]]:
    """The rows of a table of CoVoST or Common Voice, each with its place (`validated.tsv:2`).

    Raises:
        ValueError: it lacks a column that is needed, or isn't there.
    """
    name = member if member and not member.startswith("*") else posixpath.basename(path)
    columns: list[str] = []
    try:
        for number, raw in lines(path, member=member):
            place = f"{name}:{number}"
            try:
                text = decoded(raw)
                if columns and raw.strip():
                    yield place, _by_column(columns, fields_of(text))
            except Rejected as rejected:
                yield (
                    place,
                    Rejected(rejected.reason, f"{place}: {rejected.detail}", rejected.exception),
                )
                continue
            if not columns:
                columns = fields_of(text)
                if absent := [c for c in needed if c not in columns]:
                    raise ValueError(f"{path}: {name} has no column {', '.join(absent)}")
    except Rejected as rejected:
        if not columns:
            raise ValueError(rejected.detail) from None
        yield name, rejected


def fields_of(line: str) -> list[str]:
    """The fields of a line, split at tabs without a backslash before them."""
    if "\\" not in line:
        return line.split("\t")
    fields, place = [], 0
    while place <= len(line):
        match = _FIELD.match(line, place)
        # A lone backslash ends the line.
        end = match.end(1) if match else len(line)
        fields.append(re.sub(r"\\(.)", r"\1", line[place:end], flags=re.DOTALL))
        place = end + 1
    return fields


def _by_column(columns: list[str], fields: list[str]) -> dict[str, str]:
    if len(fields) != len(columns):
        reason = "missing-column" if len(fields) < len(columns) else "invalid-row"
        raise Rejected(reason, f"{len(fields)} fields under {len(columns)} columns")
    return dict(zip(columns, fields, strict=True))


def without_quotes(sentence: str) -> str:
    """The sentence without the quotes of CSV, which some releases have in their TSV."""
    if len(sentence) > 1 and sentence[0] == sentence[-1] == '"':
        return sentence[1:-1].replace('""', '"')
    return sentence
