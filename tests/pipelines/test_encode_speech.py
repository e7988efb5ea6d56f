"""Decoded shards through the encoder and the codebook, in Beam; long recordings block by block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines import storage
from pipelines.accelerator import resource_hint
from pipelines.codebook import Codebook
from pipelines.encode_speech import AssignTokens, Encoder, EncodeSpeech, SpeechEncoderHandler, Use
from pipelines.long_recording import BLOCK_SECONDS, LongRecording
from pipelines.rejects import Reject, Rejected
from pipelines.shard import Shard
from pipelines.speech_encoder import load_speech_encoder
from pipelines.tokenize_speech import DecodeAudio
from pipelines.utterance import Utterance
from tests.pipelines.rows import bitext, in_process, utterance
from tests.pipelines.sounds import encoded, voice

READ_REJECT = Reject("broken", "/clips/b.wav", "read", "missing-column", "no 'language'")


def keep(
    shard: Shard, utterances: Sequence[Utterance], features: Sequence[np.ndarray]
) -> list[np.ndarray]:
    return list(features)


def codebook(dimensions: int = 2) -> Codebook:
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
    centroids = np.hstack([corners, np.zeros((4, dimensions - 2), np.float32)])
    return Codebook(centroids, np.ones(dimensions, np.float32), {"speech_encoder": "mfcc"})


def encode(shards: list[Shard], use: Use) -> list[Shard]:
    """What the inference step makes of shards."""
    handler = SpeechEncoderHandler(Encoder("mfcc"), use)
    return list(handler.run_inference(shards, handler.load_model()))


def test_a_shard_without_speech_passes_through_every_step(tmp_path: Path) -> None:
    codebook(39).save(f"{tmp_path}/codebook")
    shard = Shard(1, [], [bitext("b")], [READ_REJECT])
    with in_process() as pipeline:
        tokenized = (
            pipeline
            | beam.Create([shard])
            | beam.ParDo(DecodeAudio(600.0))
            | EncodeSpeech(Encoder("mfcc"), AssignTokens(f"{tmp_path}/codebook"))
        )
        same = tokenized | beam.Map(lambda s: (s.index, len(s.pairs), len(s.rejects), s.arrays))
        assert_that(same, equal_to([(1, 1, 1, [])]))


def test_waveforms_become_the_encoders_features() -> None:
    waveforms = [voice(0.9, seed=1), voice(0.3, seed=2)]
    first = Shard(0, [utterance("a"), utterance("b")], arrays=waveforms, seconds=[0.9, 0.3])
    second = Shard(1, [utterance("c")], arrays=[voice(0.5)], seconds=[0.5])
    alone = b"".join(a.tobytes() for a in load_speech_encoder("mfcc").encode(waveforms))
    with in_process() as pipeline:
        made = pipeline | beam.Create([first, second]) | EncodeSpeech(Encoder("mfcc"), keep)
        shapes = made | beam.Map(lambda s: (s.index, [a.shape for a in s.arrays], s.seconds))
        expected = [(0, [(23, 39), (8, 39)], [0.9, 0.3]), (1, [(13, 39)], [0.5])]
        assert_that(shapes, equal_to(expected), "shapes")
        same = made | beam.Filter(lambda s: s.index == 0) | beam.Map(sha_of_arrays)
        assert_that(same, equal_to([storage.sha256(alone)]), "same")


def sha_of_arrays(shard: Shard) -> str:
    return storage.sha256(b"".join(array.tobytes() for array in shard.arrays))


def test_features_become_the_numbers_of_their_centroids(tmp_path: Path) -> None:
    codebook().save(str(tmp_path))
    features = np.array([[5, 5], [-3, 4], [2, -6], [-4, -3]], np.float32)

    (tokens,) = AssignTokens(str(tmp_path))(Shard(0), [utterance()], [features])

    assert (tokens.tolist(), tokens.dtype) == ([3, 1, 2, 0], np.int16)


def test_a_long_recording_is_its_blocks_side_by_side(tmp_path: Path) -> None:
    seconds = BLOCK_SECONDS + 1.5
    sound = np.resize(voice(7.0), round(seconds * 16_000))
    path = tmp_path / "long.flac"
    path.write_bytes(encoded(sound, form="FLAC"))
    codebook(39).save(f"{tmp_path}/codebook")
    use = AssignTokens(f"{tmp_path}/codebook")
    shard = Shard(0, [utterance("short"), utterance("long")])
    shard.arrays, shard.seconds = [voice(1.0), LongRecording(str(path), 3600.0)], [1.0, 0.0]

    (made,) = encode([shard], use)

    stored = np.round(sound * 32768) / 32768
    pieces = [stored[: BLOCK_SECONDS * 16_000], stored[BLOCK_SECONDS * 16_000 :]]
    blocks = Shard(0, [utterance("a"), utterance("b")], arrays=pieces, seconds=[600.0, 1.5])
    (apart,) = encode([blocks], use)
    assert made.seconds == [1.0, seconds]
    np.testing.assert_array_equal(made.arrays[1], np.concatenate(apart.arrays))
    assert len(made.arrays[0]) == 25


def test_a_long_recording_that_breaks_off_is_rejected_and_the_rest_unharmed(
    tmp_path: Path,
) -> None:
    data = bytearray(encoded(voice(4.0), form="FLAC"))
    data[len(data) // 2] ^= 1
    shard = Shard(0, [utterance("long"), utterance("short")])
    shard.arrays, shard.seconds = [LongRecording(bytes(data), 60.0), voice(1.0)], [0.0, 1.0]

    (made,) = encode([shard], keep)

    assert [u.id for u in made.utterances] == ["short"]
    assert [a.shape for a in made.arrays] == [(25, 39)]
    (reject,) = made.rejects
    assert (reject.id, reject.stage, reject.reason) == ("long", "decode", "truncated-audio")
    assert made.rows == shard.rows and shard.rejects == []


def test_processes_that_share_a_model_get_what_one_of_their_own_gives() -> None:
    shard = Shard(0, [utterance("a")], arrays=[voice(0.9)], seconds=[0.9])
    (alone,) = encode([shard], keep)
    with in_process() as pipeline:
        made = pipeline | beam.Create([shard]) | EncodeSpeech(Encoder("mfcc", copies=1), keep)
        expected = [storage.sha256(alone.arrays[0].tobytes())]
        assert_that(made | beam.Map(sha_of_arrays), equal_to(expected))
    handler = SpeechEncoderHandler(Encoder("mfcc", copies=2), keep)
    assert handler.share_model_across_processes() and handler.model_copies() == 2
    assert not SpeechEncoderHandler(Encoder("mfcc"), keep).share_model_across_processes()


def test_a_codebook_of_other_weights_is_refused_before_anything_is_encoded(tmp_path: Path) -> None:
    made = codebook(39)
    made.card["speech_encoder_sha256"] = "of other weights"
    made.save(str(tmp_path))
    with pytest.raises(ValueError, match="other weights are another encoder"):
        SpeechEncoderHandler(Encoder("mfcc"), AssignTokens(str(tmp_path))).load_model()


def test_only_the_encoders_step_asks_for_a_gpu() -> None:
    hint = "type:nvidia-l4;count:1;install-nvidia-driver"
    pipeline = beam.Pipeline(runner="FnApiRunner")
    shards = pipeline | beam.Create([Shard(0)])
    made = shards | "Encode" >> EncodeSpeech(Encoder("mfcc", accelerator=hint), keep)
    _ = made | "After" >> beam.Map(str)
    proto = pipeline.to_runner_api()

    environments = proto.components.environments
    asking = {
        transform.unique_name
        for transform in proto.components.transforms.values()
        if transform.environment_id
        and hint.encode() in environments[transform.environment_id].resource_hints.values()
    }
    assert asking
    assert all(name.startswith("Encode/RunInference") for name in asking)
    assert any("BeamML_RunInference" in name for name in asking)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", ""),
        ("nvidia-l4", "type:nvidia-l4;count:1;install-nvidia-driver"),
        ("nvidia-tesla-t4:2", "type:nvidia-tesla-t4;count:2;install-nvidia-driver"),
        ("type:nvidia-l4;count:1", "type:nvidia-l4;count:1"),
        (
            "type:nvidia-l4;count:1;install-nvidia-driver:5xx",
            "type:nvidia-l4;count:1;install-nvidia-driver:5xx",
        ),
    ],
)
def test_a_gpu_is_asked_for_in_few_words(said: str, meant: str) -> None:
    assert resource_hint(said) == meant


@pytest.mark.parametrize("said", ["type:nvidia-l4", "nvidia-l4:0", "nvidia l4", "l4;count:1"])
def test_what_asks_for_no_gpu_is_refused_with_an_example(said: str) -> None:
    with pytest.raises(ValueError, match=r"give nvidia-l4, nvidia-l4:2"):
        resource_hint(said)


def test_sound_is_counted_without_being_copied() -> None:
    shard = Shard(0, arrays=[voice(0.5), LongRecording("/a.wav", 60.0), voice(1.0)])

    assert SpeechEncoderHandler(Encoder("mfcc"), keep).get_num_bytes([shard]) == 4 * 24_000


class Cramped:
    """Hears nothing that is longer than a second."""

    def encode_each(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray | Rejected]:
        return [
            np.ones((len(w) // 640, 2), np.float32)
            if len(w) <= 16_000
            else Rejected("out-of-memory", "too long", "ResourceExhaustedError")
            for w in waveforms
        ]


def test_what_memory_does_not_suffice_for_is_rejected_alone() -> None:
    shard = Shard(0, [utterance(i) for i in "abcd"])
    long = LongRecording(encoded(voice(3.0)), 60.0)
    shard.arrays = [voice(0.5), voice(1.5), long, voice(1.0)]
    shard.seconds = [0.5, 1.5, 0.0, 1.0]

    (made,) = SpeechEncoderHandler(Encoder("mfcc"), keep).run_inference([shard], Cramped())

    assert [u.id for u in made.utterances] == ["a", "d"]
    assert ([a.shape for a in made.arrays], made.seconds) == ([(12, 2), (25, 2)], [0.5, 1.0])
    assert [(r.id, r.stage, r.reason, r.exception) for r in made.rejects] == [
        ("b", "encode", "out-of-memory", "ResourceExhaustedError"),
        ("c", "encode", "out-of-memory", "ResourceExhaustedError"),
    ]


@pytest.mark.parametrize("count", [0, 3])
def test_as_many_rows_come_out_as_went_in(count: int) -> None:
    shard = Shard(0, [utterance(str(n)) for n in range(count)], arrays=[voice(0.5)] * count)
    shard.seconds = [0.5] * count

    assert encode([shard], keep)[0].rows == count
