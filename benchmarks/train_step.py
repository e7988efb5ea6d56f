"""python -m benchmarks.train_step: a training step, its layers, precision and compiler.

    python -m benchmarks.train_step                       # the demo's model: einsum against matmul
    python -m benchmarks.train_step --gemma --layers 3    # Gemma 3 270M's first layers, random
                                                          # weights: precision x XLA

Prints processor seconds a step, by each the floor (operations of the layers' matrices, forward and
back, over the machine's measured matmul rate in that precision) and the ratio to the first row.
Processor seconds, not seconds by the clock: other work on the machine changes them less. Peak
memory is that of the whole process so far.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)

SPEECH, TEXT = 38, 28
GEMMA = {
    "num_query_heads": 4,
    "num_key_value_heads": 1,
    "hidden_dim": 640,
    "intermediate_dim": 2048,
    "head_dim": 256,
    "use_query_key_norm": True,
}
ROWS_IN_USE = 5000


def batch_of(size: int, vocabulary: Any) -> dict[str, Any]:
    """Random ids: every sequence as long as the longest."""
    import numpy as np
    import tensorflow as tf

    from model.vocabulary import SPEECH as SPEECH_PREFIX
    from model.vocabulary import TEXT as TEXT_PREFIX

    rng = np.random.default_rng(0)
    ids = {"source": rng.integers(4, vocabulary.size, (size, SPEECH))}
    ids["target"] = rng.integers(4, vocabulary.size, (size, TEXT))
    ids["source"][:, 0], ids["target"][:, 0] = SPEECH_PREFIX, TEXT_PREFIX
    tensors = {k: tf.constant(v, tf.int32) for k, v in ids.items()}
    return {**tensors, "sentence": tf.range(size, dtype=tf.int64)}


def step_seconds(
    backbone: Any,
    vocabulary: Any,
    options: argparse.Namespace,
    *,
    matmuls: bool = True,
    xla: bool = False,
) -> float:
    """Processor seconds of a step, compilation left out."""
    from model.contrastive import ContrastiveModel
    from model.dual_encoder import DualEncoder
    from model.matmul_layers import use_matmuls
    from model.optimizer import create_optimizer, head_axes

    if matmuls:
        use_matmuls(backbone)
    encoder = DualEncoder(backbone, vocabulary)
    model = ContrastiveModel(encoder, scale=20.0, spread_out=1.0, spare_padding=not xla)
    optimizer = create_optimizer(
        options.optimizer,
        steps=1000,
        warmup_steps=10,
        learning_rate=1e-4,
        matrix_rate=1e-4,
        heads=head_axes(backbone),
        precision=backbone.compute_dtype,
    )
    model.compile(optimizer=optimizer, jit_compile=xla)
    batch = batch_of(options.batch_size, vocabulary)
    model.train_on_batch(batch)
    started = time.process_time()
    for _ in range(options.steps):
        model.train_on_batch(batch)
    return (time.process_time() - started) / options.steps


def main() -> None:
    from model import cost
    from model.backbone import create_backbone
    from model.vocabulary import Vocabulary

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gemma", action="store_true", help="Gemma 3 270M's sizes")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--optimizer", default="adam", choices=("adam", "muon"))
    options = parser.parse_args()

    vocabulary = Vocabulary(audio_tokens=1024)
    rows = 1024 + ROWS_IN_USE if options.gemma else vocabulary.size
    kinds: dict[str, tuple[str, dict[str, bool]]]
    if options.gemma:
        kinds = {
            f"{precision}{', XLA' if xla else ''}": (precision, {"xla": xla})
            for precision in ("float32", "mixed_bfloat16")
            for xla in (False, True)
        }
    else:
        kinds = {n: ("float32", {"matmuls": n == "matmul"}) for n in ("einsum", "matmul")}
    first = None
    for name, (precision, changes) in kinds.items():
        sizes = GEMMA if options.gemma else {}
        backbone = create_backbone(
            rows, seed=0, num_layers=options.layers, dtype=precision, **sizes
        )
        flops = 3 * sum(cost.forward_flops(backbone, length) for length in (SPEECH, TEXT))
        rate = cost.matmul_peak(backbone.compute_dtype)
        seconds = step_seconds(backbone, vocabulary, options, **changes)
        first = first or seconds
        floor = flops * options.batch_size / rate
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{name:<20} {seconds:7.3f} CPU s a step, {first / seconds:.2f} x the first; floor "
            f"{floor:.3f} s by the clock at {rate / 1e9:.0f} GFLOP/s; peak {memory:.2f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
