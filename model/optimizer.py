"""What moves the weights: Muon for the matrices of the backbone, Adam for everything else."""

from __future__ import annotations

from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)

import keras  # isort: skip
from keras import ops  # isort: skip

OPTIMIZERS = ("muon", "adam")
HeadAxis = tuple[int, bool]
"""Of an attention kernel: the axis of its heads, and whether what they give is added up."""


def create_optimizer(
    name: str,
    *,
    steps: int,
    warmup_steps: int,
    learning_rate: float,
    matrix_rate: float,
    heads: dict[str, HeadAxis] | None = None,
    precision: str = "float32",
) -> Any:
    """An optimizer whose rates rise for the warm-up and then fall to zero as a cosine does.

    Args:
        name: one of `OPTIMIZERS`.
        steps: of the whole training.
        warmup_steps: until the peak.
        learning_rate: Adam's peak rate.
        matrix_rate: Muon's peak rate; no matter for `adam`.
        heads: what `head_axes` says of the backbone.
        precision: `float32` or `bfloat16`, what Muon's matrix products are computed in.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r} is none of {', '.join(OPTIMIZERS)}")
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(steps - warmup_steps, 1),
        warmup_target=learning_rate,
        warmup_steps=warmup_steps,
    )
    if name == "adam":
        return keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0)
    return Muon(
        schedule,
        matrix_ratio=matrix_rate / learning_rate,
        heads=heads,
        precision=precision,
        beta_2=0.98,
        global_clipnorm=1.0,
    )


def head_axes(backbone: Any) -> dict[str, HeadAxis]:
    """Where the attention kernels of a backbone have their heads.

    Families differ: Gemma's queries have a kernel `[heads, dim, head_dim]`, those of Qwen, Llama
    and XLM-RoBERTa `[dim, heads, head_dim]`. The layers' equations tell: of two axes that stand
    side by side in what goes in or comes out, the first is the heads'.

    Args:
        backbone: any KerasHub backbone, built.

    Returns:
        By the path of each kernel of three axes.
    """
    found = {}
    for layer in backbone._flatten_layers():
        if not isinstance(layer, keras.layers.EinsumDense) or len(layer.kernel.shape) != 3:
            continue
        inputs, kernel, output = layer.equation.replace("->", ",").split(",")
        summed = [axis for axis in inputs if axis in kernel]
        made = [axis for axis in output if axis in kernel]
        head = summed[0] if len(summed) == 2 else made[0]
        found[layer.kernel.path] = (kernel.index(head), len(summed) == 2)
    return found


class Muon(keras.optimizers.Adam):
    """Adam that moves the kernels of a backbone by Muon (Jordan et al. 2024).

    A kernel's step is its momentum with all singular values made nearly one, times
    `0.2 * sqrt(larger side)`, which makes it about as long as Adam's (Liu et al. 2025,
    arXiv 2502.16982, section 2.2). So it learns in every direction at once, not first where the
    gradient is steepest. Attention kernels are taken as a stack of matrices, a head each, whichever
    axis the heads are on; what the heads give is added up, so the steps of their output kernel are
    `sqrt(heads)` shorter.

    `keras.optimizers.Muon` leaves those to Adam, and scales otherwise from one version to the next.

    Args:
        learning_rate: of Adam, for tables, norms and the projection.
        matrix_ratio: Muon's rate over that of Adam.
        momentum: of Muon, Nesterov's.
        heads: the axis of the heads of each kernel that has three (`head_axes`), by its path; a
            kernel of three axes that is not named is left to Adam.
        precision: what the matrix products are computed in. Half the digits of bfloat16 are enough
            for a direction (Jordan et al. use it), at half the time where the processor has it.
        kwargs: of `keras.optimizers.Adam`.
    """

    def __init__(
        self,
        learning_rate: Any = 3e-3,
        *,
        matrix_ratio: float = 2.0,
        momentum: float = 0.95,
        heads: dict[str, HeadAxis] | None = None,
        precision: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.matrix_ratio = matrix_ratio
        self.momentum = momentum
        self.precision = precision
        # A configuration read back from JSON has lists.
        self.heads = {path: (axis, is_sum) for path, (axis, is_sum) in (heads or {}).items()}

    def build(self, variables: list[Any]) -> None:
        """Adds Adam's variables, and a momentum for each kernel."""
        if self.built:
            return
        super().build(variables)
        self.matrix_momentums = [
            self.add_variable_from_reference(variable, "matrix_momentum")
            if self._is_matrix(variable)
            else None
            for variable in variables
        ]
        self.axes = [self.heads.get(variable.path) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        index = self._get_variable_index(variable)
        momentum = self.matrix_momentums[index]
        if momentum is None:
            super().update_step(gradient, variable, learning_rate)
            return
        self.assign(momentum, self.momentum * momentum + gradient)
        wanted = ops.cast(gradient + self.momentum * momentum, self.precision)
        direction = ops.cast(_direction(wanted, self.axes[index]), variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype) * self.matrix_ratio
        self.assign_sub(variable, rate * direction)

    def _is_matrix(self, variable: Any) -> bool:
        is_kernel = variable.path.endswith("kernel") and "projection" not in variable.path
        return is_kernel and (len(variable.shape) == 2 or variable.path in self.heads)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        own = {
            "matrix_ratio": self.matrix_ratio,
            "momentum": self.momentum,
            "precision": self.precision,
            "heads": {path: list(axis) for path, axis in self.heads.items()},
        }
        return {**super().get_config(), **own}


def _direction(kernel: Any, heads: HeadAxis | None) -> Any:
    """The step of a kernel at rate 1: orthogonal, head by head if it has three axes."""
    if heads is None:
        return 0.2 * max(kernel.shape) ** 0.5 * _orthogonalize(kernel)
    axis, is_sum = heads
    matrices = ops.moveaxis(kernel, axis, 0)
    summed = matrices.shape[0] if is_sum else 1
    length = 0.2 * (max(matrices.shape[-2:]) / summed) ** 0.5
    return ops.moveaxis(length * _orthogonalize(matrices), 0, axis)


def _orthogonalize(matrices: Any) -> Any:
    """The nearest matrices with singular values of about one, `[..., rows, columns]`.

    Five Newton–Schulz steps with the coefficients of the paper, which end between 0.7 and 1.2.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = ops.swapaxes(matrices, -2, -1) if is_tall else matrices
    x = x / (ops.sqrt(ops.sum(ops.square(x), axis=(-2, -1), keepdims=True)) + 1e-7)
    for _ in range(5):
        gram = ops.matmul(x, ops.swapaxes(x, -2, -1))
        x = 3.4445 * x + ops.matmul(-4.7750 * gram + 2.0315 * ops.matmul(gram, gram), x)
    return ops.swapaxes(x, -2, -1) if is_tall else x
