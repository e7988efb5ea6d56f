"""python -m benchmarks.espeak_queries: what a prepared folder tests, said by eSpeak NG instead.

Writes a manifest of `espeak:` references, one for each text that is spoken in a split, in voices
that no training speech has. With it the usual verbs tell whether a model fails at a language, or at
the people who speak it:

    python -m benchmarks.espeak_queries --data tuxpaint/data --output tuxpaint/espeak.tsv \\
        --languages es,fr,ru,ro,ca,bg,be,el,da
    python -m pipelines.prepare --corpus tuxpaint/espeak.tsv --output tuxpaint/espeak \\
        --speech-encoder whisper_base@6 --codebook tuxpaint/data/codebook
    python -m scann_index.build --model tuxpaint/run --data tuxpaint/espeak \\
        --output tuxpaint/espeak-index
    python -m scann_index.evaluate --index tuxpaint/espeak-index --data tuxpaint/data \\
        --run tuxpaint/run --output tuxpaint/espeak-evaluation
"""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.corpora import demo_speech
from pipelines.options import option
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.synthesis import espeak_uri
from pipelines.verb import verb

COLUMNS = ("id", "audio", "language", "transcript", "sentence_id", "split", "speaker")


@dataclass(frozen=True)
class EspeakOptions:
    """The options of `benchmarks.espeak_queries`."""

    data: str = option(help="folder written by pipelines.prepare")
    output: str = option(help="the manifest to write, ending in .tsv")
    split: str = option("test", help="whose texts are spoken", choices=("test", "dev"))
    languages: tuple[str, ...] = option((), help="only these; else all that are spoken in it")


def rows(pairs: Iterator[Pair], options: EspeakOptions) -> Iterator[tuple[str, ...]]:
    """Rows of the manifest: each text once in its language."""
    seen = set()
    for pair in pairs:
        language, text = pair.source_language, pair.target_text
        wanted = not options.languages or language in options.languages
        if pair.task != "transcription" or not wanted or (language, text) in seen:
            continue
        seen.add((language, text))
        draw = zlib.crc32(f"{language} {text}".encode())
        speaker = demo_speech.draw_speaker("test", draw, 0)
        audio = espeak_uri(demo_speech.speech(text, language, speaker))
        yield pair.id, audio, language, text, pair.sentence_id, options.split, speaker.name


@verb("espeak_queries")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        EspeakOptions, argv, prog="python -m benchmarks.espeak_queries", description=str(__doc__)
    )
    data = OutputDir.open(options.data, kind=KIND)
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    queries = list(rows(read_pairs(data, options.split), options))
    writer.writerows(queries)
    storage.write_bytes(options.output, text.getvalue().encode("utf-8"))
    print(f"{options.output}: {len(queries):,} texts")


if __name__ == "__main__":
    sys.exit(main())
