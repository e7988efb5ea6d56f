"""Manifests of Lhotse and NeMo, with parts of recordings and with archives."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.audio import decode_audio, load_audio, load_audio_batch
from pipelines.corpora.speech_manifest import LhotseCorpus, NemoCorpus
from pipelines.rejects import Reject, Rejected
from pipelines.shard import unit_of
from pipelines.utterance import Utterance
from tests.pipelines.archives import tar, tar_gz
from tests.pipelines.sounds import encoded, voice


def nemo(folder: Path, rows: list[dict[str, Any]], name: str = "train_manifest.json") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def cut(**fields: Any) -> dict[str, Any]:
    """A cut as Lhotse writes it, of the middle of a recording of 10 s."""
    recording = {
        "id": "rec",
        "sources": [{"type": "file", "channels": [0], "source": "wavs/rec.wav"}],
        "sampling_rate": 16000,
        "num_samples": 160000,
        "duration": 10.0,
        "channel_ids": [0],
    }
    supervision = {
        "id": "sup-1",
        "recording_id": "rec",
        "start": 0.5,
        "duration": 1.5,
        "channel": 0,
        "text": "Bonjour !",
        "language": "French",
        "speaker": "anna",
        "gender": "F",
    }
    values = {"id": "cut-1", "start": 2.0, "duration": 4.0, "channel": 0}
    return {
        **values,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
        **fields,
    }


def lhotse(folder: Path, *cuts: dict[str, Any]) -> list[Utterance | Reject]:
    path = folder / "cuts_dev.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(c) + "\n" for c in cuts).encode()))
    return list(LhotseCorpus(str(path)).rows())


def test_a_supervision_is_a_part_of_its_recording(tmp_path):
    (utterance,) = lhotse(tmp_path, cut())

    assert utterance == Utterance(
        id="cut-1",
        audio=f"{tmp_path}/wavs/rec.wav#t=2.500,4.000",
        language="fr",
        transcript="Bonjour !",
        sentence_id=utterance.sentence_id,
        split="dev",
        speaker="anna",
        seconds=1.5,
        gender="female",
    )


def test_a_cut_of_a_whole_recording_is_its_file_and_several_supervisions_are_several(tmp_path):
    whole = {"start": 0.0, "duration": 10.0, "text": "Oui.", "language": "fr"}
    part = {"start": 1.0, "duration": 2.0, "text": "Non.", "language": "fr"}

    one, other, bad = lhotse(
        tmp_path, cut(start=0, duration=10.0, supervisions=[whole, part, "text"])
    )

    assert (one.id, one.audio, one.seconds) == ("cut-1-0", f"{tmp_path}/wavs/rec.wav", 10.0)
    assert (other.id, other.audio) == ("cut-1-1", f"{tmp_path}/wavs/rec.wav#t=1.000,3.000")
    assert bad.reason == "invalid-row"
    # Parts of a recording are decoded where the recording is.
    assert unit_of(other, 1000) == unit_of(lhotse(tmp_path, cut())[0], 1000)
    assert unit_of(other, 1000) != unit_of(one, 1000)


def recording(**fields: Any) -> dict[str, Any]:
    return {"recording": {**cut()["recording"], **fields}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"supervisions": []}, "missing-value"),
        ({"recording": None, "type": "MixedCut"}, "invalid-row"),
        (recording(sources=[{"type": "command", "source": "rm -rf /"}]), "unsafe-path"),
        (recording(sources=[{"type": "file", "source": "../x.wav"}]), "unsafe-path"),
        (
            recording(sources=[{"type": "file", "channels": [0, 1], "source": "x.wav"}]),
            "invalid-row",
        ),
        (recording(transforms=[{"name": "Speed"}]), "invalid-row"),
        ({"start": "2"}, "invalid-row"),
        ({"start": -1}, "invalid-row"),
    ],
)
def test_a_cut_that_can_not_be_used_is_one_reject(tmp_path, fields, reason):
    bad, good = lhotse(tmp_path, cut(**fields), cut(id="good"))

    assert (bad.stage, bad.reason) == ("read", reason)
    assert "cuts_dev.jsonl.gz:1" in bad.detail
    assert good.id == "good"


def test_a_nemo_manifest_is_read_with_its_offsets(tmp_path):
    rows = [
        {"audio_filepath": "a.wav", "duration": 3.45, "text": "one", "lang": "en"},
        {"audio_filepath": "/x/a.wav", "offset": 3.45, "duration": 1.45, "text": "two"},
        {"audio_filepath": "b.wav", "text": "ja", "source_lang": "de", "target_lang": "de"},
        {"audio_filepath": "b.wav", "text": "yes", "source_lang": "de", "target_lang": "en"},
        {"audio_filepath": "b.wav", "text": "three", "offset": 1.0},
        {"audio_filepath": "b.wav", "text": ""},
        {"text": "four"},
    ]
    path = nemo(tmp_path, rows)
    with path.open("a") as file:
        file.write('\n{"audio_filepath":\n')

    found = list(NemoCorpus(str(path), languages=["en"]).rows())

    assert [(u.id, u.audio, u.language, u.seconds, u.split) for u in found[:3]] == [
        ("train_manifest.json:1", f"{tmp_path}/a.wav", "en", 3.45, "train"),
        ("train_manifest.json:2", "/x/a.wav#t=3.450,4.900", "en", pytest.approx(1.45), "train"),
        ("train_manifest.json:3", f"{tmp_path}/b.wav", "de", None, "train"),
    ]
    assert [row.reason for row in found[3:]] == [
        "missing-value",
        "missing-value",
        "empty-transcript",
        "missing-value",
        "invalid-row",
    ]


def test_the_split_is_given_named_by_the_file_or_drawn(tmp_path):
    rows = [{"audio_filepath": "a.wav", "text": f"sentence {n}", "lang": "en"} for n in range(60)]

    def splits(name: str, **options: Any) -> set[str]:
        return {row.split for row in NemoCorpus(str(nemo(tmp_path, rows, name)), **options).rows()}

    assert splits("asr-validation.json") == {"dev"}
    assert splits("test_manifest.json") == {"test"}
    assert splits("contest.json") == {"train", "dev", "test"}
    assert splits("test_manifest.json", splits=["train"]) == {"train"}
    with pytest.raises(ValueError, match="one of --splits"):
        NemoCorpus(str(tmp_path / "contest.json"), splits=["train", "dev"])
    with pytest.raises(ValueError, match="no such file"):
        NemoCorpus(str(tmp_path / "absent.json"))


def test_without_any_language_a_row_is_a_reject(tmp_path):
    path = nemo(tmp_path, [{"audio_filepath": "a.wav", "text": "one"}])

    (row,) = NemoCorpus(str(path)).rows()

    assert (row.reason, row.uri) == ("missing-value", "a.wav")


def test_files_of_a_manifest_may_lie_in_an_archive(tmp_path):
    (tmp_path / "audio_0.tar").write_bytes(tar([("a.wav", encoded(voice(1.0)))]))
    path = nemo(tmp_path, [{"audio_filepath": "a.wav", "text": "one", "lang": "en"}])

    corpus = NemoCorpus(str(path), audio_root=f"{tmp_path}/audio_0.tar")

    (row,) = corpus.rows()
    assert row.audio == f"tar:{tmp_path}/audio_0.tar!a.wav"
    assert corpus.in_archives
    assert len(load_audio(row.audio)) == 16_000


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_a_part_of_a_recording_is_what_lies_there(tmp_path, form):
    sound = voice(4.0, 16_000)
    path = tmp_path / "rec"
    path.write_bytes(encoded(sound, 16_000, form))

    whole, first, second, beyond, back = load_audio_batch(
        [str(path), *(f"{path}#t={s}" for s in ("0.000,1.000", "2.500,3.250", "3.5,4.5", "2,1"))]
    )

    tolerance = 1e-4 if form != "MP3" else 0.02
    np.testing.assert_allclose(first, whole[:16_000], atol=tolerance)
    np.testing.assert_allclose(second, whole[40_000:52_000], atol=tolerance)
    assert [(r.reason, isinstance(r, Rejected)) for r in (beyond, back)] == [
        ("truncated-audio", True),
        ("empty-audio", True),
    ]


def test_members_and_files_are_loaded_in_the_order_asked_for(tmp_path):
    sounds = {name: encoded(voice(0.2, seed=n)) for n, name in enumerate("abc")}
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(tar_gz(sounds.items()))
    (tmp_path / "b.wav").write_bytes(sounds["b"])

    found = load_audio_batch(
        [
            f"tar:{archive}!c",
            f"{tmp_path}/b.wav",
            f"tar:{archive}!a",
            f"tar:{archive}!none",
            f"tar:{archive}!c#t=0.1,0.2",
        ]
    )

    for place, name in ((0, "c"), (1, "b"), (2, "a")):
        np.testing.assert_array_equal(found[place], decode_audio(sounds[name]))
    assert found[3].reason == "missing-file"
    np.testing.assert_array_equal(found[4], found[0][1_600:])
