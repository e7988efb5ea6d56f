"""What the server refuses: queries, sounds, forms and bodies that are none, or too big."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import zipfile
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

from tests.scann_index.requests import ask, post, refusal, tone


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"json": {"text": "   "}}, (422, "missing-query")),
        ({"json": {}}, (422, "missing-query")),
        ({"json": {"text": "x" * 41}}, (413, "too-long")),
        ({"json": {"text": ["a"]}}, (422, "invalid-value")),
        ({"json": {"text": "a", "k": 0}}, (422, "invalid-value")),
        ({"json": {"text": "a", "k": 51}}, (422, "invalid-value")),
        ({"json": {"text": "a", "k": True}}, (422, "invalid-value")),
        ({"json": {"text": "a", "languages": "de"}}, (422, "invalid-value")),
        ({"json": {"text": "a", "languages": [1]}}, (422, "invalid-value")),
        ({"json": {"text": "a", "modality": "video"}}, (422, "invalid-value")),
        ({"json": {"text": "a", "language": "xx"}}, (422, "invalid-value")),
        ({"json": {"text": "a", "path": "/etc/passwd"}}, (422, "invalid-value")),
        ({"json": [1]}, (400, "malformed-json")),
        (
            {"content": b"{", "headers": {"content-type": "application/json"}},
            (400, "malformed-json"),
        ),
        (
            {"content": b"[" * 60_000, "headers": {"content-type": "application/json"}},
            (400, "malformed-json"),
        ),
        (
            {"content": b'{"text": "\\ud800"}', "headers": {"content-type": "application/json"}},
            (422, "invalid-value"),
        ),
        ({"content": b"text=a"}, (415, "unsupported-content-type")),
        ({"data": {"text": "a"}}, (415, "unsupported-content-type")),
    ],
)
def test_a_query_that_is_none_is_refused_with_its_reason(app, how, expected):
    assert refusal(post(app, **how)) == expected


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.wav", bytes(100_000_000))
    return buffer.getvalue()


def flac_bomb() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(600 * 16_000, np.int16), 16_000, format="FLAC")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (zip_bomb, (415, "not-audio")),
        (flac_bomb, (413, "too-long")),
        (lambda: b"<html>no sound</html>" * 100, (415, "not-audio")),
        (lambda: b"\x1aE\xdf\xa3" + bytes(1000), (415, "not-audio")),
        (lambda: tone(3.0), (413, "too-long")),
        (lambda: tone()[:9000], (422, "truncated-audio")),
        (lambda: tone(0.01), (422, "too-short")),
        (lambda: tone(0), (422, "empty-audio")),
        (lambda: b"", (422, "empty-file")),
        (lambda: tone(2.0, rate=96_000) + bytes(9), (413, "too-big")),
    ],
)
def test_a_sound_that_is_none_is_refused_with_its_reason(app, make, expected):
    data = make()
    form = ("POST", "/search", {"files": {"audio": ("q.wav", data, "audio/wav")}})
    plain = ("POST", "/search", {"content": data, "headers": {"content-type": "audio/wav"}})
    assert [refusal(response) for response in ask(app, form, plain)] == [expected] * 2


def part(disposition: str, body: bytes = b"x", kind: str = "") -> bytes:
    header = f"Content-Disposition: {disposition}\r\n" + (
        f"Content-Type: {kind}\r\n" if kind else ""
    )
    return b"--edge\r\n" + header.encode() + b"\r\n" + body + b"\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (part('form-data; name="text"'), (400, "malformed-multipart")),
        (b"no form at all", (400, "malformed-multipart")),
        (b"", (400, "malformed-multipart")),
        (part("form-data") + b"--edge--", (400, "malformed-multipart")),
        (part('attachment; name="text"') + b"--edge--", (400, "malformed-multipart")),
        (part('form-data; name="k"', b"1") * 17 + b"--edge--", (400, "malformed-multipart")),
        (
            b"--edge\r\nX-Long: " + b"y" * 9000 + b"\r\n\r\nx\r\n--edge--",
            (400, "malformed-multipart"),
        ),
        (part('form-data; name="text"', b"\xff") + b"--edge--", (400, "invalid-utf8")),
        (part('form-data; name="text"', b"y" * 70_000) + b"--edge--", (413, "too-big")),
        (
            part('form-data; name="audio"; filename="a.wav"', tone(), "text/html") + b"--edge--",
            (415, "unsupported-content-type"),
        ),
        (
            part('form-data; name="file"; filename="a.wav"', tone()) + b"--edge--",
            (422, "unexpected-file"),
        ),
        (part('form-data; name="audio"; filename="a.wav"', tone()) * 2, (422, "unexpected-file")),
        *(
            (
                part(f'form-data; name="audio"; filename="{name}"', tone()) + b"--edge--",
                (400, "unsafe-path"),
            )
            for name in ("../../etc/passwd", "/etc/passwd", "C:\\\\boot.ini", "..", "a/b.wav")
        ),
        (
            part(f"form-data; name=\"audio\"; filename*=UTF-8''{quote('../x', safe='')}", tone())
            + b"--edge--",
            (400, "unsafe-path"),
        ),
    ],
)
def test_a_broken_form_is_refused_with_its_reason(app, body, expected):
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    assert refusal(post(app, content=body, headers=headers)) == expected


def test_a_form_without_a_boundary_and_a_packed_body_are_refused(app):
    unbounded = post(app, content=b"x", headers={"content-type": "multipart/form-data"})
    assert refusal(unbounded) == (400, "malformed-multipart")
    packed = {"content-type": "audio/wav", "content-encoding": "gzip"}
    assert refusal(post(app, content=tone(), headers=packed)) == (415, "unsupported-encoding")


def test_a_body_that_says_it_is_too_big_is_refused_unread_and_one_that_does_not_is_cut_off(app):
    async def endless():
        nonlocal sent
        while sent < 50_000_000:
            sent += 10_000
            yield bytes(10_000)

    sent = 0
    headers = {"content-type": "audio/wav", "content-length": "2000000000"}
    assert refusal(post(app, content=endless(), headers=headers)) == (413, "too-big")
    sent = 0
    assert refusal(post(app, content=endless(), headers={"content-type": "audio/wav"})) == (
        413,
        "too-big",
    )


def test_a_body_that_does_not_come_is_given_up(app):
    async def dripping():
        yield b"RIFF"
        await asyncio.sleep(3)
        yield b"WAVE"

    response = post(app, content=dripping(), headers={"content-type": "audio/wav"})
    assert refusal(response) == (408, "too-slow")


def test_a_client_that_sends_two_gigabytes_hears_the_answer_and_costs_no_memory(app):
    """Over a real socket: a client that is refused while it sends must not be cut off unheard."""
    import resource
    import socket

    import uvicorn

    config = uvicorn.Config(app, port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(600):
        if server.started:
            break
        thread.join(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = []
    for length in (b"content-length: 2000000000", b"transfer-encoding: chunked"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            head = b"POST /search HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\n" + length
            client.sendall(head + b"\r\n\r\n")
            block = bytes(100_000)
            if b"chunked" in length:
                block = b"186a0\r\n" + block + b"\r\n"
            for _ in range(300):  # 30 MB, sent without ever listening
                client.sendall(block)
            answers.append(client.recv(65_536))
    server.should_exit = True
    thread.join(10)
    for answer in answers:
        status, _, body = answer.partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 413")
        assert json.loads(body.split(b"\r\n")[-1] or body)["reason"] == "too-big"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000, f"{grown} kB more"
