"""What becomes of an error that one item caused."""

from __future__ import annotations

import pickle

import pytest

from pipelines.audio import decode_audio, load_audio_batch
from pipelines.rejects import Reject, Rejected
from tests.pipelines.sounds import encoded, voice


def test_a_reject_names_the_class_of_the_error_behind_it() -> None:
    with pytest.raises(Rejected) as caught:
        try:
            int("seven")
        except ValueError:
            raise Rejected("invalid-row", "not a number") from None

    again = pickle.loads(pickle.dumps(caught.value))
    for rejected in (caught.value, caught.value.without_traceback(), again):
        assert rejected.reject("a", "a.wav", "read", place="m.tsv:2") == Reject(
            "a", "a.wav", "read", "invalid-row", "m.tsv:2: not a number", "ValueError"
        )


def test_one_that_was_raised_again_keeps_its_error_and_one_without_has_none() -> None:
    with pytest.raises(Rejected) as caught:
        try:
            try:
                open("/none/at/all")  # noqa: SIM115
            except OSError:
                raise Rejected("missing-file", "no") from None
        except Rejected as rejected:
            raise Rejected(rejected.reason, f"a.wav: {rejected.detail}") from None

    assert caught.value.exception == "FileNotFoundError"
    assert Rejected("too-long", "700 s").reject("a", "a.wav", "decode").exception == ""


def test_a_decoder_that_gives_up_is_named() -> None:
    flac = encoded(voice(0.5), 16_000, "FLAC")
    with pytest.raises(Rejected) as caught:
        decode_audio(flac[:4] + bytes(len(flac) - 4))
    (missing,) = load_audio_batch(["/none/at/all.wav"])

    assert caught.value.reason in ("not-audio", "truncated-audio")
    assert isinstance(missing, Rejected)
    assert (missing.reason, missing.exception) == ("missing-file", "FileNotFoundError")
    assert missing.__traceback__ is None
