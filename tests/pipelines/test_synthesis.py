"""Speech from eSpeak NG: the same samples everywhere, and one bad item spoils no other."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from pipelines import espeak_server
from pipelines.rejects import Rejected
from pipelines.synthesis import (
    SAMPLE_RATE,
    Samples,
    Speech,
    Synthesizer,
    espeak_uri,
    parse_espeak_uri,
    shared_synthesizer,
)

GREETINGS = {
    "en-us": "grinning face",
    "es": "árbol de Navidad",
    "fr": "chat qui pleure",
    "de": "Käsefondue",
    "ru": "ёлка",
    "tr": "gülen yüz",
    "ar": "وجه مبتسم",
    "pt": "coração azul",
    "it": "città",
    "id": "wajah tertawa",
    "fa": "گربه",
    "cmn": "笑脸",
    "ja": "ねこ",
    "ko": "고양이",
}


@pytest.fixture(scope="module")
def synthesizer() -> Iterator[Synthesizer]:
    with Synthesizer() as synthesizer:
        yield synthesizer


def spoken(result: Samples | Rejected) -> Samples:
    assert not isinstance(result, Rejected), result
    return result


def reason(result: Samples | Rejected) -> str:
    assert isinstance(result, Rejected)
    return result.reason


def digests(results: list[Samples | Rejected]) -> list[str]:
    return [hashlib.sha256(spoken(result).tobytes()).hexdigest() for result in results]


@pytest.mark.parametrize(("voice", "text"), GREETINGS.items())
def test_each_language_of_the_demo_is_spoken(
    synthesizer: Synthesizer, voice: str, text: str
) -> None:
    samples = spoken(synthesizer.speak([Speech(text, voice)])[0])

    assert samples.dtype == np.int16
    assert samples.ndim == 1
    assert 0.2 * SAMPLE_RATE < len(samples) < 3 * SAMPLE_RATE
    assert np.abs(samples).max() > 3000


def test_an_utterance_sounds_the_same_whatever_was_spoken_before(synthesizer: Synthesizer) -> None:
    # f1 flutters at random, m7 and croak carry an echo and a phase over.
    speeches = [
        Speech(text, f"{voice}{variant}", rate, 45)
        for voice, text in GREETINGS.items()
        for variant, rate in (("+f1", 140), ("+m7", 175), ("+croak", 190))
    ]

    forwards = digests(synthesizer.speak(speeches))
    backwards = digests(synthesizer.speak(speeches[::-1]))[::-1]
    with Synthesizer(processes=1) as other:
        elsewhere = digests(other.speak(speeches))

    assert forwards == backwards == elsewhere
    assert len(set(forwards)) == len(speeches)


def test_results_come_in_the_order_of_the_requests(synthesizer: Synthesizer) -> None:
    texts = ["one", "a much longer sentence about a grinning cat", "two"] * 4
    lengths = [len(spoken(r)) for r in synthesizer.speak([Speech(t, "en") for t in texts])]

    assert lengths == lengths[:3] * 4
    assert lengths[1] > 2 * lengths[0]


def test_rate_pitch_and_variant_change_the_sound(synthesizer: Synthesizer) -> None:
    plain, fast, high, variant = synthesizer.speak(
        [
            Speech("hello world", "en"),
            Speech("hello world", "en", words_per_minute=300),
            Speech("hello world", "en", pitch=90),
            Speech("hello world", "en+f3"),
        ]
    )

    assert len(spoken(fast)) < 0.8 * len(spoken(plain))
    assert len(set(digests([plain, fast, high, variant]))) == 4


def test_a_bad_item_is_rejected_alone(synthesizer: Synthesizer) -> None:
    results = synthesizer.speak(
        [
            Speech("chat", "fr"),
            Speech("chat", "xx"),
            Speech("chat", "fr+nobody"),
            Speech("chat", "../../../etc/passwd"),
            Speech("", "fr"),
            Speech(" \t ", "fr"),
            Speech("…", "fr"),
            Speech("a" * 2001, "fr"),
            Speech("chat", "fr", words_per_minute=1000),
            Speech("chat", "fr", pitch=100),
            Speech("chat", "fr"),
        ]
    )

    assert [reason(result) for result in results[1:-1]] == [
        "unknown-voice",
        "unknown-voice",
        "unknown-voice",
        "empty-transcript",
        "empty-transcript",
        "empty-audio",
        "too-long",
        "invalid-value",
        "invalid-value",
    ]
    assert digests([results[0]]) == digests([results[-1]])


def test_control_characters_are_no_commands(synthesizer: Synthesizer) -> None:
    # \x01 then 400S would set eSpeak's rate.
    command, words = synthesizer.speak(
        [Speech("\x01400S hello world", "en"), Speech(" 400S hello world", "en")]
    )

    assert digests([command]) == digests([words])


def test_an_utterance_that_does_not_end_is_given_up_and_the_next_is_spoken() -> None:
    with Synthesizer(processes=1) as synthesizer:
        synthesizer.speak([Speech("cat", "en")])
        for pid in server_pids(synthesizer):
            os.kill(pid, signal.SIGSTOP)
        synthesizer._seconds = 0.2
        stuck = synthesizer.speak([Speech("cat", "en")])[0]
        synthesizer._seconds = 20
        following = synthesizer.speak([Speech("cat", "en")])[0]

    assert reason(stuck) == "synthesis-failed"
    assert "after 0.2 s" in str(stuck)
    assert len(spoken(following)) > 0.2 * SAMPLE_RATE


def test_servers_killed_in_the_middle_are_replaced() -> None:
    speeches = [Speech(f"{number} cats", "en") for number in range(200)]
    with Synthesizer() as synthesizer:
        undisturbed = digests(synthesizer.speak(speeches))
        first = server_pids(synthesizer)

        def kill() -> None:
            time.sleep(0.1)
            for pid in first:
                os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        results = synthesizer.speak(speeches)
        killer.join()

        assert digests(results) == undisturbed
        assert server_pids(synthesizer).isdisjoint(first)


def test_servers_killed_between_two_calls_are_replaced() -> None:
    with Synthesizer() as synthesizer:
        undisturbed = digests(synthesizer.speak([Speech("cat", "en")] * 4))
        for pid in server_pids(synthesizer):
            os.kill(pid, signal.SIGKILL)

        assert digests(synthesizer.speak([Speech("cat", "en")])) == undisturbed[:1]


def test_a_server_that_never_answers_rejects_its_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_server, "__file__", os.devnull)
    with Synthesizer() as synthesizer:
        (result,) = synthesizer.speak([Speech("cat", "en")])

    assert reason(result) == "synthesis-failed"
    assert "ended twice" in str(result)


def test_closing_ends_the_servers_and_speaking_starts_others() -> None:
    synthesizer = Synthesizer()
    synthesizer.speak([Speech("cat", "en")] * 4)
    pids = server_pids(synthesizer)
    synthesizer.close()

    assert pids
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
    assert len(spoken(synthesizer.speak([Speech("cat", "en")])[0])) > 0
    synthesizer.close()


def test_a_synthesizer_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="shared_synthesizer"):
        pickle.dumps(Synthesizer())


def test_a_process_has_one_shared_synthesizer_and_its_child_another() -> None:
    synthesizer = shared_synthesizer()
    expected = digests(synthesizer.speak([Speech("chat", "fr")]))
    child = os.fork()
    if child == 0:
        different = shared_synthesizer() is not synthesizer
        same = digests(shared_synthesizer().speak([Speech("chat", "fr")])) == expected
        shared_synthesizer().close()
        os._exit(0 if different and same else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert shared_synthesizer() is synthesizer
    assert digests(synthesizer.speak([Speech("chat", "fr")])) == expected


def test_a_uri_and_its_speech_are_each_others_inverse() -> None:
    speech = Speech("l’été & l'hiver + 50% = ?#/ 猫", "fr+Mr serious", 160, 50)

    assert espeak_uri(Speech("bonjour", "fr+f3", 160, 50)) == (
        "espeak:fr+f3?rate=160&pitch=50&text=bonjour"
    )
    assert parse_espeak_uri(espeak_uri(speech)) == speech


@pytest.mark.parametrize(
    ("uri", "detail"),
    [
        ("clip.wav", "not espeak:"),
        ("espeak:fr", "not espeak:"),
        ("espeak:fr?rate=160&pitch=50", "no text"),
        ("espeak:fr?rate=fast&pitch=50&text=a", "fast"),
        ("espeak:fr?rate=160&pitch=50&text=%FF", "utf-8"),
    ],
)
def test_a_broken_uri_is_rejected_with_what_is_wrong(uri: str, detail: str) -> None:
    with pytest.raises(Rejected, match=detail) as rejected:
        parse_espeak_uri(uri)

    assert rejected.value.reason == "invalid-uri"


def server_pids(synthesizer: Synthesizer) -> set[int]:
    return {server._process.pid for server in synthesizer._idle}
