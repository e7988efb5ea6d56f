"""A translation run: counted before, limited, refused, killed and finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import storage, translate
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import read_pairs
from pipelines.status import lines, status
from pipelines.translate import TranslateOptions, main
from tests import captured_job
from tests.pipelines.translation.spanish import ANYTHING, BAD, SENTENCES, opened

REPOSITORY = Path(__file__).parents[3]


def test_a_dry_run_counts_and_writes_nothing(
    data: OutputDir, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--data={data.path}", f"--engine=ctranslate2:{model}", f"--cache={tmp_path}/cache"]
    dry = [*flags, f"--output={tmp_path}/out", "--into=en,fr", "--dry-run", *ANYTHING]
    assert main(dry) == 0
    said = capsys.readouterr().out.splitlines()
    count = len(SENTENCES) + len(BAD)

    assert said[0] == f"{data.path}: {2 * len(SENTENCES) + len(BAD) + 1} recordings of train"
    assert [line.split(":")[0] for line in said[1:4]] == [
        "  en into fr",
        "  es into en",
        "  es into fr",
    ]
    assert f"es into en: {count} distinct texts, 0 cached, {count} to translate (" in said[2]
    assert said[-1] == f"  would write {tmp_path}/out, keep translations in {tmp_path}/cache"
    assert os.listdir(tmp_path) == []

    assert main([*flags, f"--output={tmp_path}/out", "--into=en", *ANYTHING]) == 0
    capsys.readouterr()
    assert main(dry) == 0
    # What was rejected unasked, or has no end, is no translation and is asked again.
    known = opened(f"{tmp_path}/out").stats["translation"]["translated"]
    assert 0 < known < count
    assert f"es into en: {count} distinct texts, {known} cached, {count - known} to" in (
        capsys.readouterr().out
    )


def test_a_limit_takes_so_many_recordings_from_all_shards_alike(
    data: OutputDir, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--data={data.path}", f"--output={tmp_path}/out", f"--engine=ctranslate2:{model}"]
    limited = [*flags, *ANYTHING, "--limit=5", "--tasks=translation"]
    assert main([*limited, "--dry-run"]) == 0
    assert ": 3 distinct texts" in capsys.readouterr().out
    assert main(limited) == 0
    out = opened(f"{tmp_path}/out")

    assert out.stats["rows"] == 5
    parts = [storage.read_json(path) for path in storage.list_files(out.file("finished"))]
    assert sorted(part["rows"] for part in parts) == [1, 2, 2]


def test_too_many_rejects_publish_nothing_and_a_higher_limit_needs_no_new_work(
    data: OutputDir, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--data={data.path}", f"--output={tmp_path}/out", f"--engine=ctranslate2:{model}"]
    assert main([*flags, "--max-length-ratio=1"]) == 1
    assert "pairs were rejected (" in capsys.readouterr().err
    with pytest.raises(OutputError, match="not complete"):
        opened(f"{tmp_path}/out")

    before = sorted(Path(tmp_path).rglob("*.parquet"))
    assert main([*flags, "--max-length-ratio=1", "--max-rejects=1"]) == 0
    assert sorted(Path(tmp_path).rglob("*.parquet")) == before


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--engine=babelfish"], "give apertium, ctranslate2:FOLDER or keras_hub:PRESET"),
        (["--engine=ctranslate2:OUT"], "has no model.bin"),
        (["--engine=keras_hub:gemma3_270m"], "no template is built in for gemma3_270m"),
        (["--languages=de"], "has no speech of de in train; it has en, es"),
        (["--splits=dev"], "nothing to translate into en: speech of no language"),
        (["--into=xx"], "--into: xx is none of pipelines.utterance.LANGUAGES"),
        (["--tasks=transcription"], "--tasks: transcription is none of translation, bitext"),
        (["--max-length-ratio=0"], "--max-length-ratio must be at least 1"),
        (["--data=OUT"], "is no output directory of Babelear"),
    ],
)
def test_a_wrong_command_ends_with_its_reason(
    data: OutputDir,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    given = [f"--data={data.path}", f"--output={tmp_path}/out", f"--engine=ctranslate2:{model}"]
    try:
        ended = main([*given, *(flag.replace("OUT", str(tmp_path)) for flag in flags)])
    except SystemExit as exit_:
        ended = int(str(exit_.code))

    assert ended in (1, 2)
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert os.listdir(tmp_path) == []


def test_dataflow_is_told_which_step_needs_a_model_and_a_gpu(
    data: OutputDir, model: str, tmp_path: Path
) -> None:
    gpu = "type:nvidia-l4;count:1;install-nvidia-driver"
    flags = [f"--data={data.path}", f"--engine=ctranslate2:{model}", f"--output={tmp_path}/out"]
    with captured_job.bucket() as objects:
        job = captured_job.capture(objects, main, [*flags, f"--accelerator={gpu}", *ANYTHING])
    steps = job.steps()

    assert steps["Translate"] == {"accelerator": gpu, "min_ram_bytes": str(8 * 10**9)}
    assert [steps[name] for name in ("ReadTexts", "StoreTranslations", "WriteShard")] == [{}] * 3
    assert not (tmp_path / "out" / "COMPLETED").exists()


# At the rename asked for, the process kills itself.
PROGRAM = """
import os, signal, sys
ending, left = sys.argv[1], int(sys.argv[2])
rename = os.replace
def replace(source, target):
    global left
    left -= str(target).endswith(ending)
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
from pipelines import translate
translate.UNIT_TEXTS = 3
sys.exit(translate.main(sys.argv[3:]))
"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("ending", "count"), [(".parquet", 3), (".tfrecord", 2)])
def test_a_run_that_is_killed_is_finished_by_the_next_with_the_same_bytes(
    data: OutputDir,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    count: int,
) -> None:
    flags = [f"--data={data.path}", f"--engine=ctranslate2:{model}", *ANYTHING]
    outputs = [f"--output={tmp_path}/killed/out", f"--output={tmp_path}/undisturbed/out"]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, ending, str(count), *flags, outputs[0]],
        cwd=REPOSITORY,
        capture_output=True,
    )
    assert process.returncode == -signal.SIGKILL
    if ending == ".parquet":
        (line,) = [text for text in lines(status(f"{tmp_path}/killed/out")) if "units" in text]
        assert line.startswith("  2 of ")
    parts = set(Path(tmp_path).rglob("*.parquet"))
    assert len(parts) == 2 if ending == ".parquet" else len(parts) > 2

    monkeypatch.setattr(translate, "UNIT_TEXTS", 3)
    assert [main([*flags, output]) for output in outputs] == [0, 0]
    killed, undisturbed = opened(f"{tmp_path}/killed/out"), opened(f"{tmp_path}/undisturbed/out")
    assert killed.digest == undisturbed.digest
    assert {"translation", "bitext"} == {p.task for p in read_pairs(killed, "train")}
    for one in (killed, undisturbed):
        one.verify()
    assert parts < set(Path(tmp_path).rglob("*.parquet"))


def test_options_that_only_change_the_speed_change_no_content() -> None:
    one = TranslateOptions(data="d", output="o", engine="apertium")
    other = TranslateOptions(data="e", output="p", engine="apertium", batch_size=64, cache="c")

    assert one.content() == other.content()
    assert one.content() != TranslateOptions(**{**vars(one), "min_score": 0.1}).content()
