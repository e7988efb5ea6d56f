"""CoVoST 2 over Common Voice, packed and unpacked, with its official splits."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from pipelines.corpora.common_voice import fields_of, without_quotes
from pipelines.corpora.covost import FROM_ENGLISH, INTO_ENGLISH, CovostCorpus
from pipelines.corpora.language_code import language_code
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, read_pairs
from pipelines.prepare import main
from pipelines.rejects import Reject
from pipelines.utterance import Utterance
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.archives import tar
from tests.pipelines.corpora.samples import CLIENT, clips, covost, covost_tsv, validated_tsv


def test_it_translates_21_languages_into_english_and_english_into_15():
    assert (len(set(INTO_ENGLISH)), len(set(FROM_ENGLISH))) == (21, 15)
    assert set(FROM_ENGLISH) < set(INTO_ENGLISH)
    assert len({language_code(code) for code in INTO_ENGLISH}) == 21


@pytest.mark.parametrize("form", ["packed", "beside", "unpacked"])
def test_the_official_rows_are_read_with_their_splits_and_translations(tmp_path, form):
    folder = covost(tmp_path, form)

    rows = list(CovostCorpus(str(folder)).rows())

    found = [(u.id, u.split, u.transcript, u.gender) for u in rows if isinstance(u, Utterance)]
    assert found == [
        ("covost-fr-common_voice_fr_1", "train", "Le chat dort.", "male"),
        ("covost-fr-common_voice_fr_2", "train", 'Il a dit "oui".', "female"),
        ("covost-fr-common_voice_fr_3", "dev", "Où est la gare ?", ""),
        ("covost-fr-common_voice_fr_4", "test", "Merci beaucoup.", "other"),
    ]
    first = rows[0]
    assert first.translations == (("en", "The cat sleeps."),)
    assert (first.language, first.speaker) == ("fr", CLIENT[:16])
    where = f"{folder}/fr/clips" if form == "unpacked" else f"tar:{folder}/fr.tar.gz!clips"
    assert first.audio == f"{where}/common_voice_fr_1.mp3"
    # The clip whose row is in CoVoST's table alone; that of `test_covost` is no part of version 2.
    (reject,) = (row for row in rows if isinstance(row, Reject))
    assert (reject.id, reject.reason) == ("covost-fr-common_voice_fr_7", "not-validated")


def test_splits_are_chosen_and_a_bucket_is_read(tmp_path):
    folder = covost(tmp_path, "beside")

    rows = list(CovostCorpus(f"bucket:/{folder}", pairs=["fr-en"], splits=["dev"]).rows())

    assert [(u.split, u.audio) for u in rows] == [
        ("dev", f"tar:bucket:/{folder}/fr.tar.gz!clips/common_voice_fr_3.mp3")
    ]


def test_english_carries_a_translation_for_each_target(tmp_path):
    (tmp_path / "en" / "clips").mkdir(parents=True)
    header = "client_id\tpath\tsentence\n"
    (tmp_path / "en/validated.tsv").write_text(header + "x\ta.mp3\tThe cat.\n")
    for code, text in (("de", "Die Katze."), ("zh-CN", "猫。"), ("ca", "")):
        table = f"path\ttranslation\tsplit\na.mp3\t{text}\ttest\n"
        (tmp_path / f"covost_v2.en_{code}.tsv").write_text(table, encoding="utf-8")

    (both,) = CovostCorpus(str(tmp_path)).rows()
    (one,) = CovostCorpus(str(tmp_path), pairs=["en-zh"]).rows()

    assert both.translations == (("de", "Die Katze."), ("zh", "猫。"))
    assert one.translations == (("zh", "猫。"),)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["de"], r"lacks covost_v2.de_en.tsv"),
        (["en-fr"], r"CoVoST 2 has no 'en-fr': give fr, de, "),
        (["xx"], r"CoVoST 2 has no 'xx'"),
    ],
)
def test_a_pair_that_is_not_there_is_an_error(tmp_path, pairs, message):
    with pytest.raises(ValueError, match=message):
        CovostCorpus(str(covost(tmp_path)), pairs=pairs)


def test_a_release_that_is_not_there_is_an_error_that_says_what_is_missing(tmp_path):
    (tmp_path / "covost_v2.fr_en.tsv").write_text(covost_tsv(), encoding="utf-8")
    with pytest.raises(ValueError, match=r"no Common Voice in fr: neither fr.tar.gz nor fr/valid"):
        CovostCorpus(str(tmp_path))


def test_bad_rows_are_rejects_and_the_rest_is_read(tmp_path):
    folder = covost(tmp_path, "unpacked")
    table = validated_tsv().splitlines()
    table[1] = table[1].replace("common_voice_fr_1.mp3", "../fr_1.mp3")
    table[2] = table[2].rpartition("\t")[0]
    table[3] = table[3].replace("Où est la gare ?", " ")
    (folder / "fr/validated.tsv").write_text("\n".join(table), encoding="utf-8")
    text = covost_tsv().replace("common_voice_fr_1.mp3", "../fr_1.mp3") + "no columns\n"
    (folder / "covost_v2.fr_en.tsv").write_text(text, encoding="utf-8")

    rows = list(CovostCorpus(str(folder)).rows())

    reasons = [row.reason for row in rows if isinstance(row, Reject)]
    # Not in the order of the table: what CoVoST alone has comes last.
    assert reasons == [
        "missing-column",
        "unsafe-path",
        "missing-column",
        "empty-transcript",
        "not-validated",
        "not-validated",
    ]
    assert [u.id for u in rows if isinstance(u, Utterance)] == ["covost-fr-common_voice_fr_4"]


def test_a_backslash_takes_the_meaning_from_the_next_character():
    assert fields_of("a\tb\t\tc") == ["a", "b", "", "c"]
    assert fields_of("a\\\tb\t\\\\c\\d") == ["a\tb", "\\cd"]
    assert fields_of("a\tb\\") == ["a", "b\\"]
    assert fields_of("a\t\\n\t") == ["a", "n", ""]
    assert without_quotes('"""Oui"", dit-il."') == '"Oui", dit-il.'
    assert without_quotes('"Oui"') == "Oui"
    assert without_quotes('"') == '"'


def test_clips_in_an_archive_become_transcription_and_translation_pairs(tmp_path):
    (tmp_path / "corpus").mkdir()
    folder = covost(tmp_path / "corpus")
    files = [(f"fr/clips/{name}", data) for name, data in clips()]
    files[3] = (files[3][0], files[3][1][:1_000])
    (folder / "fr.tar.gz").unlink()
    data = tar([("fr/validated.tsv", validated_tsv().encode()), *files])
    (folder / "cv-corpus-4-2019-12-10-fr.tar.gz").write_bytes(gzip.compress(data))
    output = tmp_path / "data"

    assert (
        main(
            [
                "--corpus=covost",
                f"--corpus-path={folder}",
                f"--output={output}",
                "--speech-encoder=mfcc",
                "--codebook-size=8",
                "--shards=1",
                "--max-rejects=0.5",
            ]
        )
        == 0
    )

    out = OutputDir.open(str(output), kind=KIND)
    pairs = [pair for split in ("train", "dev", "test") for pair in read_pairs(out, split)]
    assert Counter((p.task, p.split, p.target_language) for p in pairs) == {
        ("transcription", "train", "fr"): 2,
        ("translation", "train", "en"): 2,
        ("transcription", "dev", "fr"): 1,
        ("translation", "dev", "en"): 1,
    }
    one, other = (p for p in pairs if p.id.startswith("covost-fr-common_voice_fr_2"))
    assert other.id == f"{one.id}>en"
    assert (one.target_text, other.target_text) == ('Il a dit "oui".', 'He said "yes".')
    assert one.source_tokens.tolist() == other.source_tokens.tolist()
    assert one.sentence_id == other.sentence_id
    assert out.stats["rejects"] == {"not-validated": 1, "truncated-audio": 1}
    assert out.stats["rows"] == 5
