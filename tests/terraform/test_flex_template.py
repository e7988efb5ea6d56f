"""A flex template launches one pipeline of a verb at a time, until its output is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import flex_template, prepare, storage, translate
from pipelines.output_dir import OutputDir
from pipelines.pairs import read_pairs
from scann_index import build, evaluate
from tests import captured_job
from tests.pipelines import bucket_filesystem  # noqa: F401  (Beam finds it once imported)
from tests.pipelines.sounds import encoded, voice
from tests.pipelines.translation.spanish import SENTENCES, prepared, recording
from tests.pipelines.translation.tiny_translators import make_ctranslate2

LABELS = '--labels={"goog-dataflow-provided-template-type":"flex"}'


@pytest.fixture()
def corpus(tmp_path: Path) -> str:
    """A manifest of nine recordings."""
    rows = ["audio\tlanguage\ttranscript\tsplit"]
    for number in range(9):
        (tmp_path / f"{number}.wav").write_bytes(encoded(voice(0.6, seed=number)))
        rows.append(f"{number}.wav\ten\tsentence {number}\t{'test' if number > 6 else 'train'}")
    path = tmp_path / "speech.tsv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return str(path)


def launch(verb: str, *flags: str, runner: str = "FnApiRunner") -> int:
    """What the launcher of a template does, here with a runner that runs the job at once."""
    given = [f"--verb={verb}", *flags, f"--runner={runner}"]
    return flex_template.main([*given, "--template_location=job", "--job_name=job"])


def prepare_flags(corpus: str, output: Path) -> tuple[str, ...]:
    sizes = ("--codebook_size=8", "--codebook_utterances=7", "--shards=4")
    return (f"--corpus={corpus}", f"--output={output}", "--speech_encoder=mfcc", *sizes)


def test_prepare_is_complete_after_three_launches(corpus: str, tmp_path: Path) -> None:
    output, done = tmp_path / "pairs", []
    flags = prepare_flags(corpus, output)
    while not (output / "COMPLETED").exists():
        assert launch("prepare", *flags) == 0
        done.append(
            [
                name
                for name in ("codebook/card.json", "finished", "COMPLETED")
                if (output / name).exists()
            ]
        )
    assert done == [
        ["codebook/card.json"],
        ["codebook/card.json", "finished"],
        ["codebook/card.json", "finished", "COMPLETED"],
    ]
    OutputDir.open(str(output), kind="pairs").verify()
    assert launch("prepare", *flags) == 0, "a complete output is read back again"


def test_translations_by_an_engine_in_a_bucket_are_complete_after_two_launches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELEAR_CACHE", str(tmp_path / "cache"))
    data = prepared(str(tmp_path / "pairs"), [recording(text, 0) for text in SENTENCES])
    engine = make_ctranslate2(str(tmp_path / "engine"))
    output = tmp_path / "translated"
    flags = (f"--data={data.path}", f"--output={output}", f"--engine=ctranslate2:bucket:/{engine}")
    # The engine's translations are nonsense.
    loose = ("--min_language_confidence=0", "--max_length_ratio=99", "--max_rejects=1")
    launches = 0
    while not (output / "COMPLETED").exists():
        assert launch("translate", *flags, *loose) == 0
        launches += 1
    assert launches == 2
    pairs = read_pairs(OutputDir.open(str(output), kind="pairs"), "train")
    assert {pair.task for pair in pairs} == {"translation", "bitext"}


def test_an_index_is_complete_after_four_launches(
    tiny_data: OutputDir, tiny_preset: str, tmp_path: Path
) -> None:
    flags = (f"--model={tiny_preset}", f"--data={tiny_data.path}", f"--output={tmp_path / 'index'}")
    launches = 0
    while not (tmp_path / "index" / "COMPLETED").exists():
        assert launch("build", *flags, "--shard_rows=9000") == 0
        launches += 1
    assert launches == 4, "the variable `workflow` in terraform/ allows for no fewer"


def test_what_was_damaged_after_it_was_written_fails_the_job(corpus: str, tmp_path: Path) -> None:
    output = tmp_path / "pairs"
    flags = prepare_flags(corpus, output)
    for _ in range(3):
        launch("prepare", *flags)
    (output / "codebook" / "card.json").write_text("{}")
    with pytest.raises(ValueError, match=r"card\.json is damaged"):
        launch("prepare", *flags)


def test_a_verb_that_fails_fails_the_launch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch("prepare", f"--corpus={tmp_path}/none.tsv", f"--output={tmp_path}/pairs") == 1
    assert "none.tsv" in capsys.readouterr().err


def test_outside_a_template_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        flex_template.main(["--verb=prepare", "--corpus=demo"])
    assert exit.value.code == 2
    assert "inside a flex template only" in capsys.readouterr().err


def test_options_are_told_from_flags_of_beam() -> None:
    flags = ["--codebook_size=64", "--max_num_workers=3", LABELS, "--corpus=a=b", "--limit=5"]
    assert flex_template.divide(flags, prepare.PrepareOptions) == (
        ["--codebook-size=64", "--corpus=a=b", "--limit=5"],
        ["--max_num_workers=3", LABELS],
    )


def test_every_verb_has_the_module_and_options_it_is_said_to_have() -> None:
    found = {verb: (m, name) for verb, (m, name) in flex_template.VERBS.items()}
    assert found == {
        "prepare": (prepare.__name__, prepare.PrepareOptions.__name__),
        "translate": (translate.__name__, translate.TranslateOptions.__name__),
        "build": (build.__name__, build.BuildOptions.__name__),
        "evaluate": (evaluate.__name__, evaluate.EvaluateOptions.__name__),
    }


def test_dataflow_gets_a_job_and_nothing_runs(corpus: str, tmp_path: Path) -> None:
    flags = ["--verb=prepare", *prepare_flags(corpus, tmp_path / "pairs"), LABELS]
    with captured_job.bucket() as objects:
        job = captured_job.capture(objects, flex_template.main, flags)
    assert "FitCodebook/Fit" in job.steps()
    assert not storage.exists(f"{tmp_path}/pairs/codebook")
