"""Every published format at once, with one thing broken in each: one reject each, nothing lost."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpora import open_corpus
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, read_pairs
from pipelines.prepare import main
from tests.pipelines.archives import tar, tar_gz
from tests.pipelines.corpora.samples import (
    TMX,
    WIKIMATRIX,
    clips,
    covost,
    covost_tsv,
    fleurs,
    moses_zip,
    validated_tsv,
)
from tests.pipelines.corpora.test_speech_manifest import cut
from tests.pipelines.sounds import encoded, voice

SOUND = encoded(voice(0.7), 16_000, "WAV")


def damaged_fleurs(folder: Path) -> Path:
    """English, 12 recordings; the first of the training archive is damaged inside."""
    path = fleurs(folder, ("en_us",)) / "data/en_us/audio/train.tar.gz"
    content = gzip.decompress(path.read_bytes())
    place = content.index(b"RIFF")
    path.write_bytes(gzip.compress(content[:place] + b"JUNK" + content[place + 4 :], mtime=0))
    return folder


def damaged_covost(folder: Path) -> Path:
    """French, 5 clips, of which Common Voice lacks one and one is cut."""
    covost(folder)
    files = [(f"fr/clips/{name}", data) for name, data in clips()]
    files[3] = (files[3][0], files[3][1][:1_000])
    table = ("fr/validated.tsv", validated_tsv().encode())
    (folder / "fr.tar.gz").write_bytes(tar_gz([table, *files]))
    assert "common_voice_fr_4" in covost_tsv()
    return folder


def damaged_archive(folder: Path) -> str:
    """Three recordings, the second of them damaged inside."""
    path = folder / "audio.tar"
    bad = SOUND[:4] + b"JUNKJUNK" + SOUND[12:]
    path.write_bytes(tar([("a.wav", SOUND), ("b.wav", bad), ("c.wav", SOUND)]))
    return str(path)


def lhotse(folder: Path) -> Path:
    """Three cuts of recordings in an archive."""
    archive, cuts = damaged_archive(folder), []
    for number, name in enumerate("abc"):
        one = cut(id=f"cut-{name}", start=0.0, duration=0.7)
        one["recording"] = {
            **one["recording"],
            "id": name,
            "sources": [{"type": "file", "channels": [0], "source": f"tar:{archive}!{name}.wav"}],
            "num_samples": 11200,
            "duration": 0.7,
        }
        supervision = {"id": f"sup-{number}", "recording_id": name, "start": 0.0, "duration": 0.7}
        one["supervisions"] = [{**one["supervisions"][0], **supervision}]
        cuts.append(json.dumps(one) + "\n")
    path = folder / "cuts_train.jsonl.gz"
    path.write_bytes(gzip.compress("".join(cuts).encode(), mtime=0))
    return path


def nemo(folder: Path) -> Path:
    """Three rows of recordings in an archive."""
    archive = damaged_archive(folder)
    rows = [
        {"audio_filepath": f"tar:{archive}!{name}.wav", "text": f"text {name}", "lang": "de"}
        for name in "abc"
    ]
    path = folder / "train_manifest.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def manifest(folder: Path) -> Path:
    """Three rows of recordings in an archive."""
    archive = damaged_archive(folder)
    rows = [f"tar:{archive}!{name}.wav\tes\ttexto {name}\ttrain\n" for name in "abc"]
    path = folder / "mine.tsv"
    header = "audio\tlanguage\ttranscript\tsplit\n"
    path.write_text(header + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each corpus as `--also` names it."""
    root = tmp_path_factory.mktemp("formats")
    folders = {}
    for name in ("fleurs", "covost", "wikimatrix", "moses", "tmx", "lhotse", "nemo", "manifest"):
        (root / name).mkdir()
        folders[name] = root / name
    (folders["wikimatrix"] / "WikiMatrix.en-fr.tsv").write_text(
        WIKIMATRIX + "high\tNo number.\tPas un nombre.\n", encoding="utf-8"
    )
    (folders["moses"] / "en-fr.txt.zip").write_bytes(
        moses_zip("One.\nTwo.\nThree.\n", "Un.\n\nTrois.\n")
    )
    (folders["tmx"] / "en-fr.tmx").write_text(TMX[:-40])
    return {
        "fleurs": str(damaged_fleurs(folders["fleurs"])),
        "covost": str(damaged_covost(folders["covost"])),
        "wikimatrix": f"{folders['wikimatrix']}/WikiMatrix.en-fr.tsv",
        "moses": f"{folders['moses']}/en-fr.txt.zip",
        "tmx": f"{folders['tmx']}/en-fr.tmx",
        "lhotse": str(lhotse(folders["lhotse"])),
        "nemo": str(nemo(folders["nemo"])),
        "manifest": str(manifest(folders["manifest"])),
    }


EXPECTED: dict[str, tuple[int, dict[tuple[str, str], int]]] = {
    "fleurs": (12, {("decode", "not-audio"): 1}),
    "covost": (5, {("decode", "truncated-audio"): 1, ("read", "not-validated"): 1}),
    "wikimatrix": (4, {("read", "invalid-row"): 1}),
    "moses": (3, {("read", "empty-transcript"): 1}),
    # Of its sentences one has no counterpart.
    "tmx": (3, {("read", "invalid-xml"): 1, ("read", "missing-value"): 1}),
    "lhotse": (3, {("decode", "not-audio"): 1}),
    "nemo": (3, {("decode", "not-audio"): 1}),
    "manifest": (3, {("decode", "not-audio"): 1}),
}
"""Rows of each, and its rejects by stage and reason."""


def test_every_format_loses_what_is_broken_and_nothing_else(
    corpora: dict[str, str], tmp_path: Path
) -> None:
    also = [
        corpora[name] if name == "manifest" else f"{kind}={corpora[name]}"
        for name, kind in (
            *[(name, name) for name in ("covost", "wikimatrix", "lhotse", "nemo", "manifest")],
            *[("moses", "opus"), ("tmx", "opus")],
        )
    ]
    flags = ["--corpus=fleurs", f"--corpus-path={corpora['fleurs']}", f"--also={','.join(also)}"]
    flags += ["--speech-encoder=mfcc", "--codebook-size=8", "--shards=2", "--max-rejects=0.5"]
    assert main([*flags, f"--output={tmp_path}/data"]) == 0

    out = OutputDir.open(f"{tmp_path}/data", kind=KIND)
    out.verify()
    rejects: list[dict[str, Any]] = [
        json.loads(line)
        for name in out.info["files"]
        if name.startswith("rejects-")
        for line in Path(out.file(name)).read_text(encoding="utf-8").splitlines()
    ]
    pairs = [pair for split in ("train", "dev", "test") for pair in read_pairs(out, split)]
    rows = [pair for pair in pairs if pair.task != "translation"]

    expected = sum((Counter(found) for _, found in EXPECTED.values()), Counter())
    assert Counter((r["stage"], r["reason"]) for r in rejects) == expected
    assert all(r["id"] and r["uri"] and r["detail"] for r in rejects)
    assert len(rows) == sum(n - sum(found.values()) for n, found in EXPECTED.values())
    assert out.stats["rows"] == len(rows) + len(rejects)
    assert out.stats["pairs"] == len(pairs)
    assert sum(group["pairs"] for group in out.stats["groups"].values()) == len(pairs)
    # Neighbours of what is broken, before it and behind it in the archive.
    heard = {pair.audio.rpartition("!")[2] for pair in rows if "audio.tar!" in pair.audio}
    assert heard == {"a.wav", "c.wav"}
    provenances = {"fleurs", "covost", "wikimatrix", "opus", "lhotse", "nemo", "mine"}
    assert {pair.provenance for pair in pairs} == provenances


@pytest.mark.parametrize("name", EXPECTED)
def test_the_rows_of_every_format_are_known_before_any_sound_is_opened(
    corpora: dict[str, str], name: str
) -> None:
    kind = {"moses": "opus", "tmx": "opus", "manifest": corpora["manifest"]}.get(name, name)
    path = "" if name == "manifest" else corpora[name]

    assert sum(1 for _ in open_corpus(kind, path=path).rows()) == EXPECTED[name][0]
