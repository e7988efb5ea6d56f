"""A prepared directory of Spanish and English sentences, made by the real code."""

from __future__ import annotations

from pathlib import Path

from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, shard_name, write_shard
from tests.tiny import spoken, tiny_codebook

SENTENCES = (
    "El gato negro duerme en la casa.",
    "Una manzana roja está en la mesa de la cocina.",
    "Mi hermano trabaja en una escuela grande.",
    "¿Dónde está la estación de trenes?",
    "El perro corre en el parque todos los días.",
    "Mañana vamos a comprar pan y leche.",
    "La ciudad tiene un puerto muy antiguo.",
    "No entiendo la pregunta del profesor.",
)

ENGLISH = "The moon is white."
# Text, and why it has no translation; for the text–text pair, in the second place.
BAD = {
    "taxi": ("copy", "copy"),
    "xyzzy plugh frobnitz el": ("low-score", "low-score"),
    "el GATO negro duerme en la casa": (None, "duplicate"),
    "casa " * 250: ("too-long", "too-long"),
}
# Keeps the nonsense of a model of random weights.
ANYTHING = (
    "--min-language-confidence=0",
    "--max-length-ratio=1000",
    "--max-tokens=60",
    "--max-rejects=1",
)


def recording(text: str, voice: int, language: str = "es", split: str = "train") -> Pair:
    """A recording of a sentence."""
    tokens = spoken(text, voice)
    return Pair(
        id=f"{language}-{text[:24]}-{voice}",
        task="transcription",
        source_language=language,
        target_text=text,
        target_language=language,
        sentence_id=f"sentence {text.casefold()}",
        split=split,
        source_tokens=tokens,
        audio=f"/clips/{voice}/{text[:9]}.wav",
        speaker=f"voice-{voice}",
        seconds=len(tokens) / 25,
        provenance="sentences",
    )


def speech() -> list[Pair]:
    """Each sentence said by two voices, what can't be translated by one, and some English."""
    pairs = [recording(text, voice) for text in SENTENCES for voice in (0, 1)]
    pairs += [recording(text, 0) for text in BAD]
    return [*pairs, recording(ENGLISH, 0, "en"), recording(SENTENCES[0], 2, split="test")]


def prepared(folder: str, pairs: list[Pair], shards: int = 3) -> OutputDir:
    """A complete directory of some pairs."""
    out = OutputDir(folder, kind=KIND)
    out.begin({"corpus": "sentences", "ids": [pair.id for pair in pairs]})
    tiny_codebook().save(out.file("codebook"))
    files = ["codebook/codebook.npz", "codebook/card.json"]
    groups: dict[str, dict[str, float]] = {}
    for split in sorted({pair.split for pair in pairs}):
        chosen = [pair for pair in pairs if pair.split == split]
        for index in range(shards):
            files.append(shard_name(split, index, shards))
            write_shard(out.file(files[-1]), chosen[index::shards])
        for pair in chosen:
            key = f"{pair.task}/{split}/{pair.source_language}"
            groups.setdefault(key, {"pairs": 0})["pairs"] += 1
    stats = {"rows": len(pairs), "pairs": len(pairs), "rejects": {}, "groups": groups}
    out.complete(files=files, stats=stats, info={"shards": shards})
    return opened(folder)


def opened(folder: Path | str) -> OutputDir:
    """A complete directory of pairs."""
    return OutputDir.open(str(folder), kind=KIND)
