"""A stage's output: begun, resumed, complete, or refused with a reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pipelines import storage
from pipelines.output_dir import VERSION, OutputDir, OutputError, State

OPTIONS = {"seed": 1, "corpus": {"name": "demo", "languages": ["en", "fr"]}, "limit": None}


def finished(folder: str, options: dict[str, Any] | None = None) -> OutputDir:
    out = OutputDir(folder, kind="pairs")
    out.begin(OPTIONS if options is None else options)
    storage.write_bytes(out.file("part-0"), b"zero")
    storage.write_bytes(out.file("deeper", "part-1"), b"one")
    out.complete(files=["part-0", "deeper/part-1"], stats={"pairs": 2}, info={"shards": 2})
    return out


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"{tmp_path}/data"


def test_a_missing_folder_is_begun_as_new(folder: str) -> None:
    out = OutputDir(folder, kind="pairs")

    assert out.begin(OPTIONS) is State.NEW
    assert not out.is_complete
    assert storage.read_json(out.file("begun.json")) == {"kind": "pairs", "options": OPTIONS}


def test_an_empty_folder_is_begun_as_new(folder: str) -> None:
    os.mkdir(folder)

    assert OutputDir(folder + "/", kind="pairs").begin(OPTIONS) is State.NEW
    assert set(os.listdir(folder)) == {"begun.json", "lock.json"}


def test_a_folder_killed_before_it_was_begun_is_begun_as_new(folder: str) -> None:
    os.mkdir(folder)
    Path(folder, f"{storage.TEMPORARY}begun").write_bytes(b"{")

    assert OutputDir(folder, kind="pairs").begin(OPTIONS) is State.NEW
    assert set(os.listdir(folder)) == {"begun.json", "lock.json"}


def test_a_begun_folder_is_resumed_without_what_was_half_written(folder: str) -> None:
    out = OutputDir(folder, kind="pairs")
    out.begin(OPTIONS)
    storage.write_bytes(out.file("deeper", "part-1"), b"one")
    Path(folder, "deeper", f"{storage.TEMPORARY}part-2").write_bytes(b"tw")

    assert OutputDir(folder, kind="pairs").begin(dict(OPTIONS)) is State.RESUMED
    assert os.listdir(f"{folder}/deeper") == ["part-1"]


def test_a_complete_folder_is_said_to_be_complete_and_left_alone(folder: str) -> None:
    finished(folder)
    before = {p: p.stat().st_mtime_ns for p in Path(folder).rglob("*")}

    assert OutputDir(folder, kind="pairs").begin(OPTIONS) is State.COMPLETE
    assert {p: p.stat().st_mtime_ns for p in Path(folder).rglob("*")} == before


def test_tuples_and_lists_are_the_same_options(folder: str) -> None:
    OutputDir(folder, kind="pairs").begin({"languages": ("en", "fr")})

    assert OutputDir(folder, kind="pairs").begin({"languages": ["en", "fr"]}) is State.RESUMED


def test_other_options_are_refused_with_what_differs(folder: str) -> None:
    finished(folder)
    other = {"seed": 2, "corpus": {"name": "demo", "languages": ["en"]}, "limit": 3}

    with pytest.raises(OutputError) as refused:
        OutputDir(folder, kind="pairs").begin(other)

    assert str(refused.value) == (
        f"{folder} was made with other options (options.seed: 1, now 2; "
        "options.corpus.languages: ['en', 'fr'], now ['en']; options.limit: None, now 3); "
        "choose another --output, or --overwrite it"
    )
    assert OutputDir.open(folder, kind="pairs").stats == {"pairs": 2}


def test_another_kind_is_refused(folder: str) -> None:
    finished(folder)

    with pytest.raises(OutputError, match="kind: 'pairs', now 'index'"):
        OutputDir(folder, kind="index").begin(OPTIONS)
    with pytest.raises(OutputError, match="holds pairs, expected index"):
        OutputDir.open(folder, kind="index")


def test_what_was_begun_but_holds_no_data_is_begun_anew_with_other_options(folder: str) -> None:
    OutputDir(folder, kind="pairs").begin({"speech_encoder": "whisper_bse@3"})
    out = OutputDir(folder, kind="pairs")

    assert out.begin({"speech_encoder": "whisper_base@3"}) is State.NEW
    assert storage.read_json(out.file("begun.json"))["options"] == {
        "speech_encoder": "whisper_base@3"
    }

    storage.write_bytes(out.file("codebook", "codebook.npz"), b"")
    with pytest.raises(OutputError, match="made with other options"):
        OutputDir(folder, kind="pairs").begin({"speech_encoder": "mfcc"})


def test_told_to_overwrite_it_leaves_nothing_of_the_old_one(folder: str) -> None:
    finished(folder)

    assert OutputDir(folder, kind="pairs").begin({"seed": 2}, overwrite=True) is State.NEW
    assert set(os.listdir(folder)) == {"begun.json", "lock.json"}


@pytest.mark.parametrize("name", ["thesis.tex", "photos/cat.jpg", "empty folder/"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_someone_else_is_refused_and_never_emptied(
    folder: str, name: str, overwrite: bool
) -> None:
    Path(folder, name).parent.mkdir(parents=True)
    if name.endswith("/"):
        Path(folder, name).mkdir()
    else:
        Path(folder, name).write_text("mine")

    with pytest.raises(OutputError, match="no stage wrote; choose another --output"):
        OutputDir(folder, kind="pairs").begin(OPTIONS, overwrite=overwrite)
    assert Path(folder, name).exists()
    assert not Path(folder, "begun.json").exists()


def test_a_complete_folder_tells_what_made_it_and_what_is_in_it(folder: str) -> None:
    finished(folder)
    out = OutputDir.open(folder, kind="pairs")

    assert out.info == {
        "kind": "pairs",
        "options": OPTIONS,
        "version": VERSION,
        "shards": 2,
        "files": {"part-0": storage.sha256(b"zero"), "deeper/part-1": storage.sha256(b"one")},
    }
    assert out.stats == {"pairs": 2}
    assert out.digest == storage.sha256(storage.read_bytes(out.file("info.json")))
    out.verify()


def test_the_same_content_has_the_same_digest(folder: str) -> None:
    assert finished(folder + "1").digest == finished(folder + "2").digest
    assert finished(folder + "3", {"seed": 2}).digest != finished(folder + "1").digest


def test_publishing_fails_if_a_data_file_is_missing(folder: str) -> None:
    out = OutputDir(folder, kind="pairs")
    out.begin(OPTIONS)

    with pytest.raises(FileNotFoundError, match="part-0"):
        out.complete(files=["part-0"], stats={})
    assert not out.is_complete


def test_an_unfinished_folder_is_not_opened(folder: str) -> None:
    with pytest.raises(OutputError, match=r"no output directory of Babelear \(expected pairs\)"):
        OutputDir.open(folder, kind="pairs")

    OutputDir(folder, kind="pairs").begin(OPTIONS)
    with pytest.raises(OutputError, match="not complete; run the command that makes it again"):
        OutputDir.open(folder, kind="pairs")


def test_an_altered_info_is_noticed(folder: str) -> None:
    out = finished(folder)
    storage.write_json(out.file("info.json"), {**out.info, "shards": 3})

    with pytest.raises(OutputError, match=r"info\.json was altered"):
        OutputDir.open(folder, kind="pairs")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"onE"), "is damaged"),
        (lambda path: path.write_bytes(b"on"), "is damaged"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_verify_finds_a_damaged_or_missing_data_file(folder: str, damage: Any, said: str) -> None:
    finished(folder)
    damage(Path(folder, "deeper", "part-1"))

    with pytest.raises(OutputError, match=f"deeper/part-1 {said}"):
        OutputDir.open(folder, kind="pairs").verify()


def test_a_bucket_serves_as_a_folder_but_is_never_emptied(tmp_path: Path) -> None:
    from tests.pipelines import bucket_filesystem  # noqa: F401

    bucket = f"bucket:/{tmp_path}/data"
    finished(bucket)
    OutputDir.open(bucket, kind="pairs").verify()

    assert OutputDir(bucket, kind="pairs").begin(OPTIONS) is State.COMPLETE
    with pytest.raises(OutputError, match=r"remove bucket:.* yourself"):
        OutputDir(bucket, kind="pairs").begin({"seed": 2}, overwrite=True)
    OutputDir.open(bucket, kind="pairs").verify()


def test_hashes_of_the_writers_are_published_without_reading_the_files_again(folder: str) -> None:
    out = OutputDir(folder, kind="pairs")
    out.begin(OPTIONS)
    storage.write_bytes(out.file("part-0"), b"damaged since")
    with pytest.raises(FileNotFoundError, match="part-1"):
        out.complete(files={"part-0": "0" * 64, "part-1": "1" * 64}, stats={})
    assert not out.is_complete

    out.complete(files={"part-0": storage.sha256(b"as written")}, stats={})

    with pytest.raises(OutputError, match="part-0 is damaged"):
        OutputDir.open(folder, kind="pairs").verify()
