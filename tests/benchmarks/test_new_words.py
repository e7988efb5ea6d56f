from __future__ import annotations

import dataclasses

import pytest

from benchmarks.new_words import Found, found_by_new_words, main, words
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, shard_name, write_shard
from scann_index.build import BuildOptions, build
from scann_index.evaluate import EvaluateOptions, evaluate
from scann_index.query_ranks import read_queries
from tests.tiny import tiny_pairs


@pytest.fixture(scope="module")
def evaluation(tiny_data, tiny_preset, tmp_path_factory) -> str:
    """Of an untrained model, on the tiny corpus: the colour tested is new, the things are not."""
    root = tmp_path_factory.mktemp("new-words")
    index, output = str(root / "index"), str(root / "evaluation")
    build(BuildOptions(model=tiny_preset, data=tiny_data.path, output=index))
    evaluate(EvaluateOptions(index=index, data=tiny_data.path, output=output))
    return output


def test_queries_are_told_apart_by_the_words_that_no_training_text_has(evaluation, tiny_data):
    found = found_by_new_words(evaluation, [tiny_data.path])

    assert set(found) == {"en", "fr"}, "Italian was not trained on"
    for language, kinds in found.items():
        ranks = read_queries(evaluation, language)["rank"]
        assert kinds["none"] == kinds["all"] == Found(0, 0)
        assert kinds["some"] == Found(len(ranks), sum(ranks == 1))


def test_words_of_further_folders_are_not_new(evaluation, tiny_data, tmp_path):
    more = OutputDir(str(tmp_path / "more"), kind=KIND)
    more.begin({"corpus": "what is tested"})
    tested = [dataclasses.replace(p, split="train") for p in tiny_pairs() if p.split == "test"]
    write_shard(more.file(name := shard_name("train", 0, 1)), tested)
    more.complete(files=[name], stats={}, info={})

    found = found_by_new_words(evaluation, [tiny_data.path, more.path])

    assert found["en"]["none"].queries > 0 and found["en"]["some"].queries == 0


def test_only_languages_that_were_evaluated_are_told_of(tiny_data, tiny_preset, tmp_path):
    index, output = str(tmp_path / "index"), str(tmp_path / "evaluation")
    build(BuildOptions(model=tiny_preset, data=tiny_data.path, output=index))
    evaluate(
        EvaluateOptions(index=index, data=tiny_data.path, output=output, languages=("fr", "it"))
    )
    assert set(found_by_new_words(output, [tiny_data.path])) == {"fr"}


def test_a_folder_with_other_queries_is_refused(evaluation, tiny_data, tmp_path):
    other = OutputDir(str(tmp_path / "other"), kind=KIND)
    other.begin({"corpus": "nothing that was evaluated"})
    trained = [p for p in tiny_pairs() if p.split == "train"]
    write_shard(other.file(name := shard_name("train", 0, 1)), trained)
    other.complete(files=[name], stats={}, info={})
    with pytest.raises(ValueError, match="has other queries than"):
        found_by_new_words(evaluation, [other.path, tiny_data.path])


def test_words_are_told_apart_whatever_their_case_and_punctuation():
    assert words("Drapeau : Île-de-France") == ["drapeau", "île", "de", "france"]


def test_the_command_prints_a_line_a_language_and_one_of_all(evaluation, tiny_data, capsys):
    assert main([f"--evaluation={evaluation}", f"--data={tiny_data.path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.strip()[:3] in ("Eng", "Fre", "all")] == [
        *("English", "French", "all")
    ]
