"""FLEURS as the hub has it, from its tables and archives to training pairs."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines import cut_shards
from pipelines.corpora import open_corpus
from pipelines.corpora.fleurs import FleursCorpus
from pipelines.corpora.fleurs_languages import CONFIGS, GROUPS, LANGUAGE_OF, choose
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, read_pairs
from pipelines.prepare import main
from pipelines.rejects import Reject
from pipelines.utterance import LANGUAGES, Utterance
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.archives import tar_gz
from tests.pipelines.corpora.samples import fleurs, fleurs_row


def test_all_102_languages_have_a_name_and_a_group():
    assert len(CONFIGS) == len(set(LANGUAGE_OF.values())) == 102
    assert set(LANGUAGE_OF.values()) == set(LANGUAGES)
    # Table 1 of the paper.
    assert [len(configs.split()) for configs in GROUPS.values()] == [25, 16, 12, 20, 14, 11, 4]
    assert CONFIGS["cmn_hans_cn"] == "chinese_japanase_korean_cjk"
    assert LANGUAGES[LANGUAGE_OF["nb_no"]].name == "Norwegian Bokmål"


@pytest.mark.parametrize(
    ("names", "configs"),
    [
        (("fr",), ["fr_fr"]),
        (("es_419", "yue", "es"), ["es_419", "yue_hant_hk"]),
        (("chinese_japanase_korean_cjk",), ["cmn_hans_cn", "ja_jp", "ko_kr", "yue_hant_hk"]),
    ],
)
def test_languages_are_chosen_by_configuration_language_or_group(names, configs):
    assert choose(names) == configs


def test_a_language_that_fleurs_lacks_is_an_error_that_says_what_there_is():
    with pytest.raises(ValueError, match=r"no language 'tlh': give a configuration \(fr_fr\)"):
        choose(("tlh",))


def test_every_recording_is_an_utterance_and_languages_share_sentences(tmp_path):
    folder = fleurs(tmp_path, ("en_us", "fr_fr", "cmn_hans_cn"))

    rows = list(FleursCorpus(str(folder)).rows())

    assert Counter((u.language, u.split) for u in rows) == {
        (language, split): 4
        for language in ("en", "fr", "zh")
        for split in ("train", "dev", "test")
    }
    assert next(u for u in rows if u.language == "zh") == Utterance(
        id="fleurs-cmn_hans_cn-train-1000000000000000200",
        audio=f"tar:{folder}/data/cmn_hans_cn/audio/train.tar.gz!1000000000000000200.wav",
        language="zh",
        transcript="这座城市很古老。",
        sentence_id="fleurs-0",
        split="train",
        seconds=0.5,
        gender="male",
    )
    english = next(u for u in rows if u.language == "en")
    assert english.transcript == 'However, due to the slow "channels", styles in the west lag.'
    by_sentence = {u.sentence_id: set[str]() for u in rows}
    for u in rows:
        by_sentence[u.sentence_id].add(u.language)
    assert by_sentence == {f"fleurs-{n}": {"en", "fr", "zh"} for n in (0, 1, 10, 11, 20, 21)}


def test_languages_and_splits_can_be_chosen_and_the_folder_may_be_data_or_a_bucket(tmp_path):
    folder = fleurs(tmp_path)

    chosen = FleursCorpus(f"bucket:/{folder}/data/", languages=["fr"], splits=["test"])

    rows = list(chosen.rows())
    assert {(u.language, u.split) for u in rows} == {("fr", "test")}
    assert rows[0].audio.startswith(f"tar:bucket:/{folder}/data/fr_fr/audio/test.tar.gz!")
    assert chosen.card()["groups"] == {"fr": "western_european_we"}
    with pytest.raises(ValueError, match=r"lacks de_de/test.tsv"):
        FleursCorpus(str(folder), languages=["fr", "de"], splits=["test"])
    with pytest.raises(ValueError, match="is it google/fleurs' folder"):
        FleursCorpus(str(tmp_path / "nowhere"))


GOOD = fleurs_row(7, "a.wav", "Good.", 8000, "FEMALE")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD.rpartition("\t")[0], "missing-column"),
        (GOOD + "\tmore", "invalid-row"),
        (GOOD.replace("7\t", "seven\t", 1), "invalid-row"),
        (GOOD.replace("8000", "-8000"), "invalid-row"),
        (GOOD.replace("a.wav", "../a.wav"), "unsafe-path"),
        (GOOD.replace("a.wav", ""), "missing-value"),
        ("7\ta.wav\t\t \t|\t8000\tMALE", "empty-transcript"),
    ],
)
def test_a_bad_row_is_a_reject_and_its_neighbours_are_read(tmp_path, row, reason):
    folder = fleurs(tmp_path, ("en_us",))
    (folder / "data/en_us/test.tsv").write_text(f"\ufeff{GOOD}\n{row}\n\n{GOOD}", encoding="utf-8")

    one, bad, other = FleursCorpus(str(folder), splits=["test"]).rows()

    assert isinstance(one, Utterance)
    assert (one.gender, one.sentence_id, one) == ("female", "fleurs-7", other)
    assert isinstance(bad, Reject)
    assert (bad.id, bad.stage, bad.reason) == ("fleurs-en_us/test.tsv:2", "read", reason)


def test_an_empty_transcript_gives_way_to_the_plain_one(tmp_path):
    folder = fleurs(tmp_path, ("en_us",))
    row = GOOD.replace("\tGood.\t", "\t\t").replace("8000", "0")
    (folder / "data/en_us/test.tsv").write_text(row, encoding="utf-8")

    (utterance,) = FleursCorpus(str(folder), splits=["test"]).rows()

    assert (utterance.transcript, utterance.seconds) == ("good", None)


def prepare(folder: Path, output: Path, *flags: str) -> int:
    return main(
        [
            "--corpus=fleurs",
            f"--corpus-path={folder}",
            f"--output={output}",
            "--speech-encoder=mfcc",
            "--codebook-size=8",
            "--shards=2",
            *flags,
        ]
    )


def digest(folder: Path) -> str:
    return OutputDir.open(str(folder), kind=KIND).digest


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus in which a file of an archive is damaged, one is missing, and an archive is cut."""
    folder = fleurs(tmp_path_factory.mktemp("fleurs"))
    audio = folder / "data/en_us/audio"
    train = gzip.decompress((audio / "train.tar.gz").read_bytes())
    place = train.index(b"RIFF")
    (audio / "train.tar.gz").write_bytes(
        gzip.compress(train[:place] + b"JUNK" + train[place + 4 :], mtime=0)
    )
    (audio / "dev.tar.gz").write_bytes(tar_gz([("dev/other.wav", b"RIFF")]))
    test = folder / "data/fr_fr/audio/test.tar.gz"
    test.write_bytes(test.read_bytes()[: test.stat().st_size * 6 // 10])
    return folder


@pytest.fixture(scope="module")
def prepared(damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`damaged`, prepared in shards of two files; don't write into it."""
    output = tmp_path_factory.mktemp("prepared") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut_shards, "MOST_ROWS", 2)
        assert prepare(damaged, output, "--max-rejects=0.5") == 0
    return output


def test_a_corpus_becomes_pairs_and_every_fault_one_reject(prepared, damaged):
    out = OutputDir.open(str(prepared), kind=KIND)
    rows = {row.id: row for row in FleursCorpus(str(damaged)).rows()}

    pairs = {p.id: p for split in ("train", "dev", "test") for p in read_pairs(out, split)}
    rejects = [
        json.loads(line)
        for name in out.info["files"]
        if name.startswith("rejects-")
        for line in (prepared / name).read_text(encoding="utf-8").splitlines()
    ]

    assert sorted([*pairs, *(r["id"] for r in rejects)]) == sorted(rows)
    reasons = Counter((r["id"].split("-")[1], r["stage"], r["reason"]) for r in rejects)
    cut = reasons.pop(("fr_fr", "decode", "truncated-archive"))
    assert 1 <= cut <= 3
    assert reasons == {("en_us", "decode", "not-audio"): 1, ("en_us", "decode", "missing-file"): 4}
    assert out.stats["rows"] == 24
    assert out.stats["pairs"] == len(pairs) == 24 - 5 - cut
    for id, pair in pairs.items():
        row = rows[id]
        assert (pair.gender, pair.target_text, pair.audio) == (
            row.gender,
            row.transcript,
            row.audio,
        )
        assert pair.seconds == pytest.approx(row.seconds, abs=0.01)
        assert len(pair.source_tokens) > 5
    # In half a second and eight tokens, two may sound alike.
    assert len({p.source_tokens.tobytes() for p in pairs.values()}) > len(pairs) - 3


def test_the_codebook_and_the_tokens_do_not_depend_on_where_an_archive_is_cut(
    prepared, damaged, tmp_path
):
    assert prepare(damaged, tmp_path / "whole", "--max-rejects=0.5") == 0

    one, other = (OutputDir.open(str(p), kind=KIND) for p in (prepared, tmp_path / "whole"))
    for split in ("train", "dev", "test"):
        tokens, same = ({p.id: p.source_tokens for p in read_pairs(o, split)} for o in (one, other))
        assert tokens.keys() == same.keys()
        assert all(np.array_equal(tokens[id], same[id]) for id in tokens)


def test_a_run_that_lost_a_shard_of_an_archive_makes_that_one_again(
    prepared, damaged, tmp_path, monkeypatch
):
    import shutil

    monkeypatch.setattr(cut_shards, "MOST_ROWS", 2)
    again = tmp_path / "data"
    shutil.copytree(prepared, again)
    for name in ("COMPLETED", "info.json", "stats.json"):
        (again / name).unlink()
    shards = [path.name for path in again.glob("*.tfrecord")]
    # Some hold nothing but rejects.
    names = sorted(path.stem for path in (again / "finished").glob("*-*.json"))
    name = next(name for name in names if any(name in shard for shard in shards))
    (again / "finished" / f"{name}.json").unlink()
    times = {p.name: p.stat().st_mtime_ns for p in again.glob("*.tfrecord")}

    assert prepare(damaged, again, "--max-rejects=0.5") == 0

    assert digest(again) == digest(prepared)
    written = {p.name for p in again.glob("*.tfrecord") if times[p.name] != p.stat().st_mtime_ns}
    assert len(written) == 1
    assert name in next(iter(written))


def test_where_the_sound_is_does_not_depend_on_where_one_is(damaged, monkeypatch):
    monkeypatch.chdir(damaged.parent)

    row = next(iter(open_corpus("fleurs", path=damaged.name).rows()))

    assert row.audio.startswith(f"tar:{damaged}/data/en_us/audio/")


def test_a_dry_run_counts_the_rows(damaged, tmp_path, capsys):
    assert prepare(damaged, tmp_path / "none", "--dry-run", "--languages=fr") == 0

    said = capsys.readouterr().out
    assert "fleurs: 12 rows" in said
    assert "speech     test           4  fr:4" in said
    assert not (tmp_path / "none").exists()
