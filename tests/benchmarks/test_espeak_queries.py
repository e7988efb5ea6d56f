from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.espeak_queries import main
from pipelines.audio import load_audio
from pipelines.corpora.manifest import ManifestCorpus
from pipelines.utterance import Utterance


@pytest.fixture(scope="module")
def manifest(tiny_data, tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("espeak") / "queries.tsv")
    assert main([f"--data={tiny_data.path}", f"--output={path}", "--languages=fr,it"]) == 0
    return path


def test_every_text_of_the_split_is_said_once_under_the_sentence_it_belongs_to(manifest):
    rows = list(ManifestCorpus(manifest).rows())

    assert all(isinstance(row, Utterance) for row in rows)
    assert {(row.language, row.split) for row in rows} == {("fr", "test"), ("it", "test")}
    cat = next(row for row in rows if row.transcript == "bianco gatto")
    assert (cat.sentence_id, cat.id) == ("white-cat", "it-white-cat-0")
    assert len(rows) == len({(row.language, row.transcript) for row in rows}) == 12
    assert len(load_audio(cat.audio)) > 8_000


def test_the_manifest_is_the_same_each_time(manifest, tiny_data, tmp_path):
    again = tmp_path / "again.tsv"
    main([f"--data={tiny_data.path}", f"--output={again}", "--languages=fr,it"])
    assert again.read_bytes() == Path(manifest).read_bytes()
