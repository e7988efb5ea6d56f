"""How fast speech becomes features, against what the machine's matrix products allow.

    python -m benchmarks.speech_encoder --encoder whisper_base@3

The floor is the time of the encoder's matrix products alone, on the padded audio, at the rate
that one large float32 product reaches on this machine. The clips are noise, as long as the
names in the demo corpus; what is in them makes no difference to the time.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from pipelines import speech_encoder
from pipelines.length_batches import batches

SAMPLE_RATE = 16_000


def clips(count: int, seed: int = 0) -> list[np.ndarray]:
    """Lengths like the demo corpus's: 1 s on average, nine tenths of them below 1.6 s."""
    random = np.random.default_rng(seed)
    seconds = np.clip(random.lognormal(np.log(0.9), 0.45, count), 0.2, 5.0)
    return [random.normal(0, 0.1, int(s * SAMPLE_RATE)).astype(np.float32) for s in seconds]


def whisper_gflop(frames: int, layers: int) -> float:
    """Matrix products of Whisper-base on `frames` frames at 50 Hz, attention scores left out."""
    width, feed_forward, mels = 512, 2048, 80
    convolutions = 2 * (3 * mels) * width * 2 + 2 * (3 * width) * width
    layer = 2 * width * (4 * width + 2 * feed_forward)
    return frames * (convolutions + layers * layer) / 1e9


def measure(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Wall and CPU seconds of the fastest call."""
    best = (float("inf"), float("inf"))
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    return best


def matmul_gflops() -> tuple[float, float]:
    """The rate of one large product, per wall second and per CPU second."""
    import tensorflow as tf

    size = 2048
    left, right = tf.random.normal([size, size]), tf.random.normal([size, size])
    product = tf.function(lambda: tf.matmul(left, right)[0, 0], autograph=False)
    product()
    wall, cpu = measure(lambda: product().numpy(), 30)
    return 2 * size**3 / wall / 1e9, 2 * size**3 / cpu / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default="whisper_base@3")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    start = time.perf_counter()
    encoder = speech_encoder.load_speech_encoder(arguments.encoder)
    print(f"{arguments.encoder}: loaded in {time.perf_counter() - start:.1f} s")
    waveforms = clips(arguments.clips)
    sizes = [w.size for w in waveforms]
    audio = sum(sizes) / SAMPLE_RATE
    samples = sum(len(b) * rung for b, rung in batches(sizes))
    print(f"{len(sizes)} clips, {audio:.0f} s of audio, {samples / SAMPLE_RATE:.0f} s padded")

    start = time.perf_counter()
    encoder.encode(waveforms)
    print(f"cold {time.perf_counter() - start:.1f} s, the graph being traced")
    wall, cpu = measure(lambda: encoder.encode(waveforms), arguments.repeats)
    print(f"warm {wall:.1f} s, {cpu:.1f} CPU-s: {audio / wall:.0f} audio-seconds per second")
    if encoder.card["name"] == "whisper_base":
        gflop = whisper_gflop(samples // 320, encoder.card["layer"])
        per_wall, per_cpu = matmul_gflops()
        print(
            f"floor {gflop / per_wall:.1f} s at {per_wall:.0f} GFLOP/s: "
            f"{audio * per_wall / gflop:.0f} audio-seconds per second"
        )
        # On a machine with other work the two wall clocks were not slowed alike; CPU time is.
        print(
            f"time over floor: {wall * per_wall / gflop:.2f} (wall), "
            f"{cpu * per_cpu / gflop:.2f} (CPU)"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
