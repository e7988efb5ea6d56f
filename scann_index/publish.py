"""The one moment in which an index changes: a reader sees all of the old one or all of the new.

    info.json             what the index is now
    info-0123456789abcdef.json  what it was before the last change, by its hash
    COMPLETED             the hash of the one that counts; replacing this file is the change

A run that is killed between any two of these writes leaves a complete index behind, the old one or
the new one. Its shards are written before, under names of their own.
"""

from __future__ import annotations

import json
from typing import Any

from pipelines import storage
from pipelines.output_dir import VERSION, OutputDir, OutputError


def read_info(path: str, kind: str) -> tuple[OutputDir, dict[str, Any], str]:
    """Opens a complete directory, even one that is just being changed.

    Args:
        path: the directory.
        kind: what it must hold, such as `index`.

    Returns:
        The directory, its `info.json`, and the hash of that.

    Raises:
        OutputError: it is missing, unfinished, damaged or of another kind.
    """
    out = OutputDir(path, kind=kind)
    try:
        try:
            OutputDir.open(path, kind=kind)
            return out, out.info, out.digest
        except OutputError:
            older = _older(out)
            if older is None:
                raise
            return out, older, out.digest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} can't be read: {error!r}; restore it from a copy") from None


def _older(out: OutputDir) -> dict[str, Any] | None:
    """The info that `COMPLETED` names, if `info.json` is another one by now."""
    if not out.is_complete:
        return None
    digest = out.digest
    path = out.file(f"info-{digest[:16]}.json")
    if not digest[:16].isalnum() or not storage.exists(path):
        return None
    data = storage.read_bytes(path)
    if storage.sha256(data) != digest:
        return None
    info: dict[str, Any] = json.loads(data)
    return info if info["kind"] == out.kind else None


def complete(
    out: OutputDir, files: dict[str, str], info: dict[str, Any], stats: dict[str, Any]
) -> None:
    """Publishes a directory for the first time, as `OutputDir.complete`, its hashes being known.

    Args:
        out: the directory.
        files: its data files and their SHA-256.
        info: further facts about the content.
        stats: counts and times.
    """
    begun = storage.read_json(out.file("begun.json"))
    storage.write_json(out.file("stats.json"), stats)
    record = {**begun, "version": VERSION, **info, "files": files}
    storage.write_json(out.file("info.json"), record)
    digest = storage.sha256(storage.read_bytes(out.file("info.json")))
    storage.write_bytes(out.file("COMPLETED"), digest.encode())


def replace_info(out: OutputDir, info: dict[str, Any], stats: dict[str, Any]) -> str:
    """Makes a complete directory one with another info.

    Args:
        out: the directory; all files that `info` names are in it.
        info: its new `info.json`.
        stats: its new `stats.json`.

    Returns:
        The hash of the new info.
    """
    _, _, digest = read_info(out.path, out.kind)
    older = out.file(f"info-{digest[:16]}.json")
    now = storage.read_bytes(out.file("info.json"))
    if storage.sha256(now) == digest:
        storage.write_bytes(older, now)
    storage.write_json(out.file("info.json"), info)
    new = storage.sha256(storage.read_bytes(out.file("info.json")))
    storage.write_bytes(out.file("COMPLETED"), new.encode())
    storage.write_json(out.file("stats.json"), stats)
    for path in storage.list_files(out.path, "info-*.json"):
        if path != older:
            storage.remove(path)
    return new
