"""What tests of the server share: requests, a sound to send, and the form of a refusal."""

from __future__ import annotations

import asyncio
import io

import httpx
import numpy as np
import soundfile

from scann_index.queries import Limits

LIMITS = Limits(bytes=200_000, seconds=2.0, characters=40, upload_seconds=1.0)


def ask(app, *requests):
    """Sends requests together, each a method, a path and arguments of httpx; the responses."""

    async def run():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            calls = (client.request(method, path, **how) for method, path, how in requests)
            return await asyncio.gather(*calls)

    responses = asyncio.run(run())
    return responses[0] if len(responses) == 1 else responses


def post(app, **how) -> httpx.Response:
    return ask(app, ("POST", "/search", how))


def tone(seconds: float = 1.0, kind: str = "WAV", rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(buffer, 0.5 * np.sin(2 * np.pi * (300 + 200 * time) * time), rate, format=kind)
    return buffer.getvalue()


def refusal(response: httpx.Response) -> tuple[int, str]:
    problem = response.json()
    assert set(problem) == {"status", "reason", "detail"}
    assert problem["status"] == response.status_code
    assert problem["detail"]
    return response.status_code, problem["reason"]
