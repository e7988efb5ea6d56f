"""The end of mining: match the sides, measure where the truth is known, write the pairs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index.margin import BACKWARD, DEFAULT_THRESHOLD, FORWARD, Matches, match
from scann_index.mine_blocks import block_path, read_rows
from scann_index.mine_chart import chart
from scann_index.mine_quality import Gold, gold_of, quality
from scann_index.mine_search import neighbours_of

if TYPE_CHECKING:
    from scann_index.mine import MineOptions

FOUND_BY = {FORWARD: "forward", BACKWARD: "backward", FORWARD + BACKWARD: "both"}
PAIRS_A_FILE = 100_000


def select(
    options: MineOptions, out: OutputDir, blocks: dict[str, list[str]]
) -> tuple[list[str], dict[str, Any]]:
    """Matches the two sides, writes the pairs and their quality; returns the files and facts."""
    left, right = blocks.values()
    forward = neighbours_of(out.path, left, right, options.neighbours)
    backward = neighbours_of(out.path, right, left, options.neighbours)
    matches = match(forward, backward, options.retrieval)
    files = ["rejects-left.jsonl", "rejects-right.jsonl"]
    facts: dict[str, Any] = {"candidates": len(matches)}
    threshold, gold = options.threshold, None
    if options.gold:
        gold = gold_of(options.gold, *(_names(out.path, side) for side in (left, right)))
        dev = _dev_rows(_names(out.path, left)["names"], options.dev_share)
        report = quality(matches, gold, dev, threshold)
        by_cosine = match(forward, backward, options.retrieval, "cosine")
        report["by_cosine"] = quality(by_cosine, gold, dev, None)
        threshold = report["threshold"]
        storage.write_json(out.file("quality.json"), report)
        title = "Mined pairs: precision, recall and F1 by the margin they must reach"
        storage.write_bytes(out.file("quality.svg"), chart(report, title).encode("utf-8"))
        files += ["quality.json", "quality.svg"]
        facts["quality"] = {k: v for k, v in report.items() if k not in ("curve", "by_cosine")}
        facts["quality"]["by_cosine"] = report["by_cosine"]["test"]
    threshold = DEFAULT_THRESHOLD if threshold is None else threshold
    kept = matches.where(matches.margins >= threshold)
    facts |= {"threshold": threshold, "pairs": len(kept)}
    found_by = {name: int((kept.directions == d).sum()) for d, name in FOUND_BY.items()}
    facts["found_by"] = found_by
    return [*_write_pairs(options, out, blocks, kept, gold), *files], facts


def _names(folder: str, blocks: Sequence[str]) -> dict[str, list[list[str]]]:
    """The ids and sentence ids of each row of some blocks."""
    records = [storage.read_json(block_path(folder, name, "json")) for name in blocks]
    return {key: [ids for r in records for ids in r[key]] for key in ("names", "sentences")}


def _dev_rows(names: Sequence[Sequence[str]], share: float) -> np.ndarray:
    """Which rows the threshold is chosen on, by the hash of their ids: bool `[rows]`."""
    digests = (storage.sha256("\0".join(ids).encode("utf-8", "surrogatepass")) for ids in names)
    return np.array([int(digest[:8], 16) < share * 2**32 for digest in digests], bool)


def _write_pairs(
    options: MineOptions,
    out: OutputDir,
    blocks: dict[str, list[str]],
    matches: Matches,
    gold: Gold | None,
) -> list[str]:
    """Writes pairs, `PAIRS_A_FILE` a file; returns the names of the files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [
        pa.concat_tables([read_rows(out.path, n) for n in names]) for names in blocks.values()
    ]
    count = max(1, -(-len(matches) // PAIRS_A_FILE))
    files = []
    for number in range(count):
        part = matches.where(
            np.arange(number * PAIRS_A_FILE, min(len(matches), (number + 1) * PAIRS_A_FILE))
        )
        records = list(_records(part, tables, gold))
        files.append(f"pairs-{number:05d}-of-{count:05d}.{options.format}")
        if options.format == "jsonl":
            data = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode(
                "utf-8", "surrogatepass"
            )
        else:
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(records), buffer)
            data = buffer.getvalue()
        storage.write_bytes(out.file(files[-1]), data)
    return files


def _records(
    matches: Matches, tables: Sequence[Any], gold: Gold | None
) -> Iterator[dict[str, Any]]:
    sides = [tables[0].take(matches.left).to_pylist(), tables[1].take(matches.right).to_pylist()]
    shown = ("id", "language", "modality", "text", "audio", "seconds", "speaker", "sentence_id")
    for place, (left, right) in enumerate(zip(*sides, strict=True)):
        record: dict[str, Any] = {
            "margin": round(float(matches.margins[place]), 5),
            "cosine": round(float(matches.cosines[place]), 5),
            "found_by": FOUND_BY[int(matches.directions[place])],
        }
        if gold is not None:
            record["right"] = gold.is_right(int(matches.left[place]), int(matches.right[place]))
        for name, row in (("left", left), ("right", right)):
            record |= {f"{name}_{field}": row[field] for field in shown}
        yield record | _as_manifest(left, right)


def _as_manifest(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """The columns that pipelines.prepare reads, of speech with a text in its own language."""
    speech, text = (left, right) if left["modality"] == "speech" else (right, left)
    if (speech["modality"], text["modality"]) != ("speech", "text"):
        return {}
    if speech["language"] != text["language"]:
        return {}
    return {"audio": speech["audio"], "language": text["language"], "transcript": text["text"]}
