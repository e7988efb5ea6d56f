"""python -m benchmarks.query_cost --index tuxpaint/index: what a spoken query costs, one at a time.

Takes test recordings out of an index and looks each up among the texts of its language: decode,
speech encoder, audio tokens, dual encoder, search. Prints processor and clock seconds a query, the
model loaded and warm. `--cascade FOLDER` puts beside it what the cascade recorded of its own.
"""

from __future__ import annotations

import argparse
import statistics
import time

from pipelines import storage

WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", required=True, help="folder written by scann_index.build")
    parser.add_argument("--cascade", default="", help="folder written by scann_index.cascade")
    parser.add_argument("--queries", type=int, default=60, help="how many, over all languages")
    options = parser.parse_args()

    from scann_index.retrieval import Candidates
    from scann_index.searcher import Searcher

    searcher = Searcher.open(options.index)
    speech = Candidates(searcher.bundle.shards(modality="speech"), "test")
    step = max(1, len(speech) // (options.queries + WARM_UP))
    rows = speech.rows[::step]
    wall, cpu = [], []
    for row in rows[: options.queries + WARM_UP]:
        times = time.perf_counter(), time.process_time()
        searcher.search(audio=row.audio, language=row.language, languages=[row.language])
        wall.append(time.perf_counter() - times[0])
        cpu.append(time.process_time() - times[1])
    wall, cpu = wall[WARM_UP:], cpu[WARM_UP:]
    print(
        f"encoder: {len(cpu)} queries, {statistics.mean(cpu):.3f} CPU seconds each, "
        f"median {statistics.median(wall):.3f} s by the clock"
    )
    if options.cascade:
        about = storage.read_json(storage.join(options.cascade, "report.json"))["cascade"]
        each = about["cpu_seconds_per_query"]
        print(
            f"cascade: {about['queries']} queries, {each:.3f} CPU seconds each "
            f"({about['transcriber']}); {each / statistics.mean(cpu):.1f} times the encoder's"
        )


if __name__ == "__main__":
    main()
