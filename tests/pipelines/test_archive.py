"""What is found in an archive, and what a bad archive costs."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
from pathlib import Path

import pytest

from pipelines import packed_file
from pipelines.archive import members
from pipelines.audio_reference import AudioReference, archive_of, parse
from pipelines.rejects import Rejected
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.archives import tar, tar_gz

A, B, C = b"a" * 700, b"b" * 512, b"c" * 3
FILES = [("train/a.wav", A), ("train/b.wav", B), ("train/c.wav", C)]


def read(
    path: Path | str, wanted: list[str], most_bytes: int = 10_000
) -> list[tuple[str, bytes | str]]:
    """What `members` yields, rejects as their reasons."""
    found = members(str(path), wanted, most_bytes=most_bytes)
    return [(n, c.reason if isinstance(c, Rejected) else c) for n, c in found]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "x.tar"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("pack", [tar, tar_gz])
def test_members_come_in_the_order_of_the_archive(tmp_path, pack):
    path = written(tmp_path, pack(FILES))

    assert read(path, ["c.wav", "train/a.wav"]) == [("train/a.wav", A), ("c.wav", C)]
    assert read(f"bucket:/{path}", ["c.wav", "b.wav"]) == [("b.wav", B), ("c.wav", C)]
    assert read(path, []) == []


def test_what_is_not_there_comes_last_and_each_once(tmp_path):
    path = written(tmp_path, tar_gz(FILES))

    assert read(path, ["x.wav", "b.wav", "a.wa", "other/a.wav"]) == [
        ("b.wav", B),
        ("x.wav", "missing-file"),
        ("a.wa", "missing-file"),
        ("other/a.wav", "missing-file"),
    ]
    assert read(tmp_path / "no.tar", ["a"]) == [("a", "missing-file")]
    assert read(tmp_path, ["a"]) == [("a", "missing-file")]
    assert read(f"bucket:/{tmp_path}/no.tar", ["a"]) == [("a", "missing-file")]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_read(tmp_path, form):
    long = "cv-corpus-4-2019-12-10/" + "x" * 90 + "/clips"
    path = written(tmp_path, tar([(f"{long}/a.mp3", A), ("./clips/é.mp3", B)], form=form))

    assert read(path, ["clips/a.mp3", "clips/é.mp3"]) == [("clips/a.mp3", A), ("clips/é.mp3", B)]


def test_of_two_members_of_one_name_the_first_is_taken(tmp_path):
    path = written(tmp_path, tar([("x/a.wav", A), ("y/a.wav", B)]))

    assert read(path, ["a.wav"]) == [("a.wav", A)]
    assert read(path, ["y/a.wav"]) == [("y/a.wav", B)]


def test_links_devices_escapes_and_giants_are_refused_and_the_rest_is_read(tmp_path):
    data = tar(
        [("../up.wav", A), ("/etc/root.wav", A), ("giant.wav", b"g" * 20_000), ("good.wav", B)],
        links=[("link.wav", "/etc/passwd")],
        devices=["zero.wav"],
    )
    wanted = ["up.wav", "root.wav", "giant.wav", "good.wav", "link.wav", "zero.wav"]

    assert read(written(tmp_path, data), wanted) == [
        ("up.wav", "unsafe-path"),
        ("root.wav", "unsafe-path"),
        ("giant.wav", "too-long"),
        ("good.wav", B),
        ("link.wav", "unsafe-path"),
        ("zero.wav", "unsafe-path"),
    ]


def test_a_damaged_header_costs_that_member_alone(tmp_path):
    data = bytearray(tar(FILES))
    place = data.index(b"train/b.wav")
    data[place + 130] ^= 1

    assert read(written(tmp_path, bytes(data)), ["a.wav", "b.wav", "c.wav"]) == [
        ("a.wav", A),
        ("c.wav", C),
        ("b.wav", "missing-file"),
    ]


def test_a_header_that_claims_more_than_there_is_ends_the_archive(tmp_path):
    header = tarfile.TarInfo("train/b.wav")
    header.size = 2**40
    data = tar(FILES[:1])[:1536] + header.tobuf(tarfile.GNU_FORMAT) + tar(FILES[2:])

    assert read(written(tmp_path, data), ["a.wav", "b.wav", "c.wav"], 2**41) == [
        ("a.wav", A),
        ("b.wav", "truncated-archive"),
        ("c.wav", "truncated-archive"),
    ]


@pytest.mark.parametrize("lost", [1, 700, 5_000])
def test_a_cut_archive_gives_what_comes_before_the_cut(tmp_path, lost):
    files = [(f"train/{n}.wav", os.urandom(3_000)) for n in range(5)]
    data = tar_gz(files)
    path = written(tmp_path, data[: len(data) - lost - 200])

    found = read(path, [f"{n}.wav" for n in range(5)] + ["none.wav"])

    whole = [content for _, content in found if isinstance(content, bytes)]
    assert whole == [content for _, content in files[: len(whole)]]
    assert len(whole) >= 2
    assert [name for name, _ in found][:5] == [f"{n}.wav" for n in range(5)]
    assert {reason for _, reason in found[len(whole) :]} == {"truncated-archive"}


def test_a_damaged_gzip_gives_what_comes_before_the_damage(tmp_path):
    files = [(f"train/{n}.wav", os.urandom(20_000).hex().encode()) for n in range(5)]
    data = bytearray(tar_gz(files))
    data[50_000:50_050] = bytes(50)

    found = dict(read(written(tmp_path, bytes(data)), [f"{n}.wav" for n in range(5)], 50_000))

    assert found["0.wav"] == files[0][1]
    assert found["4.wav"] == "truncated-archive"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated-archive"),
        (b"RIFF" + os.urandom(5_000), "not-an-archive"),
        (gzip.compress(b"text" * 2_000), "not-an-archive"),
        (b"\x1f\x8b" + os.urandom(2_000), "truncated-archive"),
    ],
    ids=["empty", "a WAV", "a compressed text", "no gzip"],
)
def test_what_is_no_archive_is_one_reject_a_member(tmp_path, data, reason):
    assert read(written(tmp_path, data), ["a", "b"]) == [("a", reason), ("b", reason)]


def test_a_bomb_is_refused_before_it_is_through(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_file, "FREE_BYTES", 2**20)
    bomb = tar_gz([("zeros", bytes(5 * 2**20)), ("a.wav", A)])

    assert read(written(tmp_path, bomb), ["a.wav"]) == [("a.wav", "unsafe-archive")]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("/a/b.wav", AudioReference("/a/b.wav")),
        ("tar:/x/y.tar.gz!a.wav", AudioReference("/x/y.tar.gz", "a.wav")),
        ("tar:gs://b/y!.tar!c%21%25/é.wav", AudioReference("gs://b/y!.tar", "c!%/é.wav")),
        ("/a/b.flac#t=1.500,62.250", AudioReference("/a/b.flac", span=(1.5, 62.25))),
        ("tar:/x.tar!a.wav#t=0.000,1.000", AudioReference("/x.tar", "a.wav", (0.0, 1.0))),
        ("/a/b.ogg#speed=0.9", AudioReference("/a/b.ogg", speed=0.9)),
        ("tar:/x.tar!a#t=1.000,2.500&speed=1.1", AudioReference("/x.tar", "a", (1, 2.5), 1.1)),
        ("/a/b#t=.ogg", AudioReference("/a/b#t=.ogg")),
    ],
)
def test_a_reference_comes_back_as_it_went_in(text, reference):
    assert parse(text) == reference
    assert str(reference) == text
    assert archive_of(text) == (reference.file if reference.member else "")


def test_whatever_is_damaged_every_member_is_yielded_once(tmp_path):
    dice = random.Random(2205)
    files = [(f"train/{n}.wav", bytes([n]) * (300 * n)) for n in range(8)]
    wanted = [f"{n}.wav" for n in range(8)]
    for pack in (tar, tar_gz):
        data = pack(files)
        for _ in range(150):
            bad = bytearray(data)
            for _ in range(dice.choice((1, 1, 3, 40))):
                bad[dice.randrange(len(bad))] = dice.choice(
                    (0, 7, 48, 49, 255, dice.randrange(256))
                )
            path = written(tmp_path, bytes(bad[: dice.choice((None, dice.randrange(len(bad))))]))

            found = read(path, wanted)

            assert sorted(name for name, _ in found) == wanted
            assert {content for _, content in found if isinstance(content, str)} <= {
                "missing-file",
                "truncated-archive",
                "not-an-archive",
                "unsafe-path",
                "too-long",
            }
