"""What a directory of translations holds: by Apertium, and by a tiny CTranslate2 model where
nonsense will do."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import KIND, Pair, open_together, read_pairs
from pipelines.prepare import PrepareOptions
from pipelines.rejected_rows import recorded_options
from pipelines.status import lines, status
from pipelines.translate import main
from tests.pipelines.translation.installed import needs_apertium
from tests.pipelines.translation.spanish import (
    ANYTHING,
    BAD,
    ENGLISH,
    SENTENCES,
    opened,
    prepared,
    recording,
    speech,
)

# What Apertium makes of some of `SENTENCES`.
TRANSLATIONS = {
    SENTENCES[0]: "The black cat sleeps in the house.",
    SENTENCES[4]: "The dog runs in the park every day.",
    SENTENCES[6]: "The city has a very ancient port.",
}


def by_task(out: OutputDir, split: str = "train") -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {"translation": [], "bitext": []}
    for pair in read_pairs(out, split):
        found[pair.task].append(pair)
    return found


def rejects(out: OutputDir) -> list[dict[str, str]]:
    paths = storage.list_files(out.path, "rejects-*.jsonl")
    return [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]


@pytest.fixture(scope="module")
def translated(data: OutputDir, tmp_path_factory: pytest.TempPathFactory) -> OutputDir:
    """`data` through Apertium; don't write into it."""
    folder = tmp_path_factory.mktemp("translated") / "out"
    assert main([f"--data={data.path}", "--engine=apertium", f"--output={folder}"]) == 0
    return opened(folder)


@needs_apertium
def test_each_recording_keeps_its_sound_and_gets_the_text_of_the_other_language(
    data: OutputDir, translated: OutputDir
) -> None:
    spoken = {pair.id: pair for pair in read_pairs(data, "train")}
    pairs = by_task(translated)["translation"]

    assert Counter(p.id.rpartition(">")[0] for p in pairs) == Counter(
        pair.id
        for pair in spoken.values()
        if pair.source_language == "es" and not BAD.get(pair.target_text, (None,))[0]
    )
    for pair in pairs:
        original = spoken[pair.id.removesuffix(">en:apertium")]
        assert pair.source_tokens.tolist() == original.source_tokens.tolist()
        assert (pair.audio, pair.speaker, pair.seconds, pair.split, pair.sentence_id) == (
            original.audio,
            original.speaker,
            original.seconds,
            original.split,
            original.sentence_id,
        )
        assert (pair.source_language, pair.target_language) == ("es", "en")
        if original.target_text in TRANSLATIONS:
            assert pair.target_text == TRANSLATIONS[original.target_text]


@needs_apertium
def test_each_distinct_text_makes_one_text_pair(translated: OutputDir) -> None:
    pairs = by_task(translated)["bitext"]

    assert Counter(pair.source_text for pair in pairs) == Counter(SENTENCES)
    texts = {pair.source_text: pair.target_text for pair in pairs}
    assert {text: texts[text] for text in TRANSLATIONS} == TRANSLATIONS
    assert all(len(pair.source_tokens) == 0 and not pair.audio for pair in pairs)


@needs_apertium
def test_what_is_left_out_has_its_reason_and_the_counts_add_up(translated: OutputDir) -> None:
    found = rejects(translated)
    expected = Counter(
        (text[:24], reason) for text, reasons in BAD.items() for reason in reasons if reason
    )
    stats = translated.stats

    assert Counter((r["id"].split("-")[1], r["reason"]) for r in found) == expected
    assert {(r["stage"], bool(r["detail"])) for r in found} == {("translate", True)}
    assert stats["rejects"] == dict(Counter(r["reason"] for r in found))
    assert stats["rows"] == stats["pairs"] + len(found)
    said = lines(status(translated.path))
    assert any(f"{len(found)} rejected (translate: " in line for line in said)
    # Nothing to mend and to prepare again.
    assert not any("--only-rejects" in line for line in said)
    with pytest.raises(OutputError, match="with other filters"):
        recorded_options(translated.path, PrepareOptions, {})
    assert stats["pairs"] == sum(len(pairs) for pairs in by_task(translated).values())
    assert stats["translation"]["texts"] == len(SENTENCES) + len(BAD)
    assert (stats["translation"]["translated"], stats["translation"]["failed"]) == (
        len(SENTENCES) + len(BAD) - 1,
        1,
    )


@needs_apertium
def test_provenance_names_corpus_engine_model_and_score(translated: OutputDir) -> None:
    (engine,) = translated.info["options"]["engines"].values()

    assert (engine["engine"], engine["mode"]) == ("apertium", "spa-eng")
    for pair in by_task(translated)["translation"]:
        corpus, made_by, score = pair.provenance.split(" ")
        assert corpus == "sentences"
        assert made_by.startswith("apertium@")
        assert 0.5 <= float(score) <= 1


@needs_apertium
def test_it_can_be_trained_on_beside_what_it_was_made_of(
    data: OutputDir, translated: OutputDir, tmp_path: Path
) -> None:
    both = open_together([data.path, translated.path])
    assert len(list(read_pairs(both, "train"))) == (
        len(list(read_pairs(data, "train"))) + translated.stats["pairs"]
    )
    translated.verify()

    other = OutputDir(f"{tmp_path}/other", kind=KIND)
    other.begin({})
    storage.write_bytes(other.file("codebook/codebook.npz"), b"another")
    other.complete(files=["codebook/codebook.npz"], stats={})
    with pytest.raises(OutputError, match="has another codebook than"):
        open_together([data.path, other.path])
    with pytest.raises(ValueError, match="each once"):
        open_together([data.path, data.path])


@needs_apertium
def test_other_filters_and_a_grown_corpus_translate_nothing_twice(
    data: OutputDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--engine=apertium", f"--cache={tmp_path}/cache"]
    assert main([f"--data={data.path}", f"--output={tmp_path}/a", *flags]) == 0
    grown = prepared(f"{tmp_path}/grown", [*speech(), recording("Hace mucho frío hoy.", 0)])
    loose = ["--min-score=0", "--keep-copies"]
    assert main([f"--data={grown.path}", f"--output={tmp_path}/b", *flags, *loose]) == 0
    capsys.readouterr()

    stats = opened(f"{tmp_path}/b").stats
    assert stats["translation"]["translated"] == 1
    assert stats["translation"]["cached"] == len(SENTENCES) + len(BAD) - 1
    assert stats["rejects"] == {"duplicate": 1, "too-long": 2}
    assert main([f"--data={grown.path}", f"--output={tmp_path}/b", *flags, *loose]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/b is complete; nothing to do\n"
    assert main([f"--data={grown.path}", f"--output={tmp_path}/b", *flags]) == 1
    assert "was made with other options" in capsys.readouterr().err


@needs_apertium
def test_english_is_the_target_of_text_pairs_whichever_way_they_were_translated(
    data: OutputDir, tmp_path: Path
) -> None:
    flags = ["--engine=apertium", "--languages=en", "--into=es", "--tasks=bitext"]
    assert main([f"--data={data.path}", f"--output={tmp_path}/out", *flags]) == 0
    (pair,) = by_task(opened(f"{tmp_path}/out"))["bitext"]

    assert (pair.source_language, pair.target_language) == ("es", "en")
    assert pair.target_text == ENGLISH
    assert "luna" in pair.source_text.casefold()


def test_what_the_corpus_translates_itself_is_left_to_it(model: str, tmp_path: Path) -> None:
    first, second = recording(SENTENCES[0], 0), recording(SENTENCES[1], 0)
    given = Pair(
        id=f"{first.id}>en",
        task="translation",
        source_language="es",
        target_text="The black cat is asleep in the house.",
        target_language="en",
        sentence_id=first.sentence_id,
        split="train",
        source_tokens=first.source_tokens,
    )
    made = prepared(f"{tmp_path}/data", [first, given, second], shards=1)
    flags = [f"--engine=ctranslate2:{model}", *ANYTHING, "--tasks=translation"]
    assert main([f"--data={made.path}", f"--output={tmp_path}/out", *flags]) == 0
    out = opened(f"{tmp_path}/out")

    assert out.stats["rows"] == 1
    ids = [p.id for p in read_pairs(out, "train")] + [r["id"] for r in rejects(out)]
    assert ids == [f"{second.id}>en:ctranslate2"]
