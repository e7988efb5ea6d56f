"""Sixteen bits where the processor has instructions for them, thirty-two elsewhere."""

from __future__ import annotations

import pytest

from pipelines import precision
from pipelines.precision import has_bfloat16, resolve_precision


def test_what_is_named_is_taken() -> None:
    assert resolve_precision("bfloat16") == "bfloat16"
    assert resolve_precision("float32") == "float32"


@pytest.mark.parametrize(("has", "resolved"), [(True, "bfloat16"), (False, "float32")])
def test_auto_goes_by_the_processor(
    has: bool, resolved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: has)

    assert resolve_precision("auto") == resolved


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 avx\n", True),
        ("processor : 0\nflags\t\t: fpu amx_bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("", False),
        (None, False),
    ],
)
def test_the_processor_is_known_by_its_flags(
    cpuinfo: str | None, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> str:
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo

    monkeypatch.setattr(precision.Path, "read_text", read)
    has_bfloat16.cache_clear()
    try:
        assert has_bfloat16() == has
    finally:
        has_bfloat16.cache_clear()


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'half' is none of auto, float32, bfloat16"):
        resolve_precision("half")
