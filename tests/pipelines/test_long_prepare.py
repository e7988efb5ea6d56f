"""A long recording, whole or in segments, is prepared in little memory and resumed part by part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines import cut_shards, long_recording, storage
from pipelines.codebook import Codebook
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.prepare import main
from tests.pipelines.sounds import encoded, voice

SECONDS = 95


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than half a minute is long; two minutes are too much for a shard."""
    monkeypatch.setattr(cut_shards, "BLOCK_SECONDS", 30)
    monkeypatch.setattr(long_recording, "BLOCK_SECONDS", 30)
    monkeypatch.setattr(cut_shards, "MOST_SECONDS", 40)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of a minute and a half, a short one and a codebook."""
    folder = tmp_path_factory.mktemp("lectures")
    sound = np.concatenate([voice(9.5, seed=n) for n in range(10)])
    (folder / "long.flac").write_bytes(encoded(sound, form="FLAC"))
    (folder / "short.wav").write_bytes(encoded(voice(2.0)))
    centroids = np.random.default_rng(0).normal(size=(64, 39)).astype(np.float32)
    codebook = Codebook(centroids, np.ones(39, np.float32), {"speech_encoder": "mfcc"})
    codebook.save(str(folder / "codebook"))
    return folder


def prepared(corpus: Path, output: Path, *audio: str) -> OutputDir:
    """One shard of utterances numbered from 100."""
    rows = ["id\taudio\tlanguage\ttranscript\tsplit"]
    rows += [f"{100 + n}\t{corpus}/{a}\ten\tnumber {n}\ttest" for n, a in enumerate(audio)]
    manifest = output.with_suffix(".tsv")
    manifest.write_text("\n".join(rows) + "\n")
    flags = [f"--corpus={manifest}", f"--output={output}", f"--codebook={corpus}/codebook"]
    flags += ["--speech-encoder=mfcc", "--shards=1", "--max-seconds=3600", "--max-rejects=0.9"]
    assert main(flags) == 0
    return OutputDir.open(str(output), kind=KIND)


def pairs(out: OutputDir) -> dict[str, Pair]:
    return {pair.id: pair for pair in read_pairs(out, "test")}


def test_a_long_recording_is_one_pair_of_its_blocks_tokens(corpus: Path, tmp_path: Path) -> None:
    parts = [f"long.flac#t={start},{min(start + 30, SECONDS)}" for start in range(0, SECONDS, 30)]

    out = prepared(corpus, tmp_path / "whole", "short.wav", "long.flac", "short.wav")
    whole = pairs(out)
    blocks = pairs(prepared(corpus, tmp_path / "parts", *parts))

    assert (whole["101"].seconds, len(whole["101"].source_tokens)) == (SECONDS, 25 * SECONDS)
    joined = np.concatenate([blocks[str(100 + n)].source_tokens for n in range(4)])
    np.testing.assert_array_equal(whole["101"].source_tokens, joined)
    np.testing.assert_array_equal(whole["100"].source_tokens, whole["102"].source_tokens)
    # It ends a shard, so that the next one begins with nothing in memory.
    assert [name for name in out.info["files"] if name.startswith("test")] == [
        "test-00000-of-00001-00001.tfrecord",
        "test-00000-of-00001.tfrecord",
    ]
    assert out.stats["groups"]["transcription/test/en"]["seconds"] == SECONDS + 4


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_a_shard_that_was_cut_goes_on_where_it_was_left(
    corpus: Path, tmp_path: Path, lost: tuple[int, ...]
) -> None:
    audio = [f"long.flac#t={start},{start + 10}" for start in range(0, 90, 10)]
    audio.insert(4, "absent.wav")
    out = prepared(corpus, tmp_path / "data", *audio)
    undisturbed = out.info["files"]
    finished = [out.file("finished", f"00000{part}.json") for part in ("", "-00001", "-00002")]
    assert storage.list_files(out.file("finished")) == sorted(finished)

    for name in ("COMPLETED", "info.json", "stats.json"):
        storage.remove(out.file(name))
    for part in lost:
        for name in storage.read_json(finished[part])["files"]:
            storage.remove(out.file(name))
        storage.remove(finished[part])
    again = prepared(corpus, tmp_path / "data", *audio)

    assert again.info["files"] == undisturbed
    assert (again.stats["pairs"], again.stats["rejects"]) == (9, {"missing-file": 1})
    again.verify()


def test_what_is_longer_than_allowed_is_rejected_unheard(corpus: Path, tmp_path: Path) -> None:
    rows = f"audio\tlanguage\ttranscript\n{corpus}/long.flac\ten\ta\n{corpus}/short.wav\ten\tb\n"
    (tmp_path / "m.tsv").write_text(rows)
    flags = [f"--corpus={tmp_path}/m.tsv", f"--output={tmp_path}/data", "--max-rejects=0.5"]
    flags += ["--speech-encoder=mfcc", f"--codebook={corpus}/codebook", "--max-seconds=94"]

    assert main(flags) == 0
    assert OutputDir.open(f"{tmp_path}/data", kind=KIND).stats["rejects"] == {"too-long": 1}
