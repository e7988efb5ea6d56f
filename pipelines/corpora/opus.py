"""Bitext as OPUS publishes it: Moses files, zipped or not, and translation memories.

    en-fr.txt.zip          Tatoeba.en-fr.en, Tatoeba.en-fr.fr, and files of other kinds
    Tatoeba.en-fr.en       one sentence a line, the same line in Tatoeba.en-fr.fr; may be gzipped
    en-fr.tmx, en-fr.tmx.gz

Source: https://opus.nlpl.eu, its "moses" and "tmx" downloads.
"""

from __future__ import annotations

import itertools
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from pipelines import storage
from pipelines.corpora.bitext import bitext_pair
from pipelines.corpora.language_code import language_code
from pipelines.corpora.table import decoded
from pipelines.corpora.text_file import Line, numbered, opened
from pipelines.corpora.tmx import Unit, read_units
from pipelines.packed_file import open_binary, refuse_a_bomb
from pipelines.pairs import Pair
from pipelines.rejects import Reject, Rejected

_CODE = r"[A-Za-z]{2,3}(?:_[A-Za-z]+)?"
_MOSES = re.compile(rf"^(?P<stem>.*\.(?P<a>{_CODE})-(?P<b>{_CODE}))\.(?P=a)(?P<gz>\.gz)?$")
_FILES = re.compile(r"\.(zip|tmx|tmx\.gz)$")
# Damaged; or encrypted, or packed in some other way (RuntimeError).
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    struct.error,
    UnicodeDecodeError,
)

Bitext = Iterator[Pair | Reject]


class OpusCorpus:
    """Bitext as training pairs.

    Args:
        path: a `.zip`, a `.tmx`, one of two Moses files, or the folder of several; local or a URL.
        pairs: which languages, such as `en-fr`, in either order; none stands for whatever is there.

    Raises:
        ValueError: what was asked for is not there.
    """

    name = "opus"

    def __init__(self, path: str, *, pairs: Sequence[str] = ()) -> None:
        self._wanted = {frozenset(map(language_code, pair.split("-"))) for pair in pairs}
        listed = storage.list_files(path, "*") or [path] * storage.exists(path)
        match = _MOSES.match(path) or _other_side(path)
        self.files = [f for f in ([match[0]] if match else listed) if self._is_bitext(f)]
        if not self.files:
            kinds = "x.en-fr.en beside x.en-fr.fr, .zip, .tmx or .tmx.gz"
            raise ValueError(
                f"{path} has no bitext{' in ' if pairs else ''}{', '.join(pairs)}: "
                f"looked for {kinds}"
            )

    def rows(self) -> Bitext:
        """Every pair, file by file, in order; the bad ones as rejects."""
        for file in self.files:
            try:
                if file.endswith(".zip"):
                    yield from self._zipped(file)
                elif _FILES.search(file):
                    yield from self._memory(file)
                elif match := _MOSES.match(file):
                    yield from self._plain(match)
            except Rejected as rejected:
                yield _reject(posixpath.basename(file), file, rejected)

    def card(self) -> dict[str, Any]:
        """What was read."""
        return {"name": self.name, "files": self.files}

    def _is_bitext(self, file: str) -> bool:
        match = _MOSES.match(file)
        return bool(_FILES.search(file) or (match and self._is_wanted(match["a"], match["b"])))

    def _is_wanted(self, one: str, other: str) -> bool:
        try:
            languages = frozenset((language_code(one), language_code(other)))
        except Rejected:
            # The rows say so, if nobody chose.
            return not self._wanted
        return not self._wanted or languages in self._wanted

    def _plain(self, match: re.Match[str]) -> Bitext:
        with ExitStack() as stack:
            sides = [
                numbered(stack.enter_context(opened(path)), path)
                for path in (match[0], f"{match['stem']}.{match['b']}{match['gz'] or ''}")
            ]
            yield from _aligned(match, match[0], sides)

    def _zipped(self, file: str) -> Bitext:
        with open_binary(file) as raw:
            try:
                packed = zipfile.ZipFile(raw)
            except _ZIP_FAULTS as error:
                raise Rejected("not-an-archive", f"{file}: {error}") from None
            names = packed.namelist()
            matches = [m for m in map(_MOSES.match, names) if m is not None]
            pairs = [m for m in matches if f"{m['stem']}.{m['b']}" in names]
            if not pairs:
                raise Rejected("missing-file", f"no x.en-fr.en and x.en-fr.fr in {file}")
            for match in pairs:
                if self._is_wanted(match["a"], match["b"]):
                    sides = [_zip_lines(packed, match["stem"], match[c], file) for c in "ab"]
                    yield from _aligned(match, file, sides)

    def _memory(self, file: str) -> Bitext:
        place = posixpath.basename(file).removesuffix(".gz")
        with opened(file) as stream:
            for number, unit in enumerate(read_units(stream), 1):
                try:
                    yield self._unit(f"{place}:{number}", unit)
                except Rejected as rejected:
                    yield _reject(f"{place}:{number}", file, rejected)

    def _unit(self, id: str, unit: Unit) -> Pair:
        by_language = {language_code(language): text for language, text in reversed(unit)}
        languages = list(dict.fromkeys(language_code(code) for code, _ in unit))
        for one, other in itertools.combinations(languages, 2):
            if not self._wanted or {one, other} in self._wanted:
                texts = (one, by_language[one]), (other, by_language[other])
                return bitext_pair(id, *texts, provenance=self.name)
        raise Rejected("missing-value", f"a unit in {', '.join(languages) or 'no language'} alone")


def _aligned(match: re.Match[str], file: str, sides: Sequence[Iterator[Line]]) -> Bitext:
    """The pairs of two files that say the same line by line."""
    place = posixpath.basename(match["stem"])
    for one, other in itertools.zip_longest(*sides):
        id = f"{place}:{(one or other)[0]}"
        try:
            if one is None or other is None:
                raise Rejected("missing-value", "one file is longer than the other")
            texts = [
                (language_code(match[code]), decoded(line))
                for code, (_, line) in (("a", one), ("b", other))
            ]
            yield bitext_pair(id, *texts, provenance="opus")
        except Rejected as rejected:
            yield _reject(id, file, rejected)


def _zip_lines(packed: zipfile.ZipFile, stem: str, code: str, file: str) -> Iterator[Line]:
    info = packed.getinfo(f"{stem}.{code}")
    refuse_a_bomb(file, info.compress_size, info.file_size)
    try:
        if info.header_offset < 0:
            raise zipfile.BadZipFile("a place before the beginning")
        with packed.open(info) as side:
            yield from numbered(side, f"{file}!{info.filename}")
    except _ZIP_FAULTS as error:
        raise Rejected("truncated-file", f"{file}!{info.filename}: {error}") from None


def _other_side(path: str) -> re.Match[str] | None:
    """The match of the first of two Moses files, given the second."""
    if match := re.match(rf"^(.*\.({_CODE})-({_CODE}))\.\3(\.gz)?$", path):
        return _MOSES.match(f"{match[1]}.{match[2]}{match[4] or ''}")
    return None


def _reject(id: str, file: str, rejected: Rejected) -> Reject:
    return rejected.reject(id, file, "read", place=id)
