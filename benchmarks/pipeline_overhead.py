"""What the pipeline costs over a bare loop that decodes, encodes and assigns the same clips.

    python -m benchmarks.pipeline_overhead --clips 1000

The clips are names of the demo corpus, spoken by eSpeak NG and written as FLAC files: about 1.1 s
each, so short that whatever is done once a clip weighs more than with real recordings. Both sides
call the same functions, TensorFlow has one thread, and the encoder was loaded before: the loop
takes as many clips at once as a shard holds and keeps the tokens in memory; `pipelines.prepare`
reads a manifest, checks every row, groups, and writes pairs, statistics and hashes. They take
turns. Trust the CPU seconds where other work shares the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import itertools
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile
import tensorflow

from pipelines.audio import SAMPLE_RATE, load_audio_batch
from pipelines.codebook import Codebook
from pipelines.corpora.demo import DemoCorpus
from pipelines.prepare import PrepareOptions, prepare
from pipelines.rejects import Rejected
from pipelines.speech_encoder import load_speech_encoder


def write_clips(folder: Path, count: int) -> list[str]:
    """FLAC files of the demo corpus' first sentences, and `manifest.tsv`; returns their paths."""
    rows = list(itertools.islice(DemoCorpus().utterances(), count))
    sounds = load_audio_batch([row.audio for row in rows])
    paths = []
    with (folder / "manifest.tsv").open("w", encoding="utf-8") as manifest:
        manifest.write("audio\tlanguage\ttranscript\tsplit\n")
        for number, (row, sound) in enumerate(zip(rows, sounds, strict=True)):
            assert not isinstance(sound, Rejected)
            paths.append(f"{folder}/{number}.flac")
            soundfile.write(paths[-1], sound, SAMPLE_RATE)
            manifest.write(f"{paths[-1]}\t{row.language}\t{row.transcript}\ttrain\n")
    return paths


def measure(function: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of a call."""
    wall, cpu = time.monotonic(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        function()
    return time.process_time() - cpu, time.monotonic() - wall


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--encoder", default="whisper_base@4")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--profile", action="store_true", help="show where the pipeline's time goes"
    )
    arguments = parser.parse_args()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as place:
        compare(Path(place), arguments)


def compare(place: Path, arguments: argparse.Namespace) -> None:
    """Measures both and prints their ratio."""
    paths = write_clips(place, arguments.clips)

    def options(name: str, **more: object) -> PrepareOptions:
        return PrepareOptions(
            output=f"{place}/{name}",
            corpus=f"{place}/manifest.tsv",
            speech_encoder=arguments.encoder,
            codebook_size=256,
            shards=arguments.shards,
            **more,  # type: ignore[arg-type]
        )

    # Loads and traces the encoder, and fits the codebook.
    with contextlib.redirect_stdout(io.StringIO()):
        prepare(options("first"))
    folder = f"{place}/first/codebook"
    codebook = Codebook.load(folder)
    encoder = load_speech_encoder(arguments.encoder, options("none").speech_precision)
    size = -(-len(paths) // arguments.shards)

    def loop() -> None:
        tokens = []
        for start in range(0, len(paths), size):
            sounds = load_audio_batch(paths[start : start + size])
            tokens += codebook.assign_all(encoder.encode(sounds))  # type: ignore[arg-type]
        assert len(tokens) == len(paths)

    seconds = sum(soundfile.info(path).duration for path in paths)
    print(f"{len(paths):,} clips, {seconds:,.0f} s, {arguments.encoder}, {encoder.card}")
    print(f"{'':<12} {'CPU s':>7} {'wall s':>7}")
    found: dict[str, list[tuple[float, float]]] = {"loop": [], "pipeline": []}
    for repeat in range(arguments.repeats):
        run = options(f"run-{repeat}", codebook=folder)
        for name, function in (("loop", loop), ("pipeline", lambda run=run: prepare(run))):
            cpu, wall = measure(function)
            found[name].append((cpu, wall))
            print(f"{name:<12} {cpu:>7.2f} {wall:>7.2f}", flush=True)
    for index, what in enumerate(("CPU", "wall")):
        ratios = [p[index] / b[index] for b, p in zip(*found.values(), strict=True)]
        print(
            f"{what}: pipeline / loop = {statistics.median(ratios):.3f} (median of {len(ratios)})"
        )
    cpu = statistics.median(p[0] for p in found["pipeline"])
    print(f"pipeline: {seconds / cpu:.0f} s of speech a CPU-second")
    if arguments.profile:
        profiler = cProfile.Profile()
        profiler.enable()
        measure(lambda: prepare(options("profiled", codebook=folder)))
        profiler.disable()
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
