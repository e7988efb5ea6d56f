from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError
from scann_index.bundle import Bundle, ShardCard, shard_name, write_shard
from scann_index.engine import files_of
from scann_index.recipe import Choice, Recipe
from tests.scann_index.synthetic import clustered, exact_neighbours, make_bundle, rows_for

TREE_SHARD = "shards/text-en-00000-of-00001"
TREE_FILES = files_of(Recipe("tree", 89))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> str:
    """text/en with a tree over 2,000 rows, speech/fr and text/fr exact."""
    folder = str(tmp_path_factory.mktemp("bundle") / "index")
    groups = {
        "text/en": clustered(2000, seed=1),
        "text/fr": clustered(40, seed=2),
        "speech/fr": clustered(30, seed=3),
    }
    return make_bundle(folder, groups, choice=Choice(exact_below=1000, tree_from=1000))


@pytest.fixture
def copy(built, tmp_path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def publish_again(folder: Path, change) -> None:
    """Alters info.json as somebody would who also makes the hashes right."""
    info = json.loads((folder / "info.json").read_text())
    change(info)
    storage.write_json(str(folder / "info.json"), info)
    digest = storage.sha256((folder / "info.json").read_bytes())
    (folder / "COMPLETED").write_text(digest)


def test_shards_are_chosen_by_modality_and_language(built):
    bundle = Bundle.open(built)
    assert bundle.languages == ["en", "fr"]
    assert bundle.modalities == ["speech", "text"]
    assert len(bundle.shards()) == 3
    assert [s.language for s in bundle.shards(modality="text")] == ["en", "fr"]
    assert [s.modality for s in bundle.shards(language="fr")] == ["text", "speech"]
    assert [s.name for s in bundle.shards(modality="speech", language=["en", "fr"])] == [
        "speech-fr-00000-of-00001"
    ]
    assert bundle.shards(language="de") == []


def test_a_shard_gives_back_vectors_and_rows(built):
    (shard,) = Bundle.open(built).shards(modality="speech")
    np.testing.assert_array_equal(shard.vectors, clustered(30, seed=3))
    assert not shard.vectors.flags.writeable
    assert shard.rows == rows_for("speech/fr", 30)
    assert [row.id for row in shard.rows_at([7, 2])] == ["fr-speech-7", "fr-speech-2"]
    assert shard.rows_at([]) == []
    assert [row.id for row in shard.rows_of_sentences(["s4", "absent"])] == ["fr-speech-4"]


def test_exact_and_tree_shards_answer_searches(built):
    queries = clustered(50, seed=4)
    engines = set()
    for shard in Bundle.open(built).shards():
        indices, scores = shard.search(queries, 5)
        exact = exact_neighbours(shard.vectors, queries, 5)
        assert np.mean(indices == exact) > 0.97
        np.testing.assert_allclose(scores[:, 0], (queries @ shard.vectors.T).max(1), atol=1e-5)
        engines.add(shard.card.engine)
    assert engines == {"exact", "tree"}


@pytest.mark.parametrize("name", ["elsewhere", "mit 'Leerzeichen\" und Größe \N{RED APPLE}"])
def test_a_moved_index_answers_as_before(built, tmp_path, name):
    queries = clustered(50, seed=5)
    before = [shard.search(queries, 10) for shard in Bundle.open(built).shards()]
    original = tmp_path / "original"
    shutil.copytree(built, original)
    moved = shutil.move(str(original), str(tmp_path / name))
    after = [shard.search(queries, 10) for shard in Bundle.open(moved).shards()]
    for (indices, scores), (same_indices, same_scores) in zip(before, after, strict=True):
        np.testing.assert_array_equal(indices, same_indices)
        np.testing.assert_array_equal(scores, same_scores)


def test_no_file_of_an_index_holds_where_it_was_made(built):
    for path in Path(built).rglob("*"):
        if path.is_file():
            assert built.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("name", ["vectors.npy", "rows.parquet", *TREE_FILES])
def test_a_flipped_bit_is_refused_before_scann_sees_it(copy, name):
    path = copy / TREE_SHARD / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(OutputError, match=rf"{name} is damaged: its SHA-256 is not"):
        Bundle.open(str(copy))


@pytest.mark.parametrize("name", ["vectors.npy", "hashed_dataset.npy", "serialized_partitioner.pb"])
def test_a_truncated_file_is_refused(copy, name):
    path = copy / TREE_SHARD / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(OutputError, match=f"{name} is damaged"):
        Bundle.open(str(copy))


def test_a_missing_file_is_refused(copy):
    (copy / TREE_SHARD / "ah_codebook.pb").unlink()
    with pytest.raises(OutputError, match=r"ah_codebook\.pb is missing"):
        Bundle.open(str(copy))


def test_an_unfinished_index_is_refused(copy):
    (copy / "COMPLETED").unlink()
    with pytest.raises(OutputError, match="is not complete"):
        Bundle.open(str(copy))


def test_an_altered_info_is_refused(copy):
    text = (copy / "info.json").read_text().replace('"dim": 32', '"dim": 33')
    (copy / "info.json").write_text(text)
    with pytest.raises(OutputError, match=r"info\.json was altered"):
        Bundle.open(str(copy))


def test_prepared_data_is_no_index(tiny_data):
    with pytest.raises(OutputError, match="holds pairs, expected index"):
        Bundle.open(tiny_data.path)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/text-en-00000-of-00001",
        "text-../x-00000-of-00001",
        "text-en-00000-of-00001/../../x",
        "text-en-00000-of-00001\n",
    ],
)
def test_a_shard_name_that_leads_out_of_the_folder_is_refused(copy, name):
    publish_again(copy, lambda info: info["shards"][0].update(name=name))
    with pytest.raises(OutputError, match="describes no index"):
        Bundle.open(str(copy))


def test_a_listed_file_that_belongs_to_no_shard_is_refused_unread(copy, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    publish_again(copy, lambda info: info["files"].update({"../secret": "0" * 64}))
    with pytest.raises(OutputError, match=r"'\.\./secret' is listed without its shard"):
        Bundle.open(str(copy))


def test_a_file_without_a_hash_is_refused(copy):
    publish_again(copy, lambda info: info["files"].pop(f"{TREE_SHARD}/ah_codebook.pb"))
    with pytest.raises(OutputError, match=r"ah_codebook\.pb' is listed without its"):
        Bundle.open(str(copy))


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info.pop("shards"),
        lambda info: info.update(shards=[]),
        lambda info: info.update(shards=info["shards"] * 2),
        lambda info: info["shards"][0].update(engine="hnsw"),
        lambda info: info["shards"][0].update(leaves_searched=0),
        lambda info: info["shards"][0].update(rows="many"),
        lambda info: info["shards"][0].update(surprise=1),
        lambda info: info.update(dim="wide"),
        lambda info: info.update(model=None),
    ],
)
def test_an_info_that_makes_no_sense_is_refused(copy, change):
    publish_again(copy, change)
    with pytest.raises(OutputError, match="describes no index"):
        Bundle.open(str(copy))


def test_counts_that_differ_from_the_files_are_refused(copy):
    publish_again(copy, lambda info: info["shards"][1].update(rows=41))
    (shard,) = Bundle.open(str(copy)).shards(modality="text", language="fr")
    with pytest.raises(OutputError, match=r"holds float32 \(40, 32\)"):
        shard.search(clustered(1), 1)
    with pytest.raises(OutputError, match="holds 40 rows"):
        _ = shard.rows


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_no_pickle_in_an_index_is_ever_loaded(copy, tmp_path):
    sprung = tmp_path / "sprung"
    # ScaNN's own loader would unpickle this file.
    (copy / TREE_SHARD / "scann_docids.pkl").write_bytes(pickle.dumps(Trap(str(sprung))))
    name = "shards/text-fr-00000-of-00001/vectors.npy"
    np.save(copy / name, np.array([Trap(str(sprung))], object), allow_pickle=True)
    digest = storage.sha256((copy / name).read_bytes())
    publish_again(copy, lambda info: info["files"].update({name: digest}))
    tree, exact = Bundle.open(str(copy)).shards(modality="text")
    tree.search(clustered(1), 1)
    with pytest.raises(OutputError, match="is no array"):
        exact.search(clustered(1), 1)
    assert not sprung.exists()


def test_vectors_that_are_not_of_unit_length_are_refused(tmp_path):
    vectors = clustered(3)
    vectors[1] *= 2
    with pytest.raises(ValueError, match="en-text-1 a vector of length 2"):
        write_shard(
            str(tmp_path), "text-en-00000-of-00001", rows_for("text/en", 3), vectors, exact_below=10
        )
    vectors[1] = np.nan
    with pytest.raises(ValueError, match="length nan"):
        write_shard(
            str(tmp_path), "text-en-00000-of-00001", rows_for("text/en", 3), vectors, exact_below=10
        )


@pytest.mark.parametrize(("rows", "engine"), [(255, "exact"), (256, "tree")])
def test_a_small_shard_is_exact_whatever_is_asked_for(tmp_path, rows, engine):
    name = shard_name("text", "en", 0, 1)
    choice = Choice(engine="tree")
    card = write_shard(
        str(tmp_path), name, rows_for("text/en", rows), clustered(rows), choice=choice
    )
    assert card.engine == engine
    assert all((tmp_path / file).is_file() for file in card.files)
    assert not list(tmp_path.rglob(".writing-*"))


def test_a_card_knows_its_files():
    card = ShardCard("speech-fr-00001-of-00002", 3, "exact")
    assert card.files == [
        "shards/speech-fr-00001-of-00002/vectors.npy",
        "shards/speech-fr-00001-of-00002/rows.parquet",
    ]


def test_the_digest_is_that_of_the_directory(built):
    assert Bundle.open(built).digest == OutputDir.open(built, kind="index").digest
