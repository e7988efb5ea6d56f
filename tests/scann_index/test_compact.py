from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index import compact as module
from scann_index import index_shards
from scann_index.append import publish_part
from scann_index.bundle import KIND, Bundle
from scann_index.compact import CompactOptions, compact, main
from scann_index.merge import merge
from tests.scann_index.synthetic import clustered, make_bundle
from tests.scann_index.test_append import Killed, ids, kill_at

QUERIES = clustered(20, seed=7)


@pytest.fixture(scope="module")
def appended(tmp_path_factory) -> str:
    """Texts and speech, to which further texts were appended."""
    folder = str(tmp_path_factory.mktemp("compact") / "index")
    groups = {"text/en": clustered(500, seed=1), "speech/fr": clustered(60, seed=2)}
    make_bundle(folder, groups)
    part = f"{folder}/parts/a00001"
    new = clustered(300, seed=3)
    make_bundle(part, {"text/en": new}, first=500)
    publish_part(Bundle.open(folder), [s.card for s in Bundle.open(folder).shards()],
                 OutputDir(part, kind=KIND), "a00001")  # fmt: skip
    return folder


@pytest.fixture
def copy(appended, tmp_path) -> Path:
    return Path(shutil.copytree(appended, tmp_path / "index"))


def test_a_merged_index_answers_as_before(appended, copy):
    before = merge(Bundle.open(appended).shards(), QUERIES, 10)
    merged = compact(CompactOptions(index=str(copy)))
    assert merge(merged.shards(), QUERIES, 10) == before
    assert merged.stats["rows"] == 860


def test_a_dry_run_tells_what_would_be_merged_and_changes_nothing(copy, capsys):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert main(["--index", str(copy), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "3 index shards would become 2" in printed
    assert "text           800  en:800" in printed
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_shards_are_cut_and_engines_chosen_as_asked(copy, capsys):
    assert main(["--index", str(copy), "--shard-rows", "300", "--engine", "tree"]) == 0
    shards = Bundle.open(str(copy)).shards()
    assert [shard.card.name for shard in shards] == [
        "speech-fr-00000-of-00001",
        "text-en-00000-of-00003",
        "text-en-00001-of-00003",
        "text-en-00002-of-00003",
    ]
    # Under 256 rows a tree has nothing to gain.
    assert [s.card.engine for s in shards] == ["tree" if len(s) >= 256 else "exact" for s in shards]
    assert {s.card.engine for s in shards} == {"tree", "exact"}
    assert all((shard.card.recall_at_10 or 0) >= 0.98 for shard in shards)
    assert "leaves searched" in capsys.readouterr().out


@pytest.mark.parametrize("step", ["shard", 1, 2, 3, 4, "leftovers"])
def test_a_merge_killed_anywhere_leaves_a_right_index_and_goes_on(
    appended, copy, monkeypatch, step
):
    before = merge(Bundle.open(appended).shards(), QUERIES, 10)
    if step == "shard":
        write, written = index_shards.write_shard, []

        def write_one(*args, **kwargs):
            if written:
                raise OSError("killed")
            written.append(args)
            return write(*args, **kwargs)

        monkeypatch.setattr(index_shards, "write_shard", write_one)
    elif step == "leftovers":
        publish = module.publish_part

        def then_killed(*args):
            publish(*args)
            kill_at(monkeypatch, 2, "remove")

        monkeypatch.setattr(module, "publish_part", then_killed)
    else:
        publish = module.publish_part

        def killed(*args):
            kill_at(monkeypatch, step)
            publish(*args)

        monkeypatch.setattr(module, "publish_part", killed)
    with pytest.raises((Killed, Exception)) as caught:
        compact(CompactOptions(index=str(copy)))
    assert isinstance(caught.value, Killed) or "killed" in str(caught.value)
    monkeypatch.undo()
    assert merge(Bundle.open(str(copy)).shards(), QUERIES, 10) == before
    merged = compact(CompactOptions(index=str(copy)))
    assert merge(merged.shards(), QUERIES, 10) == before
    assert len(ids(merged)) == 860
    assert {shard.card.part[0] for shard in merged.shards()} == {"c"}
    assert [path.name for path in (copy / "parts").iterdir()] == ["c00002"]
    assert not (copy / "shards").exists()


def test_an_interrupted_append_is_not_swept_away(copy):
    waiting = storage.join(str(copy), "parts", "a00003")
    OutputDir(waiting, kind=KIND).begin({})
    module.remove_leftovers(Bundle.open(str(copy)))
    assert Path(waiting, "begun.json").exists()


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--shard-rows", "0"], 2, "--shard-rows must be at least 1"),
        (["--target-recall", "2"], 2, "--target-recall is a share"),
        (["--index", "/no/such/index"], 1, "is no output directory"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(copy, capsys, flags, status, words):
    try:
        found = main(["--index", str(copy), *flags])
    except SystemExit as exit_:
        found = exit_.code
    assert found == status
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_vectors_of_a_merged_shard_follow_their_rows(appended, tmp_path):
    shards = [s for s in Bundle.open(appended).shards() if s.modality == "text"]
    rows, vectors = module.merged_rows(shards, 1, 2, str(tmp_path))
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert 300 < len(rows) < 500
    expected = {row.id: v for shard in shards for row, v in zip(shard.rows, shard.vectors)}  # noqa: B905
    for row, vector in zip(rows, vectors, strict=True):
        np.testing.assert_array_equal(vector, expected[row.id])
