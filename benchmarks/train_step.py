"""python -m benchmarks.train_step: a training step of the demo's model, einsum against matmul.

Prints seconds a step with KerasHub's einsum layers and with `model.matmul_layers`, their ratio, and
the floor: the layers' floating-point operations over the machine's measured matmul rate.
"""

from __future__ import annotations

import time

from pipelines import quiet  # noqa: F401  (before TensorFlow)

BATCH, SPEECH, TEXT, STEPS = 128, 38, 28, 15


def main() -> None:
    import numpy as np
    import tensorflow as tf

    from model.backbone import create_backbone
    from model.contrastive import ContrastiveModel
    from model.dual_encoder import DualEncoder
    from model.matmul_layers import use_matmuls
    from model.vocabulary import SPEECH as SPEECH_PREFIX
    from model.vocabulary import TEXT as TEXT_PREFIX
    from model.vocabulary import Vocabulary

    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(audio_tokens=1024)

    def batch() -> dict[str, tf.Tensor]:
        sides = {"source": SPEECH, "target": TEXT}
        ids = {k: rng.integers(4, vocabulary.size, (BATCH, n)) for k, n in sides.items()}
        ids["source"][:, 0], ids["target"][:, 0] = SPEECH_PREFIX, TEXT_PREFIX
        tensors = {k: tf.constant(v, tf.int32) for k, v in ids.items()}
        return {**tensors, "sentence": tf.range(BATCH, dtype=tf.int64)}

    seconds = {}
    for name in ("einsum", "matmul"):
        encoder = DualEncoder(create_backbone(vocabulary.size, seed=0), vocabulary)
        if name == "matmul":
            use_matmuls(encoder.backbone)
        model = ContrastiveModel(encoder, scale=20.0, spread_out=1.0)
        model.compile(optimizer="adam")
        one = batch()
        model.train_on_batch(one)
        started = time.perf_counter()
        for _ in range(STEPS):
            model.train_on_batch(one)
        seconds[name] = (time.perf_counter() - started) / STEPS

    side = tf.random.normal([2048, 2048])
    tf.matmul(side, side)
    started = time.perf_counter()
    for _ in range(10):
        product = tf.matmul(side, side)
    product.numpy()
    rate = 10 * 2 * 2048**3 / (time.perf_counter() - started)
    kernels = sum(int(w.shape.num_elements()) for w in encoder.backbone.weights[1:])
    floor = 6 * kernels * BATCH * (SPEECH + TEXT) / rate
    for name, value in seconds.items():
        print(f"{name}: {value:.3f} s a step, {value / floor:.1f} times the floor of {floor:.3f} s")
    print(f"einsum / matmul: {seconds['einsum'] / seconds['matmul']:.2f}")


if __name__ == "__main__":
    main()
