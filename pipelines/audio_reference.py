"""What `Utterance.audio` may say: a file, a member of a tar archive, a part, another speed.

/data/clips/a.wav   gs://bucket/a.flac          a file
tar:/data/train.tar.gz!a.wav                    a file inside an archive, which stays packed
/data/lecture.flac#t=62.5,70.25                 from 62.5 s to 70.25 s (a W3C media fragment)
/data/clips/a.wav#speed=0.9                     played at 0.9 of its speed: longer, and deeper
/data/lecture.flac#t=62.5,70.25&speed=1.1       both
espeak:en?text=hello                            speech to be synthesized, see `synthesis`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

TAR = "tar:"
SPEEDS = (0.5, 2.0)
"""The slowest and the fastest."""
MOST_SPEEDS = 8
"""At so many a recording is heard at most, beside its own."""
_NUMBER = r"(\d+(?:\.\d+)?)"
_FRAGMENT = re.compile(rf"#(?=[ts])(?:t={_NUMBER},{_NUMBER}(?:&(?=s)|$))?(?:speed={_NUMBER})?$")


class AudioReference(NamedTuple):
    """A reference, taken apart.

    Args:
        file: the path or URL of the file, or of the archive.
        member: the path inside the archive, or empty. Leading folders may be left out.
        span: the part of the recording, from and to in seconds; None for all of it.
        speed: how fast it is played, within `SPEEDS`.
    """

    file: str
    member: str = ""
    span: tuple[float, float] | None = None
    speed: float = 1.0

    def __str__(self) -> str:
        text = self.file
        if self.member:
            # The last exclamation mark ends the archive's path.
            member = self.member.replace("%", "%25").replace("!", "%21")
            text = f"{TAR}{self.file}!{member}"
        parts = ["t={:.3f},{:.3f}".format(*self.span)] if self.span else []
        parts += [f"speed={self.speed:g}"] if self.speed != 1.0 else []
        return "#".join([text, *(["&".join(parts)] if parts else [])])


def is_speed(number: float) -> bool:
    """Whether something can be played at so many times its speed."""
    slowest, fastest = SPEEDS
    return slowest <= number <= fastest


def check_speeds(speeds: Sequence[float]) -> None:
    """That these are speeds to hear a recording at beside its own.

    Raises:
        ValueError: one of them is none, or is its own; or there are more than `MOST_SPEEDS`.
    """
    if len(speeds) > MOST_SPEEDS:
        raise ValueError(f"{len(speeds)} speeds, the most is {MOST_SPEEDS}")
    if wrong := [f"{speed:g}" for speed in speeds if not is_speed(speed) or speed == 1]:
        slowest, fastest = SPEEDS
        raise ValueError(f"a speed of {wrong[0]}: give {slowest:g} to {fastest:g}, other than 1")


def parse(reference: str) -> AudioReference:
    """Takes a reference apart; what has no other form is a file."""
    span, speed = None, 1.0
    if fragment := _FRAGMENT.search(reference):
        span = (float(fragment[1]), float(fragment[2])) if fragment[1] else None
        speed = float(fragment[3] or 1)
        reference = reference[: fragment.start()]
    archive, mark, member = reference.removeprefix(TAR).rpartition("!")
    if not reference.startswith(TAR) or not mark:
        return AudioReference(reference, span=span, speed=speed)
    return AudioReference(archive, member.replace("%21", "!").replace("%25", "%"), span, speed)


def archive_of(reference: str) -> str:
    """The archive that a reference leads into; empty for any other."""
    return parse(reference).file if reference.startswith(TAR) and "!" in reference else ""
