"""Dataflow, Vertex AI and Cloud Storage, as far as the workflow goes: jobs that end as told.

Addresses are `http://127.0.0.1:PORT/<the real host>/<the real path>`. Every request is held against
the services' discovery documents; what does not fit is answered as the services would, with 400.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.terraform import discovery

LAUNCHES = {"prepare": 3, "translate": 2, "build": 4, "evaluate": 2}


@dataclass
class Cloud:
    """What the services know.

    Args:
        outcomes: by stage, the states in which its jobs end; DONE or SUCCEEDED when they run out.
        unavailable: so many requests are answered with 503 first.
    """

    outcomes: dict[str, list[str]] = field(default_factory=dict)
    unavailable: int = 0
    complete: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    jobs: dict[str, list[str]] = field(default_factory=dict)
    launches: dict[str, int] = field(default_factory=dict)

    def answer(self, verb: str, url: str, body: Any) -> tuple[int, dict[str, Any]]:
        """The status and the JSON that a request is answered with."""
        parts = urlsplit(url)
        address, query = url.split("?")[0], dict(parse_qsl(parts.query))
        if found := discovery.problems(verb, address, query, body):
            return 400, {"error": {"message": "; ".join(found)}}
        if self.unavailable:
            self.unavailable -= 1
            return 503, {"error": {"message": "try again later"}}
        self.requests.append((verb, url, body))
        name, _ = discovery.method_of(verb, address)
        if name == "storage.v1.objects.get":
            bucket, path = address.split("/b/")[1].split("/o/")
            found_it = f"gs://{bucket}/{unquote(path)}" in self.complete
            return (200, {"name": path}) if found_it else (404, {"error": {"code": 404}})
        if name.endswith("flexTemplates.launch"):
            return 200, {"job": {"id": self.launch(body["launchParameter"])}}
        if name.endswith("customJobs.create"):
            return 200, {
                "name": f"{address.split('/v1/')[1]}/{self.train(body)}",
                "state": "QUEUED",
            }
        if name.endswith("messages.list"):
            return 200, {"jobMessages": [{"messageText": "first"}, {"messageText": "out of disk"}]}
        states = self.jobs[address.rsplit("/", 1)[1]]
        state = states.pop(0) if len(states) > 1 else states[0]
        if "customJobs" in name:
            return 200, {"state": state, "error": {"message": "out of memory"}}
        return 200, {"currentState": state}

    def launch(self, parameter: dict[str, Any]) -> str:
        """A Dataflow job; the last of a stage leaves the output complete."""
        verb, output = parameter["parameters"]["verb"], parameter["parameters"]["output"]
        job = f"2026-{verb}-{len(self.jobs)}"
        end = self.outcomes[verb].pop(0) if self.outcomes.get(verb) else "JOB_STATE_DONE"
        self.jobs[job] = ["JOB_STATE_QUEUED", "JOB_STATE_RUNNING", end]
        self.launches[verb] = self.launches.get(verb, 0) + (end == "JOB_STATE_DONE")
        if self.launches[verb] == LAUNCHES[verb]:
            self.complete.add(f"{output}/COMPLETED")
        return job

    def train(self, body: dict[str, Any]) -> str:
        """A custom job; it leaves the output complete if it succeeds."""
        (pool,) = body["jobSpec"]["workerPoolSpecs"]
        arguments = dict(a.split("=", 1) for a in pool["containerSpec"]["args"] if "=" in a)
        job = str(len(self.jobs))
        end = self.outcomes["train"].pop(0) if self.outcomes.get("train") else "JOB_STATE_SUCCEEDED"
        self.jobs[job] = ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", end]
        if end == "JOB_STATE_SUCCEEDED":
            self.complete.add(f"{arguments['--output']}/COMPLETED")
        return job


@contextmanager
def serve(cloud: Cloud) -> Iterator[str]:
    """Serves a cloud on a free port; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply("GET", None)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self.reply("POST", json.loads(self.rfile.read(length)))

        def reply(self, verb: str, body: Any) -> None:
            status, found = cloud.answer(verb, f"https:/{self.path}", body)
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
