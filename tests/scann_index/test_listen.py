from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile

from model.backbone import create_backbone
from model.dual_encoder import DualEncoder, preset_digest
from model.vocabulary import Vocabulary
from pipelines.audio import SAMPLE_RATE, load_audio
from pipelines.codebook import Codebook
from pipelines.output_dir import OutputDir
from pipelines.speech_encoder import load_speech_encoder
from scann_index.bundle import KIND, write_shard
from scann_index.row import Row
from scann_index.search import main
from scann_index.searcher import Searcher
from scann_index.windows import phrases

WORDS = ["sunflower", "synagogue", "grumpy person", "water buffalo", "watermelon", "hiking boot"]


def uri(words: str) -> str:
    return f"espeak:en?rate=160&pitch=50&text={words.replace(' ', '%20')}"


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    """Each of the words by itself, with as much silence around it as a window has."""
    sounds = [load_audio(uri(words)) for words in WORDS]
    return [sound_of(sound) for sound in sounds]


def sound_of(sound: np.ndarray) -> np.ndarray:
    sound = np.pad(sound, 8000)
    found = phrases(sound)
    start, end = found[0].start, found[-1].end
    return sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


@pytest.fixture(scope="module")
def preset(spoken, tmp_path_factory) -> str:
    """An untrained model that hears the differences between the words."""
    frames = np.concatenate(load_speech_encoder("mfcc").encode(spoken))
    centroids = frames[np.random.default_rng(0).choice(len(frames), 64, replace=False)]
    codebook = Codebook(centroids, np.ones(39, np.float32), {"speech_encoder": "mfcc"})
    vocabulary = Vocabulary(64, trained_languages=("en",), max_text_tokens=24)
    backbone = create_backbone(
        vocabulary.size, seed=0, num_layers=1, hidden_dim=32, intermediate_dim=48, head_dim=8
    )
    folder = str(tmp_path_factory.mktemp("listen") / "preset")
    DualEncoder(backbone, vocabulary, codebook).save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def index(preset, spoken, tmp_path_factory) -> str:
    """An index of the recordings, embedded by a model that never learned a thing."""
    folder = str(tmp_path_factory.mktemp("listen") / "index")
    out = OutputDir(folder, kind=KIND)
    out.begin({})
    rows = [
        Row(f"r{i}", f"s{i}", "en", "speech", words, uri(words), seconds=len(sound) / SAMPLE_RATE)
        for i, (words, sound) in enumerate(zip(WORDS, spoken, strict=True))
    ]
    vectors = DualEncoder.from_preset(preset).encode_speech(spoken, ["en"] * len(rows))
    card = write_shard(folder, "speech-en-00000-of-00001", rows, vectors)
    info = {
        "dim": vectors.shape[1],
        "model": {"digest": preset_digest(preset), "path": preset},
        "shards": [dataclasses.asdict(card)],
    }
    out.complete(files=card.files, stats={}, info=info)
    return folder


@pytest.fixture(scope="module")
def long(spoken) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """All of them in one recording, half a second apart, and when each one is heard."""
    parts, times, now = [np.zeros(8000, np.float32)], [], 0.5
    for sound in spoken:
        times.append((now, now + len(sound) / SAMPLE_RATE))
        parts += [sound, np.zeros(8000, np.float32)]
        now = times[-1][1] + 0.5
    return np.concatenate(parts), times


def test_each_utterance_of_a_long_recording_is_found_at_its_time(index, long):
    recording, times = long
    passages = Searcher.open(index).passages(audio=recording, language="en")
    assert [passage.answers[0].hit.row.text for passage in passages] == WORDS
    for passage, (start, end) in zip(passages, times, strict=True):
        assert passage.start == pytest.approx(start, abs=0.15)
        assert passage.end == pytest.approx(end, abs=0.15)


def test_the_hits_of_a_long_recording_say_when_and_those_of_a_short_one_dont(index, long, spoken):
    searcher = Searcher.open(index)
    hits = searcher.search(audio=long[0], language="en", k=6)
    assert {hit.row.text for hit in hits} == set(WORDS)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    heard = [hit for hit in hits if hit.score > 0.95]
    assert len(heard) >= 4
    for hit in heard:
        start, end = long[1][WORDS.index(hit.row.text)]
        assert hit.start == pytest.approx(start, abs=0.15)
        assert hit.end == pytest.approx(end, abs=0.15)
    answers = searcher.answers(audio=long[0], language="en", k=6)
    assert [a.hit.start for a in answers] == [hit.start for hit in hits]
    (short,) = searcher.search(audio=spoken[2], language="en", k=1)
    assert (short.row.text, short.start, short.end) == ("grumpy person", None, None)


def test_silence_around_a_short_query_changes_nothing(index, spoken):
    searcher = Searcher.open(index)
    for sound, words in zip(spoken, WORDS, strict=True):
        quiet = np.pad(sound, (4800, 6400))
        (hit,) = searcher.search(audio=quiet, language="en", k=1)
        assert (hit.row.text, hit.start) == (words, None)
        assert hit.score > 0.9


def test_the_server_hears_as_the_searcher_does(index, long, spoken):
    from scann_index.queries import Query
    from scann_index.serve_answers import Answerer

    searcher = Searcher.open(index)
    quiet = np.pad(spoken[2], (4800, 6400))
    queries = [
        Query(text="watermelon", k=2),
        Query(sound=long[0], language="en", k=6),
        Query(sound=np.zeros_like(long[0])),
        Query(sound=quiet, language="en", k=1),
    ]
    text, recording, silence, short = Answerer(searcher).answer(queries)
    expected = searcher.answers(audio=long[0], language="en", k=6)
    # All of them score 1 but for rounding.
    assert {(a["sentence_id"], a["start"], a["end"]) for a in recording} == {
        (answer.hit.row.sentence_id, answer.hit.start, answer.hit.end) for answer in expected
    }
    assert len(text) == 2 and silence == []
    assert [(a["text"], a["start"]) for a in short] == [(WORDS[2], None)]


def test_the_command_line_prints_the_passages_with_their_time(index, long, tmp_path, capsys):
    path = tmp_path / "long.flac"
    soundfile.write(path, long[0], SAMPLE_RATE)
    assert main(["--index", index, "--audio", str(path), "--language", "en"]) == 0
    lines = capsys.readouterr().out.splitlines()
    times = [line for line in lines if " – " in line]
    assert len(times) == 6
    assert times[0].startswith("0:00.")
    assert [words for words in WORDS if any(words in line for line in lines)] == WORDS


def test_silence_is_said_to_be_silent(index, tmp_path, capsys):
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros(20 * SAMPLE_RATE), SAMPLE_RATE)
    assert main(["--index", index, "--audio", str(path)]) == 1
    assert "silent.wav is silent" in capsys.readouterr().err
    assert Searcher.open(index).search(audio=str(path)) == []


def test_several_queries_are_answered_at_once_each_as_by_itself(index, spoken, tmp_path):
    searcher = Searcher.open(index)
    path = tmp_path / "one.wav"
    soundfile.write(path, spoken[1], SAMPLE_RATE, subtype="FLOAT")
    found = searcher.search(audio=[spoken[0], str(path), path.read_bytes()], language="en", k=2)
    assert [hits[0].row.text for hits in found] == [WORDS[0], WORDS[1], WORDS[1]]
    assert [len(hits) for hits in found] == [2, 2, 2]
    vectors = searcher.encode(audio=spoken[0], language="en")
    assert searcher.search(vectors=vectors, k=2)[0][0].row == found[0][0].row
    texts = searcher.search(text=["sun", "moon", "sun"], k=1)
    assert [len(hits) for hits in texts] == [1, 1, 1]
    assert texts[0][0].row == texts[2][0].row == searcher.search(text="sun", k=1)[0].row


def test_a_query_of_two_kinds_is_refused(index):
    searcher = Searcher.open(index)
    with pytest.raises(ValueError, match="one of them"):
        searcher.search(text="a", vectors=np.zeros((1, searcher.bundle.dim), np.float32))
    with pytest.raises(ValueError, match="the text is empty"):
        searcher.search(text=["a", " "])


def test_the_window_follows_from_the_recordings_of_the_index(index, spoken):
    usual = 1.25 * np.percentile([len(sound) / SAMPLE_RATE for sound in spoken], 95)
    assert Searcher.open(index).window_seconds == pytest.approx(max(1.0, usual), rel=1e-3)
