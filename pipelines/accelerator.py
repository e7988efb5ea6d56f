"""How a GPU is asked for."""

from __future__ import annotations

import re

_BEAMS = re.compile(r"type:[\w.-]+;count:\d+(;install-nvidia-driver(:[\w.-]+)?)?")
_SHORT = re.compile(r"(?!type:)([a-z][a-z0-9-]*)(?::([1-9]\d*))?")


def resource_hint(text: str) -> str:
    """What Beam takes, of what a person writes.

    Args:
        text: `nvidia-l4`, `nvidia-l4:2` for two of them, or Beam's own form, which begins with
            `type:`; or empty.

    Raises:
        ValueError: it is none of them.
    """
    if not text or _BEAMS.fullmatch(text):
        return text
    match = _SHORT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"--accelerator {text!r}: give nvidia-l4, nvidia-l4:2 for two of them, or Beam's own "
            "type:nvidia-l4;count:1;install-nvidia-driver"
        )
    return f"type:{match[1]};count:{match[2] or 1};install-nvidia-driver"
