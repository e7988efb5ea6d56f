"""Bad input, named: what was set aside, at which stage, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reject:
    """One item set aside, written to the rejects of its shard.

    Args:
        id: the item's id, or its place in the corpus (`manifest.tsv:12`) if it has none.
        uri: the file at fault, empty where no file is.
        stage: where it was noticed: `read`, `validate`, `decode`, `encode`.
        reason: a slug that can be counted, such as `truncated-audio`.
        detail: a sentence for a person, with the numbers that decided it.
    """

    id: str
    uri: str
    stage: str
    reason: str
    detail: str


class Rejected(ValueError):
    """Raised by a function that handles one item and can't; its caller makes a `Reject` of it.

    Args:
        reason: the slug, as in `Reject.reason`.
        detail: the sentence, as in `Reject.detail`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class TooManyRejects(RuntimeError):
    """The share of rejects passed the threshold the user set."""
