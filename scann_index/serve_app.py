"""The server as an ASGI application: search, sound, page, health, metrics."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from importlib import resources
from typing import Any

import soundfile
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipelines.audio import SAMPLE_RATE, load_audio
from pipelines.output_dir import VERSION
from pipelines.rejects import Rejected
from pipelines.utterance import LANGUAGES
from scann_index.batching import Batcher, Overloaded
from scann_index.playable import MAX_SECONDS
from scann_index.queries import Limits, Query, Refused
from scann_index.searcher import Searcher
from scann_index.serve_answers import Answerer
from scann_index.serve_http import PROBLEMS, Observed, add_errors
from scann_index.serve_metrics import Metrics
from scann_index.serve_schema import SEARCH_BODY, Answers, IndexCard, Problem
from scann_index.uploads import read_query

CLIPS_KEPT = 256
EXAMPLES = 6
PAGE_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "recorder.js": "text/javascript",
}


@dataclass(frozen=True)
class Settings:
    """How the server behaves.

    Args:
        limits: on what a request holds.
        max_batch: queries that the model gets at a time, at most.
        batch_wait: seconds that the first of a batch waits for others.
        max_waiting: with so many queries waiting, further ones are refused.
        uploads_at_once: requests whose sound is read and decoded at a time; bounds the memory.
        sound: whether recordings of the index are played.
    """

    limits: Limits = field(default_factory=Limits)
    max_batch: int = 32
    batch_wait: float = 0.005
    max_waiting: int = 512
    uploads_at_once: int = 32
    sound: bool = True


def create_app(searcher: Searcher, settings: Settings | None = None) -> FastAPI:
    """The application; loads the model when it starts.

    Args:
        searcher: the index and its model.
        settings: left out, the defaults.
    """
    settings = settings or Settings()
    answerer = Answerer(searcher)
    metrics = Metrics(sum(map(len, answerer.shards)))

    def handle(queries: Any) -> Any:
        with metrics.model_seconds.time():
            return answerer.answer(queries)

    batcher: Batcher[Query, Any] = Batcher(
        handle,
        max_batch=settings.max_batch,
        max_wait=settings.batch_wait,
        max_waiting=settings.max_waiting,
        on_batch=metrics.batch_size.observe,
    )
    metrics.waiting.set_function(lambda: batcher.waiting)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(answerer.warm_up)
        # A semaphore belongs to the event loop it is first used in.
        app.state.uploads = asyncio.Semaphore(settings.uploads_at_once)
        async with batcher:
            yield

    app = FastAPI(
        title="Babelear",
        version=VERSION,
        description="Finds sentences by text or by speech, in any language of an index.",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    add_errors(app, metrics)
    _add_page(app)
    app.add_middleware(Observed, metrics=metrics)

    @app.post(
        "/search",
        response_model=Answers,
        responses=PROBLEMS,
        openapi_extra={"requestBody": SEARCH_BODY},
    )
    async def search(request: Request) -> JSONResponse:
        """The sentences nearest to a text or to speech."""
        started = time.perf_counter()
        # Who types need not wait for those who are still sending sound.
        is_text = request.headers.get("content-type", "").startswith("application/json")
        async with nullcontext() if is_text else app.state.uploads:
            query = await read_query(request, settings.limits)
        _check_filters(query, searcher)
        read = time.perf_counter()
        try:
            answers = await batcher.submit(query)
        except Overloaded as error:
            raise Refused(503, "overloaded", str(error)) from None
        if isinstance(answers, Exception):
            raise Refused(422, "invalid-value", str(answers))
        seconds = None if query.sound is None else round(len(query.sound) / SAMPLE_RATE, 2)
        took = {"read": read - started, "search": time.perf_counter() - read}
        return JSONResponse(
            {
                "query": {"text": query.text, "seconds": seconds},
                "milliseconds": {name: round(1000 * value, 1) for name, value in took.items()},
                "answers": answers,
            }
        )

    @app.get("/index", response_model=IndexCard)
    async def index() -> dict[str, Any]:
        """What can be found, and what may be sent."""
        return _index_card(answerer, settings)

    @lru_cache(maxsize=CLIPS_KEPT)
    def clip(shard: str, number: int) -> bytes:
        row = answerer.row(shard, number)
        if not row.audio:
            raise KeyError(f"{shard}/{number}")
        buffer = io.BytesIO()
        samples = load_audio(row.audio)[: int(MAX_SECONDS * SAMPLE_RATE)]
        soundfile.write(buffer, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return buffer.getvalue()

    @app.get(
        "/audio/{shard}/{number}",
        response_class=Response,
        responses={200: {"content": {"audio/wav": {}}}, 404: {"model": Problem}},
    )
    async def audio(shard: str, number: int) -> Response:
        """A recording of the index, at most 20 seconds of it."""
        if not settings.sound:
            raise Refused(404, "no-sound", "this server plays no recordings")
        try:
            data = await asyncio.to_thread(partial(clip, shard, number))
        except KeyError:
            raise Refused(404, "no-such-recording", f"{shard[:80]}/{number}") from None
        except (Rejected, OSError, RuntimeError) as error:
            reason = getattr(error, "reason", "unreadable")
            # What went wrong may name a path of this machine.
            raise Refused(404, "no-sound", f"the recording can't be played ({reason})") from None
        return Response(data, media_type="audio/wav", headers={"cache-control": "max-age=3600"})

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """That the model is loaded and the index open."""
        return {"status": "ok", "waiting": batcher.waiting}

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _check_filters(query: Query, searcher: Searcher) -> None:
    bundle = searcher.bundle
    if missing := sorted(set(query.languages) - set(bundle.languages)):
        detail = f"no {missing[0][:40]!r} in the index; it has {', '.join(bundle.languages)}"
        raise Refused(422, "invalid-value", detail)


def _index_card(answerer: Answerer, settings: Settings) -> dict[str, Any]:
    bundle = answerer.searcher.bundle
    rows: dict[str, dict[str, int]] = {code: {} for code in bundle.languages}
    for shard in answerer.shards:
        counts = rows[shard.language]
        counts[shard.modality] = counts.get(shard.modality, 0) + len(shard)
    languages = [
        {
            "code": code,
            "name": LANGUAGES[code].name if code in LANGUAGES else code,
            "text": counts.get("text", 0),
            "speech": counts.get("speech", 0),
        }
        for code, counts in rows.items()
    ]
    return {
        "languages": sorted(languages, key=lambda language: str(language["name"])),
        "modalities": bundle.modalities,
        "rows": sum(map(len, answerer.shards)),
        "model": bundle.model_digest,
        "query_languages": [{"code": c, "name": LANGUAGES[c].name} for c in LANGUAGES],
        "limits": asdict(settings.limits),
        "examples": _examples(answerer),
    }


def _examples(answerer: Answerer) -> list[dict[str, str]]:
    """Texts to try, the first short one of each of some languages."""
    shards = [shard for shard in answerer.shards if shard.modality == "text"]
    spread = shards[:: max(1, -(-len(shards) // EXAMPLES))]
    found = []
    for shard in spread:
        rows = shard.rows_at(range(min(len(shard), 50)))
        short = [row for row in rows if 4 <= len(row.text) <= 40] or rows
        found.append({"language": shard.language, "text": short[0].text})
    return found


def _add_page(app: FastAPI) -> None:
    """The page and its files, read once."""
    assets = resources.files("scann_index") / "serve_assets"
    page = (assets / "page.html").read_bytes()

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return Response(page, media_type="text/html; charset=utf-8")

    files = {name: (assets / name).read_bytes() for name in PAGE_FILES}

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in files:
            raise Refused(404, "no-such-page", name[:80])
        return Response(files[name], media_type=f"{PAGE_FILES[name]}; charset=utf-8")
