"""What a client sends to the server, read with limits and turned into a query.

Nothing is believed: not the length, not the type, not the name of a file (which is never used). A
body is counted while it arrives and dropped the moment it is too long; nothing is written to disk,
nothing unpacked. What sound is, its bytes decide (`pipelines.containers`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from scann_index.form import MAX_FIELD_BYTES, SOUND_TYPES, read_form
from scann_index.queries import Limits, Query, Refused, query_of

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_query(request: Request, limits: Limits) -> Query:
    """The query in a request: JSON, a form, or a body that is a sound.

    Raises:
        Refused: it holds none, or one that is not taken.
    """
    fields: dict[str, Any]
    sound: bytes | None
    kind, parameters = _content_type(request)
    chunks = _chunks(request, limits)
    try:
        if kind == "application/json":
            fields, sound = _json_fields(await _joined(chunks, MAX_FIELD_BYTES)), None
        elif kind == "multipart/form-data":
            form = await read_form(chunks, parameters.get(b"boundary"))
            fields, sound = form.fields, form.sound
        elif kind.startswith(SOUND_TYPES):
            fields = dict(request.query_params)
            sound = await _joined(chunks, limits.bytes)
        else:
            raise Refused(
                415,
                "unsupported-content-type",
                f"{kind or 'no content type'}: send application/json, multipart/form-data or "
                "audio/*",
                unread=True,
            )
    finally:
        await chunks.aclose()
    return await query_of(fields, sound, limits)


def _content_type(request: Request) -> tuple[str, Mapping[bytes, bytes]]:
    from python_multipart.multipart import parse_options_header

    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        detail = f"a body packed by {encoding[:40]!r} is not unpacked: send it as it is"
        raise Refused(415, "unsupported-encoding", detail, unread=True)
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    return kind.decode("latin-1").lower(), parameters


async def _chunks(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, up to the limits."""
    detail = f"the most is {limits.bytes:,} bytes"
    claimed = request.headers.get("content-length", "0")
    if claimed.isdigit() and int(claimed) > limits.bytes:
        raise Refused(413, "too-big", f"{int(claimed):,} bytes, {detail}", unread=True)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.upload_seconds
    received, stream = 0, request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), max(0.0, deadline - loop.time()))
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            detail = f"the request was not whole after {limits.upload_seconds:g} s"
            raise Refused(408, "too-slow", detail, unread=True) from None
        received += len(chunk)
        if received > limits.bytes:
            raise Refused(413, "too-big", f"over {limits.bytes:,} bytes", unread=True)
        yield chunk


async def _joined(chunks: AsyncIterator[bytes], most: int) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > most:
            raise Refused(413, "too-big", f"over {most:,} bytes", unread=True)
    return bytes(data)


def _json_fields(data: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused(400, "malformed-json", "the body is no JSON") from None
    if not isinstance(loaded, dict):
        raise Refused(400, "malformed-json", 'an object expected, such as {"text": "red apple"}')
    return loaded
