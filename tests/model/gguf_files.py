"""GGUF files written by hand, for tests that read them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


def string(text: str) -> bytes:
    """A length and UTF-8."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(item: Any) -> bytes:
    """A typed value: a whole number, a float, a string, or a list of one of them."""
    if isinstance(item, list):
        kind, _ = typed(item[0])
        parts = b"".join(typed(part)[1] for part in item)
        return struct.pack("<IIQ", 9, kind, len(item)) + parts
    kind, data = typed(item)
    return struct.pack("<I", kind) + data


def typed(item: Any) -> tuple[int, bytes]:
    """The number of a type, and the bytes."""
    if isinstance(item, str):
        return 8, string(item)
    if isinstance(item, float):
        return 6, struct.pack("<f", item)
    return 5, struct.pack("<i", item)


def gguf_file(
    facts: dict[str, Any], tensors: dict[str, tuple[tuple[int, ...], int, bytes]]
) -> np.ndarray:
    """A GGUF file, version 3: facts, then tensors as (shape, ggml type, bytes)."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts))
    for key, item in facts.items():
        header += string(key) + value(item)
    body = b""
    for name, (shape, kind, data) in tensors.items():
        header += string(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        header += struct.pack("<IQ", kind, len(body))
        body += data + bytes(-len(data) % 32)
    header += bytes(-len(header) % 32)
    return np.frombuffer(header + body, np.uint8)


def float_tensor(array: np.ndarray) -> tuple[tuple[int, ...], int, bytes]:
    """A tensor in float32."""
    return array.shape, 0, np.ascontiguousarray(array, np.float32).tobytes()
