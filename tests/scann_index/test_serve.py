"""What the server answers, and how it stays up."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import soundfile

from scann_index.serve import main
from scann_index.serve_answers import Answerer
from scann_index.serve_app import Settings, create_app
from tests.scann_index.requests import ask, post, refusal, tone


def test_a_text_finds_itself_with_all_its_renderings(app):
    body = {
        "text": " bianco gatto ",
        "language": "it",
        "languages": ["it"],
        "modality": "text",
        "k": 2,
    }
    response = post(app, json=body)
    assert response.status_code == 200
    found = response.json()
    assert found["query"] == {"text": "bianco gatto", "seconds": None}
    first, second = found["answers"]
    assert (first["rank"], first["text"], first["language"]) == (1, "bianco gatto", "it")
    assert first["score"] == pytest.approx(1, abs=1e-3)
    assert second["score"] < first["score"]
    assert first["sentence_id"] == "white-cat"
    assert [(r["language"], r["text"]) for r in first["renderings"]] == [
        ("it", "bianco gatto"),
        ("en", "white cat"),
        ("fr", "blanc chat"),
    ]
    assert all(
        re.fullmatch(r"speech-\w\w-00000-of-00001/\d", r["audio"]) for r in first["renderings"]
    )


def test_the_answers_are_the_searchers_own(app, searcher):
    expected = searcher.answers(text="white dog", k=4)
    found = post(app, json={"text": "white dog", "k": 4}).json()["answers"]
    assert [a["sentence_id"] for a in found] == [a.hit.row.sentence_id for a in expected]
    assert [a["score"] for a in found] == pytest.approx([a.hit.score for a in expected], abs=1e-3)
    for answer, other in zip(found, expected, strict=True):
        assert {r["language"]: r["text"] for r in answer["renderings"]} == other.renderings


def test_rows_read_from_disk_and_kept_in_memory_answer_alike(searcher):
    from scann_index.queries import Query

    one, other = Answerer(searcher), Answerer(searcher)
    other._in_memory = False
    queries = [Query(text="white dog", k=5), Query(text="oiseau", modality="speech", k=3)]
    assert one.answer(queries) == other.answer(queries)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_sound_of_every_format_is_searched_by_form_or_as_the_body(app, kind):
    data = tone(kind=kind)
    form = ("POST", "/search", {"files": {"audio": ("q.bin", data, "audio/x")}, "data": {"k": "3"}})
    plain = ("POST", "/search?k=3", {"content": data, "headers": {"content-type": "audio/wav"}})
    responses = ask(app, form, plain)
    for response in responses:
        assert response.status_code == 200, response.text
        assert response.json()["query"]["seconds"] == pytest.approx(1.0, abs=0.1)
    one, other = (response.json()["answers"] for response in responses)
    assert one == other
    assert len(one) == 3


def test_requests_that_come_together_share_a_call_of_the_model_and_get_their_own_answers(app):
    texts = ["white cat", "blanc chien", "bianco pesce", "white moon", "oiseau", "cavallo"]
    alone = [post(app, json={"text": text}).json()["answers"] for text in texts]
    sounds = [("POST", "/search", {"files": {"audio": ("a.wav", tone(), "audio/wav")}})]
    calls = [("POST", "/search", {"json": {"text": text}}) for text in texts]
    *together, speech, metrics = ask(app, *calls, *sounds, ("GET", "/metrics", {}))
    for expected, response in zip(alone, together, strict=True):
        found = response.json()["answers"]
        assert [a["sentence_id"] for a in found] == [a["sentence_id"] for a in expected]
    assert speech.status_code == 200
    (metrics,) = [ask(app, ("GET", "/metrics", {}))]
    sizes = re.findall(r'babelear_batch_size_bucket\{le="(\S+)"\} (\S+)', metrics.text)
    below = {float(size): float(count) for size, count in sizes}
    assert below[float("inf")] > below[4.0], "no batch of more than four"


def test_too_many_waiting_requests_are_sent_away_for_now(searcher):
    app = create_app(searcher, Settings(max_waiting=2, max_batch=1))
    responses = ask(app, *(("POST", "/search", {"json": {"text": f"t{i}"}}) for i in range(12)))
    statuses = [response.status_code for response in responses]
    assert statuses.count(200) >= 2
    refused = [response for response in responses if response.status_code != 200]
    assert refused
    assert {refusal(response) for response in refused} == {(503, "overloaded")}
    assert all(response.headers["retry-after"] == "1" for response in refused)


def test_a_failure_of_the_model_is_a_500_that_tells_nothing_and_harms_no_other(
    searcher, monkeypatch
):
    app = create_app(searcher, Settings(batch_wait=0.1))
    answer = Answerer.answer

    def failing(self, queries):
        if any(query.text == "poison" for query in queries):
            raise RuntimeError("secret path /home/me")
        return answer(self, queries)

    monkeypatch.setattr(Answerer, "answer", failing)
    bodies = [{"text": "white cat"}, {"text": "poison"}, {"text": "white dog"}]
    one, two, three = ask(app, *(("POST", "/search", {"json": body}) for body in bodies))
    assert (one.status_code, three.status_code) == (200, 200)
    assert refusal(two) == (500, "internal-error")
    assert "secret" not in two.text


def test_recordings_found_can_be_played(app):
    found = post(app, json={"text": "white cat", "modality": "speech", "k": 1}).json()
    path = found["answers"][0]["renderings"][0]["audio"]
    response = ask(app, ("GET", f"/audio/{path}", {}))
    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/wav"
    sound, rate = soundfile.read(io.BytesIO(response.content))
    assert rate == 16_000
    assert 0.3 < len(sound) / rate < 3
    assert np.abs(sound).max() > 0.05


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/audio/speech-it-00000-of-00001/99", (404, "no-such-recording")),
        ("/audio/speech-it-00000-of-00001/-1", (404, "no-such-recording")),
        ("/audio/text-it-00000-of-00001/0", (404, "no-such-recording")),
        ("/audio/%2e%2e%2f%2e%2e/0", (404, "no-such-page")),
        ("/audio/speech-it-00000-of-00001/x", (422, "invalid-value")),
        ("/assets/page.py", (404, "no-such-page")),
        ("/assets/..%2fserve.py", (404, "no-such-page")),
        ("/nowhere", (404, "no-such-page")),
        ("/search", (405, "no-such-method")),
    ],
)
def test_what_is_not_there_is_said_as_json(app, path, expected):
    assert refusal(ask(app, ("GET", path, {}))) == expected


def test_a_server_told_so_plays_nothing(searcher):
    app = create_app(searcher, Settings(sound=False))
    response = ask(app, ("GET", "/audio/speech-it-00000-of-00001/0", {}))
    assert refusal(response) == (404, "no-sound")


def test_health_index_and_openapi_describe_the_server(app):
    paths = ("/healthz", "/index", "/openapi.json")
    health, index, openapi = ask(app, *(("GET", path, {}) for path in paths))
    assert health.json() == {"status": "ok", "waiting": 0}
    card = index.json()
    assert [(one["code"], one["text"], one["speech"]) for one in card["languages"]] == [
        ("en", 6, 6),
        ("fr", 6, 6),
        ("it", 6, 6),
    ]
    assert card["rows"] == 36
    assert card["limits"]["seconds"] == 2.0
    assert {example["language"] for example in card["examples"]} == {"en", "fr", "it"}
    search = openapi.json()["paths"]["/search"]["post"]
    assert set(search["requestBody"]["content"]) == {
        "application/json",
        "multipart/form-data",
        "audio/*",
    }
    assert {"200", "400", "408", "413", "415", "422", "503"} <= set(search["responses"])


def test_metrics_count_requests_refusals_and_batches(app):
    post(app, json={"text": "white cat"})
    post(app, json={"text": ""})
    ask(app, ("GET", "/anything/else", {}))
    text = ask(app, ("GET", "/metrics", {})).text
    assert re.search(r'babelear_requests_total\{route="/search",status="200"\} \d', text)
    assert re.search(r'babelear_refused_total\{reason="missing-query"\} \d', text)
    assert 'route="other",status="404"' in text
    assert "anything" not in text
    assert "babelear_index_rows 36.0" in text


def test_the_page_loads_nothing_from_elsewhere_and_names_its_controls(app):
    paths = ("/", "/assets/page.js", "/assets/page.css", "/assets/recorder.js")
    responses = ask(app, *(("GET", path, {}) for path in paths))
    page = responses[0]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for response in responses:
        addresses = re.findall(
            r"(?:src|href|url|import|from)\W{1,3}(?:https?:)?//\S+", response.text
        )
        assert addresses == []
    assert " style=" not in page.text, "the content security policy forbids it"
    for button in re.findall(r"<button[^>]*>(?:(?!</button>).)*</button>", page.text, re.DOTALL):
        named = "aria-label=" in button or re.sub(r"<[^>]+>", "", button).strip()
        assert named or 'class="round' in button, button


def test_what_is_asked_for_on_the_command_line_is_checked(project, capsys, tmp_path):
    assert main(["--index", str(project / "index"), "--dry-run"]) == 0
    assert "36 rows in 3 languages" in capsys.readouterr().out
    assert main(["--index", str(tmp_path)]) == 1
    assert "is no output directory of Babelear" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--index", "x", "--port", "99999"])
    assert "--port is a number" in capsys.readouterr().err
