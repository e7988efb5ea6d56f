"""How the demo corpus is read aloud: its speakers, and what eSpeak is given to say.

A speaker is an eSpeak variant (the shape of a vocal tract) at one rate and one pitch. No variant,
no rate and no pitch of one split is in another: test speakers are as new to the model as eSpeak can
make them. The rates and pitches interleave, so that test speech is new, not extreme.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.corpora.demo_reading import spoken_text
from pipelines.rejects import Rejected
from pipelines.synthesis import Speech, espeak_uri, shared_synthesizer
from pipelines.utterance import Utterance


class Speaker(NamedTuple):
    """An eSpeak variant, words a minute and pitch (0 to 99)."""

    variant: str
    words_per_minute: int
    pitch: int

    @property
    def name(self) -> str:
        """The speaker as an utterance names it: `f3-164-50`."""
        return f"{self.variant}-{self.words_per_minute}-{self.pitch}"


# Of eSpeak's 104 variants, such as Whisper-base understands about as well as the plain voice (word
# lists in English and Spanish), at a normal pace, without echo games; no two near-copies in
# different splits. Neighbours differ in sex: the takes of one sentence are neighbours.
_VARIANTS = {
    "train": ("f1", "m1", "f4", "m3", "linda", "m4", "Reed", "m7", "pablo", "m8"),
    "dev": ("f5", "m5"),
    "test": ("f3", "m2", "Annie", "victor"),
}
_RATES = {"train": (140, 155, 170, 185), "dev": (160, 175), "test": (148, 164, 180)}
_PITCHES = {"train": (35, 45, 55, 65), "dev": (42, 58), "test": (40, 50, 60)}

SPEAKERS: dict[str, tuple[Speaker, ...]] = {
    split: tuple(
        itertools.starmap(
            Speaker, itertools.product(_VARIANTS[split], _RATES[split], _PITCHES[split])
        )
    )
    for split in _VARIANTS
}

# A speaker has one accent where eSpeak has two of the same quality.
_VOICES = {"en": ("en", "en-us"), "es": ("es", "es-419"), "zh": ("cmn",)}
_ACCENTS = {
    variant: place // 2 for variants in _VARIANTS.values() for place, variant in enumerate(variants)
}


def draw_speaker(split: str, draw: int, take: int) -> Speaker:
    """The speaker of a recording.

    Args:
        split: train, dev or test.
        draw: a large number that is the same for every take of a sentence.
        take: counts the recordings of one sentence from 0. Takes differ in their variant, as long
            as there are enough of them.
    """
    variants, rates, pitches = _VARIANTS[split], _RATES[split], _PITCHES[split]
    draw, variant = divmod(draw, len(variants))
    draw, rate = divmod(draw, len(rates))
    pitch = draw % len(pitches)
    return Speaker(
        variants[(variant + take) % len(variants)],
        rates[(rate + take + take // len(variants)) % len(rates)],
        pitches[(pitch + take) % len(pitches)],
    )


def speech(text: str, language: str, speaker: Speaker) -> Speech:
    """What eSpeak is asked to say for a name."""
    voices = _VOICES.get(language, (language,))
    voice = voices[_ACCENTS[speaker.variant] % len(voices)]
    return Speech(
        text=spoken_text(text, language),
        voice=f"{voice}+{speaker.variant}",
        words_per_minute=speaker.words_per_minute,
        pitch=speaker.pitch,
    )


def training_utterance(
    id: str, text: str, language: str, sentence_id: str, *, draw: int, take: int, corpus: str = ""
) -> Utterance:
    """A training recording by eSpeak of a text that is no name of the demo corpus.

    Args:
        id: of the utterance; the take is added to it.
        text: what is said.
        language: ISO 639 code.
        sentence_id: of the utterance.
        draw: as in `draw_speaker`.
        take: as in `draw_speaker`.
        corpus: of the utterance.
    """
    speaker = draw_speaker("train", draw, take)
    return Utterance(
        id=f"{id}-{take}",
        audio=espeak_uri(speech(text, language, speaker)),
        language=language,
        transcript=text,
        sentence_id=sentence_id,
        split="train",
        speaker=f"espeak-{speaker.name}",
        corpus=corpus,
    )


def check_voices(languages: Sequence[str]) -> None:
    """Whether eSpeak speaks them, before a worker finds out.

    Raises:
        ValueError: it doesn't, or it isn't installed.
    """
    speeches = [speech("1", code, SPEAKERS["train"][0]) for code in languages]
    try:
        spoken = shared_synthesizer().speak(speeches)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    mute = [code for code, s in zip(languages, spoken, strict=True) if isinstance(s, Rejected)]
    if mute:
        raise ValueError(f"eSpeak NG has no voice for {', '.join(mute)}: leave them out")
