"""What `Utterance.audio` may say: a file, a member of a tar archive, or a part of a recording.

/data/clips/a.wav   gs://bucket/a.flac          a file
tar:/data/train.tar.gz!a.wav                    a file inside an archive, which stays packed
/data/lecture.flac#t=62.5,70.25                 from 62.5 s to 70.25 s (a W3C media fragment)
espeak:en?text=hello                            speech to be synthesized, see `synthesis`
"""

from __future__ import annotations

import re
from typing import NamedTuple

TAR = "tar:"
_FRAGMENT = re.compile(r"#t=(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$")


class AudioReference(NamedTuple):
    """A reference, taken apart.

    Args:
        file: the path or URL of the file, or of the archive.
        member: the path inside the archive, or empty. Leading folders may be left out.
        span: the part of the recording, from and to in seconds; None for all of it.
    """

    file: str
    member: str = ""
    span: tuple[float, float] | None = None

    def __str__(self) -> str:
        text = self.file
        if self.member:
            # The last exclamation mark ends the archive's path.
            member = self.member.replace("%", "%25").replace("!", "%21")
            text = f"{TAR}{self.file}!{member}"
        if self.span:
            text += "#t={:.3f},{:.3f}".format(*self.span)
        return text


def parse(reference: str) -> AudioReference:
    """Takes a reference apart; what has no other form is a file."""
    span = None
    if fragment := _FRAGMENT.search(reference):
        span = float(fragment[1]), float(fragment[2])
        reference = reference[: fragment.start()]
    archive, mark, member = reference.removeprefix(TAR).rpartition("!")
    if not reference.startswith(TAR) or not mark:
        return AudioReference(reference, span=span)
    return AudioReference(archive, member.replace("%21", "!").replace("%25", "%"), span)


def archive_of(reference: str) -> str:
    """The archive that a reference leads into; empty for any other."""
    return parse(reference).file if reference.startswith(TAR) and "!" in reference else ""
