"""python -m pipelines.status: what output directories hold, how far they are, what was rejected."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError

DESCRIPTION = """\
Shows at a glance what the output directories of any stage hold: how far they are, how many rows and
hours of speech, what was rejected and why, and what made them. Reads while a stage still writes.

examples:
  python -m pipelines.status demo/*/
  python -m pipelines.status gs://bucket/data --json
  python -m pipelines.status demo/data --verify && echo safe to copy

The exit status is 0 if all of them are complete (and, with --verify, undamaged), else 1.
"""
PARTS = {"pairs": "finished", "index": "finished", "evaluation": "languages"}
"""Of each kind, the folder that gets one JSON file for each part that is finished."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.status",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", help="what a stage wrote or is writing")
    parser.add_argument("--verify", action="store_true", help="hash every data file again")
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args(argv)
    found = [status(folder, verify=options.verify) for folder in options.folders]
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print("\n".join(line for one in found for line in lines(one)))
    return 0 if all(one["state"] == "complete" for one in found) else 1


def status(folder: str, *, verify: bool = False, now: float | None = None) -> dict[str, Any]:
    """What one directory holds.

    Args:
        folder: local or a URL.
        verify: whether to hash the data files of a complete one again.
        now: seconds since 1970, the present by default.

    Returns:
        `path`, `kind`, `state` (`complete`, `unfinished`, `damaged` or `unknown`) and `options`;
        where they apply `problem`, `parts` (`done`, `total`, and of those that tell the time
        `seconds_since_last` and `seconds_left`), `training` (the last line of the log), `rows`,
        `pairs`, `rejects` by reason, and `groups` by task and split.
    """
    out = OutputDir(folder, kind="")
    if not storage.exists(out.file("begun.json")):
        problem = "no stage has begun to write here"
        return {"path": out.path, "kind": "", "state": "unknown", "problem": problem}
    begun = storage.read_json(out.file("begun.json"))
    result = {"path": out.path, "kind": begun["kind"], "state": "unfinished"}
    if out.is_complete:
        result["state"] = "complete"
        try:
            opened = OutputDir.open(out.path, kind=begun["kind"])
            if verify:
                opened.verify()
            result.update(_content(opened.stats))
        except (OutputError, OSError, ValueError) as error:
            result.update(state="damaged", problem=str(error))
    else:
        result.update(_progress(out, begun, time.time() if now is None else now))
    return {**result, **_training(out), "options": begun["options"]}


def _content(stats: Mapping[str, Any]) -> dict[str, Any]:
    """What the statistics say that any stage may have, pairs summed over languages."""
    found = {name: stats[name] for name in ("rows", "pairs", "rejects") if name in stats}
    groups: dict[str, Counter[str]] = {}
    for name, group in stats.get("groups", {}).items():
        if isinstance(group, Mapping):
            total = groups.setdefault(name.rpartition("/")[0], Counter())
            total.update(group)
            total["languages"] += 1
    return {**found, "groups": {name: dict(total) for name, total in sorted(groups.items())}}


def _training(out: OutputDir) -> dict[str, Any]:
    """The last line of a run's log; one that is being written doesn't count."""
    path = out.file("log.jsonl")
    log = storage.read_bytes(path).decode().split("\n")[:-1] if storage.exists(path) else []
    return {"training": json.loads(log[-1])} if log else {}


def _progress(out: OutputDir, begun: Mapping[str, Any], now: float) -> dict[str, Any]:
    """How far an unfinished directory is."""
    if begun["kind"] not in PARTS:
        return {}
    paths = storage.list_files(out.file(PARTS[begun["kind"]]), "*.json")
    parts = [storage.read_json(path) for path in paths]
    # An archive makes parts of its own, named after it; how many is not known before it is read.
    from_archives = any("-" in path.rpartition("/")[2] for path in paths)
    total = None if from_archives else begun["options"].get("shards")
    progress: dict[str, Any] = {"done": len(parts), "total": total}
    times = sorted(part["finished"] for part in parts if "finished" in part)
    if times:
        progress["seconds_since_last"] = now - times[-1]
    if len(times) > 1 and total and total > len(parts):
        progress["seconds_left"] = (times[-1] - times[0]) / (len(times) - 1) * (total - len(parts))
    rejects = sum((Counter(part.get("rejects", {})) for part in parts), Counter[str]())
    rows = sum(part.get("rows", 0) for part in parts)
    return {"parts": progress, "rows": rows, "rejects": dict(rejects)}


def lines(found: Mapping[str, Any]) -> list[str]:
    """A status for a person."""
    result = [f"{found['path']}: {found['kind'] or 'nothing'}, {found['state']}"]
    if "problem" in found:
        result.append(f"  {found['problem']}")
    if "parts" in found:
        result.append(f"  {_parts(found['parts'])}")
    if "training" in found:
        result.append(f"  {_learned(found['training'], found['options'])}")
    if counts := [
        f"{found[name]:,} {name}" for name in ("rows", "pairs", "steps") if name in found
    ]:
        result.append(f"  {', '.join(counts)}")
    if found.get("rejects"):
        reasons = sorted(found["rejects"].items(), key=lambda reason: -reason[1])
        total = sum(found["rejects"].values())
        named = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
        result.append(f"  {total:,} rejected ({named}): see {found['path']}/rejects-*.jsonl")
    for name, group in found.get("groups", {}).items():
        speech = f", {group['seconds'] / 3600:.2f} h, {group['tokens']:,} audio tokens"
        languages = f"{group['languages']} language{'s' if group['languages'] != 1 else ''}"
        heard = speech if group.get("seconds") else ""
        result.append(f"    {name:<22} {group['pairs']:>9,} pairs, {languages}{heard}")
    if found["state"] == "unfinished":
        result.append("  run the command that makes it again: it goes on from here")
    return result


def _parts(parts: Mapping[str, Any]) -> str:
    text = f"{parts['done']:,} of {parts['total']:,}" if parts["total"] else f"{parts['done']:,}"
    text += " parts finished"
    if "seconds_since_last" in parts:
        text += f", the last one {_ago(parts['seconds_since_last'])} ago"
    if "seconds_left" in parts:
        text += f", about {_ago(parts['seconds_left'])} left if it is running"
    return text


def _learned(log: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    text = f"step {log['step']:,} of {options['steps']:,}, loss {log['loss']:.3f}"
    if recalls := list(log.get("dev_recall_at_1", {}).values()):
        text += f", dev recall@1 {sum(recalls) / len(recalls):.3f} over {len(recalls)} languages"
    return text


def _ago(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main())
