"""Does memory grow with a corpus that is read from its archives, and time more than linearly?

    python benchmarks/corpus_memory.py --utterances 2000,20000
    python benchmarks/corpus_memory.py --utterances 200 --make fleurs

Makes FLEURS-shaped corpora of tones in four languages (512 different ones), prepares each in a
process of its own (MFCC, no weights), and prints the peak of that process' memory and its time.
With `--make` it only makes one, to try things on.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

CONFIGS = ("en_us", "fr_fr", "hi_in", "sw_ke")
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
RATE = 16_000


@lru_cache(maxsize=512)
def tone(number: int, seconds: float) -> bytes:
    """A WAV of a tone with some noise, another for each number."""
    random = np.random.default_rng(number)
    time_axis = np.arange(round(seconds * RATE)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * random.uniform(80, 3000) * time_axis)
    sound += 0.05 * random.standard_normal(len(time_axis))
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def make_corpus(folder: Path, utterances: int, seconds: float) -> None:
    """Writes `data/<config>/<split>.tsv` and `audio/<split>.tar.gz`."""
    number = 0
    for config in CONFIGS:
        (folder / "data" / config / "audio").mkdir(parents=True)
        for split, share in SHARES.items():
            table = folder / "data" / config / f"{split}.tsv"
            packed = folder / "data" / config / "audio" / f"{split}.tar.gz"
            with (
                table.open("w", encoding="utf-8") as lines,
                tarfile.open(packed, "w:gz", compresslevel=1) as archive,
            ):
                for _ in range(round(utterances * share / len(CONFIGS))):
                    number += 1
                    data, name = tone(number % 512, seconds), f"{10**18 + number}.wav"
                    text = f"sentence number {number}"
                    samples = round(seconds * RATE)
                    row = (number, name, text, text, " ".join(text), samples, "FEMALE")
                    lines.write("\t".join(map(str, row)) + "\n")
                    info = tarfile.TarInfo(f"{split}/{name}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))


def measure(folder: Path, output: Path) -> tuple[float, float, float]:
    """Prepares a corpus: the peak in MiB, the wall-clock and the CPU seconds."""
    command = [sys.executable, "-m", "pipelines.prepare", "--corpus=fleurs"]
    command += [f"--corpus-path={folder}", f"--output={output}", "--speech-encoder=mfcc"]
    command += ["--codebook-size=64", "--codebook-utterances=400", "--codebook-frames=8000"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"prepare failed with status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return usage.ru_maxrss / 1024, time.monotonic() - start, cpu


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", default="2000,20000", help="sizes, the smallest first")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each recording")
    parser.add_argument("--make", metavar="FOLDER", help="make a corpus there, and stop")
    arguments = parser.parse_args()
    first = None
    if arguments.make:
        make_corpus(Path(arguments.make), int(arguments.utterances), arguments.seconds)
        return
    print(f"{'utterances':>10} {'packed MB':>10} {'peak MiB':>9} {'wall s':>7} {'CPU s':>6}")
    for size in map(int, arguments.utterances.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(folder, "fleurs")
            make_corpus(corpus, size, arguments.seconds)
            megabytes = sum(p.stat().st_size for p in corpus.rglob("*.gz")) / 1e6
            peak, wall, cpu = measure(corpus, Path(folder, "data"))
        first = first or (size, peak, cpu)
        print(f"{size:>10,} {megabytes:>10.0f} {peak:>9.0f} {wall:>7.0f} {cpu:>6.0f}", end="")
        print(f"   memory × {peak / first[1]:.2f}, CPU × {cpu / first[2]:.2f}")


if __name__ == "__main__":
    main()
