"""A GGUF file read as data: its facts, and its tensors dequantized to float32.

GGUF is llama.cpp's format: a header of typed facts, a list of tensors, their bytes. Weights come in
blocks that share a scale; the four block formats here are those of "Q4_K_M" files of Gemma 3 270M.
Each function below takes whole blocks, uint8 `[blocks, bytes a block]`, to float32
`[blocks, weights a block]`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4


def _float16(block_bytes: np.ndarray) -> np.ndarray:
    """Two bytes a block to float32 `[blocks, 1]`."""
    return np.ascontiguousarray(block_bytes).view(np.float16).astype(np.float32)


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    """32 weights: a scale, 32 signed bytes."""
    weights: np.ndarray = np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32)
    weights *= _float16(blocks[:, :2])
    return weights


def _q5_0(blocks: np.ndarray) -> np.ndarray:
    """32 weights: a scale, their 32 highest bits, their lower four bits in pairs 16 apart."""
    highest = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
    lower = np.concatenate([blocks[:, 6:] & 15, blocks[:, 6:] >> 4], axis=1)
    weights: np.ndarray = (lower | highest << 4).astype(np.float32) - 16
    weights *= _float16(blocks[:, :2])
    return weights


def _q4_k(blocks: np.ndarray) -> np.ndarray:
    """256 weights in 8 groups: two scales, 6-bit scales and offsets for each, 4-bit weights."""
    packed = blocks[:, 4:16]
    low, middle, high = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([low & 63, high & 15 | low >> 6 << 4], axis=1)
    offsets = np.concatenate([middle & 63, high >> 4 | middle >> 6 << 4], axis=1)
    pairs = blocks[:, 16:].reshape(-1, 4, 1, 32)
    weights = np.concatenate([pairs & 15, pairs >> 4], axis=2).reshape(-1, 8, 32)
    scaled = (_float16(blocks[:, :2]) * scales)[:, :, None] * weights
    found: np.ndarray = scaled - (_float16(blocks[:, 2:4]) * offsets)[:, :, None]
    return found.reshape(-1, 256)


def _q6_k(blocks: np.ndarray) -> np.ndarray:
    """256 weights in 16 groups: their lower four bits, their upper two, 8-bit scales, a scale."""
    low = blocks[:, :128].reshape(-1, 2, 2, 32)
    low = np.concatenate([low & 15, low >> 4], axis=2)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.arange(0, 8, 2, np.uint8)[:, None] & 3
    weights = (low | high << 4).reshape(-1, 16, 16).astype(np.float32) - 32
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8)
    found: np.ndarray = weights * (_float16(blocks[:, 208:]) * scales)[:, :, None]
    return found.reshape(-1, 256)


def _f32(blocks: np.ndarray) -> np.ndarray:
    """One weight, as it is."""
    return blocks.view(np.float32)


# ggml's number of a type: its name, weights a block, bytes a block, and how to read it.
_FORMATS: dict[int, tuple[str, int, int, Callable[[np.ndarray], np.ndarray]]] = {
    0: ("F32", 1, 4, _f32),
    6: ("Q5_0", 32, 22, _q5_0),
    8: ("Q8_0", 32, 34, _q8_0),
    12: ("Q4_K", 256, 144, _q4_k),
    14: ("Q6_K", 256, 210, _q6_k),
}


@dataclass(frozen=True)
class Gguf:
    """An open GGUF file.

    Args:
        facts: what the header says, by key: numbers, strings, lists of them.
        tensors: the shape, format and place of each tensor, by name.
        data: the whole file, uint8 `[bytes]`.
        start: where the tensors' bytes begin.
    """

    facts: dict[str, Any]
    tensors: dict[str, tuple[tuple[int, ...], int, int]]
    data: np.ndarray
    start: int

    def tensor(self, name: str) -> np.ndarray:
        """A tensor as float32, the slowest axis first: a matrix is `[outputs, inputs]`.

        Raises:
            KeyError: no such tensor.
            ValueError: a format that is not read here, or the file ends too early.
        """
        shape, kind, offset = self.tensors[name]
        if kind not in _FORMATS:
            known = ", ".join(name for name, *_ in _FORMATS.values())
            raise ValueError(f"{name} is of GGUF type {kind}, which is none of {known}")
        _, weights, size, read = _FORMATS[kind]
        count = math.prod(shape)
        if count % weights:
            raise ValueError(f"{name} has {count} weights, which don't fill blocks of {weights}")
        begin = self.start + offset
        content = self.data[begin : begin + count // weights * size]
        if len(content) != count // weights * size:
            raise ValueError(f"{name} ends after the file does")
        return read(content.reshape(-1, size)).reshape(shape)


def parse_gguf(data: np.ndarray) -> Gguf:
    """Reads the header of a GGUF file.

    Args:
        data: the whole file, uint8 `[bytes]`.

    Raises:
        ValueError: it is no GGUF file of version 2 or 3, or it is cut.
    """
    cursor = _Cursor(data)
    if cursor.take(4) != b"GGUF":
        raise ValueError("this is no GGUF file: it doesn't begin with GGUF")
    version = cursor.number("I")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version} is not read here, only 2 and 3")
    tensor_count, fact_count = cursor.number("Q"), cursor.number("Q")
    facts = {}
    for _ in range(fact_count):
        key = cursor.string()
        facts[key] = cursor.value(cursor.number("I"))
    tensors = {}
    for _ in range(tensor_count):
        name = cursor.string()
        dimensions = cursor.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"{name} has {dimensions} dimensions, more than {_MAX_DIMENSIONS}")
        shape = tuple(cursor.number("Q") for _ in range(dimensions))[::-1]
        tensors[name] = (shape, cursor.number("I"), cursor.number("Q"))
    alignment = facts.get("general.alignment", 32)
    start = -(-cursor.position // alignment) * alignment
    return Gguf(facts, tensors, data, start)


class _Cursor:
    """Reads typed values one after the other."""

    def __init__(self, data: np.ndarray) -> None:
        self.view = memoryview(data.data)
        self.position = 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.view):
            raise ValueError(f"the file ends at byte {len(self.view)}, within its header")
        content = bytes(self.view[self.position : end])
        self.position = end
        return content

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner in _SCALARS:
                code = f"<{count}{_SCALARS[inner]}"
                return list(struct.unpack(code, self.take(struct.calcsize(code))))
            return [self.value(inner) for _ in range(count)]
        if kind not in _SCALARS:
            raise ValueError(f"unknown type of value {kind} in the header")
        return self.number(_SCALARS[kind])
