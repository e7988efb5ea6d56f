"""What the server counts and times, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROUTES = ("/search", "/index", "/healthz", "/metrics", "/")
FOLDERS = ("/audio", "/assets")


class Metrics:
    """The metrics of one application.

    Args:
        rows: of the index.
    """

    def __init__(self, rows: int) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "babelear_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "babelear_request_seconds",
            "From the first byte of a request to its answer",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.refused = Counter(
            "babelear_refused", "Requests refused, by reason", ["reason"], registry=registry
        )
        self.batch_size = Histogram(
            "babelear_batch_size",
            "Queries that the model got at a time",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.model_seconds = Histogram(
            "babelear_model_seconds",
            "Time to embed and search a batch",
            buckets=SECONDS,
            registry=registry,
        )
        self.waiting = Gauge(
            "babelear_waiting", "Queries that wait for the model", registry=registry
        )
        Gauge("babelear_index_rows", "Rows of the index", registry=registry).set(rows)

    @contextmanager
    def request(self, path: str) -> Iterator[Callable[[int], None]]:
        """Times a request; what it yields is told the status."""
        # Any other path would be a label of its own, and anybody can make up paths.
        route = next((r for r in FOLDERS if path.startswith(r + "/")), path)
        route = route if route in (*ROUTES, *FOLDERS) else "other"
        started, status = time.perf_counter(), 500

        def observed(code: int) -> None:
            nonlocal status
            status = code

        try:
            yield observed
        finally:
            self.requests.labels(route, str(status)).inc()
            self.seconds.labels(route).observe(time.perf_counter() - started)
