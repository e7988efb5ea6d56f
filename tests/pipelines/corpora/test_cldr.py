"""CLDR's names of emoji as translation pairs, and pairs that say what another folder tests."""

from __future__ import annotations

import pytest

from pipelines.corpora import open_corpus
from pipelines.corpora.cldr import CldrCorpus
from pipelines.corpora.held_out import HeldOut
from pipelines.corpora.manifest import sentence_key
from pipelines.rejects import Reject
from tests.pipelines.corpora.samples import CLDR_FLAGS, CLDR_NAMES, cldr


def rows(corpus: CldrCorpus | HeldOut) -> list[tuple[str, str, str]]:
    return [
        (r.id, r.reason, "") if isinstance(r, Reject) else (r.id, r.source_text, r.target_text)
        for r in corpus.rows()
    ]


def test_names_of_one_emoji_are_a_pair_with_english_as_the_target(tmp_path):
    cldr(cldr(tmp_path), "annotationsDerived", CLDR_FLAGS)
    corpus = CldrCorpus(str(tmp_path), languages=["fr"])

    assert rows(corpus) == [
        ("cldr-fr-1f98e", "lézard", "lizard"),
        ("cldr-fr-1f44d", "pouce vers le haut", "thumbs up"),
        ("cldr-fr-1f1eb-1f1f7", "drapeau : France", "flag: France"),
    ]
    first = next(iter(corpus.rows()))
    assert (first.task, first.split, first.provenance) == ("bitext", "train", "cldr")
    assert first.sentence_id == sentence_key("lizard")


def test_all_languages_are_read_and_a_name_without_text_is_a_reject(tmp_path):
    corpus = open_corpus("cldr", path=str(cldr(tmp_path)))

    assert corpus.card()["languages"] == ["el", "fr"]
    assert rows(corpus)[:3] == [
        ("cldr-el-1f98e", "σαύρα", "lizard"),
        ("cldr-el-1f44d", "μπράβο", "thumbs up"),
        ("cldr-el-1f32e", "empty-transcript", ""),
    ]


def test_a_language_is_read_under_its_own_code_and_none_under_anothers(tmp_path):
    others = {tag: {"🦎": f"lizard in {tag}"} for tag in ("no", "nn", "ku", "eu")}
    cldr(tmp_path, names={"en": CLDR_NAMES["en"], **others})

    assert rows(CldrCorpus(str(tmp_path))) == [("cldr-nb-1f98e", "lizard in no", "lizard")]


def test_a_language_that_inherits_all_its_names_has_none(tmp_path):
    cldr(tmp_path)
    path = tmp_path / "cldr-annotations/package/annotations/el/annotations.json"
    path.write_text('{"annotations": {"identity": {"language": "el"}}}')

    assert rows(CldrCorpus(str(tmp_path), languages=["el"])) == []


@pytest.mark.parametrize(
    "damage", [b"{", b"[]", b"[" * 100_000, b'{"annotations": {"annotations": {"x": {"tts": 3}}}}']
)
def test_a_damaged_file_is_a_reject_and_the_other_languages_are_read(tmp_path, damage):
    cldr(tmp_path)
    (tmp_path / "cldr-annotations/package/annotations/el/annotations.json").write_bytes(damage)

    found = rows(CldrCorpus(str(tmp_path)))

    assert found[0] == ("cldr-el-annotations", "invalid-row", "")
    assert found[1] == ("cldr-fr-1f98e", "lézard", "lizard")


def test_what_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match="unpack the npm packages cldr-annotations-full"):
        CldrCorpus(str(tmp_path))
    with pytest.raises(ValueError, match="has no names in bg"):
        CldrCorpus(str(cldr(tmp_path)), languages=["fr", "bg"])
