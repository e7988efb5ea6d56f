"""CLDR's names of emoji as translation pairs, and pairs that say what another folder tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.corpora import open_corpus
from pipelines.corpora.cldr import CldrCorpus
from pipelines.corpora.held_out import HeldOut
from pipelines.corpora.manifest import sentence_key
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import KIND, read_pairs
from pipelines.prepare import main
from pipelines.rejects import Reject
from tests.pipelines.sounds import encoded, voice

NAMES = {
    "en": {"🦎": "lizard", "👍": "thumbs up", "👍🏽": "thumbs up: medium skin tone", "🌮": "taco"},
    "fr": {"🦎": "lézard", "👍": "pouce vers le haut", "👍🏽": "pouce : peau mate", "🌮": "Taco"},
    "el": {"🦎": "σαύρα", "👍": "μπράβο", "🌮": " ", "🦙": "λάμα"},
}
FLAGS = {"en": {"🇫🇷": "flag: France"}, "fr": {"🇫🇷": "drapeau : France"}}


def cldr(folder: Path, key: str = "annotations", names: dict[str, dict[str, str]] = NAMES) -> Path:
    """One of the packages as npm unpacks it, with a region's names beside."""
    package = folder / f"cldr-{key}" / "package"
    for language, own in {**names, "fr-CA": {"🦎": "lézard d’ici"}}.items():
        path = package / key / language / "annotations.json"
        path.parent.mkdir(parents=True)
        entries = {e: {"default": ["x"], "tts": [name]} for e, name in own.items()}
        entries["€"] = {"default": ["a sign without a name"]}
        path.write_text(json.dumps({key: {"annotations": entries}}), encoding="utf-8")
    return folder


def rows(corpus: CldrCorpus | HeldOut) -> list[tuple[str, str, str]]:
    return [
        (r.id, r.reason, "") if isinstance(r, Reject) else (r.id, r.source_text, r.target_text)
        for r in corpus.rows()
    ]


def test_names_of_one_emoji_are_a_pair_with_english_as_the_target(tmp_path):
    cldr(cldr(tmp_path), "annotationsDerived", FLAGS)
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
    cldr(tmp_path, names={"en": NAMES["en"], **others})

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


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    """A prepared folder whose test split says "Un lézard." and whose training split, thumbs up."""
    (tmp_path / "own").mkdir()
    for seed, name in enumerate("ab"):
        (tmp_path / "own" / f"{name}.wav").write_bytes(
            encoded(voice(4.0, seed=seed), 16_000, "WAV")
        )
    manifest = tmp_path / "own" / "own.tsv"
    manifest.write_text(
        "audio\tlanguage\ttranscript\tsplit\n"
        "a.wav\tfr\tUn lézard.\ttest\nb.wav\tfr\tPouce vers le haut.\ttrain\n",
        encoding="utf-8",
    )
    output = tmp_path / "prepared"
    flags = ["--speech-encoder=mfcc", "--codebook-size=64", "--shards=1"]
    assert main([f"--corpus={manifest}", f"--output={output}", *flags]) == 0
    return output


def test_pairs_that_another_folder_tests_are_set_aside(tmp_path, tested):
    output = tmp_path / "pairs"
    flags = [f"--codebook={tested}/codebook", "--speech-encoder=mfcc", "--shards=1"]
    corpus = ["--corpus=cldr", f"--corpus-path={cldr(tmp_path)}", "--languages=fr"]

    status = main(
        [*corpus, f"--held-out={tested}", f"--output={output}", *flags, "--max-rejects=1"]
    )

    assert status == 0
    data = OutputDir.open(str(output), kind=KIND)
    assert [p.target_text for p in read_pairs(data, "train")] == ["thumbs up"]
    assert "held-out-sentence" in (output / "rejects-00000-of-00001.jsonl").read_text()


def test_held_out_sentences_need_a_finished_folder(tmp_path):
    with pytest.raises(OutputError, match="is no output directory"):
        open_corpus("cldr", path=str(cldr(tmp_path)), held_out=[str(tmp_path / "nothing")])
