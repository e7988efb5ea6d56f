"""A stage's output directory: resumable while it grows, verifiable once it is complete.

    info.json    what made it: kind, version, resolved options, hashes of its inputs, files
    stats.json   what is in it: counts, seconds, tokens, time spent
    …            data
    COMPLETED    written last; holds the hash of info.json

A reader refuses a directory without `COMPLETED`. A writer that finds one resumes it if it was begun
with the same options, reuses it if it is complete, and refuses anything else, also one that another
process is writing (`pipelines.output_lock`).
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines import output_lock, storage

VERSION = "0.1.0"


class State(enum.Enum):
    """What a writer found."""

    NEW = "new"
    RESUMED = "resumed"
    COMPLETE = "complete"


class OutputError(RuntimeError):
    """A directory that can't be written or read as asked; the message holds the fix."""


class OutputBusyError(OutputError):
    """Another process is writing the directory."""


class OutputDir:
    """One stage's output directory.

    Args:
        path: a local folder or a URL of a filesystem Beam knows.
        kind: what the stage makes, such as `pairs`; a reader refuses another kind.

    Example:
        >>> out = OutputDir("data", kind="pairs")
        >>> if out.begin(options={"seed": 1}) is not State.COMPLETE:
        ...     storage.write_bytes(out.file("part-0"), b"…")
        ...     out.complete(files=["part-0"], stats={"pairs": 1})
    """

    def __init__(self, path: str, *, kind: str) -> None:
        self.path = path.rstrip("/") or "/"
        self.kind = kind
        self._lock: output_lock.OutputLock | None = None

    def file(self, *names: str) -> str:
        """The path of something inside."""
        return storage.join(self.path, *names)

    @property
    def is_complete(self) -> bool:
        """Whether `COMPLETED` is there."""
        return storage.exists(self.file("COMPLETED"))

    def begin(self, options: dict[str, Any], *, overwrite: bool = False) -> State:
        """Starts or resumes writing; where nothing was written yet, other options may replace it.

        A local directory is locked until `complete`, `release` or the end of the process.

        Args:
            options: whatever decides the content (not where or how fast it is made).
            overwrite: throw away what is there and begin anew.

        Raises:
            OutputError: the directory holds something else and `overwrite` is false.
            OutputBusyError: another process is writing it.
        """
        options = _plain(options)
        if not overwrite and self._is_complete_with(options):
            if not storage.is_remote(self.path) and os.path.exists(self.file(output_lock.NAME)):
                # Whoever completed it was killed before it let go.
                with contextlib.suppress(OutputError, OSError):
                    self._take_lock()
                    self.release()
            return State.COMPLETE
        self._take_lock()
        try:
            return self._begin(options, overwrite)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Lets another process write here; what is unfinished can be resumed."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _is_complete_with(self, options: dict[str, Any]) -> bool:
        begun = self.file("begun.json")
        return (
            self.is_complete
            and storage.exists(begun)
            and storage.read_json(begun) == {"kind": self.kind, "options": options}
        )

    def _take_lock(self) -> None:
        if storage.is_remote(self.path) or self._lock is not None:
            return
        try:
            self._lock = output_lock.OutputLock(self.path)
        except output_lock.Held as held:
            raise OutputBusyError(
                f"{self.path} is being written by {held.holder}; wait until it is done, "
                "or choose another --output"
            ) from None

    def _begin(self, options: dict[str, Any], overwrite: bool) -> State:
        if storage.exists(self.file("begun.json")):
            begun = storage.read_json(self.file("begun.json"))
            different = _differences(begun, {"kind": self.kind, "options": options})
            if not different and not overwrite:
                if self.is_complete:
                    self.release()
                    return State.COMPLETE
                storage.remove_temporary_files(self.path)
                return State.RESUMED
            allowed = ("begun.json", output_lock.NAME)
            if not overwrite and not storage.is_empty(self.path, but_for=allowed):
                raise OutputError(
                    f"{self.path} was made with other options ({different}); "
                    "choose another --output, or --overwrite it"
                )
            if storage.is_remote(self.path):
                raise OutputError(f"remove {self.path} yourself: a bucket's folder is not emptied")
            storage.remove(self.file("COMPLETED"))
            for name in set(os.listdir(self.path)) - {output_lock.NAME}:
                storage.remove(self.file(name))
        elif not storage.is_empty(self.path, but_for=(output_lock.NAME,)):
            raise OutputError(
                f"{self.path} holds files that no stage wrote; choose another --output"
            )
        storage.remove_temporary_files(self.path)
        storage.write_json(self.file("begun.json"), {"kind": self.kind, "options": options})
        return State.NEW

    def complete(
        self,
        *,
        files: Iterable[str] | Mapping[str, str],
        stats: dict[str, Any],
        info: dict[str, Any] | None = None,
    ) -> None:
        """Publishes the directory.

        Args:
            files: names of the data files, relative; their hashes go into `info.json`. A mapping
                holds the SHA-256 of each as it was written, so that no file has to be read again.
            stats: counts and times.
            info: further facts about the content: schema, shard count, hashes of inputs.

        Raises:
            FileNotFoundError: one of the files isn't there.
        """
        if isinstance(files, Mapping):
            for name in files:
                if not storage.exists(self.file(name)):
                    raise FileNotFoundError(self.file(name))
            hashes = dict(files)
        else:
            hashes = {name: storage.file_sha256(self.file(name)) for name in files}
        begun = storage.read_json(self.file("begun.json"))
        record = {**begun, "version": VERSION, **_plain(info or {}), "files": hashes}
        storage.write_json(self.file("stats.json"), stats)
        storage.write_json(self.file("info.json"), record)
        digest = storage.sha256(storage.read_bytes(self.file("info.json")))
        storage.write_bytes(self.file("COMPLETED"), digest.encode())
        self.release()

    @classmethod
    def open(cls, path: str, *, kind: str) -> OutputDir:
        """Opens a complete directory for reading.

        Raises:
            OutputError: it is missing, unfinished, of another kind, or its info was altered.
        """
        out = cls(path, kind=kind)
        if not storage.exists(out.file("begun.json")):
            raise OutputError(f"{path} is no output directory of Babelear (expected {kind})")
        if not out.is_complete:
            raise OutputError(f"{path} is not complete; run the command that makes it again")
        digest = storage.read_bytes(out.file("COMPLETED")).decode().strip()
        if digest != storage.sha256(storage.read_bytes(out.file("info.json"))):
            raise OutputError(f"{path}/info.json was altered after the directory was completed")
        if out.info["kind"] != kind:
            raise OutputError(f"{path} holds {out.info['kind']}, expected {kind}")
        return out

    @property
    def info(self) -> dict[str, Any]:
        """`info.json`."""
        record: dict[str, Any] = storage.read_json(self.file("info.json"))
        return record

    @property
    def stats(self) -> dict[str, Any]:
        """`stats.json`."""
        record: dict[str, Any] = storage.read_json(self.file("stats.json"))
        return record

    @property
    def digest(self) -> str:
        """What identifies the content: the hash of `info.json`."""
        return storage.read_bytes(self.file("COMPLETED")).decode().strip()

    def verify(self) -> None:
        """Hashes every data file again.

        Raises:
            OutputError: a file is missing or differs from what was written.
        """
        for name, expected in self.info["files"].items():
            path = self.file(name)
            if not storage.exists(path):
                raise OutputError(f"{path} is missing")
            if storage.file_sha256(path) != expected:
                raise OutputError(f"{path} is damaged: its SHA-256 is not the one in info.json")


def _plain(value: Any) -> Any:
    """The value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def _differences(one: Any, other: Any) -> str:
    """The first few leaves in which two JSON values differ, for a person."""

    def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
        if isinstance(value, dict):
            return {
                k: v for name in value for k, v in leaves(value[name], f"{prefix}{name}.").items()
            }
        return {prefix.rstrip("."): value}

    a, b = leaves(one), leaves(other)
    found = [f"{k}: {a.get(k)!r}, now {b.get(k)!r}" for k in {**a, **b} if a.get(k) != b.get(k)]
    return "; ".join(found[:3])
