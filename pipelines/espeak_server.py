"""eSpeak NG in a process of its own, asked over a pipe. Started by `pipelines.synthesis`.

eSpeak keeps oscillator phases and random numbers from one utterance to the next, and neither a new
voice nor a new `espeak_Initialize` resets them: the same words sound different (by a few sample
values) depending on what was said before. So this process initialises eSpeak from fixed seeds,
never speaks itself, and forks a child for each utterance: every child starts from the same state.
A crash or an endless loop in the library then costs one utterance.

Run as a script and importing only a few standard modules, because forking is as quick as the
process is small: 1 ms against 20 ms in one holding NumPy, and unsafe in one with TensorFlow's
threads. eSpeak NG is GPL-3; it runs only here, behind a pipe, and only for the demo corpus.

Protocol, little-endian. Once ready, the server sends `READY`. A request is a uint32 length and
that much JSON (`text`, `voice`, `rate`, `pitch`). Answers come in the order of the requests: a
uint8 status, a uint32 length and that many bytes, int16 samples for `SPOKEN`, else a UTF-8 message.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import struct
import sys
from collections import deque
from typing import Any

READY = b"espeak1\n"
REQUEST = struct.Struct("<I")
ANSWER = struct.Struct("<BI")
SPOKEN, UNKNOWN_VOICE, FAILED = 0, 1, 2

_OUTPUT_SYNCHRONOUS = 2
_CHARACTERS_UTF8 = 1
_RATE, _PITCH = 1, 3
_SEED = 1


class Espeak:
    """The library, initialised to the same state in every process.

    Args:
        library: path of `libespeak-ng.so`.
        home: the directory that holds `espeak-ng-data`.
    """

    def __init__(self, library: str, home: str) -> None:
        libc = ctypes.CDLL(None)
        libc.srand(_SEED)
        self._library = ctypes.CDLL(library)
        if self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, home.encode(), 0) < 0:
            raise SystemExit(f"eSpeak NG found no voices in {home}/espeak-ng-data")
        # Reads 200 small voice files, once here instead of once in every child.
        self._library.espeak_ListVoices(None)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        libc.srand(_SEED)
        self._variants = frozenset(os.listdir(f"{home}/espeak-ng-data/voices/!v"))

    def speak(self, request: dict[str, Any], output: int) -> int:
        """Writes the samples to the file descriptor `output`; returns a status."""
        voice = request["voice"]
        # eSpeak ignores a variant it doesn't have, and speaks with the plain voice.
        if "+" in voice and voice.split("+", 1)[1] not in self._variants:
            return UNKNOWN_VOICE
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return UNKNOWN_VOICE

        def on_samples(samples: int | None, count: int, _events: int | None) -> int:
            if samples and count > 0:
                _write(output, ctypes.string_at(samples, 2 * count))
            return 0

        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
            on_samples
        )
        self._library.espeak_SetSynthCallback(callback)
        self._library.espeak_SetParameter(_RATE, request["rate"], 0)
        self._library.espeak_SetParameter(_PITCH, request["pitch"], 0)
        text = request["text"].encode()
        failed = self._library.espeak_Synth(
            text, len(text) + 1, 0, 0, 0, _CHARACTERS_UTF8, None, None
        )
        return FAILED if failed else SPOKEN


class Job:
    """A child process that speaks one request."""

    def __init__(self, espeak: Espeak, request: bytes, seconds: float) -> None:
        self.output, output = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            status = FAILED
            try:
                status = espeak.speak(json.loads(request), output)
            finally:
                os._exit(status)
        os.close(output)
        self._seconds = seconds
        self._samples: list[bytes] = []
        self.answer: bytes | None = None

    def read(self) -> None:
        """Takes what the child has written; sets `answer` once it has ended."""
        piece = os.read(self.output, 1 << 20)
        if piece:
            self._samples.append(piece)
            return
        os.close(self.output)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        status, body = FAILED, f"eSpeak failed with status {code}".encode()
        if code == SPOKEN:
            status, body = SPOKEN, b"".join(self._samples)
        elif code == UNKNOWN_VOICE:
            status, body = UNKNOWN_VOICE, b""
        elif code == -signal.SIGALRM:
            body = f"eSpeak had not finished after {self._seconds:g} s".encode()
        elif code < 0:
            body = f"eSpeak was ended by {signal.Signals(-code).name}".encode()
        self.answer = ANSWER.pack(status, len(body)) + body


def serve(espeak: Espeak, in_flight: int, seconds: float) -> None:
    """Answers requests from standard input until it ends.

    Args:
        espeak: the initialised library.
        in_flight: how many utterances are spoken at a time.
        seconds: an utterance that takes longer is given up.
    """
    inbox = bytearray()
    open_input = True
    jobs: deque[Job] = deque()
    while open_input or jobs or inbox:
        running = [job for job in jobs if job.answer is None]
        while len(running) < in_flight and (request := _take_request(inbox)) is not None:
            jobs.append(Job(espeak, request, seconds))
            running.append(jobs[-1])
        if not running and not open_input:
            return
        poll = select.poll()
        if open_input and len(running) < in_flight:
            poll.register(0, select.POLLIN)
        by_output = {job.output: job for job in running}
        for output in by_output:
            poll.register(output, select.POLLIN)
        for ready, _ in poll.poll():
            if ready == 0:
                piece = os.read(0, 1 << 16)
                inbox += piece
                open_input = bool(piece)
            else:
                by_output[ready].read()
        while jobs and (answer := jobs[0].answer) is not None:
            _write(1, answer)
            jobs.popleft()


def _take_request(inbox: bytearray) -> bytes | None:
    if len(inbox) < REQUEST.size:
        return None
    end = REQUEST.size + REQUEST.unpack_from(inbox)[0]
    if len(inbox) < end:
        return None
    request = bytes(inbox[REQUEST.size : end])
    del inbox[:end]
    return request


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main() -> None:
    """Arguments: library, home of its data, utterances at a time, seconds allowed for one."""
    library, home, in_flight, seconds = sys.argv[1:]
    # Ctrl-C reaches the whole process group; this process ends when its input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    espeak = Espeak(library, home)
    gc.disable()
    _write(1, READY)
    serve(espeak, int(in_flight), float(seconds))


if __name__ == "__main__":
    main()
