"""A prepared directory and a preset small enough for every test, made by the real code."""

from __future__ import annotations

import numpy as np

from pipelines.codebook import Codebook
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, shard_name, write_shard

AUDIO_TOKENS = 32
LANGUAGES = {"en": "seen", "fr": "seen", "it": "unseen"}
WORDS = {
    "cat": {"en": "cat", "fr": "chat", "it": "gatto"},
    "dog": {"en": "dog", "fr": "chien", "it": "cane"},
    "bird": {"en": "bird", "fr": "oiseau", "it": "uccello"},
    "fish": {"en": "fish", "fr": "poisson", "it": "pesce"},
    "horse": {"en": "horse", "fr": "cheval", "it": "cavallo"},
    "moon": {"en": "moon", "fr": "lune", "it": "luna"},
}
COLOURS = {
    "red": {"en": "red", "fr": "rouge", "it": "rosso"},
    "green": {"en": "green", "fr": "vert", "it": "verde"},
    "blue": {"en": "blue", "fr": "bleu", "it": "blu"},
    "black": {"en": "black", "fr": "noir", "it": "nero"},
    "white": {"en": "white", "fr": "blanc", "it": "bianco"},
}
SPLITS = {"black": "dev", "white": "test"}


def spoken(text: str, seed: int = 0) -> np.ndarray:
    """Audio tokens of a made-up pronunciation: each letter one token, held for a while."""
    rng = np.random.default_rng([seed, *text.encode()])
    letters = [ord(letter) % AUDIO_TOKENS for letter in text if letter != " "]
    return np.repeat(letters, rng.integers(1, 4, len(letters))).astype(np.int16)


def tiny_pairs() -> list[Pair]:
    """Speech of every split, and text–text pairs of the training split."""
    pairs = []
    for colour, colours in COLOURS.items():
        split = SPLITS.get(colour, "train")
        for word, words in WORDS.items():
            for language, status in LANGUAGES.items():
                if split == "train" and status == "unseen":
                    continue
                text = f"{colours[language]} {words[language]}"
                for voice in range(2 if split == "train" else 1):
                    tokens = spoken(text, voice)
                    words_in_uri = text.replace(" ", "%20")
                    pairs.append(
                        Pair(
                            id=f"{language}-{colour}-{word}-{voice}",
                            task="transcription",
                            source_language=language,
                            target_text=text,
                            target_language=language,
                            sentence_id=f"{colour}-{word}",
                            split=split,
                            source_tokens=tokens,
                            audio=f"espeak:{language}?rate=160&pitch=50&text={words_in_uri}",
                            speaker=f"voice-{voice}",
                            seconds=len(tokens) / 25,
                            provenance="tiny",
                        )
                    )
            if split == "train":
                pairs.append(
                    Pair(
                        id=f"bitext-{colour}-{word}",
                        task="bitext",
                        source_language="fr",
                        source_text=f"{colours['fr']} {words['fr']}",
                        target_text=f"{colours['en']} {words['en']}",
                        target_language="en",
                        sentence_id=f"{colour}-{word}",
                        split=split,
                        provenance="tiny",
                    )
                )
    return pairs


def tiny_codebook() -> Codebook:
    """Random centroids for the encoder that needs no weights."""
    centroids = np.random.default_rng(0).normal(size=(AUDIO_TOKENS, 39)).astype(np.float32)
    return Codebook(centroids, np.ones(39, np.float32), {"speech_encoder": "mfcc"})


def tiny_data(folder: str) -> OutputDir:
    """A complete directory of pairs: en and fr seen, it unseen, 30 sentences."""
    out = OutputDir(folder, kind=KIND)
    out.begin({"corpus": "tiny"})
    pairs, files = tiny_pairs(), ["codebook/codebook.npz", "codebook/card.json"]
    tiny_codebook().save(out.file("codebook"))
    for split in ("train", "dev", "test"):
        chosen = [pair for pair in pairs if pair.split == split]
        for index in range(2):
            files.append(shard_name(split, index, 2))
            write_shard(out.file(files[-1]), chosen[index::2])
    groups: dict[str, dict[str, float]] = {}
    for pair in pairs:
        key = f"{pair.task}/{pair.split}/{pair.source_language}"
        empty = {"pairs": 0, "seconds": 0.0, "tokens": 0, "characters": 0}
        group = groups.setdefault(key, empty)
        group["pairs"] += 1
        group["seconds"] += pair.seconds
        group["tokens"] += len(pair.source_tokens)
        group["characters"] += len(pair.target_text)
    stats = {"rows": len(pairs), "pairs": len(pairs), "rejects": {}, "groups": groups}
    out.complete(files=files, stats=stats, info={"shards": 2})
    return OutputDir.open(folder, kind=KIND)


def tiny_preset(folder: str) -> str:
    """An untrained model with the codebook of `tiny_data`."""
    from model.backbone import create_backbone
    from model.dual_encoder import DualEncoder
    from model.vocabulary import Vocabulary

    vocabulary = Vocabulary(
        audio_tokens=AUDIO_TOKENS,
        trained_languages=("en", "fr"),
        max_speech_tokens=32,
        max_text_tokens=24,
    )
    backbone = create_backbone(
        vocabulary.size, seed=0, num_layers=1, hidden_dim=32, intermediate_dim=48, head_dim=8
    )
    DualEncoder(backbone, vocabulary, tiny_codebook()).save_to_preset(folder)
    return folder
