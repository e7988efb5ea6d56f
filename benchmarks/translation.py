"""What translating costs beside the engine alone, and how good the demo's translations are.

python benchmarks/translation.py --sentences 2000,20000 # Apertium, Spanish into English
python benchmarks/translation.py --score translated     # of the demo's corpus into English
python benchmarks/translation.py --language-id es,de    # is it English, or is it not?

The demo's sentences are named in English too, so that a translation can be held against what people
called the same thing. Both are short phrases: neither number says anything about running text.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time

from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs, shard_name, write_shard
from pipelines.translation.engine import EngineOptions, open_engine, translate_all

SUBJECTS = ("el gato", "mi hermana", "un médico", "la profesora", "el perro", "su vecino")
VERBS = ("duerme", "trabaja", "canta", "come pan", "lee un libro", "habla mucho")
PLACES = ("en la casa", "en el parque", "cerca del río", "en la ciudad", "en la escuela")
SHARDS = 8


def sentences(count: int) -> list[str]:
    """Distinct Spanish sentences of some ten words."""
    random.seed(0)
    made: dict[str, None] = {}
    while len(made) < count:
        parts = [random.choice(options) for options in (SUBJECTS, VERBS, PLACES, SUBJECTS, VERBS)]
        one, verb, place, other, verb2 = parts
        made[f"{one} {verb} {place} y {other} {verb2} {random.randint(2, count)} veces."] = None
    return list(made)


def prepare(folder: str, texts: list[str]) -> None:
    """A directory of pairs whose sound is of no matter."""
    out = OutputDir(folder, kind=KIND)
    out.begin({"texts": len(texts)})
    pairs = [
        Pair(
            id=str(number),
            task="transcription",
            source_language="es",
            target_text=text,
            target_language="es",
            sentence_id=str(number),
            split="train",
        )
        for number, text in enumerate(texts)
    ]
    files = ["codebook/codebook.npz", "codebook/card.json"]
    for name in files:
        storage.write_bytes(out.file(name), b"{}")
    for index in range(SHARDS):
        files.append(shard_name("train", index, SHARDS))
        write_shard(out.file(files[-1]), pairs[index::SHARDS])
    out.complete(files=files, stats={"groups": {"transcription/train/es": {"pairs": len(pairs)}}})


# In a small process of its own: a child's peak is at least what its parent held.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def measured(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds with all children, wall seconds, and peak MiB of a command."""
    started = time.time()
    measure = [sys.executable, "-c", MEASURE, *command]
    status, cpu, peak = subprocess.run(measure, capture_output=True, check=True).stdout.split()
    assert int(status) == 0, command
    return float(cpu), time.time() - started, float(peak)


def cost(count: int) -> None:
    """The engine alone, the stage, and the stage again with all in its cache."""
    texts = sentences(count)
    with tempfile.TemporaryDirectory() as folder:
        prepare(f"{folder}/data", texts)
        with open(f"{folder}/texts", "w", encoding="utf-8") as file:
            file.write("\n".join(texts))
        flags = ["--data", f"{folder}/data", "--engine", "apertium", "--cache", f"{folder}/cache"]
        stage = [sys.executable, "-m", "pipelines.translate", *flags, "--output"]
        runs = {
            "engine alone": [sys.executable, __file__, "--engine-alone", f"{folder}/texts"],
            "pipelines.translate": [*stage, f"{folder}/first"],
            "again, all cached": [*stage, f"{folder}/second"],
        }
        for name, command in runs.items():
            cpu, wall, peak = measured(command)
            print(f"{count:>6} {name:<22} {cpu:7.1f} CPU-s {wall:7.1f} s {peak:7.0f} MiB")


def alone(path: str) -> None:
    """A loop over the engine."""
    with open(path, encoding="utf-8") as file:
        texts = file.read().split("\n")
    engine = open_engine(EngineOptions("apertium"))
    engine.load()
    translate_all(engine, texts, "es", "en")
    engine.close()


def names(language: str) -> dict[str, str]:
    """The demo's names of things in one language, by sentence id."""
    from pipelines.corpora.demo import DemoCorpus
    from pipelines.utterance import Utterance

    rows = (row for row in DemoCorpus(1).rows() if isinstance(row, Utterance))
    return {row.sentence_id: row.transcript for row in rows if row.language == language}


def language_id(languages: list[str], threshold: float = 0.3) -> None:
    """How many English names the filter would lose, and how many of the other language it finds."""
    from pipelines.translation.filters import language_confidence

    for language in languages:
        both = names("en"), names(language)
        for count in (1, 3):
            rows = [list(texts.values()) for texts in both]
            rows = [[", ".join(r[i : i + count]) for i in range(0, len(r), count)] for r in rows]
            low = [[language_confidence(t, language, "en") < threshold for t in r] for r in rows]
            shares = [sum(one) / len(one) for one in low]
            print(
                f"en or {language}, {sum(map(len, rows[0])) / len(rows[0]):.0f} letters: "
                f"{shares[0]:.1%} of English lost, {shares[1]:.1%} of {language} found"
            )


def score(folders: list[str]) -> None:
    """chrF and exact matches against the demo's English names."""
    import sacrebleu

    english = names("en")
    kept: dict[str, dict[tuple[str, str], str]] = {}
    for folder in folders:
        pairs = read_pairs(OutputDir.open(folder, kind=KIND), "train")
        texts = [p for p in pairs if p.task == "bitext" and p.target_language == "en"]
        kept[folder] = {(p.sentence_id, p.source_text): p.target_text for p in texts}
    both = set.intersection(*(set(texts) for texts in kept.values()))
    for which, chosen in (("all it kept", None), ("what all kept", both)):
        for folder, texts in kept.items():
            keys = sorted(texts if chosen is None else chosen)
            said = [texts[key].lower() for key in keys]
            called = [english[sentence].lower() for sentence, _ in keys]
            chrf = sacrebleu.corpus_chrf(said, [called]).score
            same = sum(one == other for one, other in zip(said, called, strict=True))
            print(f"{folder:<24} {which:<14} n {len(keys):>5}  chrF {chrf:5.1f}  exact {same}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sentences", default="2000,20000", metavar="COUNTS")
    parser.add_argument("--score", nargs="+", metavar="FOLDER", help="of pipelines.translate")
    parser.add_argument("--language-id", metavar="CODES")
    parser.add_argument("--engine-alone", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine_alone:
        alone(options.engine_alone)
    elif options.language_id:
        language_id(options.language_id.split(","))
    elif options.score:
        score(options.score)
    else:
        for count in options.sentences.split(","):
            cost(int(count))


if __name__ == "__main__":
    main()
