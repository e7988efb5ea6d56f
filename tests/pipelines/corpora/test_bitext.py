"""WikiMatrix and OPUS bitext as they are published, good files and bad ones."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pipelines import packed_file
from pipelines.corpora.language_code import language_code
from pipelines.corpora.manifest import sentence_key
from pipelines.corpora.opus import OpusCorpus
from pipelines.corpora.wikimatrix import WikiMatrixCorpus
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.prepare import main
from pipelines.rejects import Reject, Rejected
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.corpora.samples import TMX, WIKIMATRIX, fleurs, moses_zip


def summary(rows: list[Pair | Reject]) -> list[tuple[str, str, str]]:
    """Each pair as its id, source and target; each reject as its id, reason and an empty string."""
    return [
        (r.id, r.reason, "") if isinstance(r, Reject) else (r.id, r.source_text, r.target_text)
        for r in rows
    ]


def wikimatrix(folder: Path, text: str = WIKIMATRIX) -> Path:
    path = folder / "WikiMatrix.en-fr.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_pairs_that_score_enough_are_read_with_english_as_the_target(tmp_path):
    rows = list(WikiMatrixCorpus(str(wikimatrix(tmp_path))).rows())

    assert summary(rows) == [
        ("WikiMatrix.en-fr:1", "La ville est ancienne.", "The city is old."),
        ("WikiMatrix.en-fr:2", "Il a dit « oui ».", 'He said "yes".'),
        ("WikiMatrix.en-fr:3", "Il pleut.", "It rains."),
    ]
    first = rows[0]
    assert (first.task, first.split, first.provenance) == ("bitext", "train", "wikimatrix")
    assert (first.source_language, first.target_language) == ("fr", "en")
    assert first.sentence_id == sentence_key("the city is old")


def test_the_threshold_and_the_languages_are_chosen(tmp_path):
    wikimatrix(tmp_path)
    (tmp_path / "WikiMatrix.de-fr.tsv").write_text("1.2\tJa.\tOui.\n")

    def read(**options):
        return summary(list(WikiMatrixCorpus(f"bucket:/{tmp_path}", **options).rows()))

    assert len(read()) == 4
    assert len(read(min_score=0.0)) == 5
    assert read(pairs=["fr-de"]) == [("WikiMatrix.de-fr:1", "Ja.", "Oui.")]
    with pytest.raises(ValueError, match=r"lacks WikiMatrix.xx-yy.tsv.gz for en-xx"):
        WikiMatrixCorpus(str(tmp_path), pairs=["en-xx"])


def test_bad_lines_are_rejects_and_so_is_the_end_of_a_cut_file(tmp_path):
    bad = "1.2\tno translation\nmuch\ta\tb\nnan\ta\tb\n1.2\t \tvide\n"
    path = wikimatrix(tmp_path, WIKIMATRIX + bad)
    assert [
        row.reason for row in WikiMatrixCorpus(str(path)).rows() if isinstance(row, Reject)
    ] == [
        "missing-column",
        "invalid-row",
        "invalid-row",
        "empty-transcript",
    ]

    many = "".join(f"1.1\t{os.urandom(9).hex()}\t{os.urandom(9).hex()}\n" for _ in range(2_000))
    data = wikimatrix(tmp_path, many).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    *pairs, last = WikiMatrixCorpus(str(path)).rows()
    assert all(isinstance(pair, Pair) for pair in pairs)
    assert 900 < len(pairs) < 1_100
    assert (last.reason, last.detail.split(" of ")[0]) == (
        "truncated-file",
        f"line {len(pairs) + 1}",
    )


def test_a_gzip_bomb_ends_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_file, "FREE_BYTES", 2**20)
    path = wikimatrix(tmp_path, "1.1\ta\tb\n" + "\0" * 2**23)

    assert [
        row.reason for row in WikiMatrixCorpus(str(path)).rows() if isinstance(row, Reject)
    ] == ["unsafe-archive"]


ENGLISH, FRENCH = "It rains.\nThank you.\n", "Il pleut.\nMerci.\n"
EXPECTED = [
    ("Tatoeba.en-fr:1", "Il pleut.", "It rains."),
    ("Tatoeba.en-fr:2", "Merci.", "Thank you."),
]


def opus(path: Path | str, *pairs: str) -> list[tuple[str, str, str]]:
    return summary(list(OpusCorpus(str(path), pairs=pairs).rows()))


def test_moses_files_are_read_from_a_zip_a_folder_or_by_either_name(tmp_path):
    (tmp_path / "en-fr.txt.zip").write_bytes(moses_zip(ENGLISH, FRENCH))
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "Tatoeba.en-fr.en.gz").write_bytes(gzip.compress(ENGLISH.encode()))
    (plain / "Tatoeba.en-fr.fr.gz").write_bytes(gzip.compress(FRENCH.encode()))
    (plain / "README").write_text("Tatoeba")

    assert opus(tmp_path / "en-fr.txt.zip") == EXPECTED
    assert opus(f"bucket:/{tmp_path}/en-fr.txt.zip", "fr-en") == EXPECTED
    assert opus(plain) == EXPECTED
    assert opus(plain / "Tatoeba.en-fr.en.gz") == EXPECTED
    assert opus(plain / "Tatoeba.en-fr.fr.gz") == EXPECTED
    with pytest.raises(ValueError, match="has no bitext in de-en"):
        opus(plain, "de-en")
    with pytest.raises(ValueError, match="has no bitext"):
        opus(tmp_path / "absent.zip")


def test_files_of_different_lengths_lose_what_has_nothing_opposite(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(moses_zip(ENGLISH + "\nOne more.\n", FRENCH + "Vide.\n"))

    assert opus(path) == [
        *EXPECTED,
        ("Tatoeba.en-fr:3", "empty-transcript", ""),
        ("Tatoeba.en-fr:4", "missing-value", ""),
    ]


def test_a_damaged_zip_is_a_reject(tmp_path):
    data = moses_zip(ENGLISH * 500, FRENCH * 500)
    path = tmp_path / "x.zip"

    path.write_bytes(data[:-30])
    assert opus(path) == [("x.zip", "not-an-archive", "")]
    path.write_bytes(b"PK")
    assert opus(path) == [("x.zip", "not-an-archive", "")]
    place = data.index(b"Tatoeba.en-fr.fr") + 30
    path.write_bytes(data[:place] + bytes(20) + data[place + 20 :])
    assert opus(path)[-1] == ("x.zip", "truncated-file", "")


def test_a_zip_that_claims_to_hold_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_file, "FREE_BYTES", 2**16)
    path = tmp_path / "x.zip"
    path.write_bytes(moses_zip("a" * 2**20, "b"))

    assert opus(path) == [("x.zip", "unsafe-archive", "")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_a_translation_memory_is_read_without_its_inline_codes(tmp_path, pack):
    path = tmp_path / ("en-fr.tmx" + (".gz" if pack is gzip.compress else ""))
    path.write_bytes(pack(TMX.encode()))

    expected = [
        ("en-fr.tmx:1", "Il pleut des cordes.", "It rains & pours."),
        ("en-fr.tmx:2", "missing-value", ""),
        ("en-fr.tmx:3", "Merci.", "Thank you."),
    ]
    assert opus(path) == opus(tmp_path, "fr-en") == expected


def test_of_several_languages_in_a_memory_the_pair_is_chosen(tmp_path):
    text = TMX.replace("</tuv>\n    </tu>", '</tuv><tuv lang="de"><seg>Ja.</seg></tuv></tu>')
    (tmp_path / "x.tmx").write_text(text, encoding="utf-8")

    assert opus(tmp_path / "x.tmx", "fr-de")[2] == ("x.tmx:3", "Merci.", "Ja.")
    assert opus(tmp_path / "x.tmx", "de-en")[1] == ("x.tmx:2", "Ja.", "Alone.")


def test_a_memory_that_breaks_off_keeps_what_came_before(tmp_path):
    path = tmp_path / "x.tmx"

    path.write_text(TMX[: TMX.index("Thank")], encoding="utf-8")
    assert [row[1] for row in opus(path)] == [
        "Il pleut des cordes.",
        "missing-value",
        "invalid-xml",
    ]
    path.write_text(TMX.replace("Alone.</seg>", "Alone.</sog>"), encoding="utf-8")
    assert [row[1] for row in opus(path)] == ["Il pleut des cordes.", "invalid-xml"]


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE tmx [<!ENTITY % a SYSTEM "http://example.org/x.dtd"> %a;]>',
    ],
)
def test_a_memory_that_declares_entities_is_refused(tmp_path, doctype):
    text = TMX.replace('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', doctype).replace("Alone.", "&a;")
    (tmp_path / "x.tmx").write_text(text, encoding="utf-8")

    assert opus(tmp_path / "x.tmx") == [("x.tmx", "unsafe-xml", "")]


@pytest.mark.parametrize("encoding", ["utfT8", "utf-7", "big5"])
def test_a_memory_in_an_encoding_nobody_reads_is_refused(tmp_path, encoding):
    (tmp_path / "x.tmx").write_text(TMX.replace("utf-8", encoding), encoding="utf-8")

    assert opus(tmp_path / "x.tmx")[-1] == ("x.tmx", "invalid-xml", "")


def test_a_tag_without_end_does_not_fill_the_memory(tmp_path):
    (tmp_path / "x.tmx").write_text('<tmx a="' + "a" * 5_000_000, encoding="utf-8")

    assert opus(tmp_path / "x.tmx") == [("x.tmx", "invalid-xml", "")]


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("fr", "fr"),
        ("zh-CN", "zh"),
        ("zh_tw", "zh"),
        ("pt_br", "pt"),
        ("cmn_hans_cn", "zh"),
        ("no", "nb"),
        ("English", "en"),
        ("Northern Sotho", "nso"),
    ],
)
def test_languages_are_known_by_many_names(written, code):
    assert language_code(written) == code


def test_a_language_nobody_knows_is_rejected():
    with pytest.raises(Rejected, match="unknown-language"):
        language_code("tlh")


def test_bitext_joins_speech_in_one_directory(tmp_path, capsys):
    (tmp_path / "fleurs").mkdir()
    (tmp_path / "en-fr.txt.zip").write_bytes(moses_zip(ENGLISH, FRENCH))
    flags = [
        "--corpus=fleurs",
        f"--corpus-path={fleurs(tmp_path / 'fleurs', ('en_us',))}",
        f"--also=wikimatrix={wikimatrix(tmp_path)},opus={tmp_path}/en-fr.txt.zip",
        f"--output={tmp_path}/data",
        "--speech-encoder=mfcc",
        "--codebook-size=8",
        "--shards=1",
    ]

    assert main([*flags, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "fleurs: 17 rows" in said
    assert "bitext     train          5  fr:5" in said

    assert main(flags) == 0
    out = OutputDir.open(f"{tmp_path}/data", kind=KIND)
    assert {name: group["pairs"] for name, group in out.stats["groups"].items()} == {
        "bitext/train/fr": 5,
        "transcription/dev/en": 4,
        "transcription/test/en": 4,
        "transcription/train/en": 4,
    }
    texts = {p.provenance: p for p in read_pairs(out, "train")}
    assert set(texts) == {"fleurs", "wikimatrix", "opus"}
    assert out.info["corpus"]["name"] == "fleurs+wikimatrix+opus"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--corpus=fleurs"], "--corpus fleurs needs --corpus-path: where it lies"),
        (["--corpus=flores"], "--corpus 'flores': give demo, words, fleurs, covost, wikimatrix"),
        (["--corpus=demo", "--also=opus"], "--corpus opus needs --corpus-path"),
    ],
)
def test_a_corpus_that_is_not_there_is_an_error_with_the_fix(tmp_path, capsys, flags, message):
    assert main([*flags, f"--output={tmp_path}/data"]) == 1
    assert message in capsys.readouterr().err
