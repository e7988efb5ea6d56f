"""mteb's own evaluator on its own FLEURS tasks against `scann_index.evaluate`: the same scores.

python -m pytest tests/scann_index/test_mteb_evaluator.py     # where the extra `mteb` is installed
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

from pipelines.audio import SAMPLE_RATE, load_audio
from tests.pipelines.archives import tar_gz
from tests.pipelines.corpora.samples import fleurs_row

mteb = pytest.importorskip("mteb", reason="mteb is not installed: see docs/evaluation.md")
pytest.importorskip("torchcodec", reason="torchcodec is not installed: see docs/evaluation.md")

CONFIGS = {
    "en_us": ["a red apple", "the old city", "water buffalo", "good morning", "two boots", "moon"],
    "it_it": ["una mela rossa", "la città", "bufalo d'acqua", "buongiorno", "due scarponi", "luna"],
}
PITCHES = {"train": (30, 40, 50, 60), "dev": (45,), "test": (35, 55)}
K = (1, 5, 10)


@pytest.fixture(scope="module")
def recordings() -> dict[tuple[str, str], list[tuple[int, str, str, bytes]]]:
    """By configuration and split: sentence id, file name, text and WAV, spoken by eSpeak NG."""
    spoken = {}
    for config, texts in CONFIGS.items():
        for split, pitches in PITCHES.items():
            rows = []
            for pitch in pitches:
                for number, text in enumerate(texts):
                    sound = load_audio(
                        f"espeak:{config[:2]}?rate={120 + pitch}&pitch={pitch}&text={quote(text)}"
                    )
                    wav = io.BytesIO()
                    soundfile.write(wav, sound, SAMPLE_RATE, format="WAV", subtype="PCM_16")
                    rows.append((number, f"{number}{pitch}.wav", text, wav.getvalue()))
            spoken[config, split] = rows
    return spoken


@pytest.fixture(scope="module")
def evaluated(recordings, tmp_path_factory) -> tuple[str, dict]:
    """A model trained for a moment, and what the evaluation here says of it."""
    from model.train import main as train
    from pipelines import storage
    from pipelines.prepare import main as prepare
    from scann_index.build import main as build
    from scann_index.evaluate import main as evaluate

    folder = tmp_path_factory.mktemp("fleurs")
    for (config, split), rows in recordings.items():
        write_fleurs(folder / "fleurs" / "data" / config, split, rows)
    data, run, index, scores = (str(folder / n) for n in ("data", "run", "index", "scores"))
    corpus = ["--corpus=fleurs", f"--corpus-path={folder / 'fleurs'}"]
    tokens = ["--speech-encoder=mfcc", "--codebook-size=32", "--shards=2"]
    assert prepare([*corpus, *tokens, f"--output={data}"]) == 0
    small = ["--steps=12", "--batch-size=16", "--hidden-dim=32", "--layers=1"]
    assert train([f"--data={data}", f"--output={run}", *small]) == 0
    assert build([f"--model={run}", f"--data={data}", f"--output={index}"]) == 0
    asked = [f"--index={index}", f"--data={data}", f"--run={run}"]
    assert evaluate([*asked, f"--output={scores}"]) == 0
    return run, storage.read_json(f"{scores}/report.json")["languages"]


def write_fleurs(folder: Path, split: str, rows: list[tuple[int, str, str, bytes]]) -> None:
    """A split of a language as `google/fleurs` has it."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    lines = [
        fleurs_row(number, name, text, (len(wav) - 44) // 2, "FEMALE")
        for number, name, text, wav in rows
    ]
    (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = [(f"{split}/{name}", wav) for _, name, _, wav in rows]
    (folder / "audio" / f"{split}.tar.gz").write_bytes(tar_gz(files))


@pytest.mark.parametrize(
    ("name", "ours"),
    [("FleursA2TRetrieval.v2", "speech_to_text"), ("FleursT2ARetrieval.v2", "text_to_speech")],
)
def test_the_benchmarks_evaluator_gives_the_scores_of_the_evaluation_here(
    recordings, evaluated, name, ours, monkeypatch
):
    import datasets
    from mteb.models.models_protocols import EncoderProtocol
    from mteb.tasks.retrieval.multilingual import fleurs

    from scann_index.mteb_adapter import MtebEncoder

    def load_dataset(path: str, config: str, revision: str) -> datasets.DatasetDict:
        """What the hub would send."""

        def rows() -> Iterator[dict]:
            for number, file, text, wav in recordings[config, "test"]:
                audio = {"bytes": wav, "path": file}
                yield {"id": number, "transcription": text, "audio": audio}

        table = datasets.Dataset.from_list(list(rows()))
        return datasets.DatasetDict({"test": table.cast_column("audio", datasets.Audio())})

    monkeypatch.setattr(fleurs.datasets, "load_dataset", load_dataset)
    run, languages = evaluated
    encoder = MtebEncoder(run)
    assert isinstance(encoder, EncoderProtocol)
    task = mteb.get_task(name, hf_subsets=list(CONFIGS))
    result = mteb.evaluate(
        encoder, task, cache=None, show_progress_bar=False, encode_kwargs={"batch_size": 5}
    )
    found = {scores["hf_subset"]: scores for scores in result.task_results[0].scores["test"]}
    assert set(found) == set(CONFIGS)
    for config, scores in found.items():
        expected = languages[config[:2]][ours]["exact_search"]
        for k in K:
            assert scores[f"hit_rate_at_{k}"] == pytest.approx(expected[f"recall_at_{k}"], abs=1e-4)
        assert scores["mrr_at_1000"] == pytest.approx(expected["mean_reciprocal_rank"], abs=1e-4)
    reached = [scores["hit_rate_at_1"] for scores in found.values()]
    assert 0.3 < np.mean(reached) < 1
