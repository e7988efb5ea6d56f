from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from model.dual_encoder import DualEncoder
from pipelines.audio import load_audio
from pipelines.output_dir import OutputError
from pipelines.rejects import Rejected
from scann_index.bundle import Bundle
from scann_index.row import Row
from scann_index.search import Searcher, clock, main, packed_lines, show
from scann_index.searcher import Answer, Hit
from tests import tiny
from tests.scann_index.synthetic import clustered, exact_neighbours, make_bundle

ANIMALS = {"bird", "cat", "dog", "fish", "horse", "moon"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> str:
    """A second of a rising tone as 8-bit stereo at 22,050 Hz."""
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    time = np.arange(22_050) / 22_050
    samples = np.sin(2 * np.pi * (200 + 400 * time) * time) * 100 + 128
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(1)
        file.setframerate(22_050)
        file.writeframes(np.repeat(samples.astype(np.uint8), 2).tobytes())
    return str(path)


def printed(arguments: list[str], capsys) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_a_text_of_the_index_finds_itself(searcher):
    hits = searcher.search(text="bianco gatto", language="it", languages=["it"], modality="text")
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    assert hits[0].row.text == "bianco gatto"
    assert hits[0].score == pytest.approx(1, abs=1e-4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_audio_tokens_of_the_index_find_themselves(searcher):
    tokens = tiny.spoken("blanc cheval")
    (best,) = searcher.search(audio=tokens, language="fr", modality="speech", k=1)
    assert best.row.id == "fr-white-horse-0"
    assert best.score == pytest.approx(1, abs=1e-4)


def test_a_recording_of_another_format_is_searched(searcher, recording):
    hits = searcher.search(audio=recording, k=4)
    model = DualEncoder.from_preset(searcher.preset)
    expected = model.encode_speech([load_audio(recording)], [""])
    scores = np.concatenate([expected @ s.vectors.T for s in searcher.bundle.shards()], axis=1)
    best = np.sort(scores[0])[::-1][:4]
    np.testing.assert_allclose([hit.score for hit in hits], best, atol=1e-5)


def test_shards_are_searched_together(tmp_path):
    groups = {
        "text/en": clustered(700, seed=1),
        "speech/en": clustered(50, seed=2),
        "text/fr": clustered(3, seed=3),
    }
    index = Searcher(Bundle.open(make_bundle(str(tmp_path / "index"), groups)), preset="")
    queries = clustered(20, seed=4)
    everything = np.concatenate(list(groups.values()))
    expected = exact_neighbours(everything, queries, 60)
    names = [f"{g.split('/')[1]}-{g.split('/')[0]}-{i}" for g, v in groups.items()
             for i in range(len(v))]  # fmt: skip
    for hits, places in zip(index.search_vectors(queries, k=60), expected, strict=True):
        assert [hit.row.id for hit in hits] == [names[place] for place in places]
        assert [hit.rank for hit in hits] == list(range(1, 61))


def test_results_keep_to_the_languages_and_modality_asked_for(searcher):
    hits = searcher.search(text="white cat", languages=["fr", "it"], modality="speech", k=100)
    assert {(hit.row.language, hit.row.modality) for hit in hits} == {
        ("fr", "speech"),
        ("it", "speech"),
    }
    assert len(hits) == 12
    assert len(searcher.search(text="white cat", k=100)) == 36


def test_answers_are_sentences_with_their_texts_in_all_languages(searcher):
    answers = searcher.answers(text="white cat", language="en", languages=["en"], k=6)
    assert [answer.rank for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert {answer.hit.row.sentence_id for answer in answers} == {f"white-{a}" for a in ANIMALS}
    assert answers[0].hit.row.sentence_id == "white-cat"
    assert answers[0].renderings == {"en": "white cat", "fr": "blanc chat", "it": "bianco gatto"}


def test_a_sentence_is_one_answer_however_many_rows_match(searcher):
    answers = searcher.answers(text="white cat", k=6)
    assert len({answer.hit.row.sentence_id for answer in answers}) == 6
    assert len(searcher.answers(text="white cat", k=100)) == 6


def test_an_index_moved_with_its_model_finds_it(project, tmp_path):
    moved = shutil.copytree(project, tmp_path / "moved")
    shutil.move(str(project), str(project) + "-away")
    try:
        searcher = Searcher.open(str(moved / "index"))
        assert Path(searcher.preset).resolve() == (moved / "run" / "preset").resolve()
        assert searcher.search(text="white cat", language="en", k=1)[0].row.text == "white cat"
    finally:
        shutil.move(str(project) + "-away", str(project))


def test_an_index_without_its_model_says_so(project, tmp_path):
    alone = shutil.copytree(project / "index", tmp_path / "index")
    info = json.loads((alone / "info.json").read_text())
    gone = info["model"]["path"]
    shutil.move(gone, gone + "-away")
    try:
        with pytest.raises(OutputError, match=r"no longer at .*; say where it is with --model"):
            Searcher.open(str(alone))
        Searcher.open(str(alone), model=gone + "-away")
    finally:
        shutil.move(gone + "-away", gone)


def test_another_model_is_refused_with_the_fix(project, tmp_path, capsys):
    other = shutil.copytree(project / "run" / "preset", tmp_path / "other")
    manifest = other / "preset.json"
    manifest.write_text(manifest.read_text() + "\n")
    assert main(["--index", str(project / "index"), "--model", str(other), "--text", "x"]) == 1
    error = capsys.readouterr().err
    assert "was built with model" in error
    assert f"give --model {project / 'run' / 'preset'}" in error


def test_a_damaged_index_is_refused(project, tmp_path, capsys):
    copy = shutil.copytree(project / "index", tmp_path / "index")
    path = copy / "shards" / "text-en-00000-of-00001" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert main(["--index", str(copy), "--text", "white cat"]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_sentences_are_printed_with_their_renderings(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = printed(
        ["--index", str(project / "index"), "--text", "blanc chat", "--language", "fr", "-k", "1"],
        capsys,
    )
    assert out.splitlines() == [
        "  1  1.000  fr blanc chat  white-cat",
        "            en white cat · fr blanc chat · it bianco gatto",
    ]


def test_renderings_fill_the_lines_and_none_is_broken():
    items = ["en red apple", "zh 红苹果", "fr pomme rouge", "ja 赤いリンゴ"]
    assert packed_lines(items, 24) == [
        "en red apple · zh 红苹果",
        "fr pomme rouge",
        "ja 赤いリンゴ",
    ]
    assert packed_lines(items, 23)[0] == "en red apple"
    assert packed_lines(items, 1) == items


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (3723.4, "1:02:03.4")]
)
def test_a_time_is_shown_as_on_a_player(seconds, shown):
    assert clock(seconds) == shown


def test_json_is_printed(project, capsys, recording):
    out = printed(
        ["--index", str(project / "index"), "--audio", recording, "--languages", "it",
         "--modality", "text", "--k", "2", "--json"],
        capsys,
    )  # fmt: skip
    answers = json.loads(out)
    assert [answer["rank"] for answer in answers] == [1, 2]
    for answer in answers:
        assert (answer["language"], answer["modality"]) == ("it", "text")
        assert answer["renderings"]["it"] == answer["text"]
        assert set(answer["renderings"]) == {"en", "fr", "it"}
        assert -1 <= answer["score"] <= 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "give --text or --audio"),
        (["--text", "a", "--audio", "b"], 2, "give --text or --audio"),
        (["--text", ""], 2, "--text is empty"),
        (["--text", " \t"], 2, "--text is empty"),
        (["--text", "a", "-k", "0"], 2, "-k must be at least 1"),
        (["--text", "a", "--language", "english"], 2, "--language 'english' is none of"),
        (["--text", "a", "--modality", "smell"], 2, "invalid choice"),
        (["--txt", "a"], 2, "did you mean --text?"),
        (["--text", "a", "--languages", "en,de"], 1, "has no rows in de; it has en, fr, it"),
        (["--audio", "/no/such/file.wav"], 1, "/no/such/file.wav: missing-file"),
        (["--text", "a", "--model", "/no/such/model"], 1, "/no/such/model holds no preset"),
        (["--text", "a", "--index", "/no/such/index"], 1, "is no output directory"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(project, capsys, arguments, status, words):
    try:
        found = main(["--index", str(project / "index"), *arguments])
    except SystemExit as exit_:
        found = exit_.code
    error = capsys.readouterr().err
    assert found == status
    assert words in error.splitlines()[-1]


def test_text_that_is_no_sound_is_rejected(searcher, tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("not a sound")
    with pytest.raises(Rejected, match="not-audio"):
        searcher.search(audio=str(path))


@pytest.mark.parametrize("query", [{}, {"text": "a", "audio": "b"}, {"text": " "}])
def test_a_query_is_one_text_or_one_sound(searcher, query):
    with pytest.raises(ValueError, match=r"give a text or a sound|text is empty"):
        searcher.search(**query)


def test_control_characters_of_a_foreign_index_do_not_reach_the_terminal(capsys):
    row = Row("a", "s\x1b[2J", "en", "text", "\x1b]0;title\x07red \N{RED APPLE}")
    show([Answer(1, Hit(1, 0.5, row), {"en": "\x9bred"})])
    out = capsys.readouterr().out
    assert "\N{RED APPLE}" in out
    assert not set(out) & {"\x1b", "\x07", "\x9b"}
