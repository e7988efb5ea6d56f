from __future__ import annotations

import pickle

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that

from model.dual_encoder import DualEncoder, preset_digest
from pipelines.output_dir import OutputDir, OutputError
from scann_index.embed import Embed, PresetHandler, ReadRows, embed_rows
from scann_index.row import Row
from tests.tiny import spoken

ROWS = [
    Row("t1", "cat", "en", "text", "white cat"),
    Row("s1", "dog", "fr", "speech", "chien blanc", tokens=spoken("chien blanc")),
    Row("t2", "dog", "fr", "text", "chien"),
    Row("s2", "cat", "en", "speech", "cat", tokens=spoken("cat")),
]


@pytest.fixture(scope="module")
def model(tiny_preset) -> DualEncoder:
    return DualEncoder.from_preset(tiny_preset)


def run(transform, check) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | transform, check)


def test_the_rows_of_a_split_are_read(tiny_data):
    def check(rows):
        groups = sorted((row.modality, row.language) for row in rows)
        # Six sentences, spoken once in each of three languages.
        assert groups == sorted((m, x) for m in ("speech", "text") for x in ["en", "fr", "it"] * 6)
        cat = next(r for r in rows if r.modality == "speech" and r.text == "bianco gatto")
        assert cat.tokens.tolist() == spoken("bianco gatto").tolist()
        assert (cat.id, cat.sentence_id, cat.split) == ("it-white-cat-0", "white-cat", "test")

    run(ReadRows(tiny_data.path, ["test"]), check)


def test_one_modality_and_several_splits_can_be_chosen(tiny_data):
    def check(rows):
        assert {(row.modality, row.split) for row in rows} == {("text", "dev"), ("text", "train")}

    run(ReadRows(tiny_data.path, ["dev", "train"], ["text"]), check)


def test_a_limit_counts_pairs_over_all_files(tiny_data):
    def check(rows):
        assert len(rows) == 10
        assert sum(row.modality == "speech" for row in rows) == 5

    run(ReadRows(tiny_data.path, ["test", "dev"], limit=5), check)


def test_an_unfinished_directory_is_not_read(tmp_path):
    OutputDir(str(tmp_path / "data"), kind="pairs").begin({})
    with pytest.raises(OutputError, match="not complete"):
        run(ReadRows(str(tmp_path / "data"), ["test"]), lambda rows: None)


def test_each_row_gets_its_own_vector(model):
    vectors = embed_rows(ROWS, model)
    assert vectors.dtype == np.float32
    for row, vector in zip(ROWS, vectors, strict=True):
        if row.modality == "text":
            (expected,) = model.encode_text([row.text], [row.language])
        else:
            (expected,) = model.encode_speech([row.tokens], [row.language])
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_rows_give_no_vectors(model):
    assert embed_rows([], model).shape == (0, model.width)


def test_beam_gives_the_same_vectors(tiny_preset, model):
    expected = dict(zip([row.id for row in ROWS], embed_rows(ROWS, model), strict=True))

    def check(embedded):
        assert sorted(row.id for row, _ in embedded) == ["s1", "s2", "t1", "t2"]
        for row, vector in embedded:
            np.testing.assert_allclose(vector, expected[row.id], atol=1e-5)

    run(beam.Create(ROWS) | Embed(tiny_preset, preset_digest(tiny_preset)), check)


def test_the_handler_travels_without_the_model(tiny_preset):
    handler = PresetHandler(tiny_preset, preset_digest(tiny_preset))
    assert len(pickle.dumps(handler)) < 1000


def test_a_worker_refuses_another_model_than_the_one_meant(tiny_preset):
    handler = PresetHandler(tiny_preset, "f" * 64)
    with pytest.raises(ValueError, match=r"expected ffffffffffff$"):
        handler.load_model()
