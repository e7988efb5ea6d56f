"""What a training run took: tokens, floating-point operations, time, memory, the machine's share.

Operations are counted by formula, not measured (Kaplan et al. 2020, section 2.1): a token costs 2
for each weight of a matrix on its way forward, and twice that on the way back; attention adds, per
layer, 4 times the sequence's length times the width of all heads. Padding, norms, softmaxes and the
optimizer are not counted, so the share of the machine's peak is that of the work that had to be
done. Where blocks are frozen the way back is cheaper than counted, by up to a half.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from model.vocabulary import PADDING
from pipelines import quiet  # noqa: F401  (before TensorFlow)

COUNTED_BATCHES = 8


def of_run(
    model: Any, batches: Iterable[Any], *, steps: int, first_step: int, seconds: float
) -> dict[str, Any]:
    """What goes into a run's `stats.json`.

    Args:
        model: a `ContrastiveModel`, trained.
        batches: of its training; the first few tell how many tokens a step has.
        steps: of the whole run.
        first_step: where this process went on.
        seconds: it took for its own steps, evaluations included.

    Returns:
        Of the whole run: `parameters`, `trained_parameters`, `steps`, `tokens` and `flops` (both
        estimated from a few batches). Of this process: `wall_seconds`, `cpu_seconds`,
        `peak_memory_bytes`, `device`, `matmul_peak` (operations a second that the device reaches in
        matrix products of the model's precision) and `matmul_share`, what training reached of it.
    """
    encoder = model.encoder
    lengths = sequence_lengths(batches)
    flops = 3 * sum(forward_flops(encoder.backbone, length) for length in lengths)
    per_step = flops / COUNTED_BATCHES
    peak = matmul_peak(encoder.backbone.compute_dtype)
    done = max(steps - first_step, 0)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Bytes on macOS, kilobytes elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "parameters": int(encoder.count_params()),
        "trained_parameters": sum(int(np.prod(w.shape)) for w in encoder.trainable_weights),
        "steps": steps,
        "resumed_at_step": first_step,
        "tokens": round(sum(lengths) / COUNTED_BATCHES * steps),
        "flops": per_step * steps,
        "wall_seconds": seconds,
        "seconds_per_step": seconds / max(done, 1),
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_bytes": usage.ru_maxrss * unit,
        "device": device(),
        "matmul_peak": peak,
        "matmul_share": per_step * done / seconds / peak,
    }


def sequence_lengths(batches: Iterable[Any]) -> list[int]:
    """How many tokens each sequence of the first `COUNTED_BATCHES` batches has, without padding."""
    found: list[int] = []
    for batch in islice(batches, COUNTED_BATCHES):
        rows = batch if isinstance(batch, dict) else batch[0]
        for side in ("source", "target"):
            found += (np.asarray(rows[side]) != PADDING).sum(axis=1).tolist()
    return found


def forward_flops(backbone: Any, length: int) -> int:
    """Floating-point operations of a sequence on its way forward, by this module's formula."""
    tables = {id(weight) for weight in backbone.token_embedding.weights}
    matrices = sum(
        int(np.prod(weight.shape))
        for weight in backbone.weights
        if len(weight.shape) > 1 and id(weight) not in tables
    )
    widths = sum(
        int(np.prod(weight.shape)) // int(backbone.hidden_dim)
        for weight in backbone.weights
        if weight.path.endswith("query/kernel")
    )
    return 2 * matrices * length + 4 * length**2 * widths


def matmul_peak(dtype: str, *, side: int = 0, seconds: float = 0.3) -> float:
    """Floating-point operations a second in products of square matrices: the best of a few.

    Args:
        dtype: of the matrices.
        side: of the matrices; 0: 1,536, on a GPU 8,192, which fills one.
        seconds: how long it tries.
    """
    import keras
    from keras import ops

    on_gpu = "gpu" in device()
    side = side or (8192 if on_gpu else 1536)
    # One behind the other, so that asking for the result is a small part of the time.
    products = 8 if on_gpu else 1
    matrix = keras.random.normal((side, side), dtype=dtype)
    scaled = matrix / side**0.5
    best = float("inf")
    ends = time.perf_counter() + seconds
    rounds = 0
    # The first of them sets things up.
    while rounds < 3 or time.perf_counter() < ends:
        started = time.perf_counter()
        result = matrix
        for _ in range(products):
            result = ops.matmul(result, scaled)
        # NumPy can't hold a single bfloat16 of TensorFlow's.
        ops.convert_to_numpy(ops.cast(result[0, 0], "float32"))
        best = min(best, (time.perf_counter() - started) / products)
        rounds += 1
    return 2 * side**3 / best


def device() -> str:
    """The kind of the device that computes, such as `cpu` or `gpu`, and how many there are."""
    import keras

    devices = keras.distribution.list_devices()
    kinds = {str(name).split(":")[0] for name in devices} or {"cpu"}
    return " ".join(sorted(kinds)) + (f" x{len(devices)}" if len(devices) > 1 else "")
