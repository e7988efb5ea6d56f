from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.dual_encoder import DualEncoder, preset_digest
from pipelines import storage
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND as PAIRS
from pipelines.pairs import Pair, write_shard
from scann_index import index_shards
from scann_index.build import BuildOptions, build, main
from scann_index.bundle import Bundle, ShardCard
from scann_index.bundle import write_shard as write_index_shard
from scann_index.embed import Row
from scann_index.recipe import Choice
from tests.scann_index.synthetic import clustered, rows_for

KILLED_AFTER_TWO = """
import os, signal
from scann_index import index_shards
write, written = index_shards.write_shard, []
def write_two(*args, **kwargs):
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(args)
    return write(*args, **kwargs)
index_shards.write_shard = write_two
from scann_index.build import main
main()
"""


@pytest.fixture(scope="module")
def options(tiny_data, tiny_preset, tmp_path_factory) -> BuildOptions:
    folder = tmp_path_factory.mktemp("build")
    return BuildOptions(model=tiny_preset, data=tiny_data.path, output=str(folder / "index"))


@pytest.fixture(scope="module")
def built(options) -> Bundle:
    return Bundle.open(build(options).path)


def arguments(options: BuildOptions, **changes) -> list[str]:
    values = {"model": options.model, "data": options.data, "output": options.output, **changes}
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def texts_only(folder: str, count: int) -> OutputDir:
    """Prepared data of so many distinct English texts."""
    out = OutputDir(folder, kind=PAIRS)
    out.begin({})
    words = [f"{a}{b} {c}" for a in "bdfgklm" for b in "aeiou" for c in range(100)]
    pairs = [
        Pair(f"p{i}", "bitext", "en", word, "en", f"s{i}", "test", source_text=word)
        for i, word in enumerate(words[:count])
    ]
    write_shard(out.file("test-00000-of-00001.tfrecord"), pairs)
    out.complete(files=["test-00000-of-00001.tfrecord"], stats={})
    return out


def test_every_sentence_of_the_split_is_indexed_once_in_each_language(built):
    assert [shard.name for shard in built.shards()] == [
        f"{modality}-{language}-00000-of-00001"
        for modality in ("speech", "text")
        for language in ("en", "fr", "it")
    ]
    for shard in built.shards():
        assert sorted(row.sentence_id for row in shard.rows) == [
            f"white-{animal}" for animal in ("bird", "cat", "dog", "fish", "horse", "moon")
        ]


def test_the_vectors_are_the_models(built, options):
    model = DualEncoder.from_preset(options.model)
    for shard in built.shards(modality="text"):
        expected = model.encode_text([r.text for r in shard.rows], [r.language for r in shard.rows])
        np.testing.assert_allclose(shard.vectors, expected, atol=1e-5)


def test_what_made_it_is_recorded(built, options):
    assert built.model_digest == preset_digest(options.model)
    assert built.info["model"]["path"] == options.model
    assert built.info["data"]["digest"] == OutputDir.open(options.data, kind=PAIRS).digest
    assert built.stats["rows"] == 36
    assert built.stats["groups"]["text/it"] == 6
    for shard in built.shards():
        assert (shard.card.engine, shard.card.recall_at_10) == ("exact", 1.0)
        assert ("text" if shard.modality == "speech" else "speech") in shard.card.recall_queries


def test_a_run_of_training_stands_for_its_preset(options, tmp_path):
    shutil.copytree(options.model, tmp_path / "run" / "preset")
    again = dataclasses.replace(
        options, model=str(tmp_path / "run"), output=str(tmp_path / "index"), limit=2
    )
    bundle = Bundle.open(build(again).path)
    assert bundle.info["model"]["relative"] == "../run/preset"
    assert bundle.stats["rows"] == 4


def test_a_complete_index_is_left_as_it_is(built, options, capsys):
    assert main(arguments(options)) == 0
    assert "is complete; nothing to do" in capsys.readouterr().out
    assert Bundle.open(options.output).digest == built.digest


def test_other_options_are_refused_unless_told_to_overwrite(built, options, tmp_path, capsys):
    copy = shutil.copytree(built.path, tmp_path / "copy")
    assert main(arguments(options, output=copy, modalities="text")) == 1
    assert "was made with other options" in capsys.readouterr().err
    assert main([*arguments(options, output=copy, modalities="text"), "--overwrite"]) == 0
    assert Bundle.open(str(copy)).modalities == ["text"]


def test_a_build_that_was_killed_goes_on_and_answers_identically(built, options, tmp_path):
    output = tmp_path / "index"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_TWO, *arguments(options, output=output)],
        capture_output=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    finished = sorted(path.stem for path in (output / "finished").iterdir())
    assert len(finished) == 2
    kept = {p: p.stat().st_mtime_ns for n in finished for p in (output / "shards" / n).iterdir()}

    assert main(arguments(options, output=output)) == 0
    resumed = Bundle.open(str(output))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert resumed.info["files"] == built.info["files"]
    queries = clustered(20, dim=built.dim)
    for one, other in zip(resumed.shards(), built.shards(), strict=True):
        assert one.rows == other.rows
        for found, expected in zip(one.search(queries, 5), other.search(queries, 5), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_big_language_is_split_and_gets_trees(options, tmp_path):
    data = texts_only(str(tmp_path / "data"), 700)
    settings = dataclasses.replace(
        options,
        data=data.path,
        modalities=("text",),
        exact_below=300,
        tree_from=300,
        shard_rows=400,
    )
    output = build(dataclasses.replace(settings, output=str(tmp_path / "index"))).path
    shards = Bundle.open(output).shards()
    assert [shard.name for shard in shards] == ["text-en-00000-of-00002", "text-en-00001-of-00002"]
    assert [shard.card.engine for shard in shards] == ["tree", "tree"]
    assert len({row.text for shard in shards for row in shard.rows}) == 700
    assert all(shard.card.recall_at_10 >= 0.98 for shard in shards)
    assert shards[0].card.recall_queries == f"{len(shards[1])} of {shards[1].name}"


def test_no_more_of_a_tree_is_searched_than_the_recall_takes(tmp_path):
    folder, name = str(tmp_path), "text-en-00000-of-00001"
    # Vectors without any structure: the neighbours of each are all over the tree.
    vectors = np.random.default_rng(0).normal(size=(2000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    card = write_index_shard(
        folder, name, rows_for("text/en", 2000), vectors, choice=Choice(engine="tree")
    )
    record = {"card": dataclasses.asdict(card), "dim": 32}
    storage.write_json(index_shards.finished_path(folder, name), record)
    measured = {}
    for target in (0.3, 0.98):
        list(index_shards.MeasureRecall(folder, [name], target).process(name))
        path = index_shards.measured_path(folder, name)
        measured[target] = ShardCard(**storage.read_json(path)["card"])
    low, high = measured[0.3], measured[0.98]
    assert low.leaves == high.leaves == 89
    assert low.leaves_searched <= 22
    assert 22 < high.leaves_searched <= 89
    assert 0.3 <= low.recall_at_10 < 0.98 <= high.recall_at_10
    assert low.recall_queries == "400 of its own"


def test_a_dry_run_counts_and_writes_nothing(options, tmp_path, capsys):
    output = tmp_path / "index"
    flags = [*arguments(options, output=output, splits="train,test"), "--dry-run"]
    assert main(flags) == 0
    printed = capsys.readouterr().out
    # 18 training sentences by two voices in two languages; their texts once.
    assert "144 rows of train,test, into 6 index shards" in printed
    assert "speech          90  en:42 fr:42 it:6" in printed
    assert "text            54  en:24 fr:24 it:6" in printed
    assert not output.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "{tmp}/none"}, "no output directory of Babelear"),
        ({"model": "{tmp}"}, "holds no preset"),
        ({"output": "{tmp}/foreign"}, "holds files that no stage wrote"),
    ],
)
def test_a_wrong_path_is_one_line_and_status_1(options, tmp_path, capsys, changes, words):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").touch()
    changes = {name: value.format(tmp=tmp_path) for name, value in changes.items()}
    assert main(arguments(options, **{"output": tmp_path / "index", **changes})) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "flag",
    ["--splits=tests", "--splits=", "--modalities=text,text", "--exact-below=-1", "--limit=0",
     "--target-recall=2", "--shard-rows=0", "--split=test"],
)  # fmt: skip
def test_an_impossible_option_is_status_2(options, tmp_path, flag):
    with pytest.raises(SystemExit) as exit_:
        main([*arguments(options, output=tmp_path / "index"), flag])
    assert exit_.value.code == 2


def test_a_split_without_rows_is_refused_with_those_there_are(options, tmp_path, capsys):
    data = texts_only(str(tmp_path / "data"), 3)
    output = tmp_path / "index"
    assert main(arguments(options, data=data.path, output=output, splits="dev,test")) == 1
    assert "has no split dev; give --splits test" in capsys.readouterr().err
    assert main(arguments(options, data=data.path, output=output, modalities="speech")) == 1
    assert "has no speech in these splits" in capsys.readouterr().err


def test_audio_tokens_of_another_codebook_are_refused(options, tiny_data, tmp_path, capsys):
    from tests import tiny

    other = tiny.tiny_codebook()
    other.centroids[0] += 1
    data = OutputDir(str(tmp_path / "data"), kind=PAIRS)
    data.begin({})
    names = [n for n in tiny_data.info["files"] if n.endswith(".tfrecord")]
    for name in names:
        storage.write_bytes(data.file(name), storage.read_bytes(tiny_data.file(name)))
    other.save(data.file("codebook"))
    data.complete(files=names, stats={})
    output = tmp_path / "index"
    assert main(arguments(options, data=data.path, output=output)) == 1
    assert "another codebook than the model's" in capsys.readouterr().err
    assert not Path(output).exists()


def test_equal_contents_meet_in_one_shard():
    parts = {"text/en": 7}
    rows = [Row(f"{i}", "s", "en", "text", "same text") for i in range(20)]
    assert len({index_shards.shard_of(row, parts) for row in rows}) == 1
    spread = {index_shards.shard_of(dataclasses.replace(rows[0], text=str(i)), parts)
              for i in range(200)}  # fmt: skip
    assert sorted(spread) == index_shards.names_of(parts)


def test_a_language_is_split_into_as_few_shards_as_its_rows_take():
    assert index_shards.parts_of({"text/en": 400, "text/fr": 401, "speech/en": 1}, 400) == {
        "text/en": 1,
        "text/fr": 2,
        "speech/en": 1,
    }
