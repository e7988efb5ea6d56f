"""A multipart form: its fields and the one sound file it may hold, checked while they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote_to_bytes

from scann_index.queries import Refused

MAX_FIELD_BYTES = 65_536
"""Of everything but the sound."""
MAX_PARTS = 16
MAX_HEADER_BYTES = 8_192
"""Of all headers of a part."""
SOUND_TYPES = ("audio/", "application/octet-stream")


async def read_form(chunks: AsyncIterator[bytes], boundary: bytes | None) -> Form:
    """Reads a form.

    Args:
        chunks: the body as it arrives, its length already limited.
        boundary: what the content type says stands between the parts.

    Raises:
        Refused: it is not well formed, or holds what is not expected.
    """
    from python_multipart.exceptions import MultipartParseError
    from python_multipart.multipart import MultipartParser

    if not boundary:
        raise Refused(400, "malformed-multipart", "no boundary in the content type", unread=True)
    form = Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except MultipartParseError as error:
        detail = f"not a form: {str(error)[:200]}"
        raise Refused(400, "malformed-multipart", detail, unread=True) from None
    except Refused as refused:
        refused.unread = True
        raise
    if not form.ended:
        raise Refused(400, "malformed-multipart", "the form ends before its last boundary")
    return form


class Form:
    """Collects what the parser of a form finds, and refuses what is not expected."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.sound: bytes | None = None
        self.ended = False
        self._parts = 0
        self._field_bytes = 0
        self._header_bytes = 0
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[str, bytes] = {}
        self._name = ""
        self._is_file = False
        self._data = bytearray()

    def callbacks(self) -> Any:
        """What a `MultipartParser` is to call."""
        parts = ("part_begin", "part_data", "part_end", "end")
        headers = ("header_field", "header_value", "header_end", "headers_finished")
        return {f"on_{name}": getattr(self, f"_on_{name}") for name in (*parts, *headers)}

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Refused(400, "malformed-multipart", f"over {MAX_PARTS} parts")
        self._headers, self._data, self._header_bytes = {}, bytearray(), 0

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_headers(end - start)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_headers(end - start)

    def _check_headers(self, arrived: int) -> None:
        self._header_bytes += arrived
        if self._header_bytes > MAX_HEADER_BYTES:
            raise Refused(400, "malformed-multipart", "the headers of a part are too long")

    def _on_header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        disposition = self._headers.get("content-disposition", b"")
        kind, parameters = parse_options_header(disposition)
        if kind != b"form-data" or b"name" not in parameters:
            raise Refused(400, "malformed-multipart", "a part without a name")
        self._name = parameters[b"name"].decode("utf-8", "replace")
        # `filename*` is a name as well, which the parser leaves alone.
        self._is_file = b"filename" in disposition.lower()
        if not self._is_file:
            return
        _check_file_name(disposition)
        if self._name != "audio" or self.sound is not None:
            detail = f"a file in {self._name[:40]!r}: one is expected, in 'audio'"
            raise Refused(422, "unexpected-file", detail)
        declared = self._headers.get("content-type", b"audio/").decode("latin-1").lower()
        if not declared.startswith(SOUND_TYPES):
            detail = f"a file of type {declared[:60]!r}, not audio/*"
            raise Refused(415, "unsupported-content-type", detail)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._field_bytes += end - start
            if self._field_bytes > MAX_FIELD_BYTES:
                raise Refused(413, "too-big", f"fields of over {MAX_FIELD_BYTES:,} bytes")
        self._data += data[start:end]

    def _on_part_end(self) -> None:
        if self._is_file:
            self.sound = bytes(self._data)
        else:
            try:
                value = self._data.decode("utf-8")
            except UnicodeDecodeError:
                detail = f"{self._name[:40]!r} is no UTF-8"
                raise Refused(400, "invalid-utf8", detail) from None
            self.fields[self._name] = value

    def _on_end(self) -> None:
        self.ended = True


def _check_file_name(disposition: bytes) -> None:
    # What was sent, not what the parser makes of it: it shortens a Windows path to its last name.
    sent = unquote_to_bytes(disposition.lower().partition(b"filename")[2])
    if any(part in sent for part in (b"/", b"\\", b"\0", b"..")):
        detail = "the name of a file has a path in it; names are not used, leave it out"
        raise Refused(400, "unsafe-path", detail)
