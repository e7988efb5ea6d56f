from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipelines.audio import load_audio_batch
from pipelines.corpora.manifest import ManifestCorpus, sentence_key, split_of
from pipelines.corpora.table import TableError
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import Utterance
from tests.pipelines.broken_inputs import build


def one(folder: Path, **columns: object) -> Utterance | Reject:
    """What becomes of one JSONL row; the columns given change a good one."""
    row = {"audio": "a.wav", "language": "en", "transcript": "hello", **columns}
    path = folder / "m.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    (result,) = ManifestCorpus(str(path)).rows()
    return result


def reason(folder: Path, **columns: object) -> str:
    result = one(folder, **columns)
    assert isinstance(result, Reject)
    assert result.stage == "read"
    return result.reason


FULL = Utterance(
    id="u1",
    audio="",
    language="de",
    transcript="Guten Morgen, Ömer!",
    sentence_id="s1",
    split="dev",
    speaker="anna",
    seconds=1.5,
    gender="female",
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "m.jsonl",
            '{"id": "u1", "audio": "clips/a.wav", "language": "de", "split": "dev",'
            ' "transcript": "Guten Morgen, O\u0308mer!", "sentence_id": "s1", "speaker": "anna",'
            ' "seconds": 1.5, "gender": "F", "age": 3}\n',
        ),
        (
            "m.csv",
            "transcript,audio,language,split,id,sentence_id,speaker,seconds,gender,age\n"
            '"Guten\nMorgen, Ömer! ",clips/a.wav,de,dev,u1,s1,anna,1.5,FEMALE,3\n',
        ),
        (
            "m.tsv",
            "id\taudio\tlanguage\ttranscript\tsentence_id\tsplit\tspeaker\tseconds\tgender\n"
            "u1 \tclips/../clips/a.wav\t de \tGuten Morgen, Ömer!\ts1\tdev\tanna\t1.5\tfemale\n",
        ),
    ],
)
def test_every_format_gives_the_same_utterance(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    corpus = ManifestCorpus(str(tmp_path / name))

    (utterance,) = corpus.rows()

    assert corpus.name == "m"
    assert isinstance(utterance, Utterance)
    assert utterance.audio == f"{tmp_path}/clips/a.wav"
    assert utterance == Utterance(**{**_fields(FULL), "audio": utterance.audio})


@pytest.mark.parametrize(
    ("said", "gender"),
    [
        ("FEMALE", "female"),
        ("female_feminine", "female"),
        ("M ", "male"),
        ("male_masculine", "male"),
        ("Other", "other"),
        ("do_not_wish_to_say", ""),
        (None, ""),
    ],
)
def test_a_gender_is_female_male_or_what_the_corpus_says(tmp_path, said, gender):
    assert one(tmp_path, gender=said).gender == gender


def _fields(utterance: Utterance) -> dict[str, object]:
    return {name: getattr(utterance, name) for name in Utterance.__slots__}


def test_a_manifest_may_be_gzipped_and_name_files_in_archives(tmp_path):
    path = tmp_path / "m.csv.gz"
    text = "audio,language,transcript\ntar:/x/clips.tar.gz!a.wav,en,Hello!\n"
    path.write_bytes(gzip.compress(text.encode()))
    corpus = ManifestCorpus(str(path))

    (utterance,) = corpus.rows()

    assert corpus.name == "m"
    assert (utterance.id, utterance.audio) == ("m.csv.gz:2", "tar:/x/clips.tar.gz!a.wav")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(TableError, match=r"m.csv.gz: can't be decompressed any further"):
        list(corpus.rows())


def test_columns_left_out_have_defaults(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("audio,language,transcript\n\na.wav,en,Hello!\nb.wav,fr,hello\n")

    first, second = ManifestCorpus(str(path)).rows()

    assert (first.id, second.id) == ("m.csv:3", "m.csv:4")
    assert first.sentence_id == second.sentence_id == sentence_key("HELLO")
    assert first.split == second.split == split_of(first.sentence_id)
    assert first.speaker == ""
    assert first.gender == ""
    assert first.seconds is None


def test_the_default_sentence_id_ignores_case_punctuation_and_spacing():
    assert (
        sentence_key("  ¿Qué tal?\n") == sentence_key("qué  TAL") == sentence_key("que\u0301 tal")
    )
    assert sentence_key("qué tal") != sentence_key("que tal")
    assert sentence_key("🐈") != sentence_key("🐕")
    assert sentence_key("?!") != sentence_key("...")
    assert sentence_key("Hello!") == "2cf24dba5fb0a30e"


def test_the_default_split_is_80_10_10_and_never_changes():
    counts = Counter(split_of(str(number)) for number in range(10_000))

    assert 7800 < counts["train"] < 8200
    assert 850 < counts["dev"] < 1150
    assert 850 < counts["test"] < 1150
    assert [split_of(f"greeting-{n}") for n in (0, 2, 3)] == ["dev", "train", "test"]


@pytest.mark.parametrize(
    ("columns", "slug"),
    [
        ({"transcript": " \t"}, "empty-transcript"),
        ({"transcript": None}, "empty-transcript"),
        ({"transcript": "\u200b\u200f"}, "empty-transcript"),
        ({"transcript": "x" * 10_001}, "invalid-row"),
        ({"transcript": ["x"]}, "invalid-row"),
        ({"transcript": True}, "invalid-row"),
        ({"transcript": "a\0"}, "invalid-row"),
        ({"transcript": "a\ud800"}, "invalid-utf8"),
        ({"audio": ""}, "missing-value"),
        ({"audio": "a\0.wav"}, "unsafe-path"),
        ({"audio": "../a.wav"}, "unsafe-path"),
        ({"audio": "x/../../a.wav"}, "unsafe-path"),
        ({"audio": "."}, "unsafe-path"),
        ({"language": ""}, "missing-value"),
        ({"language": "EN"}, "unknown-language"),
        ({"split": "Train"}, "unknown-split"),
        ({"seconds": "long"}, "invalid-row"),
        ({"seconds": -1}, "invalid-row"),
        ({"seconds": float("nan")}, "invalid-row"),
        ({"seconds": "inf"}, "invalid-row"),
        ({"seconds": True}, "invalid-row"),
    ],
)
def test_a_bad_value_rejects_its_row(tmp_path, columns, slug):
    assert reason(tmp_path, **columns) == slug


def test_a_reject_says_which_row_it_was_and_what_to_do(tmp_path):
    assert one(tmp_path, id="u7", language="pt-BR") == Reject(
        id="u7",
        uri="a.wav",
        stage="read",
        reason="unknown-language",
        detail="m.jsonl:1: 'pt-BR'; did you mean 'pt'?",
    )
    escaped = one(tmp_path, audio="../a.wav")
    assert isinstance(escaped, Reject)
    assert escaped.id == "m.jsonl:1"
    assert "name a folder above it as audio root" in escaped.detail


def test_a_reject_can_be_written_even_if_the_row_could_not(tmp_path):
    rejected = one(tmp_path, id="\ud800", audio="\udfff")

    assert isinstance(rejected, Reject)
    assert rejected.id.encode() == b"?"
    assert rejected.uri.encode() == b"?"


@pytest.mark.parametrize(
    ("value", "transcript"),
    [
        ("🐈‍⬛ 👩🏽‍🚀", "🐈‍⬛ 👩🏽‍🚀"),
        ("\u200fصباح الخير", "\u200fصباح الخير"),
        ("cafe\u0301", "café"),
        (" two\n\tlines ", "two lines"),
        (42, "42"),
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_unusual_transcripts_are_kept(tmp_path, value, transcript):
    utterance = one(tmp_path, transcript=value)

    assert isinstance(utterance, Utterance)
    assert utterance.transcript == transcript


def test_absolute_paths_and_urls_are_taken_as_they_are(tmp_path):
    for reference in (
        "/data/a.wav",
        "gs://bucket/a/../b.wav",
        "espeak:en?rate=170&pitch=50&text=hi",
    ):
        utterance = one(tmp_path, audio=reference)
        assert isinstance(utterance, Utterance)
        assert utterance.audio == reference


def test_audio_root_says_where_relative_paths_start(tmp_path):
    path = tmp_path / "lists" / "m.csv"
    path.parent.mkdir()
    path.write_text("audio,language,transcript\n../clips/a.wav,en,hi\nclips/a.wav,en,hi\n")

    escaped, utterance = ManifestCorpus(str(path), audio_root=str(tmp_path)).rows()
    assert isinstance(escaped, Reject) and escaped.reason == "unsafe-path"
    assert isinstance(utterance, Utterance) and utterance.audio == f"{tmp_path}/clips/a.wav"

    _, remote = ManifestCorpus(str(path), audio_root="gs://bucket/corpus/").rows()
    assert isinstance(remote, Utterance) and remote.audio == "gs://bucket/corpus/clips/a.wav"


def test_a_remote_manifest_has_its_audio_beside_it(tmp_path):
    from tests.pipelines import shelf_filesystem  # noqa: F401

    (tmp_path / "m.csv").write_text("audio,language,transcript\na.wav,en,hi\n../b.wav,en,hi\n")

    utterance, escaped = ManifestCorpus(f"shelf:/{tmp_path}/m.csv").rows()

    assert isinstance(utterance, Utterance) and utterance.audio == f"shelf:/{tmp_path}/a.wav"
    assert isinstance(escaped, Reject) and escaped.reason == "unsafe-path"


def test_a_relative_manifest_gives_absolute_paths(tmp_path, monkeypatch):
    (tmp_path / "m.csv").write_text("audio,language,transcript\na.wav,en,hi\n")
    monkeypatch.chdir(tmp_path)

    (utterance,) = ManifestCorpus("m.csv").rows()

    assert isinstance(utterance, Utterance) and utterance.audio == f"{tmp_path}/a.wav"


def test_a_column_that_is_nowhere_is_an_error_with_the_names(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("path,sentence,language\na.wav,hi,en\n")

    with pytest.raises(TableError) as caught:
        list(ManifestCorpus(str(path)).rows())

    assert str(caught.value) == (
        f"{path} has no column 'audio', 'transcript'; its columns are 'path', 'sentence', "
        "'language'. Needed are audio, language, transcript; understood besides: id, sentence_id, "
        "split, speaker, gender, seconds"
    )


def test_a_column_missing_from_one_json_row_rejects_that_row(tmp_path):
    path = tmp_path / "m.jsonl"
    good = '{"audio": "a.wav", "language": "en", "transcript": "hi"}'
    path.write_text(f'{good}\n{{"audio": "a.wav", "language": "en"}}\n{good}\n')

    first, second, third = ManifestCorpus(str(path)).rows()

    assert isinstance(first, Utterance) and isinstance(third, Utterance)
    assert isinstance(second, Reject) and second.reason == "missing-column"


def test_a_corpus_is_pickled_and_gives_its_rows_again(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("audio,language,transcript\na.wav,en,hi\n")
    corpus = pickle.loads(pickle.dumps(ManifestCorpus(str(path))))

    assert list(corpus.rows()) == list(corpus.rows())
    assert corpus.card() == {
        "name": "m",
        "manifest": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_a_local_manifest_is_read_without_beam(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("audio,language,transcript\na.wav,en,hi\n")
    program = (
        "import sys; from pipelines.corpora.manifest import ManifestCorpus;"
        "assert len(list(ManifestCorpus(sys.argv[1]).rows())) == 1;"
        "assert not {'apache_beam', 'tensorflow'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_every_broken_input_ends_with_its_reason_or_as_sound(tmp_path):
    broken = build(tmp_path / "broken")
    rows = list(ManifestCorpus(broken.manifest_path).rows())
    utterances = [row for row in rows if isinstance(row, Utterance)]
    sounds = dict(
        zip(
            utterances,
            load_audio_batch(
                [u.audio for u in utterances], claimed_seconds=[u.seconds for u in utterances]
            ),
            strict=True,
        )
    )

    outcomes = []
    for row in rows:
        fault = row if isinstance(row, Reject) else sounds[row]
        outcomes.append((row.id, fault.reason if isinstance(fault, Reject | Rejected) else None))

    # Ids are compared later, where all rows that may share one come together.
    expected = [
        (name, None if slug == "duplicate-id" else slug) for name, slug in broken.expectations
    ]
    assert outcomes == expected
    assert sum(slug is not None for _, slug in broken.expectations) >= 30
