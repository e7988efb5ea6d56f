from __future__ import annotations

import dataclasses

import pytest

from pipelines.rejects import Reject
from scann_index.collection import Collection, Found, distinct, read_sentences
from scann_index.row import Row
from tests.scann_index.synthetic import clustered, make_bundle


def text(name: str, content: str, sentence: str = "") -> Found:
    return Found(Row(name, sentence, "fr", "text", content))


def test_a_text_file_gives_its_good_lines_and_says_what_is_wrong_with_the_others(tmp_path):
    path = tmp_path / "news.txt"
    path.write_bytes(b"Une pomme.\r\n\n  un \t chien \n" + b"\xff\xfe\n" + b"x" * 10_001)
    lines = list(read_sentences(str(path), "fr"))
    rows = [line for line in lines if isinstance(line, Row)]
    assert [(row.id, row.text) for row in rows] == [
        ("news.txt:1", "Une pomme."),
        ("news.txt:3", "un chien"),
    ]
    assert {(row.language, row.modality, row.sentence_id) for row in rows} == {("fr", "text", "")}
    rejects = [(line.id, line.reason) for line in lines if isinstance(line, Reject)]
    assert rejects == [
        ("news.txt:2", "empty-transcript"),
        ("news.txt:4", "invalid-utf8"),
        ("news.txt:5", "too-long"),
    ]


def test_a_tab_separates_ids_from_sentences(tmp_path):
    path = tmp_path / "news.tsv"
    path.write_text("fr-1\tune pomme\nfr-1\tun chien\nno tab\n\tno id\nfr-2\ta\tb\n")
    lines = list(read_sentences(str(path), "fr"))
    rows = [(line.id, line.text) for line in lines if isinstance(line, Row)]
    assert rows == [("fr-1", "une pomme"), ("fr-2", "a b")]
    reasons = [line.reason for line in lines if isinstance(line, Reject)]
    assert reasons == ["duplicate-id", "missing-column", "missing-column"]


def test_texts_that_differ_in_case_or_spacing_are_one_row_with_all_their_names():
    found = distinct(
        [text("b", "Une  pomme", "s1"), text("a", "une pomme", "s2"), text("c", "une poire", "s3")]
    )
    by_name = {one.names: one for one in found}
    assert set(by_name) == {("a", "b"), ("c",)}
    assert by_name["a", "b"].sentences == ("s1", "s2")
    assert by_name["a", "b"].row.text == "une pomme"


def test_equal_words_of_two_languages_or_a_recording_of_them_stay_apart():
    row = text("a", "taxi").row
    others = [
        dataclasses.replace(row, id="b", language="de"),
        dataclasses.replace(row, id="c", modality="speech", audio="taxi.wav"),
        dataclasses.replace(row, id="d", modality="speech", audio="again.wav"),
    ]
    assert len(distinct([Found(row), *map(Found, others)])) == 4


def test_distinct_rows_do_not_depend_on_the_order_read():
    found = [text(f"n{i}", f"text {i % 4}", f"s{i}") for i in range(12)]
    assert distinct(found) == distinct(found[::-1])


def test_prepared_pairs_give_the_modality_and_languages_asked_for(tiny_data):
    collection = Collection(tiny_data.path, "speech", ("it", "fr"), ("test",))
    collection.check()
    rows = [one.row for source in collection.sources() for one in collection.read(source)]
    assert {(row.modality, row.language) for row in rows} == {("speech", "it"), ("speech", "fr")}
    assert len(rows) == 12
    assert all(len(row.tokens) for row in rows)


def test_rows_of_an_index_know_where_their_vectors_are(tmp_path):
    vectors = clustered(9)
    make_bundle(str(tmp_path / "index"), {"text/fr": vectors[:5], "speech/fr": vectors[5:]})
    collection = Collection(str(tmp_path / "index"), "text")
    collection.check()
    (source,) = collection.sources()
    found = list(collection.read(source))
    assert [one.place for one in found] == [("text-fr-00000-of-00001", i) for i in range(5)]
    with pytest.raises(ValueError, match=r"has no rows of speech de"):
        Collection(str(tmp_path / "index"), "speech", ("de",)).check()


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("absent.txt", {"languages": ("fr",)}, "no such file"),
        ("news.txt", {}, "say in which one language"),
        ("news.txt", {"languages": ("fr", "de")}, "say in which one language"),
        ("news.txt", {"languages": ("xx",)}, "say in which one language"),
        ("news.txt", {"languages": ("fr",), "modality": "speech"}, "holds text, not speech"),
        ("folder", {}, "is no index, no folder of pipelines.prepare and no text file"),
    ],
)
def test_what_can_not_be_mined_is_refused_at_once(tmp_path, name, arguments, error):
    (tmp_path / "news.txt").write_text("une pomme\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        Collection(str(tmp_path / name), **arguments).check()
