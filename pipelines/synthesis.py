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
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
_VOICE = re.compile(r"[a-z]{2,3}(-[a-z0-9]+)*(\+[A-Za-z0-9 ]+)?")
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
    """Speaks lists of utterances through server processes, started when first needed.

    eSpeak puts 15 ms of silence before an utterance and 5 ms after it (means over the demo corpus):
    nothing worth trimming. Not to be pickled: use `shared_synthesizer` in the process that needs
    it. Threads may share it.

    Args:
        processes: how many utterances are spoken at a time.
        seconds: an utterance that takes eSpeak longer is rejected.
    """

    def __init__(self, processes: int = 2, seconds: float = 20.0) -> None:
        self._processes = processes
        self._seconds = seconds
        self._idle: deque[_Server] = deque()
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def speak(self, speeches: Sequence[Speech]) -> list[Samples | Rejected]:
        """Speaks each utterance.

        Returns:
            For each, in order, its samples, int16 `[samples]`, one channel at `SAMPLE_RATE`, or why
            there are none: `empty-transcript`, `too-long`, `unknown-voice`, `invalid-value`,
            `empty-audio` or `synthesis-failed` (eSpeak crashed twice or took too long).

        Raises:
            RuntimeError: eSpeak NG is not installed.
        """
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._processes, "espeak")
            threads = self._threads
        return list(threads.map(self._speak_one, speeches))

    def _speak_one(self, speech: Speech) -> Samples | Rejected:
        if (refusal := _refusal(speech)) is not None:
            return refusal
        # A process may have been killed for reasons of its own: once more in a new one.
        for attempt in range(2):
            server = self._idle_server() if attempt == 0 else _Server()
            try:
                status, body = server.ask(_request(speech), self._seconds)
            except EOFError:
                server.stop()
            except TimeoutError:
                server.stop()
                detail = f"eSpeak had not finished after {self._seconds:g} s"
                return Rejected("synthesis-failed", detail)
            except BaseException:
                server.stop()
                raise
            else:
                self._idle.append(server)
                return _result(speech, status, body)
        return Rejected("synthesis-failed", "eSpeak's process ended twice before it had answered")

    def _idle_server(self) -> _Server:
        try:
            return self._idle.pop()
        except IndexError:
            return _Server()

    def close(self) -> None:
        """Ends the servers, after what they are speaking; the next `speak` starts others."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown()
                self._threads = None
            while self._idle:
                self._idle.pop().stop()

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
        for other in set(_shared) - {pid}:
            _shared.pop(other, None)
        # Two threads may come here at once; a synthesizer costs nothing before it speaks.
        atexit.register(_shared.setdefault(pid, Synthesizer()).close)
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
        return Rejected("synthesis-failed", f"eSpeak could not say {speech.text[:80]!r}")
    samples = np.frombuffer(body, dtype=np.int16)
    if not samples.any():
        return Rejected("empty-audio", f"eSpeak is silent about {speech.text[:80]!r}")
    return samples


def _request(speech: Speech) -> bytes:
    request = {
        "text": _CONTROL.sub(" ", speech.text),
        "voice": speech.voice,
        "rate": speech.words_per_minute,
        "pitch": speech.pitch,
    }
    body = json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")
    return espeak_server.REQUEST.pack(len(body)) + body


class _Server:
    """One server process, asked for one utterance at a time."""

    def __init__(self) -> None:
        command = (sys.executable, "-I", "-S", espeak_server.__file__, *_library_paths())
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._started_by = os.getpid()

    def ask(self, request: bytes, seconds: float) -> tuple[int, bytes]:
        """Sends a request, returns the status and body of its answer.

        Raises:
            EOFError: the process has ended.
            TimeoutError: no answer within `seconds`; one may still come, the server is of no use.
        """
        assert self._process.stdin is not None
        deadline = time.monotonic() + seconds
        try:
            self._process.stdin.write(request)
        except BrokenPipeError:
            raise EOFError from None
        status, length = espeak_server.ANSWER.unpack(
            self._read(espeak_server.ANSWER.size, deadline)
        )
        return status, self._read(length, deadline)

    def _read(self, length: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        answer = bytearray()
        arrival = select.poll()
        arrival.register(self._process.stdout, select.POLLIN)
        while len(answer) < length:
            if not arrival.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            piece = os.read(self._process.stdout.fileno(), length - len(answer))
            if not piece:
                raise EOFError
            answer += piece
        return bytes(answer)

    def stop(self) -> None:
        """Ends the process."""
        # In a forked copy of the process that started it, the server is still the other's.
        if self._started_by == os.getpid():
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _library_paths() -> tuple[str, str]:
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "synthetic speech needs eSpeak NG, which is not installed: "
            "pip install 'babelear[demo]' (or pip install espeakng-loader)"
        )
    home = Path(spec.origin).parent
    return str(home / "libespeak-ng.so"), str(home)
