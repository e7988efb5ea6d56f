"""Shards go from step to step without being packed to see how large they are."""

from __future__ import annotations

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines.encode_speech import Encoder, EncodeSpeech
from pipelines.long_recording import LongRecording
from pipelines.shard import Shard
from pipelines.shard_coder import ShardCoder
from pipelines.tokenize_speech import DecodeAudio
from tests.pipelines.rows import in_process, utterance
from tests.pipelines.sounds import encoded, voice
from tests.pipelines.test_encode_speech import keep


def test_a_shard_comes_back_as_it_was_packed() -> None:
    coder = beam.coders.registry.get_coder(Shard)
    shard = Shard(3, [utterance("a"), utterance("b")], part=2)
    shard.arrays, shard.seconds = [voice(0.5), LongRecording(b"RIFF", 60.0)], [0.5, 0.0]

    again = coder.decode(coder.encode(shard))

    assert (again.name, again.utterances, again.seconds) == (shard.name, shard.utterances, [0.5, 0])
    np.testing.assert_array_equal(again.arrays[0], shard.arrays[0])
    assert again.arrays[1] == shard.arrays[1]
    assert 32_000 < coder.estimate_size(shard) < 34_000


def test_sound_is_not_packed_between_steps_that_run_in_one_go(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.wav").write_bytes(encoded(voice(1.0)))
    pack = ShardCoder.encode

    def watched(self: ShardCoder, value: Shard) -> bytes:
        assert not value.arrays, "sound is packed"
        return pack(self, value)

    monkeypatch.setattr(ShardCoder, "encode", watched)
    with in_process() as pipeline:
        made = (
            pipeline
            | beam.Create([Shard(n, [utterance(audio=f"{tmp_path}/a.wav")]) for n in range(3)])
            | beam.ParDo(DecodeAudio(60.0))
            | EncodeSpeech(Encoder("mfcc"), keep)
        )
        frames = made | beam.Map(lambda shard: len(shard.arrays[0]))
        assert_that(frames, equal_to([25, 25, 25]))
    steps = pipeline.to_runner_api().components
    assert any("ShardCoder" in str(coder) for coder in steps.coders.values())
