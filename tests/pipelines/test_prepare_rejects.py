"""90 broken inputs: each is set aside with its reason, and too many of them publish nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.output_dir import OutputError
from pipelines.prepare import main
from tests.pipelines.broken_inputs import BrokenSet, build
from tests.pipelines.prepared import all_pairs, contents, opened


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[BrokenSet, list[str]]:
    """The broken set and a command line that prepares it."""
    folder = tmp_path_factory.mktemp("broken")
    made = build(folder / "corpus")
    flags = [
        f"--corpus={made.manifest_path}",
        f"--output={folder}/data",
        "--speech-encoder=mfcc",
        "--codebook-size=16",
        "--shards=4",
    ]
    return made, flags


def test_too_many_rejects_publish_nothing_and_a_higher_limit_finishes_without_new_work(
    broken: tuple[BrokenSet, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    made, flags = broken
    folder = Path(flags[1].removeprefix("--output="))
    rejects = sum(reason is not None for _, reason in made.expectations)

    assert main(flags) == 1
    said = capsys.readouterr().err
    assert f"prepare: {rejects} of {len(made.expectations)} rows were rejected (" in said
    assert "higher --max-rejects (now 0.05)" in said
    assert not (folder / "COMPLETED").exists()
    with pytest.raises(OutputError, match="not complete"):
        opened(folder)

    before = contents(folder)
    assert main([*flags, "--max-rejects=1"]) == 0
    after = contents(folder)
    assert f"{rejects} rejected" in capsys.readouterr().out
    assert {path: after[path] for path in before} == before
    assert {Path(path).name for path in set(after) - set(before)} == {
        "COMPLETED",
        "info.json",
        "stats.json",
    }


def test_each_broken_input_has_its_reason_and_each_good_one_its_tokens(
    broken: tuple[BrokenSet, list[str]],
) -> None:
    made, flags = broken
    assert main([*flags, "--max-rejects=1"]) == 0
    out = opened(flags[1].removeprefix("--output="))
    rejects = [
        json.loads(line)
        for path in storage.list_files(out.path, "rejects-*.jsonl")
        for line in Path(path).read_text(encoding="utf-8").splitlines()
    ]
    pairs = all_pairs(out)
    found = [(r["id"], r["reason"]) for r in rejects] + [(p.id, None) for p in pairs]

    assert Counter(found) == Counter(made.expectations)
    assert all(reject["detail"] and reject["stage"] for reject in rejects)
    assert all(len(pair.source_tokens) > 10 and pair.target_text for pair in pairs)
    assert out.stats["rows"] == len(made.expectations) == len(pairs) + len(rejects)
    assert out.stats["pairs"] == len(pairs)
    assert out.stats["rejects"] == dict(Counter(reject["reason"] for reject in rejects))
    out.verify()


def test_a_manifest_that_changed_is_another_corpus(
    broken: tuple[BrokenSet, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--speech-encoder=mfcc", "--codebook-size=2", f"--output={tmp_path}/data"]
    flags += ["--shards=1", f"--corpus={tmp_path}/m.tsv"]
    clips = Path(broken[0].manifest_path).parent / "clips"
    row = f"{clips}/good-0.wav\ten\thello\ttrain\n"
    (tmp_path / "m.tsv").write_text("audio\tlanguage\ttranscript\tsplit\n" + row)
    assert main(flags) == 0

    (tmp_path / "m.tsv").write_text("audio\tlanguage\ttranscript\tsplit\n" + row + row)
    assert main(flags) == 1
    assert "other options (options.corpus_sha256" in capsys.readouterr().err
