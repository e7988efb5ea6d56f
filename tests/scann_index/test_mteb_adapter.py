"""The adapter's side of the protocol; `test_mteb_evaluator` has the other."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from scann_index.mteb_adapter import MtebEncoder, language_of, waveform

WORDS = ("cane", "gatto", "luna")


def tone(word: str, seconds: float, rate: int = 16_000) -> np.ndarray:
    """A sound of its own for each word."""
    time = np.arange(int(seconds * rate)) / rate
    pitches = [200 + 10 * ord(letter) % 900 for letter in word]
    return np.concatenate([0.4 * np.sin(2 * np.pi * pitch * time) for pitch in pitches]).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def encoder(tiny_preset: str) -> MtebEncoder:
    return MtebEncoder(tiny_preset)


def test_batches_of_text_and_of_audio_become_unit_vectors_in_their_order(encoder):
    texts = encoder.encode(
        iter([{"text": ["cane", "gatto"], "id": ["1", "2"]}, {"text": ["luna"]}]),
        task_metadata=None,
        hf_split="test",
        hf_subset="it_it",
        batch_size=2,
        show_progress_bar=False,
    )
    sounds = [{"array": tone(word, 0.1), "sampling_rate": 16_000} for word in WORDS]
    speech = encoder.encode(
        iter([{"audio": sounds[:2]}, {"audio": sounds[2:]}]),
        task_metadata=None,
        hf_split="test",
        hf_subset="it_it",
    )
    assert texts.shape == speech.shape == (3, 32)
    assert texts.dtype == speech.dtype == np.float32
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    model = encoder.encoder
    assert texts == pytest.approx(model.encode_text(list(WORDS), ["it"] * 3), abs=1e-5)
    waveforms = [sound["array"] for sound in sounds]
    assert speech == pytest.approx(model.encode_speech(waveforms, ["it"] * 3), abs=1e-5)
    assert encoder.similarity(texts, speech) == pytest.approx(texts @ speech.T)
    assert encoder.similarity_pairwise(texts, speech) == pytest.approx(np.diag(texts @ speech.T))


def test_the_language_of_the_subset_goes_into_the_prefix_if_it_was_trained(encoder, tiny_preset):
    def encode(subset: str, **options: bool) -> np.ndarray:
        made = MtebEncoder(tiny_preset, **options) if options else encoder
        return made.encode([{"text": ["cane"]}], hf_subset=subset)

    assert not np.allclose(encode("fr_fr"), encode("default"))
    # Italian is unseen and has the prefix of an unknown language, as whatever isn't named.
    assert encode("it_it") == pytest.approx(encode("default"))
    assert encode("fr_fr", name_language=False) == pytest.approx(encode("default"))


@pytest.mark.parametrize(
    ("subset", "language"),
    [
        ("it_it", "it"),
        ("es_419", "es"),
        ("cmn_hans_cn", "zh"),
        ("en-US", "en"),
        ("default", ""),
        ("", ""),
        ("xx_yy", ""),
    ],
)
def test_subsets_name_languages(subset, language):
    assert language_of(subset) == language


def test_sound_becomes_mono_at_16_khz_within_range():
    rate, sound = 44_100, tone("a", 0.5, 44_100)
    stereo = {"array": np.stack([sound, -sound / 2]).astype(np.float64), "sampling_rate": rate}
    mono = waveform(stereo)
    assert mono.dtype == np.float32
    assert len(mono) == 8_000
    assert np.abs(mono).max() == pytest.approx(0.1, abs=0.01)
    assert np.abs(waveform({"array": 3 * sound, "sampling_rate": rate})).max() <= 1
    for bad in (np.zeros(0), np.array([np.nan])):
        with pytest.raises(ValueError, match="empty or holds NaN"):
            waveform({"array": bad, "sampling_rate": rate})


def test_a_batch_of_neither_or_both_is_refused(encoder):
    for batch in ({"image": [1]}, {"text": ["a"], "audio": [1]}):
        with pytest.raises(ValueError, match="text or audio expected"):
            encoder.encode([batch])


def test_a_revision_other_than_the_models_is_refused(encoder, tiny_preset):
    assert MtebEncoder(tiny_preset, encoder.revision).preset == tiny_preset
    with pytest.raises(ValueError, match="not 0123"):
        MtebEncoder(tiny_preset, "0123")


def test_encode_takes_what_the_benchmarks_protocol_passes():
    parameters = inspect.signature(MtebEncoder.encode).parameters
    named = {"task_metadata", "hf_split", "hf_subset", "prompt_type"}
    assert {n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == named
    assert any(p.kind is p.VAR_KEYWORD for p in parameters.values())
