"""Whether a sound file is whole, read from its container.

A decoder gives what sound it finds; whether more was there is written in the container: a WAV's
chunk size, an OGG's last page, the frames of an MP3. (A FLAC tells the decoder itself.)
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

from pipelines.file_view import FileView
from pipelines.rejects import Rejected

Data = bytes | FileView

# Larger sizes are what programs put there that write to a pipe and can't come back.
_UNKNOWN_WAV_SIZE = 0x7FFFF000

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_MP3_RATES = ((11025, 12000, 8000), (), (22050, 24000, 16000), (44100, 48000, 32000))
_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_LOW_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)

_FOREIGN = (
    (b"FORM", 0, "AIFF"),
    (b".snd", 0, "AU"),
    (b"caff", 0, "CAF"),
    (b"riff", 0, "W64"),
    (b"ftyp", 4, "MPEG-4 (m4a, mp4)"),
    (b"\x1aE\xdf\xa3", 0, "Matroska or WebM"),
    (b"#!AMR", 0, "AMR"),
    (b"0&\xb2u", 0, "WMA"),
    (b"MAC ", 0, "Monkey's Audio"),
    (b"wvpk", 0, "WavPack"),
)


def whole(data: Data) -> io.IOBase:
    """Checks that a file holds all the sound its container speaks of.

    Args:
        data: the file; what is not in memory is read through, but not held.

    Returns:
        A file for the decoder: `data`, of an MP3 its frames alone, behind a count of them.

    Raises:
        Rejected: `truncated-audio`, or `not-audio` if it is no WAV, FLAC, OGG or MP3.
    """
    magic = data[:4]
    if magic in (b"RIFF", b"RIFX", b"RF64") and data[8:12] == b"WAVE":
        _check_wav(data)
    elif magic == b"OggS":
        _check_ogg(data)
    elif magic == b"fLaC":
        pass
    elif magic[:3] == b"ID3" or _Mp3Frame.at(data, 0) is not None:
        return _whole_mp3(data)
    else:
        raise Rejected("not-audio", _what_it_is(data))
    return _file(data)


def _file(data: Data, start: int = 0, end: int | None = None, before: bytes = b"") -> io.IOBase:
    if isinstance(data, FileView):
        return data.part(start, end, before)
    return io.BytesIO(before + data[start:end] if before or start or end else data)


def _what_it_is(data: Data) -> str:
    for magic, offset, name in _FOREIGN:
        if data[offset : offset + len(magic)] == magic:
            return f"{name} is not read; convert it to WAV, FLAC, OGG or MP3"
    return f"no WAV, FLAC, OGG or MP3: begins with {data[:16]!r}"


def _check_wav(data: Data) -> None:
    order = "big" if data[:4] == b"RIFX" else "little"
    wide_size = None
    place = 12
    while place + 8 <= len(data):
        name = data[place : place + 4]
        size = int.from_bytes(data[place + 4 : place + 8], order)  # type: ignore[arg-type]
        place += 8
        if name == b"ds64":
            wide_size = int.from_bytes(data[place + 8 : place + 16], "little")
        if name == b"data":
            if size == 0xFFFFFFFF and wide_size is not None:
                size = wide_size
            elif size >= _UNKNOWN_WAV_SIZE:
                return
            there = len(data) - place
            if there < size:
                raise Rejected("truncated-audio", f"{there} of {size} bytes of sound are there")
            return
        place += size + size % 2
    raise Rejected("truncated-audio", "the file ends before its sound begins")


def _check_ogg(data: Data) -> None:
    place, last = 0, False
    while data[place : place + 4] == b"OggS" and place + 27 <= len(data):
        segments = data[place + 26]
        lacing = data[place + 27 : place + 27 + segments]
        end = place + 27 + segments + sum(lacing)
        if len(lacing) < segments or end > len(data):
            raise Rejected("truncated-audio", f"the page at byte {place} is cut")
        # The decoder leaves out a damaged page without a word.
        if not _ogg_checksum_holds(data[place:end]):
            raise Rejected("truncated-audio", f"the page at byte {place} is damaged")
        last = bool(data[place + 5] & 4)
        place = end
    if not last:
        detail = f"ends at byte {place} without an end-of-stream page; if it sounds complete, "
        raise Rejected("truncated-audio", detail + "rewrite it: ffmpeg -i IN -c copy OUT.ogg")


def _ogg_checksum_holds(page: bytes) -> bool:
    # OGG's CRC-32 takes bits in the opposite order to zlib's, and complements nothing.
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(page[22:26].translate(_MIRRORED), "big") == mirrored


@dataclass(frozen=True, slots=True)
class _Mp3Frame:
    """One layer III frame header and what follows from it, sizes in bytes."""

    header: int
    size: int
    side_info: int

    @classmethod
    def at(cls, data: Data, place: int) -> _Mp3Frame | None:
        """The frame that begins at `place`, None if none does."""
        return cls.of(int.from_bytes(data[place : place + 4], "big"))

    @classmethod
    def of(cls, header: int) -> _Mp3Frame | None:
        version, layer = header >> 19 & 3, header >> 17 & 3
        kbps, rate, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
        if header >> 21 != 0x7FF or version == 1 or layer != 1 or kbps in (0, 15) or rate == 3:
            return None
        first_version, mono = version == 3, header >> 6 & 3 == 3
        bits = (_KBPS if first_version else _KBPS_LOW_RATES)[kbps] * 1000
        size = (144 if first_version else 72) * bits // _MP3_RATES[version][rate] + padding
        side_info = (17 if mono else 32) if first_version else (9 if mono else 17)
        return cls(header, size, side_info)

    def next_to(self, other: _Mp3Frame | None) -> bool:
        """Whether both may belong to one stream: version, layer and rate never change."""
        return other is not None and (self.header ^ other.header) & 0xFFFE0C00 == 0

    def claimed_frames(self, data: Data, place: int) -> int | None:
        """The number of frames after this one by its Xing header, None if it has none."""
        head = data[place : place + self.size]
        found = max(head.find(b"Xing", 0, 64), head.find(b"Info", 0, 64))
        if found < 0 or not int.from_bytes(head[found + 4 : found + 8], "big") & 1:
            return None
        return int.from_bytes(head[found + 8 : found + 12], "big")

    def counting(self, frames: int) -> bytes:
        """A frame of this stream that holds nothing but a Xing header."""
        # No checksum, no padding, and a bit rate that leaves room for the header.
        frame = _Mp3Frame.of(self.header & 0xFFFF0DFF | 0x00019000)
        assert frame is not None
        xing = b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
        head = frame.header.to_bytes(4, "big") + bytes(frame.side_info)
        return (head + xing).ljust(frame.size, b"\0")


def _whole_mp3(data: Data) -> io.IOBase:
    """The frames of an MP3, behind a Xing header that counts them.

    libsndfile believes the Xing header. Without one it estimates the length from the first frame's
    bit rate and stops there: of a variable-rate file it may leave out half.
    """
    start = _after_id3(data)
    first = _Mp3Frame.at(data, start)
    if first is None:
        raise Rejected("not-audio", "an ID3 tag with no MP3 behind it")
    frames, end = _walk_mp3(data, start, first)
    if frames < 2:
        raise Rejected("not-audio", "begins like an MP3 frame, but no frame follows")
    claimed = first.claimed_frames(data, start)
    if claimed is None:
        return _file(data, start, end, first.counting(frames))
    if claimed > frames:
        raise Rejected("truncated-audio", f"{frames} of {claimed} MP3 frames are there")
    if claimed < frames - 1:
        return _file(data, start + first.size, end, first.counting(frames - 1))
    return _file(data, start, end)


def _after_id3(data: Data) -> int:
    place = 0
    while data[place : place + 3] == b"ID3" and place + 10 <= len(data):
        size = 0
        for byte in data[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if data[place + 5] & 0x10 else 0)
    return place


def _walk_mp3(data: Data, start: int, first: _Mp3Frame) -> tuple[int, int]:
    """The number of frames, and where the last one ends."""
    place, frames = start, 0
    while first.next_to(frame := _Mp3Frame.at(data, place)):
        assert frame is not None
        if place + frame.size > len(data):
            raise Rejected("truncated-audio", f"the MP3 frame at byte {place} is cut")
        place += frame.size
        frames += 1
    # Tags and padding may follow; more frames mean that something between them is lost.
    again = data.find(b"\xff", place)
    while again >= 0:
        frame = _Mp3Frame.at(data, again)
        if frame is not None and first.next_to(frame):
            after = _Mp3Frame.at(data, again + frame.size)
            if first.next_to(after):
                raise Rejected("truncated-audio", f"bytes {place} to {again} hold no MP3 frame")
        again = data.find(b"\xff", again + 1)
    return frames, place
