import json

import pytest

from pipelines import storage
from pipelines.output_dir import OutputDir
from pipelines.status import lines, main, status


@pytest.fixture
def data(tmp_path) -> OutputDir:
    """Pairs of which two of four shards are finished, a minute apart."""
    out = OutputDir(str(tmp_path / "data"), kind="pairs")
    out.begin({"shards": 4, "corpus": "demo"})
    for index, rejects in enumerate([{"too-long": 1}, {"too-long": 2, "not-audio": 1}]):
        part = {
            "rows": 50,
            "rejects": rejects,
            "rejects_by_stage": {"decode": rejects},
            "groups": {"transcription/train/en": {"pairs": 40, "seconds": 120.0}},
            "finished": 1000.0 + 60 * index,
        }
        storage.write_json(out.file("finished", f"{index:05d}.json"), part)
    out.release()
    return out


def complete(out: OutputDir) -> None:
    storage.write_bytes(out.file("train-0"), b"data")
    speech = {"pairs": 10, "seconds": 1800.0, "tokens": 45_000, "characters": 100}
    groups = {"transcription/train/en": speech, "transcription/train/fr": speech}
    stats = {"rows": 22, "pairs": 20, "rejects": {"too-long": 2}, "groups": groups}
    out.complete(files=["train-0"], stats=stats)


def test_an_unfinished_directory_tells_how_far_it_is_and_when_it_may_be_done(data):
    found = status(data.path, now=1090.0)
    assert found["state"] == "unfinished"
    assert found["parts"] == {
        "done": 2,
        "total": 4,
        "seconds_since_last": 30.0,
        "rows_per_second": 50 / 60,
        "speech_per_second": 2.0,
        "seconds_left": 120.0,
    }
    assert (found["rows"], found["rejects"]) == (100, {"too-long": 3, "not-audio": 1})
    text = "\n".join(lines(found))
    assert (
        "2 of 4 parts finished, the last one 30 s ago, 0.8 rows a second, "
        "2 s of speech a second, about 2 min left if it is running"
    ) in text
    assert "4 rejected (decode: too-long 3, not-audio 1)" in text
    assert "the codebook is not fitted yet" in text
    assert "run the command that makes it again" in text


def test_nobody_knows_how_many_parts_archives_make(data):
    part = {"rows": 512, "rejects": {}, "finished": 1070.0}
    storage.write_json(data.file("finished", "7d1a0c39b2e4-00003.json"), part)
    found = status(data.path, now=1090.0)
    assert (found["parts"]["done"], found["parts"]["total"]) == (3, None)
    (line,) = [line for line in lines(found) if "parts" in line]
    assert line.startswith("  3 parts finished, the last one 20 s ago, 8.0 rows a second")
    assert "left" not in line


def test_a_complete_directory_tells_what_it_holds(data, capsys):
    complete(data)
    assert main([data.path, "--verify"]) == 0
    text = capsys.readouterr().out
    assert f"{data.path}: pairs, complete" in text
    assert "22 rows, 20 pairs" in text
    assert "2 rejected (too-long 2)" in text
    assert (
        "transcription/train           20 pairs, 2 languages, 1.00 h, 90,000 audio tokens" in text
    )


def test_what_was_rejected_is_told_by_stage_and_how_to_prepare_it_again(data):
    storage.write_json(data.file("codebook", "card.json"), {})
    groups = {"transcription/train/en": {"pairs": 1, "seconds": 1.0, "tokens": 25}}
    stages = {"decode": {"not-audio": 2, "too-long": 9}, "read": {"missing-value": 1}}
    stats = {"rows": 13, "pairs": 1, "rejects": {"too-long": 12}, "groups": groups}
    data.complete(files=[], stats={**stats, "rejects_by_stage": stages})

    text = "\n".join(lines(status(data.path)))
    assert "12 rejected (decode: too-long 9, not-audio 2; read: missing-value 1)" in text
    assert f"python -m pipelines.prepare --only-rejects {data.path} --output" in text
    assert "codebook" not in text


def test_damage_is_found_when_it_is_looked_for(data, capsys):
    complete(data)
    storage.write_bytes(data.file("train-0"), b"daTa")
    assert main([data.path]) == 0
    assert main([data.path, "--verify"]) == 1
    assert "train-0 is damaged" in capsys.readouterr().out
    storage.write_bytes(data.file("info.json"), b"{}")
    assert status(data.path)["state"] == "damaged"


def test_a_run_tells_its_step_and_its_recall(tmp_path):
    out = OutputDir(str(tmp_path / "run"), kind="run")
    out.begin({"steps": 700})
    assert status(out.path)["state"] == "running"
    out.release()
    assert status(out.path)["state"] == "unfinished"
    log = {"step": 350, "loss": 0.5123, "dev_recall_at_1": {"ar": 0.8, "en": 0.9}}
    storage.write_bytes(
        out.file("log.jsonl"), f'{{"step": 175}}\n{json.dumps(log)}\n{{"ste'.encode()
    )
    text = "\n".join(lines(status(out.path)))
    assert "step 350 of 700, loss 0.512, dev recall@1 0.850 over 2 languages" in text


def test_a_folder_that_no_stage_wrote_is_said_to_be_none(tmp_path, data, capsys):
    assert main([str(tmp_path / "absent"), data.path, "--json"]) == 1
    absent, unfinished = json.loads(capsys.readouterr().out)
    assert (absent["state"], unfinished["state"]) == ("unknown", "unfinished")
    assert absent["problem"] == "no stage has begun to write here"


def test_every_kind_of_folder_has_a_help_that_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m pipelines.status demo/*/" in capsys.readouterr().out
