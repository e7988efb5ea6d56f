"""What every answer of the server has: headers, counting, and failures said as JSON."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scann_index.queries import Refused
from scann_index.serve_metrics import Metrics
from scann_index.serve_schema import Problem

LINGER_SECONDS = 5.0
"""A client that is refused while it sends is listened to so long, so that it hears the answer."""
_HEADERS = [
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; media-src 'self' blob:; img-src 'self' data:; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
        "permissions-policy": "microphone=(self), camera=(), geolocation=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }.items()
]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "malformed: the form, the JSON or the name of a file",
        408: "not whole in time",
        413: "too many bytes, seconds or characters",
        415: "not sound, or of another content type",
        422: "no query, or one with impossible values",
        503: "too many requests wait: come back later",
    }.items()
}


class Refusal(JSONResponse):
    """Why a request is not answered; hears a client out that is still sending, within reason.

    A connection that is closed with bytes unread is reset, and the client may never see the answer.
    """

    unread = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers first, then listens until the client is done or its time is up."""
        if not self.unread:
            await super().__call__(scope, receive, send)
            return
        self.headers["connection"] = "close"
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        deadline = time.monotonic() + LINGER_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(receive(), left)
            except asyncio.TimeoutError:
                break
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        await send({"type": "http.response.body", "body": b""})


class Observed:
    """Counts and times each request, and adds the headers that every answer has.

    Args:
        app: what answers.
        metrics: where it is counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and looks at the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self.metrics.request(scope["path"]) as observed:

            async def observing(message: Message) -> None:
                if message["type"] == "http.response.start":
                    observed(message["status"])
                    message["headers"] = [*message["headers"], *_HEADERS]
                await send(message)

            await self.app(scope, receive, observing)


def add_errors(app: FastAPI, metrics: Metrics) -> None:
    """Every failure as JSON with status, reason and detail."""

    def problem(status: int, reason: str, detail: str) -> Refusal:
        metrics.refused.labels(reason).inc()
        headers = {"retry-after": "1"} if status == 503 else {}
        content = {"status": status, "reason": reason, "detail": detail}
        return Refusal(content, status, headers=headers)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        response = problem(error.status, error.reason, error.detail)
        response.unread = error.unread
        return response

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        reasons = {404: "no-such-page", 405: "no-such-method"}
        return problem(
            error.status_code, reasons.get(error.status_code, "refused"), str(error.detail)
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem(422, "invalid-value", f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        return problem(500, "internal-error", "the server failed; its log says why")
