"""A codebook is fitted on a sample of the training speech, the same one each time."""

from __future__ import annotations

import os
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines import cut_shards, fit_codebook, long_recording
from pipelines.codebook import Codebook, normalize
from pipelines.encode_speech import Encoder
from pipelines.fit_codebook import FitCodebook, Sample, SampleFrames
from pipelines.rejects import Reject
from pipelines.shard import Row
from pipelines.speech_encoder import load_speech_encoder
from pipelines.utterance import Utterance
from tests.pipelines.archives import tar_gz
from tests.pipelines.rows import bitext, in_process, utterance
from tests.pipelines.sounds import encoded, voice


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings of 1 s, 25 frames each, and a broken one."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        (folder / f"{number}.wav").write_bytes(encoded(voice(1.0, seed=number)))
    (folder / "broken.wav").write_bytes(b"no sound")
    return folder


def training(clips: Path, count: int = 6) -> list[Row]:
    return [utterance(f"u{n}", audio=f"{clips}/{n}.wav") for n in range(count)]


def fit(
    rows: list[Row],
    folder: Path,
    *,
    size: int = 4,
    utterances: int = 10,
    frames: int = 10_000,
    seed: int = 0,
    max_seconds: float = 10.0,
) -> Codebook:
    transform = FitCodebook(
        str(folder), Encoder("mfcc"), size, utterances, frames, seed, max_seconds
    )
    with in_process() as pipeline:
        digests = pipeline | beam.Create(list(enumerate(rows))) | transform
        assert_that(digests | beam.combiners.Count.Globally(), equal_to([1]))
    return Codebook.load(str(folder))


@pytest.fixture(scope="module")
def fitted(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Codebook]:
    """The codebook of six recordings, and its folder."""
    folder = tmp_path_factory.mktemp("codebook")
    return folder, fit(training(clips), folder)


def test_the_codebook_is_saved_with_what_made_it(fitted: tuple[Path, Codebook]) -> None:
    card = fitted[1].card

    assert (card["speech_encoder"], card["k"], card["seed"]) == ("mfcc", 4, 0)
    assert card["frames"] == 6 * 25
    assert card["sha256"] == fitted[1].sha256


def test_it_is_fitted_on_every_frame_less_the_utterances_mean(
    clips: Path, fitted: tuple[Path, Codebook]
) -> None:
    waveforms = [voice(1.0, seed=number) for number in range(6)]
    features = load_speech_encoder("mfcc").encode(waveforms)
    spread = np.concatenate([normalize(f) for f in features]).std(0)

    # The recordings are stored in 16 bits.
    np.testing.assert_allclose(fitted[1].deviation, spread, rtol=0.05)


def test_whatever_the_order_of_the_rows_the_bytes_are_the_same(
    clips: Path, fitted: tuple[Path, Codebook], tmp_path: Path
) -> None:
    fit(training(clips)[::-1], tmp_path)

    for name in ("codebook.npz", "card.json"):
        assert (tmp_path / name).read_bytes() == (fitted[0] / name).read_bytes()


def test_whatever_the_order_of_the_chunks_the_codebook_is_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "codebook"
    transform = FitCodebook(str(folder), Encoder("mfcc"), 4, 10, 100, 0, 10.0)
    random = np.random.default_rng(0)
    chunks = [random.normal(size=(20, 39)).astype(np.float32) for _ in range(3)]

    def fitted(order: tuple[int, ...]) -> str:
        samples = [Sample(n, [utterance()], arrays=[chunks[n]], frames_each=20) for n in order]
        return transform._fit([fit_codebook._write(s, f"{folder}-sample") for s in samples])

    assert fitted((0, 1, 2)) == fitted((2, 0, 1))
    assert os.listdir(tmp_path) == ["codebook"], "the sample is gone"


def test_only_training_speech_is_heard(
    clips: Path, fitted: tuple[Path, Codebook], tmp_path: Path
) -> None:
    others: list[Row] = [
        utterance("for dev", audio=f"{clips}/7.wav", split="dev"),
        utterance("for test", audio=f"{clips}/8.wav", split="test"),
        utterance("broken", audio=f"{clips}/broken.wav"),
        utterance("absent", audio=f"{clips}/absent.wav"),
        bitext("text"),
        Reject("r", f"{clips}/9.wav", "read", "invalid-row", ""),
    ]

    assert fit([*others, *training(clips)], tmp_path).sha256 == fitted[1].sha256
    more = [*training(clips), utterance("for training", audio=f"{clips}/7.wav")]
    assert fit(more, tmp_path).sha256 != fitted[1].sha256


def test_no_more_utterances_and_frames_are_taken_than_asked_for(
    clips: Path, tmp_path: Path
) -> None:
    rows = training(clips, 12)

    assert fit(rows, tmp_path, utterances=3).card["frames"] == 3 * 25
    # 11 of each of the three: 31 don't divide.
    assert fit(rows, tmp_path, utterances=3, frames=31).card["frames"] == 33
    # As many of few utterances as of many.
    assert fit(rows[:2], tmp_path, utterances=3, frames=31).card["frames"] == 32


def test_another_seed_samples_other_utterances(clips: Path) -> None:
    def sample(seed: int) -> list[str]:
        transform = FitCodebook("", Encoder("mfcc"), 4, 3, 100, seed, 10.0)
        ranked = sorted(training(clips, 12), key=transform._rank)  # type: ignore[arg-type]
        return [row.id for row in ranked[:3]]

    assert sample(0) == sample(0) != sample(1)


def test_recordings_beyond_the_limit_are_left_out(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(encoded(voice(3.0)))
    rows = [*training(clips), utterance("long", audio=f"{tmp_path}/long.wav")]

    assert fit(rows, tmp_path / "codebook", max_seconds=2.0).card["frames"] == 6 * 25


def test_a_chunk_of_broken_recordings_costs_only_itself(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_codebook, "CHUNK", 2)
    broken = [utterance(f"b{n}", audio=f"{clips}/broken.wav") for n in range(6)]

    assert fit([*training(clips, 3), *broken], tmp_path).card["frames"] == 3 * 25


def test_frames_are_sampled_by_the_seed_and_the_id_and_stay_in_their_order() -> None:
    features = np.arange(100, dtype=np.float32)[:, None]
    sample = Sample(0, frames_each=10)

    def frames(seed: int, id_: str) -> list[float]:
        (made,) = SampleFrames(seed)(sample, [utterance(id_)], [features])
        assert made.shape == (10, 1)
        return (made[:, 0] + 49.5).tolist()

    assert frames(5, "a") == sorted(frames(5, "a")) == frames(5, "a")
    assert set(frames(5, "a")) <= set(range(100))
    assert frames(5, "a") != frames(6, "a") and frames(5, "a") != frames(5, "b")
    (few,) = SampleFrames(5)(sample, [utterance()], [features[:7]])
    np.testing.assert_array_equal(few[:, 0], np.arange(7) - 3)


def test_of_a_long_recording_an_excerpt_is_heard(
    clips: Path, fitted: tuple[Path, Codebook], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_recording, "BLOCK_SECONDS", 2)
    monkeypatch.setattr(cut_shards, "BLOCK_SECONDS", 2)
    (tmp_path / "long.wav").write_bytes(encoded(voice(5.0)))
    rows = [*training(clips), utterance("long", audio=f"{tmp_path}/long.wav")]

    assert fit(rows, tmp_path / "codebook").card["frames"] == 6 * 25 + 2 * 25


def test_the_sample_of_an_archive_is_read_in_one_go(clips: Path, tmp_path: Path) -> None:
    files = [(f"{n}.wav", (clips / f"{n}.wav").read_bytes()) for n in range(6)]
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz(files))
    rows: list[Row] = [utterance(f"u{n}", audio=f"tar:{path}!{n}.wav") for n in range(6)]
    mixed = [*rows[:3], *training(clips)[3:]]

    codebooks = [fit(mixed, tmp_path / "mixed"), fit(rows, tmp_path / "packed")]
    assert [c.card["frames"] for c in codebooks] == [150, 150]
    (units,) = [list(fit_codebook._chunks(rows, 60))]
    assert [(s.archive, len(s.utterances), s.frames_each) for s in units] == [(str(path), 6, 10)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (utterance("one", split="test"), "no training speech to fit a codebook on"),
        (bitext(), "no training speech to fit a codebook on"),
        (utterance("absent", audio="/absent.wav"), "0 frames are too few for 4 audio tokens"),
    ],
)
def test_without_training_speech_there_is_no_codebook(
    tmp_path: Path, row: Utterance, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fit([row], tmp_path / "codebook")
    assert list(tmp_path.iterdir()) == []


def test_too_few_frames_are_refused_with_what_to_do(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="150 frames are too few for 151 audio tokens; give more"):
        fit(training(clips), tmp_path / "codebook", size=151)
    assert list(tmp_path.iterdir()) == []
