"""python -m pipelines.speak: text in, a WAV file out, spoken by one of the demo's test speakers."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines import options as command_line
from pipelines import storage
from pipelines.corpora import demo_speech
from pipelines.options import option
from pipelines.rejects import Rejected
from pipelines.synthesis import SAMPLE_RATE, Synthesizer
from pipelines.utterance import LANGUAGES

DESCRIPTION = """\
Speaks a text with eSpeak NG, in a voice that the demo's model never heard in training, to have a
recording to search with.

example:
  python -m pipelines.speak --text "maçã vermelha" --language pt --output apple.wav
  python -m scann_index.search --index demo/index --audio apple.wav
"""


@dataclass(frozen=True)
class SpeakOptions:
    """The options of `pipelines.speak`."""

    text: str = option(help="what to say")
    language: str = option(help="the language it is in, such as pt")
    output: str = option(help="the WAV file to write, 22,050 Hz mono")
    speaker: int = option(0, help="which of the test speakers, any number from 0")

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"--language {self.language!r} is none of {' '.join(LANGUAGES)}")
        if self.speaker < 0:
            raise ValueError("--speaker is a number from 0")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options, _ = command_line.parse(
        SpeakOptions, argv, prog="python -m pipelines.speak", description=DESCRIPTION
    )
    import soundfile

    speaker = demo_speech.draw_speaker("test", options.speaker, 0)
    wanted = demo_speech.speech(options.text, options.language, speaker)
    with Synthesizer(processes=1) as synthesizer:
        (spoken,) = synthesizer.speak([wanted])
    if isinstance(spoken, Rejected):
        print(f"speak: {spoken}", file=sys.stderr)
        return 1
    wav = io.BytesIO()
    soundfile.write(wav, spoken, SAMPLE_RATE, format="WAV")
    storage.write_bytes(options.output, wav.getvalue())
    print(f"{options.output}: {len(spoken) / SAMPLE_RATE:.2f} s by speaker {speaker.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
