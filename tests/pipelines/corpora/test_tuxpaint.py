"""Tux Paint's stamps: which files are speech, which texts are one sentence, who is trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from pipelines.corpora import open_corpus, tuxpaint
from pipelines.corpora.tuxpaint import TuxPaintCorpus, split_of
from pipelines.pairs import Pair
from pipelines.rejects import Reject
from pipelines.utterance import Utterance
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.corpora.samples import tuxpaint as sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("stamps"))


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Utterance | Pair | Reject]:
    return list(TuxPaintCorpus(str(folder)).rows())


def utterances(rows: list[Utterance | Pair | Reject]) -> dict[str, Utterance]:
    found = {row.id.removeprefix("tuxpaint-"): row for row in rows if isinstance(row, Utterance)}
    assert len(found) == sum(isinstance(row, Utterance) for row in rows)
    return found


def test_only_spoken_descriptions_are_utterances_with_the_text_of_their_language(folder, rows):
    found = utterances(rows)

    assert set(found) == {
        *(f"animals-frog-{tag}" for tag in ("bg", "en")),
        *(f"animals-frog-1-{tag}" for tag in ("bg", "es")),
        *(f"food-mushroom-{tag}" for tag in ("bg", "es")),
        *(f"food-cep-{tag}" for tag in ("bg", "es", "pt_BR")),
        "town-inn-bg",
    }
    brazilian = found["food-cep-pt_BR"]
    assert (brazilian.language, brazilian.transcript) == ("pt", "Um porcino.")
    assert found["animals-frog-en"].transcript == "A frog."
    stamps = f"{folder}/usr/share/tuxpaint/stamps"
    assert found["animals-frog-bg"].audio == f"{stamps}/animals/frog_desc_bg.ogg"


def test_a_copy_of_a_recording_is_left_out_and_counted(folder, rows):
    assert "animals-frog-es" not in utterances(rows)
    assert TuxPaintCorpus(str(folder)).card()["copies_left_out"] == 1


def test_stamps_of_one_english_text_or_of_one_spoken_text_are_one_sentence(rows):
    found = utterances(rows)

    assert found["animals-frog-bg"].sentence_id == found["animals-frog-1-bg"].sentence_id
    # Both are "Un hongo." in Spanish.
    assert found["food-cep-bg"].sentence_id == found["food-mushroom-bg"].sentence_id
    assert len({u.sentence_id for u in found.values()}) == 3


def test_what_has_no_text_in_its_language_is_rejected_by_name(rows):
    rejects = {row.id: row for row in rows if isinstance(row, Reject)}

    assert {id: reject.reason for id, reject in rejects.items()} == {
        "tuxpaint-town-gone-bg": "missing-value",
        "tuxpaint-town-inn-es": "missing-value",
        "tuxpaint-town-inn-tlh": "unknown-language",
    }
    assert "no stamp of that name" in rejects["tuxpaint-town-gone-bg"].detail


def test_of_languages_not_asked_for_nothing_is_rejected(folder):
    rows = TuxPaintCorpus(str(folder), languages=("es",)).rows()

    rejects = [row.id for row in rows if isinstance(row, Reject)]
    assert rejects == ["tuxpaint-town-inn-es", "tuxpaint-town-inn-tlh"]


def test_no_sentence_is_in_two_splits_and_the_split_depends_on_nothing_else(folder, rows):
    splits = defaultdict(set)
    for row in utterances(rows).values():
        splits[row.sentence_id].add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert splits == {sentence: {split_of(sentence)} for sentence in splits}

    spanish = list(TuxPaintCorpus(str(folder), languages=("es",)).rows())

    assert {u.language for u in utterances(spanish).values()} == {"es"}
    assert all(row in rows for row in spanish if isinstance(row, Utterance))
    shares = Counter(split_of(f"tuxpaint-{n}") for n in range(2000))
    assert 0.18 < shares["test"] / 2000 < 0.22
    assert 0.06 < shares["dev"] / 2000 < 0.10


def test_held_out_recordings_carry_their_english_text_and_training_sentences_are_bitext(
    folder, monkeypatch
):
    monkeypatch.setattr(tuxpaint, "split_of", lambda id: "test")
    held_out = utterances(list(TuxPaintCorpus(str(folder)).rows()))
    assert held_out["animals-frog-bg"].translations == (("en", "A frog."),)
    assert held_out["animals-frog-en"].translations == ()

    monkeypatch.setattr(tuxpaint, "split_of", lambda id: "train")
    rows = list(TuxPaintCorpus(str(folder), languages=("bg", "es")).rows())
    assert all(u.translations == () for u in utterances(rows).values())
    pairs = {(p.source_text, p.target_text) for p in rows if isinstance(p, Pair)}
    assert ("Гъба.", "A mushroom.") in pairs
    assert not any("cogumelo" in text for text, _ in pairs)


def test_the_texts_of_stamps_nobody_reads_aloud_are_offered_too(folder):
    texts = {(language, text) for _, _, language, text in TuxPaintCorpus(str(folder)).texts()}

    assert ("pt", "Um cogumelo.") in texts
    assert not any(language == "ca" for language, _ in texts)
    assert sum(text == "Жаба." for _, text in texts) == 1


def test_it_is_read_from_a_bucket_as_from_a_disk(folder, rows):
    remote = list(TuxPaintCorpus(f"bucket:/{folder}").rows())

    assert utterances(remote).keys() == utterances(rows).keys()
    assert utterances(remote)["food-cep-bg"].audio.startswith("bucket://")


@pytest.mark.parametrize(
    ("languages", "message"), [((), "is it tuxpaint-stamps-default unpacked"), (("sw",), "in sw")]
)
def test_a_folder_without_stamps_or_a_language_without_speech_is_an_error(
    folder, tmp_path, languages, message
):
    with pytest.raises(ValueError, match=message):
        open_corpus("tuxpaint", path=str(folder if languages else tmp_path), languages=languages)


def test_hostile_stamps_are_rejects_not_failures(tmp_path):
    folder = sample(tmp_path)
    stamps = folder / "usr/share/tuxpaint/stamps"
    (stamps / "animals/frog.txt").write_bytes(b"A frog\xff.\nbg.utf8=x\n")
    (stamps / "food/cep.txt").write_bytes(b"\n")
    (stamps / "town/inn.txt").write_bytes(b"x" * 2**21)

    rows = list(TuxPaintCorpus(str(folder)).rows())

    reasons = {row.id: row.reason for row in rows if isinstance(row, Reject)}
    assert reasons["animals/frog.txt"] == "invalid-utf8"
    assert reasons["food/cep.txt"] == "empty-transcript"
    assert reasons["town/inn.txt"] == "too-long"
    assert set(utterances(rows)) == {
        "animals-frog-1-bg",
        "animals-frog-1-es",
        *(f"food-mushroom-{tag}" for tag in ("bg", "es")),
    }
