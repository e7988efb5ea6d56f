"""Where an archive is cut into shards, and what is left out when a run is resumed."""

from __future__ import annotations

import pytest

from pipelines import archive_shards
from pipelines.archive_shards import decoded_shards
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


def cut(whole: Shard, finished: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    """Each shard's number, its utterances' ids and its rejects' ids."""
    return [
        (s.name[-5:], "".join(u.id for u in s.utterances), "".join(r.id for r in s.rejects))
        for s in decoded_shards(whole, 600.0, lambda s: s.name[-5:] in finished)
    ]


def test_a_shard_ends_at_so_many_rows(whole, monkeypatch):
    monkeypatch.setattr(archive_shards, "MOST_ROWS", 3)

    # The id that came twice is the first shard's reject, as validated.
    assert cut(whole) == [("00000", "012", "2"), ("00001", "45", "3"), ("00002", "", "6")]


def test_a_shard_ends_at_so_many_bytes(whole, monkeypatch):
    monkeypatch.setattr(archive_shards, "MOST_BYTES", 8_000)

    # 3.2, 6.4, 9.6, 2, 16 and 19.2 thousand bytes.
    assert cut(whole) == [
        ("00000", "01", "2"),
        ("00001", "2", ""),
        ("00002", "4", "3"),
        ("00003", "5", ""),
        ("00004", "", "6"),
    ]


def test_what_is_finished_is_left_out_and_not_decoded(whole, monkeypatch):
    monkeypatch.setattr(archive_shards, "MOST_ROWS", 3)
    decoded = []
    decode = archive_shards.decode_content

    def watched(content, **options):
        decoded.append(content)
        return decode(content, **options)

    monkeypatch.setattr(archive_shards, "decode_content", watched)

    assert cut(whole, finished=("00000", "00002")) == [("00001", "45", "3")]
    assert len(decoded) == 3


def test_the_sounds_come_with_their_seconds_and_the_rows_add_up(whole):
    (shard,) = decoded_shards(whole, 600.0, lambda shard: False)

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


def test_rows_of_an_archive_stay_together_and_others_go_by_their_id():
    one, other = (utterance(i, audio=f"tar:/x.tar!{i}.wav") for i in "ab")

    assert unit_of(one, 9) == unit_of(other, 9) == ("/x.tar", 0)
    assert {unit_of(utterance(str(n)), 9) for n in range(100)} == {("", n) for n in range(9)}
    assert (
        unit_of(bitext(), 9)[0] == unit_of(Reject("r", "tar:/x.tar!a", "read", "", ""), 9)[0] == ""
    )
