from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pipelines import whisper, whisper_wheel
from pipelines.preset_encoder import weights_sha256


def variable(name: str, shape: tuple[int, ...], type_id: int, content: bytes) -> bytes:
    head = struct.pack("<H", len(name) + 1) + name.encode() + b"\0"
    sizes = struct.pack(f"<B{len(shape)}I", len(shape), *shape)
    return head + sizes + struct.pack("<BI", type_id, len(content)) + content


def model_file(*variables: bytes, version: int = 6) -> bytes:
    head = struct.pack("<IH", version, 5) + b"Spec\0" + struct.pack("<II", 3, len(variables))
    return head + b"".join(variables) + struct.pack("<I", 0)


HALVES = np.array([[0.5, -2.0, 8.0]], "<f2").tobytes()


def test_a_ctranslate2_file_gives_the_variables_that_were_asked_for() -> None:
    data = model_file(
        variable("decoder/w", (2,), 0, bytes(8)),
        variable("encoder/w", (1, 3), 4, HALVES),
        variable("encoder/heads", (), 2, struct.pack("<h", 8)),
    )
    variables = whisper_wheel.parse_ctranslate2(data, "encoder/")
    assert {name: v.tolist() for name, v in variables.items()} == {
        "encoder/w": [[0.5, -2.0, 8.0]],
        "encoder/heads": 8,
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (model_file(version=5), "format 5 is not supported"),
        (model_file(variable("e", (1, 3), 4, HALVES))[:-7], "ends at byte"),
        (b"", "ends at byte 0"),
        (model_file(variable("e", (1, 4), 4, HALVES)), "6 bytes do not hold"),
        (model_file(variable("e", (2**31, 2**31, 4), 4, HALVES)), "6 bytes do not hold"),
        (model_file(variable("e", (1,) * 9, 4, HALVES)), "rank 9"),
        (model_file(variable("e", (3,), 77, HALVES)), "element type 77"),
        (struct.pack("<IH", 6, 1) + b"\0" + struct.pack("<II", 3, 2**31), "2147483648 variables"),
    ],
)
def test_a_ctranslate2_file_that_contradicts_itself_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        whisper_wheel.parse_ctranslate2(data, "e")


def fake_wheels(folder: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    for number, package in enumerate(("fake_part1", "fake_part2"), start=1):
        (folder / package / "data").mkdir(parents=True)
        (folder / package / "__init__.py").write_text("raise RuntimeError('code was run')\n")
        (folder / package / f"data/model.bin.part{number}").write_bytes(bytes(part_bytes))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(whisper_wheel, "WHEEL_PARTS", ("fake_part1", "fake_part2"))


def test_weights_of_the_wrong_size_are_refused_without_running_the_wheels_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_wheels(tmp_path, monkeypatch, part_bytes=10)
    with pytest.raises(ValueError, match="have 20 bytes"):
        whisper_wheel.read_wheel()


def test_weights_with_other_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_wheels(tmp_path, monkeypatch, part_bytes=10)
    monkeypatch.setattr(whisper_wheel, "WHEEL_BYTES", 20)
    with pytest.raises(ValueError, match="sha256"):
        whisper_wheel.read_wheel()


def test_missing_wheels_name_the_extra_that_brings_them_and_the_way_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        whisper_wheel, "WHEEL_PARTS", ("no_such_wheel_part1", "no_such_wheel_part2")
    )
    with pytest.raises(ModuleNotFoundError, match=r"babelear\[demo\].*--speech-encoder mfcc"):
        whisper_wheel.read_wheel()


@pytest.mark.parametrize("layer", [0, 7])
def test_a_layer_whisper_base_does_not_have_is_refused(layer: int) -> None:
    with pytest.raises(ValueError, match=f"layers 1 to 6, not {layer}"):
        whisper_wheel.load_backbone(layer)


def chirp(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * 16_000)) / 16_000
    return (0.4 * np.sin(2 * np.pi * (150 + 400 * time) * time)).astype(np.float32)


def test_the_third_layer_gives_the_numbers_of_the_reference_implementation() -> None:
    # Taken when all six layers agreed with CTranslate2's own encoder (cosine 1.0000, largest
    # difference 0.0009 of 23.7).
    encoder = whisper.encoder_up_to(whisper_wheel.load_backbone(3), 3)
    frames = encoder(whisper.log_mel(chirp(2.0)[None])).numpy()[0]
    assert frames.shape == (100, 512)
    picked = frames[[0, 49, 99]][:, [0, 100, 200, 300, 400, 511]]
    expected = [
        [0.1365, 1.8481, 0.6726, 0.7887, 0.5067, 0.6121],
        [-0.1571, 1.0998, 0.6580, 0.1585, 0.2930, 0.6737],
        [-0.7946, 1.8254, 0.7059, 0.0974, 0.8235, 0.2336],
    ]
    np.testing.assert_allclose(picked, expected, atol=1e-3)
    assert weights_sha256(encoder) == (
        "671e2631dfa93e221faf3d329c7cfd0226b8de4cbf8575a9dfc03b7ff5e11d10"
    )
