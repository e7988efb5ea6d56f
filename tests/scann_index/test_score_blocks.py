"""Languages scored in blocks, through one shard and through sixteen, interrupted or not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.output_dir import OutputDir
from scann_index import ranking, retrieval, score_blocks
from scann_index.bundle import KIND, Bundle, write_shard
from scann_index.comparison import compare
from scann_index.evaluate import EvaluateOptions, evaluate
from scann_index.evaluation import Evaluation
from scann_index.index_shards import names_of, shard_of
from scann_index.query_ranks import read_queries
from scann_index.recipe import Choice
from scann_index.row import Row
from scann_index.scoring import score_language
from tests.scann_index.synthetic import clustered
from tests.scann_index.three_languages import make_data

SENTENCES = 300
RECORDINGS = 2


def make_index(folder: str, parts: int, noise: float = 1.3, choice: Choice | None = None) -> str:
    """Italian and English, each in so many shards a modality.

    Every sentence is recorded twice, by a woman and by a man; one text in four stands twice, under
    two sentence ids, so that there are ties.
    """
    texts = clustered(SENTENCES, seed=1)
    texts[::4] = texts[1::4]
    speech = np.repeat(texts, RECORDINGS, axis=0)
    groups = {}
    for seed, language in enumerate(("en", "it"), 2):
        said = speech + noise * clustered(len(speech), seed=seed)
        groups[f"speech/{language}"] = said / np.linalg.norm(said, axis=1, keepdims=True)
        groups[f"text/{language}"] = texts
    out = OutputDir(folder, kind=KIND)
    out.begin({})
    cards = []
    for group, vectors in groups.items():
        rows = [_row(*group.split("/"), i) for i in range(len(vectors))]
        for name in names_of({group: parts}):
            own = [i for i, row in enumerate(rows) if shard_of(row, {group: parts}) == name]
            of_shard = vectors[own].astype(np.float32)
            cards.append(write_shard(folder, name, [rows[i] for i in own], of_shard, choice=choice))
    info = {
        "dim": 32,
        "model": {"digest": "x"},
        "data": {"digest": "y"},
        "shards": [dataclasses.asdict(card) for card in cards],
    }
    files = [name for card in cards for name in card.files]
    out.complete(files=files, stats={"wall_seconds": {"plan": 1.0}}, info=info)
    return folder


def _row(modality: str, language: str, i: int) -> Row:
    if modality == "text":
        return Row(f"text-{language}-{i:03d}", f"s{i}", language, "text", f"t{i} x", split="test")
    sentence, voice = divmod(i, RECORDINGS)
    return Row(
        f"{language}-{i:03d}",
        f"s{sentence}",
        language,
        "speech",
        f"t{sentence} x",
        f"/nowhere/{language}-{i}.wav",
        ("ann", "bob")[voice],
        1.0,
        "test",
        gender=("female", "male")[voice],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("blocks"))
    make_data(f"{path}/data")
    make_index(f"{path}/one", 1)
    make_index(f"{path}/sixteen", 16)
    return path


def run(folder: str, index: str, output: str) -> dict:
    return evaluate(
        EvaluateOptions(index=f"{folder}/{index}", data=f"{folder}/data", output=output)
    )


@pytest.fixture(scope="module")
def report(folder: str) -> dict:
    return run(folder, "one", f"{folder}/evaluation")


def test_one_shard_and_sixteen_give_the_same_evaluation_to_the_last_bit(folder, report, tmp_path):
    assert len(Bundle.open(f"{folder}/sixteen").shards()) == 64
    other = run(folder, "sixteen", str(tmp_path / "out"))
    for part in ("languages", "means", "groups"):
        assert other[part] == report[part]
    for name in ("languages/it.json", "languages/en.json", "queries/it.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == Path(
            folder, "evaluation", name
        ).read_bytes()
    # Hard enough to mean something, and with ties: a text that stands twice is never first.
    recall = report["languages"]["it"]["speech_to_text"]["recall_at_1"]
    assert 0.2 < recall < 0.6


def test_small_blocks_of_queries_and_pool_change_nothing(folder, report, monkeypatch):
    bundle = Bundle.open(f"{folder}/sixteen")
    whole = score_language(bundle, "it")
    assert {task: whole[task] for task in ("speech_to_text", "speech_to_english")} == {
        task: report["languages"]["it"][task] for task in ("speech_to_text", "speech_to_english")
    }
    monkeypatch.setattr(retrieval, "BLOCK", 64)
    monkeypatch.setattr(ranking, "POOL_ROWS", 37)
    monkeypatch.setattr(ranking, "SCORES_AT_ONCE", 1000)
    pieces = score_language(bundle, "it")
    for task in ("speech_to_text", "text_to_speech", "speech_to_english"):
        for name in ("recall_at_1", "recall_at_10", "mean_reciprocal_rank", "xsim_error"):
            assert pieces[task][name] == whole[task][name]


def test_an_evaluation_killed_between_blocks_goes_on_and_ends_in_the_same_bytes(
    folder, report, tmp_path, monkeypatch
):
    output = tmp_path / "out"
    monkeypatch.setattr(retrieval, "BLOCK", 200)
    searched: list[int] = []
    real = score_blocks.search_block

    def dies(queries, pool, numbers):
        if len(searched) == 5:
            raise KeyboardInterrupt
        searched.append(len(numbers))
        return real(queries, pool, numbers)

    monkeypatch.setattr(score_blocks, "search_block", dies)
    with pytest.raises(BaseException):  # noqa: B017  (whatever Beam makes of it)
        run(folder, "one", str(output))
    left = sorted(output.glob("blocks/*/*.npz"))
    assert len(left) == 5
    before = {path: path.stat().st_mtime_ns for path in left}
    again: list[int] = []

    def counts(queries, pool, numbers):
        assert all(p.stat().st_mtime_ns == t for p, t in before.items() if p.exists())
        again.append(len(numbers))
        return real(queries, pool, numbers)

    monkeypatch.setattr(score_blocks, "search_block", counts)
    resumed = run(folder, "one", str(output))
    # English: 3 + 2 blocks of at most 200; Italian: 3 + 2 + 3. Five were there.
    assert len(again) == 13 - 5
    assert not (output / "blocks").exists()
    assert resumed["languages"] == report["languages"]
    assert (output / "queries/it.parquet").read_bytes() == Path(
        folder, "evaluation/queries/it.parquet"
    ).read_bytes()
    OutputDir.open(str(output), kind="evaluation").verify()


def test_groups_of_speakers_and_genders_are_those_of_the_queries(folder, report):
    italian = report["languages"]["it"]["groups"]
    assert set(italian["gender"]) == {"female", "male"}
    women, men = italian["gender"]["female"], italian["gender"]["male"]
    assert women["queries"] == men["queries"] == SENTENCES
    mean = (women["recall_at_1"] + men["recall_at_1"]) / 2
    scores = report["languages"]["it"]["speech_to_text"]
    assert mean == pytest.approx(scores["recall_at_1"])
    assert scores["queries"] == 2 * scores["sentences"] == 2 * SENTENCES
    assert italian["speaker"]["speakers"]["ann"]["recall_at_1"] == women["recall_at_1"]
    assert report["groups"]["gender"]["female"]["languages"] == ["en", "it"]
    assert report["groups"]["gender"]["female"]["comparable"]
    assert report["groups"]["speaker"]["counted"] == 4
    assert report["groups"]["speaker"]["languages"] == 2
    assert set(report["groups"]["family"]) == {"Germanic", "Romance"}
    assert report["groups"]["corpus"] == {}


def test_the_queries_kept_give_the_scores_again(folder, report):
    queries = read_queries(f"{folder}/evaluation", "it")
    scores = report["languages"]["it"]["speech_to_text"]
    assert len(queries["id"]) == scores["queries"]
    assert np.mean(queries["rank"] == 1) == scores["recall_at_1"]
    assert np.mean(queries["exact_rank"] == 1) == scores["exact_search"]["recall_at_1"]
    assert np.mean(queries["xsim_error"]) == scores["xsim_error"]
    first = np.array(queries["found_sentence_id"]) == np.array(queries["sentence_id"])
    assert first[queries["rank"] == 1].all()
    assert set(queries["gender"]) == {"female", "male"}


def test_xsim_is_the_error_of_the_best_margin_among_all_queries_and_texts(folder, report):
    """Against the definition, written out pair by pair."""
    bundle = Bundle.open(f"{folder}/one")
    speech = retrieval.Candidates(bundle.shards(modality="speech", language="it"), "test")
    text = retrieval.Candidates(bundle.shards(modality="text", language="it"), "test")
    cosines = (speech.vectors @ text.vectors.T).astype(np.float64)
    around_text = np.sort(cosines, axis=0)[-4:].mean(axis=0)
    wrong = 0
    for query, sentence in enumerate(speech.sentences):
        nearest = np.argsort(-cosines[query], kind="stable")[:4]
        around = cosines[query][nearest].mean()
        margins = {i: cosines[query, i] / ((around + around_text[i]) / 2) for i in nearest}
        best = [i for i in nearest if margins[i] >= max(margins.values()) - 1e-9]
        wrong += [text.sentences[i] for i in best] != [sentence]
    expected = wrong / len(speech)
    assert report["languages"]["it"]["speech_to_text"]["xsim_error"] == pytest.approx(
        expected, abs=2 / len(speech)
    )


def test_a_hashed_index_stands_beside_exact_search_on_the_same_queries(folder, report, tmp_path):
    """Four of 32 dimensions hashed, and few candidates compared: the index misses some."""
    index = make_index(str(tmp_path / "hashed"), 1, choice=Choice(engine="hash", dims=4))
    bundle = Bundle.open(index)
    for shard in bundle.shards(language="it", modality="text"):
        shard.engine.reordered = 1
    scores = score_language(bundle, "it")["speech_to_text"]
    exact = report["languages"]["it"]["speech_to_text"]
    assert scores["exact_search"] == exact["exact_search"]
    assert scores["index_differs"]
    assert 0.005 < scores["index_loss_at_1"] < 0.5
    loss = scores["exact_search"]["recall_at_1"] - scores["recall_at_1"]
    assert scores["index_loss_at_1"] == pytest.approx(loss)
    assert scores["xsim_error"] == exact["xsim_error"]


def test_two_evaluations_are_compared_query_by_query(folder, report, tmp_path):
    make_index(str(tmp_path / "better"), 1, noise=1.0)
    output = str(tmp_path / "out")
    evaluate(EvaluateOptions(index=str(tmp_path / "better"), data=f"{folder}/data", output=output))
    evaluations = [Evaluation.open(path) for path in (f"{folder}/evaluation", output)]
    found = compare(evaluations, ["noisy", "better"])
    assert found["paired"]
    assert set(found["languages"]) == {"en", "it"}
    italian = found["languages"]["it"]
    first = report["languages"]["it"]["speech_to_text"]["recall_at_1"]
    assert italian["scores"][0]["recall_at_1"] == first
    assert italian["scores"][1]["recall_at_1"] > first
    gain = italian["differences"][1]
    assert gain["gained"] - gain["lost"] == round(600 * gain["difference"])
    assert gain["interval"][0] > 0
    assert gain["p_value"] < 0.01
    mean = np.mean([found["languages"][c]["differences"][1]["difference"] for c in ("en", "it")])
    assert found["means"]["all"]["differences"][1]["difference"] == pytest.approx(mean)
    assert found["means"]["all"]["differences"][1]["interval"][0] > 0
    same = compare([evaluations[0]] * 2, ["one", "again"])
    assert same["means"]["all"]["differences"][1]["difference"] == 0.0
    assert same["languages"]["it"]["differences"][1]["p_value"] == 1.0
    assert json.loads(json.dumps(found, allow_nan=False))["left_out"] == []


def test_languages_that_only_one_evaluation_has_are_left_out_by_name(folder, tmp_path):
    output = str(tmp_path / "out")
    evaluate(
        EvaluateOptions(
            index=f"{folder}/one", data=f"{folder}/data", output=output, languages=("en",)
        )
    )
    evaluations = [Evaluation.open(path) for path in (f"{folder}/evaluation", output)]
    found = compare(evaluations, ["all", "english"])
    assert found["left_out"] == ["it"]
    assert set(found["languages"]) == {"en"}
