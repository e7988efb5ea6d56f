"""python -m benchmarks.serve_load: many clients at once put to a running server.

    python -m scann_index.serve --index demo/index &
    python -m benchmarks.serve_load --clients 200 --seconds 60 --audio demo/spoken.wav

Each client asks, waits for the answer and asks again, over a connection of its own. A share of them
speaks (--speech), the others type. Prints requests a second, latencies and whatever went wrong; the
exit status is 1 if anything did. The clients take processor time too: on one machine the figures
are those of server and clients together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np

TEXTS = (
    "red apple",
    "pomme rouge",
    "mela rossa",
    "красное яблоко",
    "赤リンゴ",
    "tavşan",
    "قمر",
    "wolf",
)


async def client(
    number: int, args: argparse.Namespace, sound: bytes, until: float, log: list[tuple]
) -> None:
    speaks = number < round(args.speech * args.clients)
    # Not all at the same instant, as no crowd arrives.
    await asyncio.sleep(number / args.clients)
    async with httpx.AsyncClient(base_url=args.url, timeout=args.timeout) as http:
        turn = number
        while time.monotonic() < until:
            started = time.monotonic()
            try:
                if speaks:
                    headers = {"content-type": "audio/wav"}
                    response = await http.post("search?k=5", content=sound, headers=headers)
                else:
                    text = f"{TEXTS[turn % len(TEXTS)]} {turn % 50}"
                    response = await http.post("search", json={"text": text, "k": 5})
                fine = response.status_code == 200 and len(response.json()["answers"]) == 5
                outcome = "ok" if fine else f"{response.status_code} {response.text[:80]}"
            except (httpx.HTTPError, ValueError) as error:
                outcome = type(error).__name__
            log.append((time.monotonic() - started, "speech" if speaks else "text", outcome))
            turn += args.clients


async def load(args: argparse.Namespace) -> list[tuple]:
    sound = Path(args.audio).read_bytes() if args.speech else b""
    log: list[tuple] = []
    until = time.monotonic() + args.seconds
    await asyncio.gather(*(client(n, args, sound, until, log) for n in range(args.clients)))
    return log


def batches(url: str) -> float | None:
    """The mean number of queries that the model got at a time, by the server's own count."""
    lines = httpx.get(f"{url}metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    count = float(values.get("babelear_batch_size_count", 0))
    return float(values["babelear_batch_size_sum"]) / count if count else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--speech", type=float, default=0.5, help="share of clients that speak")
    parser.add_argument("--audio", default="demo/spoken.wav", help="what they say")
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started = time.monotonic()
    log = asyncio.run(load(args))
    seconds = time.monotonic() - started
    outcomes = Counter(outcome for _, _, outcome in log)
    report = {
        "clients": args.clients,
        "seconds": round(seconds, 1),
        "requests": len(log),
        "errors": len(log) - outcomes["ok"],
        "requests_per_second": round(len(log) / seconds, 1),
        "queries_per_batch": round(batches(args.url) or 0, 1),
    }
    for kind in ("text", "speech"):
        times = [1000 * took for took, of, outcome in log if of == kind and outcome == "ok"]
        if times:
            report[kind] = {
                "requests": len(times),
                **{f"p{p}_ms": round(float(np.percentile(times, p))) for p in (50, 95, 99)},
                "max_ms": round(max(times)),
            }
    if args.json:
        print(json.dumps({**report, "outcomes": outcomes}, indent=2))
    else:
        for name, value in report.items():
            print(f"{name.replace('_', ' '):<20} {value}")
        for outcome, count in outcomes.most_common():
            if outcome != "ok":
                print(f"  {count:>6} x {outcome}")
    return int(report["errors"] > 0)


if __name__ == "__main__":
    sys.exit(main())
