"""Recordings heard at several speeds: in an index, in what is added to it, and in its queries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.dual_encoder import DualEncoder
from pipelines import audio
from pipelines.audio import at_speed, load_audio
from pipelines.length_batches import FRAMES_PER_SECOND
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import KIND as PAIRS
from pipelines.pairs import Pair, read_pairs, write_shard
from scann_index import embed
from scann_index.build import BuildOptions, build, main
from scann_index.bundle import Bundle
from scann_index.embed import PresetHandler
from scann_index.mine import MineOptions, find_model
from scann_index.search import Searcher
from tests.tiny import spoken

SPEEDS = (0.9, 1.1)
AUDIO = [f"espeak:fr?rate=160&pitch=50&text={word}" for word in ("chien%20blanc", "la%20lune")]
LOST = "no-such-file.wav"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> OutputDir:
    """Two recordings, and one whose sound is gone."""
    out = OutputDir(str(tmp_path_factory.mktemp("speeds") / "data"), kind=PAIRS)
    out.begin({})
    common = {"source_language": "fr", "target_language": "fr", "split": "test"}
    pairs = [
        Pair(
            id=f"p{i}", task="transcription", target_text=f"texte {i}", sentence_id=f"s{i}",
            source_tokens=spoken("chien"), audio=uri, **common,
        )
        for i, uri in enumerate([*AUDIO, LOST])
    ]  # fmt: skip
    write_shard(out.file("test-00000-of-00001.tfrecord"), pairs)
    out.complete(files=["test-00000-of-00001.tfrecord"], stats={})
    return out


@pytest.fixture(scope="module")
def options(data, tiny_preset, tmp_path_factory) -> BuildOptions:
    output = str(tmp_path_factory.mktemp("speeds") / "index")
    return BuildOptions(model=tiny_preset, data=data.path, output=output, speeds=SPEEDS)


@pytest.fixture(scope="module")
def built(options) -> Bundle:
    return Bundle.open(build(options).path)


def speech_vectors(bundle: Bundle) -> dict[str, np.ndarray]:
    (shard,) = bundle.shards(modality="speech")
    return {row.id: vector for row, vector in zip(shard.rows, shard.vectors, strict=True)}


def _without_the_lost(data: str, folder: Path) -> str:
    """The same data, but for the recording whose sound is gone."""
    out = OutputDir(str(folder / "data"), kind=PAIRS)
    out.begin({})
    name = "test-00000-of-00001.tfrecord"
    pairs = [p for p in read_pairs(OutputDir.open(data, kind=PAIRS), "test") if p.audio != LOST]
    write_shard(out.file(name), pairs)
    out.complete(files=[name], stats={})
    return out.path


def test_a_recordings_vector_is_the_mean_of_what_is_heard_at_each_speed(built, tiny_preset):
    model = DualEncoder.from_preset(tiny_preset)
    vectors = speech_vectors(built)
    for place, uri in enumerate(AUDIO):
        sound = load_audio(uri)
        heard = [sound, *(at_speed(sound, speed) for speed in SPEEDS)]
        each = model.encode_speech(heard, ["fr"] * len(heard))
        mean = each.sum(axis=0)
        expected = mean / np.linalg.norm(mean)
        np.testing.assert_allclose(vectors[f"p{place}"], expected, atol=1e-5)
        assert np.abs(vectors[f"p{place}"] - each[0]).max() > 1e-3


def test_a_recording_that_is_gone_is_known_by_its_audio_tokens_and_counted(
    built, options, tiny_preset, tmp_path, capsys
):
    (expected,) = DualEncoder.from_preset(tiny_preset).encode_speech([spoken("chien")], ["fr"])
    np.testing.assert_allclose(speech_vectors(built)["p2"], expected, atol=1e-5)
    build(replace(options, output=str(tmp_path / "index")))
    assert "can't be read again: 1 missing-file;" in capsys.readouterr().out


def test_a_query_is_heard_as_the_index_was(built):
    searcher = Searcher.open(built.path)
    (best,) = searcher.search(audio=AUDIO[1], language="fr", modality="speech", k=1)
    assert (best.row.id, best.score) == ("p1", pytest.approx(1, abs=1e-5))


def test_what_is_appended_is_heard_at_the_same_speeds(built, options, tmp_path, capsys):
    again = [f"--{k}={v}" for k, v in (("model", options.model), ("data", options.data))]
    assert main([*again, f"--output={built.path}", "--append"]) == 1
    assert "was built with --speeds 0.9,1.1: append with the same" in capsys.readouterr().err


def test_sound_is_read_a_part_at_a_time_and_gives_the_same(built, data, tiny_preset, monkeypatch):
    (shard,) = built.shards(modality="speech")
    handler = PresetHandler(tiny_preset, built.model_digest, SPEEDS)
    rows = [replace(row, tokens=spoken("chien")) for row in shard.rows]
    read: list[int] = []
    load = audio.load_audio_batch
    monkeypatch.setattr(audio, "load_audio_batch", lambda r: read.append(len(r)) or load(r))
    monkeypatch.setattr(embed, "SOUND_SECONDS", 2 * len(rows[0].tokens) / FRAMES_PER_SECOND)
    vectors = embed.embed_rows(rows, handler.load_model())
    assert read == [1, 2]
    np.testing.assert_allclose(vectors, shard.vectors, atol=1e-5)
    assert embed.embed_rows([], handler.load_model()).shape == (0, built.dim)


def test_what_was_heard_once_is_not_read_again_for_the_next_index(
    built, options, tmp_path, monkeypatch
):
    cache = tmp_path / "heard"
    without_loss = {"data": _without_the_lost(options.data, tmp_path), "cache": str(cache)}
    first = build(replace(options, output=str(tmp_path / "first"), **without_loss))
    kept = {path: path.read_bytes() for path in cache.iterdir()}
    monkeypatch.setattr(audio, "load_audio_batch", None)
    again = build(replace(options, output=str(tmp_path / "again"), **without_loss))

    vectors = [speech_vectors(Bundle.open(out.path)) for out in (first, again)]
    for place in ("p0", "p1"):
        np.testing.assert_array_equal(vectors[1][place], vectors[0][place])
        np.testing.assert_allclose(vectors[0][place], speech_vectors(built)[place], atol=1e-5)
    assert {path: path.read_bytes() for path in cache.iterdir()} == kept
    assert "cache" not in again.info["options"]


def test_a_block_with_a_recording_that_is_gone_is_not_kept(options, tmp_path, capsys):
    cache = tmp_path / "heard"
    for name in ("first", "again"):
        build(replace(options, output=str(tmp_path / name), cache=str(cache)))
        assert "can't be read again: 1 missing-file;" in capsys.readouterr().out
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_what_is_kept_but_damaged_or_of_other_recordings_is_heard_anew(
    built, tiny_preset, tmp_path, damage
):
    (shard,) = built.shards(modality="speech")
    rows = [row for row in shard.rows if row.audio != LOST]
    model = PresetHandler(tiny_preset, built.model_digest, SPEEDS).load_model()
    expected = embed.embed_rows(rows, model, str(tmp_path))
    (kept,) = tmp_path.iterdir()
    good = kept.read_bytes()
    kept.write_bytes(good[: len(good) // 2] if damage is None else damage)
    np.testing.assert_array_equal(embed.embed_rows(rows, model, str(tmp_path)), expected)
    assert kept.read_bytes() == good
    embed.embed_rows([replace(row, tokens=spoken("lune")) for row in rows], model, str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_without_speeds_is_refused(options, capsys):
    given = [f"--{k}={getattr(options, k)}" for k in ("model", "data", "output")]
    with pytest.raises(SystemExit):
        main([*given, "--cache=heard"])
    assert "--cache keeps what --speeds take" in capsys.readouterr().err


def test_what_is_mined_against_an_index_is_heard_as_it_was(built, data):
    options = MineOptions(left=built.path, right=data.path, output="unused")
    assert find_model(options, options.sides()).speeds == SPEEDS


def test_an_index_without_speeds_says_nothing_of_them(options, tmp_path):
    plain = build(replace(options, output=str(tmp_path / "index"), speeds=()))
    assert Bundle.open(plain.path).speeds == ()
    assert "speeds" not in {**plain.info, **plain.info["options"]}


@pytest.mark.parametrize("speeds", ["1", "0.1", "nan", "0.9,1.1,0.8,1.2,0.7,1.3,0.6,1.4,0.5"])
def test_impossible_speeds_are_refused(options, tmp_path, speeds):
    given = [f"--model={options.model}", f"--data={options.data}", f"--output={tmp_path}"]
    with pytest.raises(SystemExit) as exit_:
        main([*given, f"--speeds={speeds}"])
    assert exit_.value.code == 2


@pytest.mark.parametrize("speeds", [[1e9], ["x"], [0.9] * 9, 3])
def test_an_index_with_impossible_speeds_is_refused(built, tmp_path, speeds):
    info = json.loads(Path(built.path, "info.json").read_text(encoding="utf-8"))
    folder = OutputDir(str(tmp_path / "index"), kind="index")
    folder.begin({})
    for name in info["files"]:
        path = Path(folder.file(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(built.path, name).read_bytes())
    keep = {k: v for k, v in info.items() if k in ("dim", "shards", "model")}
    folder.complete(files=list(info["files"]), stats={}, info={**keep, "speeds": speeds})
    with pytest.raises(OutputError, match=r"speeds|describes no index"):
        Bundle.open(folder.path)
