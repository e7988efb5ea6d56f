"""What `stats.json` counts: of each shard when it is written, and of all of them in the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipelines.pairs import Pair
from pipelines.rejects import Reject, TooManyRejects
from pipelines.shard import Shard


def summarize(shard: Shard, pairs: Sequence[Pair], files: dict[str, str]) -> dict[str, Any]:
    """What a finished shard holds: rows read, rejects by reason and by stage, and counts by task,
    split, language: pairs, seconds of speech, audio tokens, characters of text."""
    groups: dict[str, dict[str, float]] = {}
    for pair in pairs:
        key = f"{pair.task}/{pair.split}/{pair.source_language}"
        group = groups.setdefault(key, {"pairs": 0, "seconds": 0.0, "tokens": 0, "characters": 0})
        group["pairs"] += 1
        group["seconds"] += pair.seconds
        group["tokens"] += len(pair.source_tokens)
        group["characters"] += len(pair.target_text)
    return {
        "shard": shard.name,
        "rows": shard.rows,
        "rejects": dict(sorted(Counter(r.reason for r in shard.rejects).items())),
        "rejects_by_stage": _by_stage(shard.rejects),
        "groups": dict(sorted(groups.items())),
        "files": files,
        "finished": time.time(),
    }


def merge(shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Adds up the summaries of finished shards."""
    rejects: Counter[str] = Counter()
    stages: dict[str, Counter[str]] = {}
    groups: dict[str, Counter[str]] = {}
    for shard in shards:
        rejects.update(shard.get("rejects", {}))
        for stage, reasons in shard.get("rejects_by_stage", {}).items():
            stages.setdefault(stage, Counter()).update(reasons)
        for name, group in shard.get("groups", {}).items():
            groups.setdefault(name, Counter()).update(group)
    return {
        "rows": sum(shard["rows"] for shard in shards),
        "pairs": sum(int(group["pairs"]) for group in groups.values()),
        "rejects": dict(sorted(rejects.items())),
        "rejects_by_stage": {s: dict(sorted(stages[s].items())) for s in sorted(stages)},
        "groups": {name: dict(group) for name, group in sorted(groups.items())},
    }


def counters(summary: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """A finished shard's numbers as Beam's counters have them, names and increments."""
    groups = summary["groups"]
    # A translation pair has the sound of a transcription pair: count it once.
    speech = [group for name, group in groups.items() if name.startswith("transcription/")]
    yield "rows", summary["rows"]
    yield "pairs", sum(group["pairs"] for group in groups.values())
    yield "audio_seconds", round(sum(group["seconds"] for group in speech))
    yield "audio_tokens", sum(group["tokens"] for group in speech)
    yield "rejects", sum(summary["rejects"].values())
    for stage, reasons in summary["rejects_by_stage"].items():
        for reason, count in reasons.items():
            yield f"rejects/{stage}/{reason}", count


def check_rejects(stats: dict[str, Any], threshold: float, path: str, *, of: int = 0) -> None:
    """Holds the share of rejects against the threshold.

    Args:
        stats: what `merge` returns.
        threshold: the largest share that is let pass.
        path: the output directory, for the message.
        of: how many rows it is a share of, if more than were read now.

    Raises:
        TooManyRejects: there are more.
    """
    rows, rejected = max(stats["rows"], of), sum(stats["rejects"].values())
    if rejected > threshold * rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in stats["rejects"].items())
        raise TooManyRejects(
            f"{rejected} of {rows} rows were rejected ({reasons}); see "
            f"{path}/rejects-*.jsonl. Mend them and --overwrite the output; or run again with a "
            f"higher --max-rejects (now {threshold:g}), which keeps finished shards, and then what "
            f"was mended with --only-rejects {path}"
        )


def summary(stats: dict[str, Any], path: str) -> str:
    """A few lines for the terminal."""
    speech = [g for name, g in stats["groups"].items() if name.startswith("transcription/")]
    hours = sum(g["seconds"] for g in speech) / 3600
    tokens = sum(int(g["tokens"]) for g in speech)
    rejected = sum(stats["rejects"].values())
    lines = [
        f"{path}: {stats['pairs']:,} pairs from {stats['rows']:,} rows, {rejected:,} rejected",
        f"  {hours:.2f} hours of speech, {tokens:,} audio tokens",
    ]
    lines += [f"  rejected: {count:,} {reason}" for reason, count in stats["rejects"].items()]
    return "\n".join(lines)


def _by_stage(rejects: Iterable[Reject]) -> dict[str, dict[str, int]]:
    stages: dict[str, Counter[str]] = {}
    for reject in rejects:
        stages.setdefault(reject.stage, Counter())[reject.reason] += 1
    return {stage: dict(sorted(stages[stage].items())) for stage in sorted(stages)}
