"""python -m pipelines.status: what output directories hold, how far they are, what was rejected."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipelines import output_lock, storage
from pipelines.output_dir import OutputDir, OutputError
from pipelines.stats import merge

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
        `path`, `kind`, `state` (`complete`, `running`, `unfinished`, `damaged` or `unknown`) and
        `options`; where they apply `problem`, `writer` (`pid`, `host`, `started`), `phase`, `parts`
        (`done`, `total`, and of those that tell the time `seconds_since_last`, `rows_per_second`,
        `speech_per_second` and `seconds_left`), `training` (the last line of the log), `rows`,
        `pairs`, `rejects` by reason, `rejects_by_stage`, and `groups` by task and split. `running`
        is said of local directories alone.
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
        now = time.time() if now is None else now
        since = 0.0
        if writer := output_lock.holder(out.path):
            since = writer.started
            result.update(state="running", writer=asdict(writer), seconds_running=now - since)
        result.update(_progress(out, begun, now, since))
    return {**result, **_training(out), "options": begun["options"]}


def _content(stats: Mapping[str, Any]) -> dict[str, Any]:
    """What the statistics say that any stage may have, pairs summed over languages."""
    named = ("rows", "pairs", "rejects", "rejects_by_stage")
    found = {name: stats[name] for name in named if name in stats}
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


def _progress(out: OutputDir, begun: Mapping[str, Any], now: float, since: float) -> dict[str, Any]:
    """How far an unfinished directory is, and how fast it grew since its writer started."""
    if begun["kind"] not in PARTS:
        return {}
    paths = storage.list_files(out.file(PARTS[begun["kind"]]), "*.json")
    parts = [storage.read_json(path) for path in paths]
    # An archive, or a long shard, makes several parts; how many is not known before it is read.
    cut = begun["kind"] == "pairs" and any("-" in path.rpartition("/")[2] for path in paths)
    total = begun["options"].get("shards") if paths and not cut else None
    progress: dict[str, Any] = {"done": len(parts), "total": total}
    timed = sorted((p for p in parts if "finished" in p), key=lambda part: part["finished"])
    if timed:
        progress["seconds_since_last"] = now - timed[-1]["finished"]
    # Work began before the first part was finished, nobody knows when: count from there.
    first, *counted = [p for p in timed if p["finished"] >= since] or [{}]
    if counted and (seconds := counted[-1]["finished"] - first["finished"]) > 0:
        progress["rows_per_second"] = sum(p.get("rows", 0) for p in counted) / seconds
        if speech := sum(map(_speech_seconds, counted)):
            progress["speech_per_second"] = speech / seconds
        if total and total > len(parts):
            progress["seconds_left"] = seconds / len(counted) * (total - len(parts))
    found: dict[str, Any] = {"parts": progress, "rows": sum(p.get("rows", 0) for p in parts)}
    if begun["kind"] == "pairs":
        if not storage.exists(out.file("codebook", "card.json")):
            found["phase"] = "the codebook is not fitted yet"
        elif units := begun["options"].get("units"):
            done = len(storage.list_files(out.file("translated"), "*.json"))
            found["phase"] = f"{done:,} of {units:,} units of texts translated"
        total_stats = merge(parts)
        found.update({name: total_stats[name] for name in ("rejects", "rejects_by_stage")})
    return found


def _speech_seconds(part: Mapping[str, Any]) -> float:
    groups = part.get("groups", {}).items()
    return sum(
        float(group["seconds"]) for name, group in groups if name.startswith("transcription/")
    )


def lines(found: Mapping[str, Any]) -> list[str]:
    """A status for a person."""
    result = [f"{found['path']}: {found['kind'] or 'nothing'}, {found['state']}"]
    if "writer" in found:
        writer = output_lock.Holder(**found["writer"])
        result[0] += f" by {writer} for {_ago(found['seconds_running'])}"
    if "problem" in found:
        result.append(f"  {found['problem']}")
    if "phase" in found:
        result.append(f"  {found['phase']}")
    if "parts" in found:
        result.append(f"  {_parts(found['parts'], found['state'] == 'running')}")
    if "training" in found:
        result.append(f"  {_learned(found['training'], found['options'])}")
    if counts := [
        f"{found[name]:,} {name}" for name in ("rows", "pairs", "steps") if name in found
    ]:
        result.append(f"  {', '.join(counts)}")
    if found.get("rejects"):
        result += _rejects(found)
    for name, group in found.get("groups", {}).items():
        speech = f", {group['seconds'] / 3600:.2f} h, {group['tokens']:,} audio tokens"
        languages = f"{group['languages']} language{'s' if group['languages'] != 1 else ''}"
        heard = speech if group.get("seconds") else ""
        result.append(f"    {name:<22} {group['pairs']:>9,} pairs, {languages}{heard}")
    if found["state"] == "unfinished":
        result.append("  run the command that makes it again: it goes on from here")
    return result


def _rejects(found: Mapping[str, Any]) -> list[str]:
    total = sum(found["rejects"].values())
    # Directories made before stages were counted know the reasons alone.
    stages = found.get("rejects_by_stage") or {"": found["rejects"]}
    named = "; ".join(
        f"{stage}: {_counts(reasons)}" if stage else _counts(reasons)
        for stage, reasons in stages.items()
    )
    result = [f"  {total:,} rejected ({named}): see {found['path']}/rejects-*.jsonl"]
    is_translated = "engine" in found["options"]
    if (found["kind"], found["state"], is_translated) == ("pairs", "complete", False):
        path = found["path"]
        result += [
            "  once they are mended, prepare them alone: "
            f"python -m pipelines.prepare --only-rejects {path} --output {path}-mended"
        ]
    return result


def _counts(reasons: Mapping[str, int]) -> str:
    most_first = sorted(reasons.items(), key=lambda reason: -reason[1])
    return ", ".join(f"{reason} {count:,}" for reason, count in most_first)


def _parts(parts: Mapping[str, Any], running: bool) -> str:
    text = f"{parts['done']:,} of {parts['total']:,}" if parts["total"] else f"{parts['done']:,}"
    text += " parts finished"
    if "seconds_since_last" in parts:
        text += f", the last one {_ago(parts['seconds_since_last'])} ago"
    if parts.get("rows_per_second"):
        text += f", {parts['rows_per_second']:,.1f} rows a second"
    if "speech_per_second" in parts:
        text += f", {parts['speech_per_second']:,.0f} s of speech a second"
    if "seconds_left" in parts:
        # Whether a bucket is being written can't be seen.
        sure = "" if running else " if it is running"
        text += f", about {_ago(parts['seconds_left'])} left{sure}"
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
