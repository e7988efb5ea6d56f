"""A corpus of broken and unusual inputs, with what should become of each."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.pipelines.sounds import (
    encoded,
    mp3_without_length,
    voice,
    with_flac_samples,
    with_wav_size,
)


@dataclasses.dataclass(frozen=True)
class BrokenSet:
    """What `build` wrote.

    Args:
        manifest_path: JSONL, beside the folder `clips` of its recordings.
        expectations: a row of the manifest each, in order: the id under which it comes out, and the
            reason of its reject, None if it becomes a pair. A list, since an id is there twice.
    """

    manifest_path: str
    expectations: list[tuple[str, str | None]]


def build(folder: str | Path) -> BrokenSet:
    """Writes the recordings and their manifest into `folder`."""
    folder = Path(folder)
    clips = folder / "clips"
    clips.mkdir(parents=True)
    rows: list[bytes] = []
    expectations: list[tuple[str, str | None]] = []

    for name, content, reason in [*_sounds(), *_good_sounds()]:
        (clips / name).write_bytes(content)
        rows.append(_line(id=Path(name).stem, audio=f"clips/{name}"))
        expectations.append((Path(name).stem, reason))
    _hour_of_silence(clips / "hour-long.wav")
    (clips / "folder.wav").mkdir()
    os.mkfifo(clips / "pipe.wav")
    for name, columns, reason in _rows():
        rows.append(_line(**{"id": name, "audio": "clips/good-0.wav", **columns}))
        expectations.append((name, reason))
    for raw, reason in _bad_lines():
        rows.append(raw)
        # Below the byte order mark's own, blank line.
        expectations.append((f"manifest.jsonl:{len(rows) + 1}", reason))

    manifest = folder / "manifest.jsonl"
    manifest.write_bytes(b"\xef\xbb\xbf\r\n" + b"".join(row + b"\r\n" for row in rows))
    return BrokenSet(str(manifest), expectations)


def _line(**columns: Any) -> bytes:
    number = sum(map(ord, str(columns["id"])))
    row = {
        "language": ("en", "fr", "de")[number % 3],
        "transcript": f"what {columns['id']} says",
        "split": "train",
        **columns,
    }
    row = {name: value for name, value in row.items() if value is not ...}
    return json.dumps(row).encode()


def _good_sounds() -> Iterator[tuple[str, bytes, None]]:
    for number in range(12):
        form = ("WAV", "FLAC", "OGG", "MP3")[number % 4]
        sound = voice(1.0 + number / 10, seed=number)
        yield f"good-{number}.{form.lower()}", encoded(sound, form=form), None


def _sounds() -> Iterator[tuple[str, bytes, str | None]]:
    """File names, contents, and the reason of the reject or None."""
    sound = voice(1.2)
    wav, flac, ogg, mp3 = (encoded(sound, form=f) for f in ("WAV", "FLAC", "OGG", "MP3"))
    streamed_wav = with_wav_size(wav, 0xFFFFFFFF)
    bare_mp3 = mp3_without_length(sound)

    yield "truncated-wav.wav", wav[: len(wav) * 6 // 10], "truncated-audio"
    yield "truncated-flac.flac", flac[: len(flac) * 6 // 10], "truncated-audio"
    yield "truncated-ogg.ogg", ogg[: len(ogg) * 6 // 10], "truncated-audio"
    yield "truncated-mp3.mp3", mp3[: len(mp3) * 6 // 10], "truncated-audio"
    yield "truncated-bare-mp3.mp3", bare_mp3[: len(bare_mp3) * 6 // 10], "truncated-audio"
    yield "truncated-header.wav", wav[:30], "truncated-audio"
    yield "lying-riff.wav", with_wav_size(wav, len(wav) + 1_000_000), "truncated-audio"
    yield "damaged-flac.flac", _flipped(flac, len(flac) // 2), "truncated-audio"
    yield "damaged-ogg.ogg", _flipped(ogg, len(ogg) // 2), "truncated-audio"
    yield "hole-in-mp3.mp3", mp3[:2000] + bytes(1000) + mp3[3000:], "truncated-audio"
    yield "lying-flac.flac", with_flac_samples(flac, 2**36 - 1), "too-long"
    yield "empty-file.wav", b"", "empty-file"
    yield "no-samples.wav", encoded(np.zeros(0, np.float32)), "empty-audio"
    yield "one-sample.wav", encoded(np.ones(1, np.float32)), "too-short"
    yield "text.wav", b"This is not a recording.\n" * 50, "not-audio"
    yield "web-page.mp3", b"<!DOCTYPE html><html><body>404</body></html>", "not-audio"
    yield "m4a.wav", b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(1000), "not-audio"
    yield "zeros.flac", bytes(5000), "not-audio"
    yield "nan.wav", encoded(_with(sound, 500, np.nan), subtype="FLOAT"), "non-finite-samples"
    yield "infinite.wav", encoded(_with(sound, 500, -np.inf), subtype="FLOAT"), "non-finite-samples"

    yield "mp3-named.wav", mp3, None
    yield "wav-named.mp3", wav, None
    yield "streamed-wav.wav", streamed_wav, None
    yield "streamed-flac.flac", with_flac_samples(flac, 0), None
    yield "bare-mp3.mp3", bare_mp3, None
    yield "tagged-mp3.mp3", b"ID3\x04\0\0\0\0\x01\0" + bytes(128) + mp3 + b"TAG" + bytes(125), None
    yield "opus.opus", encoded(sound, form="OGG", subtype="OPUS"), None
    yield "eight-bit.wav", encoded(sound, subtype="PCM_U8"), None
    yield "twenty-four-bit.wav", encoded(sound, subtype="PCM_24"), None
    yield "loud-float.wav", encoded(sound * 30_000, subtype="FLOAT"), None
    yield "adpcm.wav", encoded(sound, subtype="IMA_ADPCM"), None
    yield "surround.wav", encoded(np.stack([sound] * 6, axis=1)), None
    yield "rate-96k.wav", encoded(voice(1.2, 96_000), 96_000), None
    yield "rate-8k.wav", encoded(voice(1.2, 8_000), 8_000), None
    yield "silence.wav", encoded(np.zeros(16_000, np.float32)), None
    yield "name with spaces é 🐟.wav", wav, None


def _rows() -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Ids, columns (`...` leaves one out), and the reason of the reject or None."""
    yield "hour-long", {"audio": "clips/hour-long.wav"}, "too-long"
    yield "missing-file", {"audio": "clips/never-recorded.wav"}, "missing-file"
    yield "folder-as-file", {"audio": "clips/folder.wav"}, "missing-file"
    yield "pipe-as-file", {"audio": "clips/pipe.wav"}, "missing-file"
    yield "file-as-folder", {"audio": "clips/good-0.wav/more.wav"}, "missing-file"
    yield "endless-name", {"audio": "clips/" + "a" * 5000}, "missing-file"
    yield "unknown-scheme", {"audio": "ftp://example.com/a.wav"}, "missing-file"
    yield "path-escape", {"audio": "clips/../../secret.wav"}, "unsafe-path"
    yield "nul-in-path", {"audio": "clips/good-0.wav\0.txt"}, "unsafe-path"
    yield "claims-ten-seconds", {"seconds": 10}, "truncated-audio"
    yield "seconds-in-words", {"seconds": "three"}, "invalid-row"
    yield "empty-transcript", {"transcript": ""}, "empty-transcript"
    yield "blank-transcript", {"transcript": " \t\n　"}, "empty-transcript"
    yield "invisible-transcript", {"transcript": "\u200b\ufeff\u2060"}, "empty-transcript"
    yield "endless-transcript", {"transcript": "on and " * 20_000}, "invalid-row"
    yield "nul-in-transcript", {"transcript": "a\0b"}, "invalid-row"
    yield "half-a-surrogate", {"transcript": "a\ud83d"}, "invalid-utf8"
    yield "transcript-as-list", {"transcript": ["a", "b"]}, "invalid-row"
    yield "no-transcript-column", {"transcript": ...}, "missing-column"
    yield "no-audio-column", {"audio": ...}, "missing-column"
    yield "empty-audio-value", {"audio": ""}, "missing-value"
    yield "null-language", {"language": None}, "missing-value"
    yield "unknown-language", {"language": "xx"}, "unknown-language"
    yield "language-in-words", {"language": "English"}, "unknown-language"
    yield "unknown-split", {"split": "validation"}, "unknown-split"

    yield "twice", {}, None
    yield "twice", {"audio": "clips/good-1.flac"}, "duplicate-id"
    yield "claims-right-seconds", {"seconds": "1.0"}, None
    yield "emoji-transcript", {"transcript": "🐈‍⬛ 👩🏽‍🚀"}, None
    yield "right-to-left", {"transcript": "\u200fصباح الخير", "language": "ar"}, None
    yield "decomposed", {"transcript": "cafe\u0301", "language": "fr"}, None
    yield "long-transcript", {"transcript": "on and " * 400}, None
    yield "number-as-transcript", {"transcript": 42}, None
    yield "no-split", {"split": ...}, None
    yield "for-dev", {"split": "dev"}, None
    yield "for-test", {"split": "test"}, None


def _bad_lines() -> Iterator[tuple[bytes, str]]:
    """Rows without a readable id, and the reason of their reject."""
    yield b'{"id": "latin-1", "audio": "clips/good-0.wav", "transcript": "caf\xe9"}', "invalid-utf8"
    yield b'{"id": "cut", "audio": "clips/good-0.wav", "transc', "invalid-row"
    yield b'["clips/good-0.wav", "en", "a list"]', "invalid-row"
    yield b"[" * 50_000, "invalid-row"
    yield b"clips/good-0.wav\ten\ta line of another format", "invalid-row"


def _hour_of_silence(path: Path) -> None:
    """An hour and a second at 8 kHz, 8 bits; the zeros take no room on the disk."""
    samples = 3601 * 8000
    header = encoded(np.zeros(1, np.float32), 8000, subtype="PCM_U8")
    start = header.index(b"data") + 8
    path.write_bytes(with_wav_size(header, samples)[:start])
    os.truncate(path, start + samples)


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def _with(sound: np.ndarray, place: int, value: float) -> np.ndarray:
    changed = sound.copy()
    changed[place] = value
    return changed
