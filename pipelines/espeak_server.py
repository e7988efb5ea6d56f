"""eSpeak NG in a process of its own, asked over a pipe. Started by `pipelines.synthesis`.

eSpeak keeps oscillator phases and random numbers from one utterance to the next, and neither a new
voice nor a new `espeak_Initialize` resets them: the same words come out a little different after
other words. So the library is unloaded after each utterance and loaded afresh, with fixed seeds,
for the next. That costs 0.8 ms beside the 3 ms of an utterance (a forked child for each costs 4),
and gives the same samples in any order and any process. It also means `srand`, which belongs to the
whole process: one reason for a process of its own. A crash of the library is another, and eSpeak's
licence, the GPL-3, a third: it runs only here, behind a pipe, and only for the demo corpus.

Protocol, integers little-endian. A request is a uint32 length and that much JSON: `text`, `voice`,
`rate`, `pitch`. Its answer is a uint8 status, a uint32 length and that many bytes: int16 samples
for `SPOKEN`, nothing otherwise.
"""

from __future__ import annotations

import _ctypes
import ctypes
import json
import os
import signal
import struct
import sys
from typing import Any

REQUEST = struct.Struct("<I")
ANSWER = struct.Struct("<BI")
SPOKEN, UNKNOWN_VOICE, FAILED = 0, 1, 2

_OUTPUT_SYNCHRONOUS = 2
_CHARACTERS_UTF8 = 1
_RATE, _PITCH = 1, 3
_SEED = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """Speaks utterances, each by a library that has never spoken.

    Args:
        library: path of `libespeak-ng.so`.
        home: the directory that holds `espeak-ng-data`.
    """

    def __init__(self, library: str, home: str) -> None:
        self._path = library
        self._home = home
        self._libc = ctypes.CDLL(None)
        self._callback = _CALLBACK(self._on_samples)
        self._samples = bytearray()
        self._languages = {
            name.lower(): os.path.relpath(os.path.join(folder, name), f"{home}/espeak-ng-data/lang")
            for folder, _, names in os.walk(f"{home}/espeak-ng-data/lang")
            for name in names
        }
        self._variants = frozenset(os.listdir(f"{home}/espeak-ng-data/voices/!v"))

    def speak(self, request: dict[str, Any]) -> tuple[int, bytes]:
        """Returns a status and the samples."""
        language, plus, variant = request["voice"].partition("+")
        # eSpeak ignores a variant it doesn't have, and speaks with the plain voice.
        if language not in self._languages or (plus and variant not in self._variants):
            return UNKNOWN_VOICE, b""
        # By its file: for a name, eSpeak reads all 250 voice files each time it is loaded.
        voice = f"{self._languages[language]}{plus}{variant}"
        self._samples.clear()
        self._libc.srand(_SEED)
        library = ctypes.CDLL(self._path)
        try:
            spoken = self._speak(library, voice, request)
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)
        return (SPOKEN, bytes(self._samples)) if spoken else (FAILED, b"")

    def _speak(self, library: ctypes.CDLL, voice: str, request: dict[str, Any]) -> bool:
        if library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, self._home.encode(), 0) < 0:
            return False
        library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        self._libc.srand(_SEED)
        library.espeak_SetSynthCallback(self._callback)
        if library.espeak_SetVoiceByName(voice.encode()):
            return False
        library.espeak_SetParameter(_RATE, request["rate"], 0)
        library.espeak_SetParameter(_PITCH, request["pitch"], 0)
        text = request["text"].encode()
        failed = library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _CHARACTERS_UTF8, None, None)
        return not failed

    def _on_samples(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._samples += ctypes.string_at(samples, 2 * count)
        return 0


def main() -> None:
    """Answers standard input until it ends. Arguments: the library, the home of its data."""
    # Ctrl-C reaches the whole process group; this process ends when its input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    espeak = Espeak(*sys.argv[1:])
    while header := requests.read(REQUEST.size):
        status, samples = espeak.speak(json.loads(requests.read(*REQUEST.unpack(header))))
        answers.write(ANSWER.pack(status, len(samples)) + samples)
        answers.flush()


if __name__ == "__main__":
    main()
