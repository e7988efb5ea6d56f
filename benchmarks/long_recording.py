"""Does memory grow with the length of a recording, whole or cut into segments?

    python -m benchmarks.long_recording --hours 0.5,10
    python -m benchmarks.long_recording --hours 0.5,10 --segments 15

Makes one FLAC of tones and noise (8 kHz, so that it is resampled too), prepares it in a process of
its own (MFCC, no weights) and prints the peak of that process' memory and its time. With
`--segments` every so many seconds of it are an utterance, as a corpus of lectures has them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from pipelines.codebook import Codebook

RATE = 8_000


def make_recording(path: Path, hours: float) -> None:
    """Writes minutes of a rising tone in noise, another for each of ten, over and over."""
    time_axis = np.arange(60 * RATE) / RATE
    random = np.random.default_rng(0)
    minutes = [
        0.3 * np.sin(2 * np.pi * (100 + 37 * n + 5 * time_axis) * time_axis)
        + 0.02 * random.standard_normal(len(time_axis))
        for n in range(10)
    ]
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for minute in range(round(60 * hours)):
            file.write(minutes[minute % 10])


def make_corpus(folder: Path, hours: float, segment: float) -> Path:
    """Writes the recording, a manifest and a codebook; returns the manifest."""
    make_recording(folder / "lecture.flac", hours)
    rows = ["id\taudio\tlanguage\ttranscript\tsplit"]
    if segment:
        for n in range(int(hours * 3600 // segment)):
            part = f"lecture.flac#t={n * segment:.3f},{(n + 1) * segment:.3f}"
            rows.append(f"{n}\t{part}\ten\tsegment {n}\ttest")
    else:
        rows.append("0\tlecture.flac\ten\ta long lecture\ttest")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    centroids = np.random.default_rng(0).normal(size=(64, 39)).astype(np.float32)
    codebook = Codebook(centroids, np.ones(39, np.float32), {"speech_encoder": "mfcc"})
    codebook.save(str(folder / "codebook"))
    return folder / "manifest.tsv"


def measure(manifest: Path) -> tuple[float, float, float]:
    """Prepares a corpus: the peak in MiB, the wall-clock and the CPU seconds."""
    folder = manifest.parent
    command = [sys.executable, "-m", "pipelines.prepare", f"--corpus={manifest}", "--shards=1"]
    command += ["--speech-encoder=mfcc", f"--codebook={folder}/codebook", "--max-seconds=360000"]
    start = time.monotonic()
    process = subprocess.Popen([*command, f"--output={folder}/data"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"prepare failed with status {status}")
    return usage.ru_maxrss / 1024, time.monotonic() - start, usage.ru_utime + usage.ru_stime


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", default="0.5,10", help="lengths, the shortest first")
    parser.add_argument("--segments", type=float, default=0, help="seconds; 0: one utterance")
    arguments = parser.parse_args()
    first = None
    print(f"{'hours':>6} {'FLAC MB':>8} {'peak MiB':>9} {'wall s':>7} {'CPU s':>6}")
    for hours in map(float, arguments.hours.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            manifest = make_corpus(Path(folder), hours, arguments.segments)
            megabytes = Path(folder, "lecture.flac").stat().st_size / 1e6
            peak, wall, cpu = measure(manifest)
        first = first or peak
        print(
            f"{hours:>6g} {megabytes:>8.0f} {peak:>9.0f} {wall:>7.0f} {cpu:>6.0f}"
            f"   memory × {peak / first:.2f}, {3600 * hours / cpu:.0f} s of sound a CPU-second",
            flush=True,
        )


if __name__ == "__main__":
    main()
