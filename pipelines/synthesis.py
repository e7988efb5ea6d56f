"""Text to speech with eSpeak NG: the voice of the demo corpus.

The same `Speech` gives the same samples in every process, whatever was spoken before; how is told
in `pipelines.espeak_server`, the process that holds the library. A synthetic utterance therefore
needs no file: an `espeak:` URI names it as exactly as a path would.

eSpeak NG is GPL-3. It comes with the `espeakng-loader` wheel of the `demo` extra and runs in a
process of its own; nothing else in Babelear needs it.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import re
import select
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from pipelines import espeak_server
from pipelines.rejects import Rejected

Samples = npt.NDArray[np.int16]

SAMPLE_RATE = 22050
LONGEST_TEXT = 2000
"""Characters; more is refused, since eSpeak would speak for minutes."""

SCHEME = "espeak:"
_VOICE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*(\+[A-Za-z0-9 ]+)?")
_RATES = range(80, 451)
_PITCHES = range(0, 100)
# eSpeak takes a control character for the start of an embedded command.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Speech:
    """What to say, and in which voice.

    Args:
        text: in the script that the voice reads; at most `LONGEST_TEXT` characters.
        voice: eSpeak's name of a language, and of a variant after a plus sign: `fr`, `fr+f3`.
        words_per_minute: 80 to 450; eSpeak's own is 175.
        pitch: 0 to 99, relative to the voice's range; eSpeak's own is 50.
    """

    text: str
    voice: str
    words_per_minute: int = 175
    pitch: int = 50


def espeak_uri(speech: Speech) -> str:
    """The URI of an utterance: `espeak:fr+f3?rate=160&pitch=50&text=bonjour`."""
    return (
        f"{SCHEME}{quote(speech.voice, safe='+')}?rate={speech.words_per_minute}"
        f"&pitch={speech.pitch}&text={quote(speech.text, safe='')}"
    )


def parse_espeak_uri(uri: str) -> Speech:
    """The inverse of `espeak_uri`.

    Raises:
        Rejected: `invalid-uri`, naming what is wrong with it.
    """
    voice, question_mark, query = uri.removeprefix(SCHEME).partition("?")
    if not uri.startswith(SCHEME) or not question_mark:
        raise Rejected("invalid-uri", f"not espeak:VOICE?rate=N&pitch=N&text=TEXT: {uri[:200]}")
    fields = dict(part.partition("=")[::2] for part in query.split("&"))
    try:
        return Speech(
            text=unquote(fields["text"], errors="strict"),
            voice=unquote(voice),
            words_per_minute=int(fields["rate"]),
            pitch=int(fields["pitch"]),
        )
    except KeyError as error:
        raise Rejected("invalid-uri", f"has no {error.args[0]}: {uri[:200]}") from None
    except ValueError as error:
        raise Rejected("invalid-uri", f"{error}: {uri[:200]}") from None


class Synthesizer:
    """Speaks lists of utterances through a server process, started when first needed.

    Not to be pickled: use `shared_synthesizer` in the process that needs it. Threads may share it.

    Args:
        in_flight: how many utterances are spoken at a time.
        seconds: an utterance that takes eSpeak longer is rejected.
    """

    def __init__(self, in_flight: int = 2, seconds: float = 20.0) -> None:
        self._in_flight = in_flight
        self._seconds = seconds
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def speak(self, speeches: Sequence[Speech]) -> list[Samples | Rejected]:
        """Speaks each utterance.

        Returns:
            For each, in order, its samples, int16 `[samples]`, one channel at `SAMPLE_RATE`, or why
            there are none: `empty-transcript`, `too-long`, `unknown-voice`, `invalid-value`,
            `empty-audio` or `synthesis-failed` (eSpeak crashed or did not end).

        Raises:
            RuntimeError: if eSpeak can't be started at all.
        """
        results: list[Samples | Rejected | None] = [_refusal(speech) for speech in speeches]
        waiting = deque(i for i, refusal in enumerate(results) if refusal is None)
        deaths = 0
        with self._lock:
            while waiting:
                if self._server is None:
                    self._server = _Server(self._in_flight, self._seconds)
                try:
                    for status, body in self._server.answers([speeches[i] for i in waiting]):
                        index = waiting.popleft()
                        results[index] = _result(speeches[index], status, body)
                        deaths = 0
                except _ServerDied as death:
                    self._stop()
                    deaths += 1
                    if deaths == 3:
                        deaths = 0
                        results[waiting.popleft()] = Rejected("synthesis-failed", str(death))
                except BaseException:
                    # Answers may be left in the pipe: they'd be taken for those of the next call.
                    self._stop()
                    raise
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Ends the server; the next `speak` starts another."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Synthesizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "a Synthesizer holds a process and can't be pickled: "
            "call pipelines.synthesis.shared_synthesizer() where it is needed"
        )


_shared: dict[int, Synthesizer] = {}


def shared_synthesizer() -> Synthesizer:
    """The synthesizer of this process, closed when the process ends."""
    pid = os.getpid()
    if pid not in _shared:
        # A forked process inherits its parent's, whose pipes it must not use.
        _shared.clear()
        _shared[pid] = Synthesizer()
        atexit.register(_shared[pid].close)
    return _shared[pid]


def _refusal(speech: Speech) -> Rejected | None:
    if not speech.text.strip():
        return Rejected("empty-transcript", "there is no text to speak")
    if len(speech.text) > LONGEST_TEXT:
        detail = f"{len(speech.text)} characters to speak, the most is {LONGEST_TEXT}"
        return Rejected("too-long", detail)
    if not _VOICE.fullmatch(speech.voice):
        return Rejected("unknown-voice", f"{speech.voice[:80]!r} is no eSpeak voice")
    if speech.words_per_minute not in _RATES:
        detail = f"{speech.words_per_minute} words per minute, allowed are 80 to 450"
        return Rejected("invalid-value", detail)
    if speech.pitch not in _PITCHES:
        return Rejected("invalid-value", f"pitch {speech.pitch}, allowed are 0 to 99")
    return None


def _result(speech: Speech, status: int, body: bytes) -> Samples | Rejected:
    if status == espeak_server.UNKNOWN_VOICE:
        return Rejected("unknown-voice", f"{speech.voice!r} is no eSpeak voice")
    if status != espeak_server.SPOKEN:
        return Rejected("synthesis-failed", body.decode())
    samples = np.frombuffer(body, dtype=np.int16)
    if not samples.any():
        return Rejected("empty-audio", f"eSpeak says nothing for {speech.text[:80]!r}")
    return samples


class _ServerDied(Exception):
    """The server process ended or fell silent with requests unanswered."""


class _Server:
    """One server process and the two pipes to it."""

    def __init__(self, in_flight: int, seconds: float) -> None:
        self._patience = seconds + 10.0
        self._pid = os.getpid()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", espeak_server.__file__),
                *(*_library_paths(), str(in_flight), str(seconds)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        os.set_blocking(self._requests, False)
        self._inbox = bytearray()
        try:
            self._exchange(b"", len(espeak_server.READY))
        except _ServerDied as death:
            self.stop()
            raise RuntimeError(f"eSpeak NG did not start: {death}") from None
        self._take(len(espeak_server.READY))

    def answers(self, speeches: Sequence[Speech]) -> Iterator[tuple[int, bytes]]:
        """Sends all requests, yields each one's status and body in order."""
        outbox = b"".join(_request(speech) for speech in speeches)
        header = espeak_server.ANSWER
        for _ in speeches:
            outbox = self._exchange(outbox, header.size)
            status, length = header.unpack(self._take(header.size))
            outbox = self._exchange(outbox, length)
            yield status, self._take(length)

    def _exchange(self, outbox: bytes, wanted: int) -> bytes:
        # Both directions at once: a write that blocks while the server waits for its answer to be
        # read would never end.
        while len(self._inbox) < wanted:
            poll = select.poll()
            poll.register(self._answers, select.POLLIN)
            if outbox:
                poll.register(self._requests, select.POLLOUT)
            ready = dict(poll.poll(self._patience * 1000))
            if not ready:
                raise _ServerDied(f"no answer from eSpeak for {self._patience:g} s")
            if self._answers in ready:
                piece = os.read(self._answers, 1 << 20)
                if not piece:
                    raise _ServerDied("eSpeak's process ended")
                self._inbox += piece
            if self._requests in ready:
                try:
                    outbox = outbox[os.write(self._requests, outbox[: 1 << 16]) :]
                except BrokenPipeError:
                    raise _ServerDied("eSpeak's process ended") from None
        return outbox

    def _take(self, length: int) -> bytes:
        taken = bytes(self._inbox[:length])
        del self._inbox[:length]
        return taken

    def stop(self) -> None:
        # In a forked copy of the process that started it, the server is still the other's.
        if self._pid == os.getpid():
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _request(speech: Speech) -> bytes:
    request = {
        "text": _CONTROL.sub(" ", speech.text),
        "voice": speech.voice,
        "rate": speech.words_per_minute,
        "pitch": speech.pitch,
    }
    body = json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")
    return espeak_server.REQUEST.pack(len(body)) + body


def _library_paths() -> tuple[str, str]:
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "synthetic speech needs eSpeak NG, which is not installed: "
            "pip install 'babelear[demo]' (or pip install espeakng-loader)"
        )
    home = Path(spec.origin).parent
    return str(home / "libespeak-ng.so"), str(home)
