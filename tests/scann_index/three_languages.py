"""Three languages of four sentences, their vectors placed by hand: every score is known.

English is seen. Italian is unseen in a seen script; two of its four recordings lie nearest to
another text. Chinese is unseen in a script of its own; all its recordings lie at the first text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import soundfile

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index.bundle import shard_name, write_shard
from scann_index.row import Row

SENTENCES = ("s1", "s2", "s3", "s4")
TEXTS = {
    "en": ("the black cat sleeps now", "the black dog sleeps now", "an apple", "a sail"),
    "it": ("il gatto nero dorme", "il cane nero dorme", "mela", "vela bianca"),
    "zh": ("猫", "狗", "苹果", "帆"),
}
# Where each recording lies; text n lies on axis n.
SPEECH = {
    "en": ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    "it": ((1, 0, 0, 0), (0.8, 0.6, 0, 0), (0.5, 0.3, 0.1, 0.8), (0, 0, 0, 1)),
    "zh": ((1, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0)),
}


def speech_row(language: str, sentence: int, *, audio: str = "", split: str = "test") -> Row:
    text, name = TEXTS[language][sentence], SENTENCES[sentence]
    identifier = f"{language}-{name}-{split}"
    return Row(identifier, name, language, "speech", text, audio, "ann", 0.5, split)


def text_row(language: str, sentence: int, *, split: str = "test") -> Row:
    text, name = TEXTS[language][sentence], SENTENCES[sentence]
    return Row(f"text-{language}-{name}-{split}", name, language, "text", text, split=split)


def make_index(
    folder: str,
    shards: Sequence[tuple[Sequence[Row], Sequence[Sequence[float]]]],
    *,
    model: str = "model",
    data: str = "data",
) -> str:
    """An index of some rows and their vectors, which need not be of unit length."""
    out = OutputDir(folder, kind="index")
    out.begin({})
    cards = []
    for rows, places in shards:
        vectors = np.array(places, np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        name = shard_name(rows[0].modality, rows[0].language, 0, 1)
        cards.append(write_shard(folder, name, rows, vectors, exact_below=100))
    out.complete(
        files=[name for card in cards for name in card.files],
        stats={"wall_seconds": {"plan": 1.0, "measure": 2.0}},
        info={
            "dim": 4,
            "shards": [asdict(card) for card in cards],
            "model": {"digest": model},
            "data": {"digest": data},
        },
    )
    return folder


def make_data(folder: str, reject: dict[str, str] | None = None) -> OutputDir:
    """What pipelines.prepare says of the three languages; there are no pairs in it."""
    data = OutputDir(folder, kind="pairs")
    data.begin({"corpus": "demo"})
    group = {"pairs": 4, "seconds": 2.0, "tokens": 50, "characters": 60}
    groups = {f"transcription/test/{language}": group for language in TEXTS}
    groups["transcription/train/en"] = group | {"pairs": 12, "seconds": 3600.0}
    files = []
    if reject:
        files = ["rejects-00000-of-00001.jsonl"]
        storage.write_bytes(data.file(files[0]), (json.dumps(reject) + "\n").encode())
    data.complete(
        files=files,
        stats={
            "rows": 25,
            "pairs": 24,
            "rejects": {reject["reason"]: 1} if reject else {},
            "groups": groups,
            "wall_seconds": {"codebook": 10.0, "tokenize": 20.0},
        },
        info={"corpus": {"name": "three"}, "codebook": {"k": 1024, "speech_encoder": "mfcc"}},
    )
    return data


def make_run(folder: str, data: OutputDir, *, steps: int = 200) -> OutputDir:
    """A training run of two evaluations."""
    run = OutputDir(folder, kind="run")
    run.begin({"steps": steps, "batch_size": 16})
    entries = [
        {"step": 100, "loss": 4.0, "learning_rate": 0.003, "seconds": 5.0},
        {"step": 200, "loss": 1.5, "learning_rate": 0.001, "seconds": 9.0},
    ]
    for entry, recall in zip(entries, (0.25, 0.75), strict=True):
        entry["dev_recall_at_1"] = {"en": recall, "it": recall / 2, "zh": 0.0}
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    storage.write_bytes(run.file("log.jsonl"), lines.encode())
    storage.write_json(run.file("preset", "preset.json"), {})
    run.complete(
        files=["log.jsonl", "preset/preset.json"],
        stats={"parameters": 1_000, "wall_seconds": 9.5},
        info={"data": {"path": data.path, "digest": data.digest}},
    )
    return run


def make_all(folder: str) -> tuple[str, OutputDir, OutputDir]:
    """Index, data and run, belonging together; the recordings are tones in files."""
    data = make_data(f"{folder}/data")
    run = make_run(f"{folder}/run", data)
    shards: list[tuple[list[Row], Sequence[Sequence[float]]]] = []
    for number, language in enumerate(TEXTS):
        path = f"{folder}/{language}.wav"
        tone = 0.3 * np.sin(np.arange(8000) * (number + 1) * 0.1)
        soundfile.write(path, tone, 16_000, subtype="PCM_16")
        speech = [speech_row(language, sentence, audio=path) for sentence in range(4)]
        texts = [text_row(language, sentence) for sentence in range(4)]
        shards += [(speech, SPEECH[language]), (texts, np.eye(4).tolist())]
    model = run.info["files"]["preset/preset.json"]
    make_index(f"{folder}/index", shards, model=model, data=data.digest)
    return f"{folder}/index", data, run
