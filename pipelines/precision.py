"""Which numbers a model computes in: bfloat16 where the machine multiplies them itself."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

PRECISIONS = ("auto", "float32", "bfloat16")
_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16"})


def resolve_precision(name: str) -> str:
    """`float32` or `bfloat16`.

    Args:
        name: one of `PRECISIONS`. `auto` is `bfloat16` on a processor with instructions for it
            (AVX512-BF16, AMX), about twice as fast there as float32 and far slower elsewhere.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision {name!r} is none of {', '.join(PRECISIONS)}")
    if name == "auto":
        return "bfloat16" if has_bfloat16() else "float32"
    return name


def policy(precision: str) -> str:
    """Keras' dtype policy: what is computed is rounded, weights stay float32 in both."""
    return "mixed_bfloat16" if precision == "bfloat16" else precision


@lru_cache(maxsize=1)
def has_bfloat16() -> bool:
    """Whether this machine's processor multiplies matrices of bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _INSTRUCTIONS.isdisjoint(flags.split())
