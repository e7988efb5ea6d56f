"""Where an archive or a shard is cut, and what is left out when a run is resumed."""

from __future__ import annotations

import dataclasses

import pytest

from pipelines import cut_shards, long_recording
from pipelines.cut_shards import decoded_shards
from pipelines.long_recording import LongRecording
from pipelines.rejects import Reject
from pipelines.shard import Shard, archive_name, unit_of, validate
from tests.pipelines.archives import tar_gz
from tests.pipelines.rows import bitext, utterance
from tests.pipelines.sounds import encoded, voice


@pytest.fixture
def whole(tmp_path) -> Shard:
    """Seven recordings, the fourth of them damaged and the last of them missing, and a reject."""
    files = [(f"{n}.wav", encoded(voice(0.1 + 0.1 * n, seed=n))) for n in range(6)]
    files[3] = ("3.wav", b"JUNK" * 500)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz(files))
    # In the order of the table, which is not the archive's.
    rows = [utterance(str(n), audio=f"tar:{path}!{n}.wav") for n in (5, 6, 0, 3, 1, 4, 2, 2)]
    return validate(0, enumerate(rows), archive=str(path))


@pytest.fixture
def loose(whole, tmp_path) -> Shard:
    """The same recordings as files, and a text pair."""
    for n in range(6):
        sound = b"JUNK" * 500 if n == 3 else encoded(voice(0.1 + 0.1 * n, seed=n))
        (tmp_path / f"{n}.wav").write_bytes(sound)
    rows = [utterance(str(n), audio=f"{tmp_path}/{n}.wav") for n in (5, 6, 0, 3, 1, 4, 2, 2)]
    return validate(7, enumerate([*rows, bitext()]))


def cut(whole: Shard, finished: dict[str, int] | None = None) -> list[tuple[str, str, str]]:
    """Each shard's name, its utterances' ids and its rejects' ids."""
    return [
        (s.name, "".join(u.id for u in s.utterances), "".join(r.id for r in s.rejects))
        for s in decoded_shards(whole, 600.0, lambda s: (finished or {}).get(s.name))
    ]


def test_an_archives_shard_ends_at_so_many_rows(whole, monkeypatch):
    monkeypatch.setattr(cut_shards, "MOST_ROWS", 3)
    name = archive_name(whole.archive)

    # The id that came twice is the first shard's reject, as validated.
    assert cut(whole) == [
        (f"{name}-00000", "012", "2"),
        (f"{name}-00001", "45", "3"),
        (f"{name}-00002", "", "6"),
    ]


def test_a_shard_of_files_ends_at_so_many_rows(loose, monkeypatch):
    monkeypatch.setattr(cut_shards, "MOST_ROWS", 3)
    first, second, third = decoded_shards(loose, 600.0, lambda shard: None)

    assert [(s.name, "".join(u.id for u in s.utterances)) for s in (first, second, third)] == [
        ("00007", "50"),
        ("00007-00001", "14"),
        ("00007-00002", "2"),
    ]
    assert [(len(s.pairs), "".join(r.id for r in s.rejects)) for s in (first, second, third)] == [
        (1, "26"),
        (0, "3"),
        (0, ""),
    ]
    assert loose.rows == 9 == first.rows + second.rows + third.rows
    assert loose.arrays == [] and len(loose.rejects) == 1, "what was put in is as it was"


def test_a_shard_ends_at_so_many_seconds(whole, monkeypatch):
    monkeypatch.setattr(cut_shards, "MOST_SECONDS", 0.25)

    # 0.1, 0.2, 0.3, none, 0.5 and 0.6 s.
    assert [(ids, rejects) for _, ids, rejects in cut(whole)] == [
        ("01", "2"),
        ("2", ""),
        ("4", "3"),
        ("5", ""),
        ("", "6"),
    ]


@pytest.mark.parametrize("which", ["archive", "files"])
def test_what_is_finished_is_left_out_and_not_decoded(which, whole, loose, monkeypatch):
    monkeypatch.setattr(cut_shards, "MOST_ROWS", 3)
    shard = whole if which == "archive" else loose
    all_of_it = {s.name: s.rows for s in decoded_shards(shard, 600.0, lambda s: None)}
    undisturbed = cut(shard)
    decoded = []
    load = cut_shards.load

    def watched(*arguments):
        decoded.append(arguments)
        return load(*arguments)

    monkeypatch.setattr(cut_shards, "load", watched)
    names = list(all_of_it)

    assert cut(shard, {n: all_of_it[n] for n in (names[0], names[2])}) == [undisturbed[1]]
    assert len(decoded) <= 3
    assert cut(shard, {names[1]: all_of_it[names[1]]}) == [undisturbed[0], undisturbed[2]]
    assert cut(shard, all_of_it) == []


def test_the_sounds_come_with_their_seconds_and_the_rows_add_up(whole):
    (shard,) = decoded_shards(whole, 600.0, lambda shard: None)

    assert shard.archive == whole.archive
    assert shard.name == f"{archive_name(whole.archive)}-00000"
    assert shard.seconds == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.6])
    assert [len(a) for a in shard.arrays] == [1_600, 3_200, 4_800, 8_000, 9_600]
    assert shard.rows == whole.rows == 8
    assert {(r.id, r.stage, r.reason) for r in shard.rejects} == {
        ("2", "validate", "duplicate-id"),
        ("3", "decode", "not-audio"),
        ("6", "decode", "missing-file"),
    }


@pytest.mark.parametrize("which", ["archive", "files"])
def test_a_long_recording_is_not_decoded_and_ends_the_shard(which, whole, loose, monkeypatch):
    monkeypatch.setattr(cut_shards, "BLOCK_SECONDS", 0.45)
    monkeypatch.setattr(long_recording, "BLOCK_SECONDS", 0.45)
    shard = whole if which == "archive" else loose
    found = list(decoded_shards(shard, 0.55, lambda shard: None))
    long = {u.id: a for s in found for u, a in zip(s.utterances, s.arrays, strict=True)}

    assert [len(s.utterances) for s in found] == ([4, 0] if which == "archive" else [3, 1])
    assert {i for i, a in long.items() if isinstance(a, LongRecording)} == {"4"}
    # The longest passes the limit.
    rejects = {r.id: r.reason for s in found for r in s.rejects}
    assert rejects == {"2": "duplicate-id", "3": "not-audio", "5": "too-long", "6": "missing-file"}


def test_parts_of_one_recording_are_decoded_shard_by_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(cut_shards, "MOST_SECONDS", 1.0)
    (tmp_path / "hour.wav").write_bytes(encoded(voice(6.0)))
    rows = [utterance(str(n), audio=f"{tmp_path}/hour.wav#t={n}.000,{n}.500") for n in range(6)]
    shards = list(decoded_shards(validate(0, enumerate(rows)), 600.0, lambda shard: None))

    assert ["".join(u.id for u in s.utterances) for s in shards] == ["01", "23", "45"]
    assert all(len(a) == 8_000 for s in shards for a in s.arrays)


def test_a_subclass_of_shard_stays_what_it_is(loose, monkeypatch):
    @dataclasses.dataclass(eq=False)
    class Special(Shard):
        extra: int = 0

    monkeypatch.setattr(cut_shards, "MOST_ROWS", 3)
    special = Special(1, loose.utterances, extra=5)

    assert [s.extra for s in decoded_shards(special, 600.0, lambda s: None)] == [5, 5, 5]


def test_rows_of_an_archive_stay_together_and_others_go_by_their_id():
    one, other = (utterance(i, audio=f"tar:/x.tar!{i}.wav") for i in "ab")

    assert unit_of(one, 9) == unit_of(other, 9) == ("/x.tar", 0)
    assert {unit_of(utterance(str(n)), 9) for n in range(100)} == {("", n) for n in range(9)}
    assert (
        unit_of(bitext(), 9)[0] == unit_of(Reject("r", "tar:/x.tar!a", "read", "", ""), 9)[0] == ""
    )
