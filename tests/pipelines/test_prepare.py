"""From a corpus to a directory of pairs, on the demo corpus."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines import storage
from pipelines.codebook import Codebook
from pipelines.corpora.demo import DemoCorpus
from pipelines.length_batches import frame_count
from pipelines.output_dir import OutputDir, OutputError
from pipelines.prepare import PrepareOptions, main, prepare
from tests.pipelines.prepared import all_pairs, contents, opened

REPOSITORY = Path(__file__).parents[2]
DEMO = (
    "--corpus=demo",
    "--limit=300",
    "--voices=2",
    "--speech-encoder=mfcc",
    "--codebook-size=32",
    "--codebook-utterances=60",
    "--shards=3",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> OutputDir:
    """300 rows of the demo corpus, prepared; don't write into it."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    assert main([*DEMO, f"--output={folder}"]) == 0
    return opened(folder)


def test_every_row_of_the_demo_becomes_a_pair(data: OutputDir) -> None:
    rows = [row for _, row in zip(range(300), DemoCorpus(2).rows(), strict=False)]
    pairs = {pair.id: pair for pair in all_pairs(data)}

    assert len(pairs) == 300
    for row in rows:
        pair = pairs[row.id]
        assert (pair.task, pair.target_text, pair.source_language, pair.split, pair.audio) == (
            "transcription",
            row.transcript,
            row.language,
            row.split,
            row.audio,
        )
        assert (pair.sentence_id, pair.speaker, pair.provenance) == (
            row.sentence_id,
            row.speaker,
            "demo",
        )
        assert len(pair.source_tokens) == frame_count(round(pair.seconds * 16_000))
        assert 0.1 < pair.seconds < 10
    tokens = Counter(token for pair in pairs.values() for token in pair.source_tokens.tolist())
    assert set(tokens) == set(range(32))


def test_the_shards_are_the_files_that_info_names(data: OutputDir) -> None:
    data.verify()
    shards = sorted(name for name in os.listdir(data.path) if name.endswith(".tfrecord"))
    codebook = ["codebook/card.json", "codebook/codebook.npz"]

    assert list(data.info["files"]) == codebook + shards
    assert shards == [
        f"{split}-0000{index}-of-00003.tfrecord"
        for split in ("test", "train")
        for index in (0, 1, 2)
    ]
    assert data.info["shards"] == 3
    assert data.info["corpus"]["name"] == "demo"
    assert data.info["codebook"] == Codebook.load(data.file("codebook")).card
    assert data.info["codebook"]["k"] == 32
    assert data.info["options"]["limit"] == 300
    assert not list(Path(data.path).rglob(f"{storage.TEMPORARY}*"))


def test_the_stats_count_what_the_shards_hold(data: OutputDir) -> None:
    groups: dict[str, Counter[str]] = {}
    for pair in all_pairs(data):
        group = groups.setdefault(f"{pair.task}/{pair.split}/{pair.source_language}", Counter())
        group.update(
            pairs=1,
            tokens=len(pair.source_tokens),
            characters=len(pair.target_text),
            seconds=pair.seconds,  # type: ignore[arg-type]
        )

    assert (data.stats["rows"], data.stats["pairs"], data.stats["rejects"]) == (300, 300, {})
    assert list(data.stats["groups"]) == sorted(groups)
    for name, group in groups.items():
        assert data.stats["groups"][name] == pytest.approx(dict(group))
    assert set(data.stats["wall_seconds"]) == {"codebook", "tokenize"}


def test_a_second_run_says_complete_and_touches_nothing(
    data: OutputDir, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(Path(data.path))

    assert main([*DEMO, f"--output={data.path}", "--max-rejects=0.5"]) == 0
    assert capsys.readouterr().out == f"{data.path} is complete; nothing to do\n"
    assert contents(Path(data.path)) == before


def test_other_options_are_refused_and_touch_nothing(
    data: OutputDir, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(Path(data.path))

    assert main([*DEMO, f"--output={data.path}", "--seed=1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"prepare: {data.path} was made with other options (options.seed: 0, ")
    assert "--overwrite" in said
    assert contents(Path(data.path)) == before


SMALL = (
    "--corpus=demo",
    "--limit=60",
    "--speech-encoder=mfcc",
    "--shards=2",
)


def test_a_codebook_is_reused_and_other_options_overwrite(
    data: OutputDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reuse = [*SMALL, f"--output={tmp_path}/data", f"--codebook={data.path}/codebook"]
    assert main(reuse) == 0
    out = opened(f"{tmp_path}/data")
    again = {pair.id: pair.source_tokens.tolist() for pair in all_pairs(data)}

    assert capsys.readouterr().out.count("fit the codebook") == 0
    for name in ("codebook/codebook.npz", "codebook/card.json"):
        assert out.info["files"][name] == data.info["files"][name]
    assert len(all_pairs(out)) == 60
    # Encoded among other clips, whose company changes the last bits of a feature.
    same = [again[pair.id] == pair.source_tokens.tolist() for pair in all_pairs(out)]
    assert sum(same) > 55

    assert main([*reuse, "--limit=30", "--overwrite"]) == 0
    assert len(all_pairs(opened(f"{tmp_path}/data"))) == 30


def test_a_codebook_of_another_encoder_is_refused_before_anything_is_written(
    data: OutputDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [f"--output={tmp_path}/data", f"--codebook={data.path}/codebook", "--limit=60"]

    for more in ([], ["--dry-run"]):
        assert main([*wrong, "--speech-encoder=whisper_base@1", *more]) == 1
        assert "was fitted on mfcc; give --speech-encoder mfcc" in capsys.readouterr().err
    assert main([*SMALL, f"--output={tmp_path}/data", f"--codebook={tmp_path}/none"]) == 1
    assert f"{tmp_path}/none/codebook.npz" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_another_codebook_in_the_same_folder_is_another_input(
    data: OutputDir, tmp_path: Path
) -> None:
    shutil.copytree(data.file("codebook"), tmp_path / "codebook")
    options = PrepareOptions(
        output=f"{tmp_path}/data",
        limit=30,
        shards=1,
        speech_encoder="mfcc",
        codebook=f"{tmp_path}/codebook",
    )
    prepare(options)
    given = Codebook.load(options.codebook)
    Codebook(given.centroids[::-1].copy(), given.deviation, given.card).save(options.codebook)

    with pytest.raises(OutputError, match=r"other options \(options\.codebook_sha256"):
        prepare(options)


def test_a_dry_run_tells_the_rows_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*DEMO, f"--output={tmp_path}/data", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == "demo: 300 rows, into about 3 shards"
    speech = [line.split() for line in lines if line.startswith("  speech ")]
    assert [fields[1] for fields in speech if fields[1] != "encoder"] == ["test", "train"]
    assert sum(int(f[2]) for f in speech if f[1] != "encoder") == 300
    assert lines[-3:] == [
        "  speech encoder mfcc, codebook fitted, k = 32, on 60,000 frames of 60 recordings",
        "  about 6 min of speech (300 of untold length: 1.1 s each assumed), 8,250 audio tokens",
        f"  would write {tmp_path}/data",
    ]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--output=OUT", "--shard=3"], 2, "unknown flag --shard, did you mean --shards?"),
        (["--output=OUT", "--dry_run"], 2, "unknown flag --dry_run, did you mean --dry-run?"),
        (["--output=OUT", "--shards=0"], 2, "--shards must be at least 1"),
        (["--output=OUT", "--limit=0"], 2, "--limit must be at least 1"),
        (["--output=OUT", "--max-rejects=5"], 2, "--max-rejects is a share between 0 and 1"),
        (["--output=OUT", "--codebook-size=40000"], 2, "--codebook-size can't pass 32767"),
        (["--shards=3"], 2, "missing --output"),
        (
            ["--output=OUT", "--corpus=dmeo"],
            1,
            "--corpus 'dmeo': give demo, words, fleurs, covost, wikimatrix",
        ),
        (["--output=OUT", "--corpus=OUT/none.tsv"], 1, "none.tsv"),
        (["--output=OUT/file", *DEMO], 1, "file"),
    ],
)
def test_a_wrong_command_ends_with_its_reason(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    status: int,
    said: str,
) -> None:
    (tmp_path / "file").write_text("mine")
    try:
        ended = main([flag.replace("OUT", str(tmp_path)) for flag in flags])
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    last = capsys.readouterr().err.splitlines()[-1]

    assert ended == status
    assert last.startswith(("prepare: ", "python -m pipelines.prepare: error: "))
    assert said in last
    assert os.listdir(tmp_path) == ["file"]


def test_help_teaches_with_examples_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out

    assert "python -m pipelines.prepare --corpus demo --output demo/data" in text
    assert "(default: whisper_base@4)" in " ".join(text.split())
    assert "--runner=DataflowRunner" in text


def test_a_large_codebook_takes_a_larger_sample() -> None:
    def sizes(**given: int) -> tuple[int | None, int | None]:
        options = PrepareOptions(output="x", speech_encoder="mfcc", **given)
        return options.codebook_frames, options.codebook_utterances

    assert sizes() == (60_000, 2_000)
    assert sizes(codebook_size=8192) == (1_638_400, 16_384)
    assert sizes(codebook_size=8192, codebook_frames=900_000) == (900_000, 9_000)
    assert sizes(codebook_size=64, codebook_utterances=7) == (60_000, 7)


def test_where_the_encoder_runs_changes_nothing_of_what_is_made() -> None:
    one = PrepareOptions(output="x", speech_encoder="mfcc")
    other = PrepareOptions(
        output="x", speech_encoder="mfcc", accelerator="nvidia-l4", model_copies=1
    )

    assert one.content() == other.content()
    assert other.accelerator == "type:nvidia-l4;count:1;install-nvidia-driver"


def test_a_corpus_without_rows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.tsv").write_text("audio\tlanguage\ttranscript\n")

    assert main([f"--corpus={tmp_path}/m.tsv", f"--output={tmp_path}/data"]) == 1
    assert "has no rows" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["m.tsv"]


def test_too_few_frames_end_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*SMALL, f"--output={tmp_path}/data", "--codebook-utterances=5"]

    assert main([*flags, "--codebook-size=1024"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("prepare: ")
    assert "frames are too few for 1024 audio tokens; give more speech or a smaller" in last
    # As it says: nothing was written, so the same output takes the smaller one.
    assert main([*flags, "--codebook-size=8"]) == 0


def test_whisper_hears_the_demo(tmp_path: Path) -> None:
    flags = ["--speech-encoder=whisper_base@1", "--codebook-size=16", "--codebook-utterances=8"]
    flags.append("--speech-precision=bfloat16")
    assert main([*SMALL, *flags, f"--output={tmp_path}/data"]) == 0
    out = opened(f"{tmp_path}/data")
    pairs = all_pairs(out)

    assert len(pairs) == 60
    assert out.info["codebook"]["speech_encoder"] == "whisper_base@1"
    assert out.info["codebook"]["speech_encoder_precision"] == "bfloat16"
    assert Codebook.load(out.file("codebook")).centroids.shape == (16, 512)
    for pair in pairs:
        assert len(pair.source_tokens) == frame_count(round(pair.seconds * 16_000))
        assert len(set(pair.source_tokens.tolist())) > 3


def test_a_bucket_holds_the_same_files_as_a_folder(data: OutputDir, tmp_path: Path) -> None:
    from tests.pipelines import bucket_filesystem  # noqa: F401

    flags = [*SMALL, f"--codebook={data.path}/codebook"]
    assert main([*flags, f"--output={tmp_path}/local"]) == 0
    assert main([*flags, f"--output=bucket:/{tmp_path}/remote"]) == 0
    remote = opened(f"bucket:/{tmp_path}/remote")

    assert remote.info["files"] == opened(f"{tmp_path}/local").info["files"]
    remote.verify()


@pytest.mark.timeout(180)
def test_two_worker_processes_write_the_same_shards(data: OutputDir, tmp_path: Path) -> None:
    # A proxy that isn't there: what is fetched fails at once, and what is local must not ask it.
    environment: dict[str, Any] = {**os.environ, "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "pipelines.prepare", *DEMO, f"--output={tmp_path}/data"]
    beam = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    process = subprocess.Popen(
        [*command, "--runner=DirectRunner", *beam],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=170)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise

    assert process.returncode == 0, errors[-2000:]
    assert errors.count("Python sdk harness exiting") == 4, "two workers in each of two pipelines"
    assert opened(f"{tmp_path}/data").info["files"] == data.info["files"]
