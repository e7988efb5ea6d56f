"""A codebook gives each frame the number of its nearest centroid, the same one each time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipelines import storage
from pipelines.codebook import Codebook, advice, fit, normalize

CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
CARD = {"speech_encoder": "mfcc"}


def codebook(centroids: np.ndarray = CORNERS, deviation: tuple[float, ...] = (1, 1)) -> Codebook:
    return Codebook(centroids, np.array(deviation, np.float32), CARD)


def clusters(each: int = 50, seed: int = 0) -> np.ndarray:
    """Frames around four corners, 10 times as wide in the second dimension, shuffled."""
    random = np.random.default_rng(seed)
    frames = np.repeat(CORNERS, each, axis=0) + random.normal(0, 0.1, (4 * each, 2))
    return random.permutation(frames * [1, 10]).astype(np.float32)


def test_a_frame_is_given_its_nearest_centroid() -> None:
    frames = np.array([[5, 5], [-3, 4], [2, -6], [-4, -3]], np.float32)

    tokens = codebook().assign(frames)

    assert tokens.tolist() == [3, 1, 2, 0]
    assert tokens.dtype == np.int16


def test_the_utterances_own_mean_is_taken_away_first() -> None:
    frames = np.array([[5, 5], [-3, 4], [2, -6], [-4, -3]], np.float32)

    assert codebook().assign(frames + 1000).tolist() == [3, 1, 2, 0]
    np.testing.assert_allclose(normalize(frames).mean(0), 0, atol=1e-6)


def test_of_a_long_recording_each_ten_minutes_have_a_mean_of_their_own() -> None:
    frames = np.random.default_rng(0).normal(size=(32_000, 2)).astype(np.float32)
    frames[15_000:] += 5
    whole = codebook().assign(frames)

    blocks = [codebook().assign(part) for part in (frames[:15_000], frames[15_000:30_000])]
    np.testing.assert_array_equal(whole[:30_000], np.concatenate(blocks))
    np.testing.assert_array_equal(whole[30_000:], codebook().assign(frames[30_000:]))


def test_each_dimension_counts_by_its_spread() -> None:
    # In the second dimension everything is a hundred times as wide: there, 30 is close to 0.
    wide = codebook(np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float32), (1, 100))
    frames = np.array([[1, 30], [-1, -30], [0, 90], [0, -90]], np.float32)

    assert wide.assign(frames).tolist() == [1, 2, 3, 4]


def test_many_utterances_get_the_tokens_they_get_singly() -> None:
    random = np.random.default_rng(0)
    fine = codebook(random.normal(size=(300, 2)).astype(np.float32))
    utterances = [random.normal(size=(n, 2)).astype(np.float32) for n in (3, 1, 3000, 7)]

    together = fine.assign_all(utterances)

    assert [t.tolist() for t in together] == [fine.assign(u).tolist() for u in utterances]
    assert fine.assign_all([]) == []


def test_a_single_frame_is_its_own_mean() -> None:
    centred = codebook(np.array([[9, 9], [0.1, 0], [5, 5]], np.float32))

    assert centred.assign(np.array([[123, -456]], np.float32)).tolist() == [1]


def test_features_of_another_encoder_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(7, 3\) don't fit .* dimension 2: .* by mfcc\?"):
        codebook().assign(np.zeros((7, 3), np.float32))
    with pytest.raises(ValueError, match="don't fit"):
        codebook().assign(np.zeros(2, np.float32))


def test_clusters_are_found_whatever_their_scale() -> None:
    fitted = fit(clusters(), 4, seed=3)
    tokens = fitted.assign(CORNERS * [1, 10])

    assert sorted(tokens.tolist()) == [0, 1, 2, 3]
    assert fitted.size == 4
    np.testing.assert_allclose(fitted.deviation, [1, 10], rtol=0.05)
    assert (fitted.centroids.dtype, fitted.deviation.dtype) == (np.float32, np.float32)


def test_the_same_frames_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).normal(size=(3000, 39)).astype(np.float32)
    first, second, other = (fit(frames, 32, seed=seed, card=CARD) for seed in (1, 1, 2))
    first.save(f"{tmp_path}/1")
    second.save(f"{tmp_path}/2")

    assert first.sha256 == second.sha256 != other.sha256
    for name in ("codebook.npz", "card.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_dimension_that_never_changes_does_no_harm() -> None:
    frames = np.hstack([clusters(), np.full((200, 1), 7, np.float32)])
    tokens = fit(frames, 4, seed=3).assign(np.hstack([CORNERS * [1, 10], np.full((4, 1), 7)]))

    assert len(set(tokens.tolist())) == 4


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """MFCC frames of eSpeak NG counting in six languages, each utterance less its mean."""
    from pipelines.audio import load_audio_batch
    from pipelines.speech_encoder import load_speech_encoder
    from pipelines.synthesis import Speech, espeak_uri

    numbers = " ".join(str(n * n) for n in range(40))
    languages = ("en", "fr", "de", "es", "it", "pt")
    texts = [Speech(numbers, language, rate) for language in languages for rate in (110, 170)]
    sounds = load_audio_batch([espeak_uri(text) for text in texts])
    features = load_speech_encoder("mfcc").encode([s for s in sounds if isinstance(s, np.ndarray)])
    return np.concatenate([normalize(f) for f in features])


@pytest.mark.parametrize("k", [64, 8192])
def test_few_and_many_tokens_are_made_of_speech(spoken: np.ndarray, k: int) -> None:
    fitted = fit(spoken, k, seed=0, rounds=2)
    tokens = fitted.assign(spoken)

    assert (fitted.size, fitted.card["frames"]) == (k, len(spoken))
    assert len(spoken) > 8192
    assert 0 <= tokens.min() <= tokens.max() < k
    assert len(np.unique(tokens)) > (0.99 if k == 64 else 0.8) * k
    spread = np.square(spoken / fitted.deviation).sum(1).mean()
    assert fitted.card["inertia_per_frame"] < (0.7 if k == 64 else 0.2) * spread
    assert bool(advice({"k": k, "frames": len(spoken)})) == (k == 8192)


def test_the_sample_may_be_fitted_without_a_copy() -> None:
    frames = clusters(each=3000)
    kept, given = fit(frames.copy(), 4, seed=0), frames.copy()

    assert fit(given, 4, seed=0, overwrite=True).sha256 == kept.sha256
    assert not np.array_equal(given, frames)
    np.testing.assert_allclose(kept.deviation, frames.std(0, dtype=np.float64), rtol=1e-6)


def test_a_small_sample_is_spoken_of() -> None:
    assert advice({"k": 1024, "frames": 45_000}) == ""
    assert advice({"k": 1024, "frames": 20_000}).startswith(
        "the codebook's 1024 centroids were fitted on 20,000 frames, 20 each: 39 are the least"
    )


def test_another_encoder_than_the_one_clustered_is_refused() -> None:
    card = {"layer": 3, "dim": 2, "sha256": "ab"}
    own = {f"speech_encoder_{name}": value for name, value in card.items()}
    fitted = Codebook(CORNERS, np.ones(2, np.float32), {**CARD, **own})

    fitted.refuse_other_encoder(card)
    codebook().refuse_other_encoder(card)
    with pytest.raises(ValueError, match="fitted on mfcc with sha256 ab; this one has cd"):
        fitted.refuse_other_encoder({**card, "sha256": "cd"})


def test_too_few_frames_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"3 frames are too few for 4 audio tokens; .*--codebook"):
        fit(CORNERS[:3], 4, seed=0)


def test_a_codebook_comes_back_with_its_card(tmp_path: Path) -> None:
    fitted = fit(clusters(), 4, seed=3, card={"speech_encoder": "mfcc", "utterances": 9})
    fitted.save(f"{tmp_path}/codebook")
    loaded = Codebook.load(f"{tmp_path}/codebook")

    assert sorted(os.listdir(tmp_path / "codebook")) == ["card.json", "codebook.npz"]
    np.testing.assert_array_equal(loaded.centroids, fitted.centroids)
    np.testing.assert_array_equal(loaded.deviation, fitted.deviation)
    assert loaded.assign(clusters()).tolist() == fitted.assign(clusters()).tolist()
    assert loaded.card == {
        "speech_encoder": "mfcc",
        "utterances": 9,
        "frames": 200,
        "seed": 3,
        "inertia_per_frame": fitted.card["inertia_per_frame"],
        "k": 4,
        "sha256": fitted.sha256,
    }
    assert 0 < loaded.card["inertia_per_frame"] < 0.1


@pytest.mark.parametrize("place", [0, 0.2, 0.5, 0.99], ids=["head", "front", "middle", "end"])
def test_a_flipped_bit_in_the_codebook_is_noticed(tmp_path: Path, place: float) -> None:
    fit(clusters(), 4, seed=0, card=CARD).save(str(tmp_path))
    path = tmp_path / "codebook.npz"
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0x10
    path.write_bytes(data)
    try:
        loaded = Codebook.load(str(tmp_path))
    except ValueError as error:
        assert f"{tmp_path}/codebook.npz is damaged" in str(error)
    else:
        # A field of the archive that nobody reads.
        np.testing.assert_array_equal(
            loaded.centroids, fit(clusters(), 4, seed=0, card=CARD).centroids
        )


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_half_a_codebook_is_refused(tmp_path: Path, share: float) -> None:
    fit(clusters(), 4, seed=0, card=CARD).save(str(tmp_path))
    path = tmp_path / "codebook.npz"
    os.truncate(path, int(share * path.stat().st_size))

    with pytest.raises(ValueError, match=r"codebook\.npz is damaged"):
        Codebook.load(str(tmp_path))


def test_a_codebook_of_another_card_is_refused(tmp_path: Path) -> None:
    fit(clusters(), 4, seed=0, card=CARD).save(f"{tmp_path}/a")
    fit(clusters(), 4, seed=1, card=CARD).save(f"{tmp_path}/b")
    storage.write_bytes(f"{tmp_path}/a/card.json", storage.read_bytes(f"{tmp_path}/b/card.json"))

    with pytest.raises(ValueError, match="is damaged: its hash is not the card's"):
        Codebook.load(f"{tmp_path}/a")


def test_an_archive_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    codebook().save(str(tmp_path))
    objects = np.array([os.getcwd, 1], dtype=object)
    np.savez(tmp_path / "codebook.npz", centroids=objects, deviation=objects)

    with pytest.raises(ValueError, match="damaged"):
        Codebook.load(str(tmp_path))


def test_a_missing_codebook_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/codebook\.npz"):
        Codebook.load(f"{tmp_path}/nowhere")


def test_neighbours_are_the_nearest_other_centroids_nearest_first() -> None:
    centroids = np.array([[0.0], [1.0], [3.0], [7.0]], np.float32)
    codebook = Codebook(centroids, np.ones(1, np.float32), {})
    assert codebook.neighbors(2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert codebook.neighbors().shape == (4, 3)
