import itertools

import numpy as np
import pytest
import tensorflow as tf

from model.data import Augmentation, _jitter, training_batches
from model.vocabulary import PADDING, SPEECH, TEXT, Vocabulary
from pipelines.output_dir import OutputDir
from tests.tiny import AUDIO_TOKENS

VOCABULARY = Vocabulary(
    audio_tokens=AUDIO_TOKENS,
    trained_languages=("en", "fr"),
    max_speech_tokens=36,
    max_text_tokens=24,
)


def batches(data: OutputDir, count: int, **changes) -> list[dict[str, np.ndarray]]:
    dataset = training_batches(data, VOCABULARY, **{"batch_size": 8, "seed": 0, **changes})
    return [{k: v.numpy() for k, v in b.items()} for b in itertools.islice(dataset, count)]


def equal(one, other) -> bool:
    return all((a[k] == b[k]).all() for a, b in zip(one, other, strict=True) for k in a)


def test_a_batch_pairs_speech_with_its_transcript(tiny_data):
    (batch,) = batches(tiny_data, 1)
    assert batch["source"].shape == (8, 36)
    assert batch["target"].shape == (8, 24)
    assert (batch["source"][:, 0] == SPEECH).all()
    assert (batch["target"][:, 0] == TEXT).all()
    assert (batch["source"][:, 2:] >= VOCABULARY.text_size).any(axis=1).all()


def test_rows_of_a_batch_go_from_the_shortest_to_the_longest(tiny_data):
    for batch in batches(tiny_data, 5):
        lengths = sum((batch[side] != PADDING).sum(axis=1) for side in ("source", "target"))
        assert (np.diff(lengths) >= 0).all()
        assert lengths[0] < lengths[-1]


def test_the_seed_decides_every_batch(tiny_data):
    assert equal(batches(tiny_data, 20), batches(tiny_data, 20))
    assert not equal(batches(tiny_data, 20), batches(tiny_data, 20, seed=1))


def test_resuming_gives_the_batches_an_uninterrupted_run_would_have_seen(tiny_data):
    assert equal(batches(tiny_data, 20)[13:], batches(tiny_data, 7, first_step=13))


def test_an_epoch_holds_each_pair_once_and_the_next_is_in_another_order(tiny_data):
    still = Augmentation(token_dropout=0.0, language_dropout=0.0)
    seen = batches(tiny_data, 18, augmentation=still)
    rows = [tuple(row) for batch in seen for row in np.hstack([batch["source"], batch["target"]])]
    first, second = rows[:72], rows[72:144]
    assert sorted(first) == sorted(second)
    assert first != second


def test_dropped_tokens_and_languages_follow_their_rates(tiny_data):
    still = Augmentation(token_dropout=0.0, language_dropout=0.0)
    some = Augmentation(token_dropout=0.5, language_dropout=1.0)
    whole = batches(tiny_data, 9, augmentation=still)
    dropped = batches(tiny_data, 9, augmentation=some)
    lengths = [np.mean([(b["source"] != PADDING).sum() for b in side]) for side in (whole, dropped)]
    assert 0.4 < lengths[1] / lengths[0] < 0.9
    assert len({int(p) for b in dropped for p in b["source"][:, 1]}) == 1
    assert len({int(p) for b in whole for p in b["source"][:, 1]}) == 2


def test_jittered_tokens_become_neighbours_of_theirs_as_often_as_asked(tiny_data):
    neighbors = (np.arange(AUDIO_TOKENS)[:, None] + [1, 2]) % AUDIO_TOKENS
    still = Augmentation(token_dropout=0.0, language_dropout=0.0)
    some = Augmentation(0.0, token_jitter=0.25, neighbors=neighbors, language_dropout=0.0)
    tokens = tf.ragged.constant([[3] * 2000, [7] * 2000], tf.int64, ragged_rank=1)
    jittered = _jitter(tokens, some, tf.constant([0, 1], tf.int64))
    for row, token in zip(jittered.numpy(), (3, 7), strict=True):
        shares = [(row == token + offset).mean() for offset in range(3)]
        assert np.allclose(shares, [0.75, 0.125, 0.125], atol=0.03)
    assert not equal(
        batches(tiny_data, 3, augmentation=still), batches(tiny_data, 3, augmentation=some)
    )


def test_text_pairs_take_the_share_asked_for(tiny_data):
    (batch,) = batches(tiny_data, 1, bitext=0.25)
    assert (batch["source"][:, 0] == SPEECH).sum() == 6
    assert (batch["source"][:, 0] == TEXT).sum() == 2


def test_sentences_of_other_languages_share_their_number(tiny_data):
    numbers = {int(n) for batch in batches(tiny_data, 9) for n in batch["sentence"]}
    assert len(numbers) == 18


def test_missing_tasks_are_an_error(tmp_path):
    from pipelines.pairs import KIND, shard_name, write_shard
    from tests.tiny import tiny_pairs

    out = OutputDir(str(tmp_path), kind=KIND)
    out.begin({})
    name = shard_name("train", 0, 1)
    write_shard(out.file(name), [p for p in tiny_pairs() if p.task == "bitext"])
    out.complete(files=[name], stats={})
    with pytest.raises(ValueError, match="no training pairs of the tasks transcription"):
        batches(out, 1)
