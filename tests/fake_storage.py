"""A server that speaks as much of Cloud Storage's JSON API as Beam's filesystem needs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from google_crc32c import value as crc32c


class Handler(BaseHTTPRequestHandler):
    """Uploads whole objects, downloads whole ones and pieces."""

    objects: Objects
    sessions: dict[str, str]

    def do_GET(self) -> None:
        """A bucket, an object's description, or its bytes."""
        url = urlsplit(self.path)
        if url.path.endswith("/o"):
            prefix = parse_qs(url.query).get("prefix", [""])[0]
            items = [self.describe(n) for n in sorted(self.objects) if n.startswith(prefix)]
            return self.answer({"items": items})
        if "/o/" not in url.path:
            return self.answer({"name": url.path.rsplit("/", 1)[1], "location": "US"})
        name = unquote(url.path.split("/o/", 1)[1])
        if name not in self.objects:
            return self.answer({"error": {"code": 404, "message": name}}, status=404)
        if parse_qs(url.query).get("alt") == ["media"] or url.path.startswith("/download"):
            return self.download(name)
        return self.answer(self.describe(name))

    def do_POST(self) -> None:
        """An object in one go, or the beginning of one in several."""
        query = parse_qs(urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if query["uploadType"] == ["resumable"]:
            name = query.get("name", [""])[0] or json.loads(body)["name"]
            session = f"http://{self.headers['Host']}/session/{len(self.sessions)}"
            self.sessions[urlsplit(session).path] = name
            return self.answer({}, headers={"Location": session})
        boundary = self.headers["Content-Type"].split("boundary=")[1].strip("\"'").encode()
        _, description, media, _ = body.split(b"--" + boundary)
        name = json.loads(description.split(b"\r\n\r\n", 1)[1])["name"]
        self.objects[name] = media.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        return self.answer(self.describe(name))

    def do_PUT(self) -> None:
        """A part of an object."""
        name = self.sessions[urlsplit(self.path).path]
        length = self.headers.get("Content-Length")
        part = self.rfile.read(int(length)) if length else self.chunks()
        self.objects[name] = self.objects.get(name, b"") + part
        if self.headers.get("Content-Range", "/*").endswith("/*") and part:
            last = len(self.objects[name]) - 1
            return self.answer({}, status=308, headers={"Range": f"bytes=0-{last}"})
        return self.answer(self.describe(name))

    def download(self, name: str) -> None:
        """An object's bytes, or the piece that is asked for."""
        data = self.objects[name]
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        piece = data[int(first or 0) : int(last) + 1 if last else None]
        self.objects.downloaded[name] += len(piece)
        if not first:
            return self.answer(piece)
        if not piece:
            return self.answer({}, status=416)
        span = f"bytes {first}-{int(first) + len(piece) - 1}/{len(data)}"
        self.answer(piece, status=206, headers={"Content-Range": span})

    def chunks(self) -> bytes:
        """A body in chunks."""
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def describe(self, name: str) -> dict[str, Any]:
        """An object's metadata."""
        import base64

        data = self.objects[name]
        checksum = base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()
        return {
            "name": name,
            "bucket": "bucket",
            "size": str(len(data)),
            "crc32c": checksum,
            "generation": "1",
            "updated": "2026-01-01T00:00:00Z",
        }

    def answer(
        self,
        body: dict[str, Any] | bytes,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Sends JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Objects(dict[str, bytes]):
    """The objects by name, of whatever bucket.

    Attributes:
        downloaded: how many bytes were read of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.downloaded: Counter[str] = Counter()


@contextmanager
def serve() -> Iterator[tuple[str, Objects]]:
    """Serves on a free port; gives the address and the objects."""
    objects = Objects()
    handler = type("Storage", (Handler,), {"objects": objects, "sessions": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", objects
    finally:
        server.shutdown()
        thread.join()
