"""Bad input, named: what was set aside, at which stage, and why."""

from __future__ import annotations

from dataclasses import dataclass

OUT_OF_MEMORY = "out-of-memory"
"""The reason for what needs, even by itself, more memory than a model has left."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One item set aside, written to the rejects of its shard.

    Args:
        id: the item's id, or its place in the corpus (`manifest.tsv:12`) if it has none.
        uri: the file at fault, empty where no file is.
        stage: where it was noticed: `read`, `validate`, `decode`, `encode`.
        reason: a slug that can be counted, such as `truncated-audio`.
        detail: a sentence for a person, with the numbers that decided it.
        exception: the class of the error behind it (`LibsndfileError`), empty if there was none.
    """

    id: str
    uri: str
    stage: str
    reason: str
    detail: str
    exception: str = ""


class Rejected(ValueError):
    """Raised by a function that handles one item and can't; its caller makes a `Reject` of it.

    Args:
        reason: the slug, as in `Reject.reason`.
        detail: the sentence, as in `Reject.detail`.
        exception: as in `Reject.exception`; if empty, the error it is raised in the handling of.
    """

    def __init__(self, reason: str, detail: str, exception: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self._exception = exception

    @property
    def exception(self) -> str:
        """The class of the error behind it, or empty."""
        error: BaseException | None = self
        while isinstance(error, Rejected):
            if error._exception:
                return error._exception
            error = error.__cause__ or error.__context__
        return type(error).__name__ if error else ""

    def without_traceback(self) -> Rejected:
        """The same to be kept: through its traceback, one that was caught holds whole files."""
        return Rejected(self.reason, self.detail, self.exception)

    def reject(self, id: str, uri: str, stage: str, *, place: str = "") -> Reject:
        """What is written down.

        Args:
            id: as in `Reject`.
            uri: as in `Reject`.
            stage: as in `Reject`.
            place: put before the detail, where the id doesn't say it.
        """
        detail = f"{place}: {self.detail}" if place else self.detail
        return Reject(id, uri, stage, self.reason, detail, self.exception)

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, str, str]]:
        return type(self), (self.reason, self.detail, self.exception)


class TooManyRejects(RuntimeError):
    """The share of rejects passed the threshold the user set."""
