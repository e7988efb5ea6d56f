"""What moves the weights: Muon for the matrices of the backbone, Adam for everything else."""

from __future__ import annotations

from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)

import keras  # isort: skip

OPTIMIZERS = ("muon", "adam")


def create_optimizer(
    name: str, *, steps: int, warmup_steps: int, learning_rate: float, matrix_rate: float
) -> Any:
    """An optimizer whose rates rise for the warm-up and then fall to zero as a cosine does.

    Args:
        name: one of `OPTIMIZERS`.
        steps: of the whole training.
        warmup_steps: until the peak.
        learning_rate: Adam's peak rate.
        matrix_rate: Muon's peak rate; no matter for `adam`.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r} is none of {', '.join(OPTIMIZERS)}")
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(steps - warmup_steps, 1),
        warmup_target=matrix_rate if name == "muon" else learning_rate,
        warmup_steps=warmup_steps,
    )
    if name == "adam":
        return keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0)
    return MatrixMuon(
        schedule,
        adam_lr_ratio=learning_rate / matrix_rate,
        adam_beta_2=0.98,
        adam_weight_decay=None,
        weight_decay=None,
        global_clipnorm=1.0,
    )


class MatrixMuon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) for a backbone's kernels, attention's among them.

    Keras leaves kernels of three axes to Adam. Those of Gemma's attention are a stack of matrices,
    a head each, and are orthogonalized as such. Tables, norms and the projection stay with Adam.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        is_kernel = variable.path.endswith("kernel") and len(variable.shape) in (2, 3)
        return not is_kernel or "projection" in variable.path
