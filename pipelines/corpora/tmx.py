"""Translation memories in TMX 1.4, parsed as a stream: one translation unit in memory at a time.

Files come from anywhere: entities are refused before one is expanded, nothing external is loaded,
and a text may only be so long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from pipelines.rejects import Rejected

LONGEST_TEXT = 100_000
"""Characters of a segment; the rest is left out."""

# What an inline element holds is a code of the format the text came from, not text.
_CODES = frozenset({"bpt", "ept", "ph", "it", "ut"})
_PIECE = 2**16
_LONGEST_TAG = 2**22
_MOST_VARIANTS = 1_000

Unit = list[tuple[str, str]]
"""The language and the text of each variant, in the order of the file."""


def read_units(file: Any) -> Iterator[Unit]:
    """The translation units of a TMX file, in order.

    Args:
        file: open, binary, already decompressed.

    Raises:
        Rejected: `invalid-xml`: the units given so far are all that can be had; `unsafe-xml`: it
            declares entities.
    """
    parser = _Parser()
    piece = b"-"
    while piece:
        piece = file.read(_PIECE)
        yield from parser.feed(piece)
        if parser.problem is not None:
            raise parser.problem


class _Parser:
    def __init__(self) -> None:
        self.problem: Rejected | None = None
        self._fed = 0
        self._units: list[Unit] = []
        self._unit: Unit = []
        self._language = ""
        self._text: list[str] | None = None
        self._length = self._codes = 0
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._entity
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.buffer_text = True
        self._parser = parser

    def feed(self, piece: bytes) -> list[Unit]:
        """The units that end in a piece of the file; an empty piece ends it."""
        try:
            self._parser.Parse(piece, not piece)
            self._fed += len(piece)
            if self._fed - self._parser.CurrentByteIndex > _LONGEST_TAG:
                self.problem = Rejected("invalid-xml", f"over {_LONGEST_TAG} bytes in one tag")
        except Rejected as rejected:
            self.problem = rejected
        except (expat.ExpatError, LookupError, ValueError) as error:
            # The last two: an encoding nobody knows, or that expat can't take from Python.
            self.problem = Rejected("invalid-xml", str(error))
        units, self._units = self._units, []
        return units

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "tu":
            self._unit = []
        elif name == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang", "")
        elif name == "seg":
            self._text, self._length, self._codes = [], 0, 0
        elif self._text is not None and name in _CODES:
            self._codes += 1

    def _characters(self, text: str) -> None:
        if self._text is not None and not self._codes and self._length < LONGEST_TEXT:
            self._text.append(text)
            self._length += len(text)

    def _end(self, name: str) -> None:
        if name == "seg" and self._text is not None and len(self._unit) < _MOST_VARIANTS:
            self._unit.append((self._language, "".join(self._text)))
            self._text = None
        elif name == "tu":
            self._units.append(self._unit)
        elif self._text is not None and name in _CODES:
            self._codes -= 1

    def _entity(self, *_: object) -> None:
        raise Rejected("unsafe-xml", "it declares entities; write the characters themselves")
