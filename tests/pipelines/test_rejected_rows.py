"""What was rejected is mended and prepared alone, into a directory to be used beside the first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.prepare import main
from tests.pipelines.sounds import encoded, voice

GOOD = encoded(voice(0.6), 16_000, "WAV")
HEADER = "id\taudio\tlanguage\ttranscript\tsplit\n"
ROWS = [
    f"good-{n}\tgood.wav\ten\tsentence {n}\t{split}\n"
    for n, split in enumerate(("train", "train", "train", "train", "test"))
]
BAD_ROWS = [
    "cut\tcut.wav\ten\ta cut file\ttrain\n",
    "absent\tabsent.wav\ten\tan absent file\ttest\n",
    "long\tlong.wav\ten\ta long file\ttrain\n",
    "unknown\tgood.wav\ttlh\ta language nobody knows\ttrain\n",
    "\tgood.wav\ten\t\ttrain\n",
    "good-1\tgood.wav\ten\tthe id of another\ttrain\n",
]
REASONS = {
    "decode": {"missing-file": 1, "too-long": 1, "truncated-audio": 1},
    "read": {"empty-transcript": 1, "unknown-language": 1},
    "validate": {"duplicate-id": 1},
}


def write_manifest(folder: Path, rows: Sequence[str]) -> None:
    (folder / "m.tsv").write_text(HEADER + "".join(rows), encoding="utf-8")


def pairs(out: OutputDir) -> dict[str, Pair]:
    found = [pair for split in ("train", "dev", "test") for pair in read_pairs(out, split)]
    assert len({pair.id for pair in found}) == len(found)
    return {pair.id: pair for pair in found}


def rejects(out: OutputDir) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in storage.list_files(out.path, "rejects-*.jsonl")
        for line in Path(path).read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest, its recordings, and `data`: 5 pairs and 6 rejects of 3 stages."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "good.wav").write_bytes(GOOD)
    (folder / "cut.wav").write_bytes(GOOD[:5000])
    (folder / "long.wav").write_bytes(encoded(voice(2.5), 16_000, "WAV"))
    write_manifest(folder, [*ROWS, *BAD_ROWS])
    flags = [f"--corpus={folder}/m.tsv", f"--output={folder}/data", "--max-rejects=1"]
    flags += ["--speech-encoder=mfcc", "--codebook-size=8", "--shards=3", "--max-seconds=2"]
    assert main(flags) == 0
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed; its options name `first`'s manifest."""
    shutil.copytree(first, tmp_path / "corpus")
    return tmp_path / "corpus"


def again(folder: Path, *flags: str) -> int:
    own = [f"--only-rejects={folder}/data", f"--corpus={folder}/m.tsv"]
    return main([*own, f"--output={folder}/mended", *flags])


def opened(folder: Path, name: str = "mended") -> OutputDir:
    return OutputDir.open(f"{folder}/{name}", kind=KIND)


def test_the_first_run_counts_its_rejects_by_stage_and_every_row_once(first: Path) -> None:
    out = opened(first, "data")
    found = rejects(out)

    assert out.stats["rejects_by_stage"] == REASONS
    assert sum(map(len, REASONS.values())) == len(found) == 6
    assert out.stats["rows"] == out.stats["pairs"] + len(found) == len(ROWS) + len(BAD_ROWS)
    named = {reject["reason"]: reject["exception"] for reject in found}
    assert named["missing-file"] == "FileNotFoundError"
    assert all(r["id"] and r["uri"] and r["stage"] and r["detail"] for r in found)


def test_what_was_mended_becomes_pairs_with_the_same_codebook_and_nothing_else_is_prepared(
    folder: Path,
) -> None:
    (folder / "cut.wav").write_bytes(GOOD)
    (folder / "absent.wav").write_bytes(GOOD)
    mended = [row.replace("\ttlh\t", "\tfr\t").replace("good-1\t", "other\t") for row in BAD_ROWS]
    mended[4] = "\tgood.wav\ten\tnow it has one\ttrain\n"
    # Where a row stands in the manifest doesn't matter.
    write_manifest(folder, ["new\tgood.wav\ten\tadded since\ttrain\n", *mended, *ROWS])

    assert again(folder, "--max-seconds=3") == 0
    out, data = opened(folder), opened(folder, "data")
    got = pairs(out)

    assert set(got) == {"new", "cut", "absent", "long", "unknown", "other", "m.tsv:7"}
    assert rejects(out) == []
    assert out.info["files"]["codebook/codebook.npz"] == data.info["files"]["codebook/codebook.npz"]
    assert got["cut"].source_tokens.tolist() == pairs(data)["good-0"].source_tokens.tolist()
    assert out.info["corpus"]["without"] == [{"path": data.path, "digest": data.digest}]
    assert (got["long"].seconds, got["unknown"].source_language) == (2.5, "fr")


def test_what_is_still_bad_is_rejected_again_and_counted_against_all_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cut.wav").write_bytes(GOOD)

    # 5 of 11 are still bad.
    assert again(folder, "--max-rejects=0.4") == 1
    assert "5 of 11 rows were rejected" in capsys.readouterr().err
    assert again(folder, "--max-rejects=0.5") == 0
    out = opened(folder)
    left = {reason: n for reasons in REASONS.values() for reason, n in reasons.items()}
    del left["truncated-audio"]
    assert set(pairs(out)) == {"cut"}
    assert out.stats["rejects"] == left
    assert out.stats["rows"] == 6

    # And once more, what the second left.
    (folder / "absent.wav").write_bytes(GOOD)
    flags = [f"--only-rejects={folder}/mended", f"--output={folder}/third", "--max-rejects=1"]
    assert main([*flags, f"--corpus={folder}/m.tsv"]) == 0
    assert set(pairs(opened(folder, "third"))) == {"absent"}
    assert len(opened(folder, "third").info["corpus"]["without"]) == 2


def test_options_are_those_of_the_first_time(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--only-rejects={first}/data", f"--output={tmp_path}/again"]

    assert main([*flags, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{first}/m.tsv: 6 rows" in said
    assert f"speech encoder mfcc, codebook {first}/data/codebook" in said
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--codebook=elsewhere"], "takes the codebook of its folder"),
        (["--only-rejects=OUT/none"], "none is no output directory"),
    ],
)
def test_a_wrong_command_is_refused(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    own = [f"--only-rejects={first}/data", f"--output={tmp_path}/again"]
    with pytest.raises(SystemExit):
        main([*own, *[flag.replace("OUT", str(tmp_path)) for flag in flags]])
    assert said in capsys.readouterr().err


def test_where_nothing_is_left_to_prepare_it_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(folder, ROWS)

    assert again(folder) == 1
    assert "has every row of the corpus: nothing to do" in capsys.readouterr().err
    assert not (folder / "mended").exists()
