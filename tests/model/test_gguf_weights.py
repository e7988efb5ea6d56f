import numpy as np
import pytest

from model.gguf_weights import parse_gguf
from tests.model.gguf_files import float_tensor, gguf_file

RANDOM = np.random.default_rng(0)


def half(number: float) -> bytes:
    return np.float16(number).tobytes()


def low_bytes(numbers) -> bytes:
    return np.asarray(numbers).astype(np.uint8).tobytes()


def decoded(kind: int, data: bytes, weights: int) -> np.ndarray:
    return parse_gguf(gguf_file({}, {"w": ((weights,), kind, data)})).tensor("w")


def test_facts_and_tensors_are_read_back():
    matrix = RANDOM.normal(size=(3, 4)).astype(np.float32)
    facts = {"name": "été", "layers": 18, "rate": 0.5, "pieces": ["a", "▁b"], "scores": [1.0, -2.0]}
    gguf = parse_gguf(gguf_file(facts, {"m": float_tensor(matrix), "n": float_tensor(matrix.T)}))
    assert gguf.facts == facts
    assert (gguf.tensor("m") == matrix).all()
    assert (gguf.tensor("n") == matrix.T).all()


def test_eight_bit_blocks():
    weights = RANDOM.integers(-128, 128, 64).astype(np.int8)
    data = half(0.5) + weights[:32].tobytes() + half(-2.0) + weights[32:].tobytes()
    expected = np.concatenate([0.5 * weights[:32], -2.0 * weights[32:]])
    assert (decoded(8, data, 64) == expected).all()


def test_five_bit_blocks():
    weights = RANDOM.integers(0, 32, 32)
    top = sum(int(w >> 4) << i for i, w in enumerate(weights))
    low = weights & 15
    data = half(0.25) + top.to_bytes(4, "little") + low_bytes(low[:16] | low[16:] << 4)
    assert (decoded(6, data, 32) == 0.25 * (weights - 16)).all()


def test_four_bit_blocks_with_scales_and_offsets_of_their_groups():
    weights = RANDOM.integers(0, 16, (8, 32))
    scales, offsets = RANDOM.integers(0, 64, 8), RANDOM.integers(0, 64, 8)
    packed = [
        *(scales[:4] | scales[4:] >> 4 << 6),
        *(offsets[:4] | offsets[4:] >> 4 << 6),
        *(scales[4:] & 15 | (offsets[4:] & 15) << 4),
    ]
    nibbles = b"".join(low_bytes(weights[i] | weights[i + 1] << 4) for i in range(0, 8, 2))
    data = half(0.5) + half(0.125) + low_bytes(packed) + nibbles
    expected = 0.5 * scales[:, None] * weights - 0.125 * offsets[:, None]
    assert (decoded(12, data, 256) == expected.ravel()).all()


def test_six_bit_blocks_with_scales_of_their_groups():
    weights = RANDOM.integers(0, 64, (2, 4, 32))
    scales = RANDOM.integers(-128, 128, 16).astype(np.int8)
    low, high = b"", b""
    for one, two, three, four in weights:
        low += low_bytes(one & 15 | (three & 15) << 4) + low_bytes(two & 15 | (four & 15) << 4)
        high += low_bytes(one >> 4 | two >> 4 << 2 | three >> 4 << 4 | four >> 4 << 6)
    data = low + high + scales.tobytes() + half(0.5)
    expected = 0.5 * scales.astype(float)[:, None] * (weights.reshape(16, 16) - 32.0)
    assert (decoded(14, data, 256) == expected.ravel()).all()


def test_what_is_cut_or_foreign_is_refused():
    whole = gguf_file({"name": "x"}, {"m": float_tensor(np.ones((2, 16)))})
    with pytest.raises(ValueError, match="no GGUF file"):
        parse_gguf(np.frombuffer(b"PK\x03\x04 a zip file", np.uint8))
    with pytest.raises(ValueError, match="within its header"):
        parse_gguf(whole[:30])
    with pytest.raises(ValueError, match="m ends after the file does"):
        parse_gguf(whole[:-1]).tensor("m")
    with pytest.raises(ValueError, match="type 2, which is none of F32, Q5_0"):
        parse_gguf(gguf_file({}, {"m": ((32,), 2, bytes(18))})).tensor("m")
    with pytest.raises(ValueError, match="don't fill blocks of 32"):
        parse_gguf(gguf_file({}, {"m": ((20,), 8, bytes(34))})).tensor("m")


def test_a_list_longer_than_the_file_is_refused_before_it_is_made():
    data = gguf_file({"pieces": ["a"]}, {}).copy()
    place = bytes(data).index(b"pieces") + len("pieces") + 8
    data[place : place + 8] = 255
    with pytest.raises(ValueError, match="within its header"):
        parse_gguf(data)
