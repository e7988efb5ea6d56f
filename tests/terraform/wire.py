"""As much of protocol buffers' wire format as the stand-in provider needs.

A message is a dict from field number to its values, in the order they came: `bytes` for strings,
bytes and messages, `int` for numbers and booleans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Value = int | str | bytes
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def message(*fields: tuple[int, Value | None]) -> bytes:
    """Encodes `(field number, value)` pairs; a repeated field comes repeatedly, None not at all."""
    parts = []
    for number, value in fields:
        if value is None:
            continue
        if isinstance(value, int):
            parts.append(varint(number << 3 | VARINT) + varint(int(value)))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | LENGTH) + varint(len(data)) + data)
    return b"".join(parts)


def mapping(number: int, entries: Iterable[tuple[str, bytes]]) -> Iterator[tuple[int, Value]]:
    """The fields of a `map<string, message>`."""
    for key, value in entries:
        yield number, message((1, key), (2, value))


def varint(number: int) -> bytes:
    """A non-negative number, seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def parse(data: bytes) -> dict[int, list[int | bytes]]:
    """Decodes a message.

    Raises:
        ValueError: a wire type that nothing here uses.
    """
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (LENGTH, FIXED32, FIXED64):
            size = {FIXED32: 4, FIXED64: 8}.get(kind)
            if size is None:
                size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {kind} in field {number}")
        fields.setdefault(number, []).append(value)
    return fields


def text(fields: dict[int, list[int | bytes]], number: int) -> str:
    """A string field, empty if it is absent."""
    value = fields.get(number, [b""])[-1]
    assert isinstance(value, bytes)
    return value.decode()


def nested(fields: dict[int, list[int | bytes]], number: int) -> dict[int, list[int | bytes]]:
    """A message field, empty if it is absent."""
    value = fields.get(number, [b""])[-1]
    assert isinstance(value, bytes)
    return parse(value)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
