from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines import storage
from pipelines.output_dir import OutputError
from scann_index import index_shards
from scann_index.append import append
from scann_index.build import BuildOptions, build, main
from scann_index.bundle import Bundle
from scann_index.compact import CompactOptions, compact
from scann_index.merge import merge
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it)
from tests.scann_index.synthetic import clustered


class Killed(BaseException):
    """Stands for a kill: nothing catches it, nothing is tidied up."""


@pytest.fixture(scope="module")
def options(tiny_data, tiny_preset, tmp_path_factory) -> BuildOptions:
    folder = tmp_path_factory.mktemp("append")
    return BuildOptions(model=tiny_preset, data=tiny_data.path, output=str(folder / "index"))


@pytest.fixture(scope="module")
def built(options) -> str:
    return build(options).path


@pytest.fixture(scope="module")
def at_once(options, tmp_path_factory) -> Bundle:
    output = str(tmp_path_factory.mktemp("append") / "all")
    splits = ("test", "dev", "train")
    return Bundle.open(build(dataclasses.replace(options, output=output, splits=splits)).path)


def adding(options: BuildOptions, folder, *splits: str, **changes) -> BuildOptions:
    return dataclasses.replace(options, output=str(folder), splits=splits, append=True, **changes)


def ids(bundle: Bundle) -> list[str]:
    return sorted(row.id for shard in bundle.shards() for row in shard.rows)


def assert_same(one: Bundle, other: Bundle) -> None:
    """The same rows in the same shards, the same answers."""
    assert [shard.card.name for shard in one.shards()] == [s.card.name for s in other.shards()]
    for a, b in zip(one.shards(), other.shards(), strict=True):
        assert a.rows == b.rows
        np.testing.assert_allclose(a.vectors, b.vectors, atol=1e-5)
    queries = clustered(20, dim=one.dim)
    for found, expected in zip(
        merge(one.shards(), queries, 20), merge(other.shards(), queries, 20), strict=True
    ):
        np.testing.assert_allclose([s for s, _ in found], [s for s, _ in expected], atol=1e-5)
        assert {row.id for _, row in found[:10]} <= {row.id for _, row in expected}


def test_what_is_appended_and_compacted_equals_what_is_built_at_once(
    options, built, at_once, tmp_path, capsys
):
    folder = shutil.copytree(built, tmp_path / "index")
    before = ids(Bundle.open(str(folder)))
    first = append(adding(options, folder, "dev"))
    assert set(before) < set(ids(first))
    assert sorted({shard.card.part for shard in first.shards()}) == ["", "a00001"]
    second = append(adding(options, folder, "train"))
    assert ids(second) == ids(at_once)
    assert second.stats["rows"] == at_once.stats["rows"]
    assert second.stats["groups"] == at_once.stats["groups"]
    assert [added["part"] for added in second.info["appended"]] == ["a00001", "a00002"]

    merged = compact(CompactOptions(index=str(folder)))
    assert_same(merged, at_once)
    assert {shard.card.part for shard in merged.shards()} == {"c00003"}
    assert not (folder / "shards").exists()
    assert [path.name for path in (folder / "parts").iterdir()] == ["c00003"]
    capsys.readouterr()
    assert compact(CompactOptions(index=str(folder))).digest == merged.digest
    assert "has nothing to merge" in capsys.readouterr().out


def test_rows_that_are_there_already_are_rejected(options, built, tmp_path, capsys):
    folder = shutil.copytree(built, tmp_path / "index")
    append(adding(options, folder, "test", "dev"))
    assert "36 rows rejected as duplicate-id" in capsys.readouterr().out
    path = folder / "parts" / "a00001" / "rejects-00000-of-00001.jsonl"
    rejects = [json.loads(line) for line in path.read_text().splitlines()]
    assert {reject["reason"] for reject in rejects} == {"duplicate-id"}
    assert "en-white-cat-0" in {reject["id"] for reject in rejects}
    bundle = Bundle.open(str(folder))
    assert len(ids(bundle)) == len(set(ids(bundle))) == 72


def test_nothing_new_leaves_the_index_as_it_was(options, built, tmp_path, capsys):
    folder = shutil.copytree(built, tmp_path / "index")
    digest = Bundle.open(built).digest
    assert append(adding(options, folder, "test", limit=3)).digest == digest
    assert "has nothing new" in capsys.readouterr().out
    assert Bundle.open(str(folder)).digest == digest


def test_what_was_appended_once_is_not_appended_again(options, built, tmp_path, capsys):
    folder = shutil.copytree(built, tmp_path / "index")
    once = append(adding(options, folder, "dev"))
    assert append(adding(options, folder, "dev")).digest == once.digest
    assert "has these rows already" in capsys.readouterr().out


def kill_at(monkeypatch, call: int, name: str = "write_bytes") -> list[int]:
    """Makes the n-th call of a function of `storage` the last one."""
    function, calls = getattr(storage, name), [0]

    def counted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call:
            raise Killed
        return function(*args, **kwargs)

    monkeypatch.setattr(storage, name, counted)
    return calls


def test_an_append_killed_among_its_shards_changes_nothing_and_goes_on(
    options, built, tmp_path, monkeypatch
):
    folder = shutil.copytree(built, tmp_path / "index")
    digest = Bundle.open(built).digest
    write, written = index_shards.write_shard, []

    def write_two(*args, **kwargs):
        if len(written) == 2:
            raise OSError("killed")
        written.append(args)
        return write(*args, **kwargs)

    monkeypatch.setattr(index_shards, "write_shard", write_two)
    with pytest.raises(Exception, match="killed"):
        append(adding(options, folder, "dev"))
    monkeypatch.undo()
    assert Bundle.open(str(folder)).digest == digest
    finished = folder / "parts" / "a00001" / "finished"
    kept = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    assert len(kept) == 2

    with pytest.raises(OutputError, match="an append with other options was interrupted"):
        append(adding(options, folder, "train"))
    assert len(ids(append(adding(options, folder, "dev")))) == 72
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_an_append_killed_while_it_is_published_leaves_the_old_or_the_new(
    options, built, tmp_path, monkeypatch, write
):
    folder = shutil.copytree(built, tmp_path / "index")
    old = Bundle.open(built).digest
    import scann_index.append as module

    publish = module.replace_info

    def killed(*args):
        calls = kill_at(monkeypatch, write)
        publish(*args)
        raise AssertionError(f"only {calls[0]} writes")

    monkeypatch.setattr(module, "replace_info", killed)
    with pytest.raises(Killed):
        append(adding(options, folder, "dev"))
    monkeypatch.undo()
    left = Bundle.open(str(folder))
    assert (len(ids(left)), left.digest == old) == ((36, True) if write <= 3 else (72, False))
    again = append(adding(options, folder, "dev"))
    assert len(ids(again)) == 72
    assert Bundle.open(str(folder)).digest == again.digest


def test_another_model_is_refused(options, built, tmp_path, capsys):
    folder = shutil.copytree(built, tmp_path / "index")
    other = shutil.copytree(options.model, tmp_path / "other")
    manifest = Path(other, "preset.json")
    manifest.write_text(manifest.read_text() + "\n")
    flags = ["--model", str(other), "--data", options.data, "--output", str(folder), "--append"]
    assert main(flags) == 1
    assert "vectors of two models can't be compared" in capsys.readouterr().err


def test_an_append_needs_a_complete_index(options, tmp_path, capsys):
    flags = ["--model", options.model, "--data", options.data, "--append"]
    assert main([*flags, "--output", str(tmp_path / "none")]) == 1
    assert "is no output directory" in capsys.readouterr().err


def test_a_dry_run_counts_what_is_new(options, built, capsys):
    flags = ["--model", options.model, "--data", options.data, "--output", built, "--append"]
    assert main([*flags, "--splits", "test,dev", "--dry-run"]) == 0
    assert "36 new rows of test,dev, into 6 index shards" in capsys.readouterr().out
    assert not Path(built, "parts").exists()


def test_an_index_in_a_bucket_is_built_appended_to_compacted_and_searched(
    options, at_once, tmp_path, monkeypatch
):
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path / "cache"))
    url = f"bucket:/{tmp_path}/index"
    build(dataclasses.replace(options, output=url))
    append(adding(options, url, "dev", "train"))
    merged = compact(CompactOptions(index=url))
    assert_same(merged, at_once)
    assert not list(tmp_path.glob("index/shards/*/*"))
    copied = list((tmp_path / "cache").rglob("vectors.npy"))
    copied[0].write_bytes(b"damaged here")
    assert_same(Bundle.open(url), at_once)
    there = next((tmp_path / "index").rglob("vectors.npy"))
    there.write_bytes(there.read_bytes()[:-1] + b"\0")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(OutputError, match=r"bucket://.*vectors\.npy is damaged"):
        Bundle.open(url)
    there.unlink()
    with pytest.raises(OutputError, match=r"vectors\.npy is missing"):
        Bundle.open(url)
