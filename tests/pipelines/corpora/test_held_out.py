"""What one folder tests is not trained on in another, as text or as speech."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.corpora import open_corpus
from pipelines.output_dir import OutputDir, OutputError
from pipelines.pairs import KIND, read_pairs
from pipelines.prepare import main
from pipelines.rejects import Reject
from tests.pipelines.corpora.samples import cldr
from tests.pipelines.sounds import encoded, voice


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    """A prepared folder whose test split says "Un lézard." and whose training split, thumbs up."""
    (tmp_path / "own").mkdir()
    for seed, name in enumerate("ab"):
        (tmp_path / "own" / f"{name}.wav").write_bytes(
            encoded(voice(4.0, seed=seed), 16_000, "WAV")
        )
    manifest = tmp_path / "own" / "own.tsv"
    manifest.write_text(
        "audio\tlanguage\ttranscript\tsplit\n"
        "a.wav\tfr\tUn lézard.\ttest\nb.wav\tfr\tPouce vers le haut.\ttrain\n",
        encoding="utf-8",
    )
    output = tmp_path / "prepared"
    flags = ["--speech-encoder=mfcc", "--codebook-size=64", "--shards=1"]
    assert main([f"--corpus={manifest}", f"--output={output}", *flags]) == 0
    return output


def test_pairs_that_another_folder_tests_are_set_aside(tmp_path, tested):
    output = tmp_path / "pairs"
    flags = [f"--codebook={tested}/codebook", "--speech-encoder=mfcc", "--shards=1"]
    corpus = ["--corpus=cldr", f"--corpus-path={cldr(tmp_path)}", "--languages=fr"]

    status = main(
        [*corpus, f"--held-out={tested}", f"--output={output}", *flags, "--max-rejects=1"]
    )

    assert status == 0
    data = OutputDir.open(str(output), kind=KIND)
    assert [p.target_text for p in read_pairs(data, "train")] == ["thumbs up"]
    assert "held-out-sentence" in (output / "rejects-00000-of-00001.jsonl").read_text()


def test_training_recordings_of_what_another_folder_tests_are_set_aside_in_any_language(
    tmp_path, tested
):
    for name in "abc":
        sound = encoded(voice(4.0, seed=ord(name)), 16_000, "WAV")
        (tmp_path / f"{name}.wav").write_bytes(sound)
    manifest = tmp_path / "more.tsv"
    manifest.write_text(
        "audio\tlanguage\ttranscript\tsplit\n"
        "a.wav\tit\tLézard!\ttrain\nb.wav\tfr\tLézard\ttest\nc.wav\tfr\tPouce\ttrain\n",
        encoding="utf-8",
    )

    rows = list(open_corpus(str(manifest), held_out=[str(tested)]).rows())

    aside, *kept = rows
    assert isinstance(aside, Reject) and aside.reason == "held-out-sentence"
    assert "Lézard!" in aside.detail and aside.id == "more.tsv:2"
    assert aside.uri == str(tmp_path / "a.wav")
    assert [row.transcript for row in kept] == ["Lézard", "Pouce"]


def test_held_out_sentences_need_a_finished_folder(tmp_path):
    with pytest.raises(OutputError, match="is no output directory"):
        open_corpus("cldr", path=str(cldr(tmp_path)), held_out=[str(tmp_path / "nothing")])
