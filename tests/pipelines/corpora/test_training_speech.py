"""Other training speech than a corpus has: of some languages only, at other speeds, synthetic."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.audio import load_audio, load_audio_batch
from pipelines.corpora import open_corpus
from pipelines.corpora.training_speech import TrainingSpeech
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, Pair, read_pairs
from pipelines.prepare import PrepareOptions, main
from pipelines.rejects import Rejected
from pipelines.synthesis import parse_espeak_uri
from pipelines.utterance import Utterance
from tests.pipelines.archives import tar
from tests.pipelines.sounds import encoded, voice

TEXTS = {
    # Sentence, split: text by language.
    ("hello", "train"): {"es": "Hola.", "fr": "Bonjour.", "da": "Hej."},
    ("bye", "train"): {"es": "Adiós.", "fr": "Salut.", "da": "Farvel."},
    ("hi", "test"): {"es": "Buenas.", "fr": "Salut !", "da": "Hejsa."},
}


class Greetings:
    """Three sentences, recorded in three languages."""

    name = "greetings"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number, (sentence, _) in enumerate(TEXTS):
            for place, language in enumerate(("es", "fr", "da")):
                sound = voice(0.4, 22_050, seed=10 * number + place)
                (folder / f"{sentence}-{language}.wav").write_bytes(encoded(sound, 22_050))

    def rows(self):
        for (sentence, split), texts in TEXTS.items():
            for language, text in texts.items():
                audio = f"{self.folder}/{sentence}-{language}.wav"
                yield Utterance(f"{sentence}-{language}", audio, language, text, sentence, split)

    def card(self):
        return {"name": self.name}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Greetings:
    return Greetings(tmp_path_factory.mktemp("greetings"))


def spoken(rows) -> Counter[tuple[str, str]]:
    """How often eSpeak says what in which language."""
    return Counter((u.language, u.transcript) for u in rows if u.corpus.endswith("/synthetic"))


def test_of_other_languages_no_training_recording_is_left_but_all_held_out_ones(corpus):
    rows = list(TrainingSpeech(corpus, languages=("es", "fr")).rows())

    assert {u.language for u in rows if u.split == "train"} == {"es", "fr"}
    assert {u.language for u in rows if u.split == "test"} == {"es", "fr", "da"}
    assert all(u in list(corpus.rows()) for u in rows)


def test_training_recordings_come_again_at_each_speed(corpus):
    rows = list(TrainingSpeech(corpus, speeds=(0.9, 1.1)).rows())

    copies = [u for u in rows if u.corpus]
    assert len(copies) == 2 * 6
    assert {(u.split, u.corpus) for u in copies} == {("train", "greetings/speed")}
    assert len({u.id for u in rows}) == len(rows)
    original, slow, fast = (u for u in rows if u.id.startswith("hello-es"))
    assert (slow.id, fast.audio) == ("hello-es~0.9", f"{original.audio}#speed=1.1")
    assert {slow.sentence_id, fast.sentence_id} == {original.sentence_id}


def test_training_texts_are_spoken_in_several_voices_and_what_is_tested_is_not(corpus):
    changed = TrainingSpeech(corpus, languages=("es", "fr"), synthetic=3)
    rows = list(pickle.loads(pickle.dumps(changed)).rows())

    # "Salut !" is tested in French, "Salut." is what the other sentence is there.
    assert spoken(rows) == {("es", "Hola."): 3, ("es", "Adiós."): 3, ("fr", "Bonjour."): 3}
    voices = [parse_espeak_uri(u.audio).voice for u in rows if u.audio.startswith("espeak:")]
    assert len(set(voices[:3])) == 3
    assert len({u.id for u in rows}) == len(rows)
    sentences = {u.transcript: u.sentence_id for u in rows if u.corpus}
    assert sentences["Hola."] == sentences["Bonjour."] == "hello"


def test_a_language_without_training_recordings_is_spoken_if_it_is_named(corpus):
    rows = list(
        TrainingSpeech(
            corpus, languages=("es",), synthetic=1, synthetic_languages=("es", "da")
        ).rows()
    )

    assert set(spoken(rows)) == {
        (c, TEXTS[s, "train"][c]) for c in ("es", "da") for s in ("hello", "bye")
    }
    danish = [u for u in rows if u.language == "da" and u.split == "train"]
    assert all(u.audio.startswith("espeak:") for u in danish)


def test_synthetic_speech_alone_is_what_it_is_beside_the_recordings(corpus):
    options = {"languages": ("es",), "synthetic": 2, "synthetic_languages": ("es", "da")}
    beside, alone = (
        list(TrainingSpeech(corpus, **options, synthetic_only=only).rows())
        for only in (False, True)
    )
    assert alone
    assert alone == [u for u in beside if u.corpus.endswith("/synthetic")]


def test_synthetic_speech_alone_needs_the_codebook_of_what_it_stands_beside():
    with pytest.raises(ValueError, match="--synthetic-only needs"):
        PrepareOptions("out", synthetic=1, synthetic_languages=("es",), synthetic_only=True)


def test_texts_of_translation_pairs_are_spoken_too(corpus):
    class WithPairs(Greetings):
        def rows(self):
            yield from super().rows()
            pair = {"task": "bitext", "source_language": "es", "source_text": "Gracias."}
            yield Pair(
                "p",
                target_text="Merci.",
                target_language="fr",
                sentence_id="thanks",
                split="train",
                **pair,
            )

    rows = list(TrainingSpeech(WithPairs(corpus.folder), synthetic=1).rows())

    found = spoken(u for u in rows if isinstance(u, Utterance))
    assert found["fr", "Merci."] == found["es", "Gracias."] == 1


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.25])
def test_another_speed_is_another_length_and_another_pitch(tmp_path, speed):
    time = np.arange(16_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    (tmp_path / "a.wav").write_bytes(encoded(tone, subtype="FLOAT"))
    (tmp_path / "a.tar").write_bytes(tar([("a.wav", encoded(tone, subtype="FLOAT"))]))

    played = load_audio(f"{tmp_path}/a.wav#speed={speed}", claimed_seconds=1.0)
    part = load_audio(f"{tmp_path}/a.wav#t=0.25,0.75&speed={speed}")
    (packed,) = load_audio_batch([f"tar:{tmp_path}/a.tar!a.wav#speed={speed}"])

    assert len(played) == pytest.approx(16_000 / speed, abs=2)
    assert len(part) == pytest.approx(8_000 / speed, abs=2)
    np.testing.assert_array_equal(packed, played)
    spectrum = np.abs(np.fft.rfft(played))
    assert np.argmax(spectrum) * 16_000 / len(played) == pytest.approx(440 * speed, abs=2)


def test_an_impossible_speed_is_rejected(corpus):
    (found,) = load_audio_batch([f"{corpus.folder}/hello-es.wav#speed=9"])
    assert isinstance(found, Rejected)
    assert found.reason == "invalid-value"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ("tlh",)}, "tlh: no language known here"),
        ({"speeds": (1.0,)}, "a speed of 1: give 0.5 to 2, other than 1"),
        ({"synthetic": 1, "synthetic_languages": ("es", "oc")}, "no voice for oc: leave them out"),
    ],
)
def test_what_cannot_be_done_is_an_error_before_anything_is_read(corpus, options, message):
    with pytest.raises(ValueError, match=message):
        TrainingSpeech(corpus, **options)


def test_a_manifest_of_ones_own_gets_all_of_it(corpus, tmp_path):
    lines = ["id,audio,language,transcript,sentence_id,split"]
    lines += [
        ",".join((u.id, u.audio, u.language, u.transcript, u.sentence_id, u.split))
        for u in corpus.rows()
    ]
    manifest = tmp_path / "own.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = [
        "--train-languages",
        "es,fr",
        "--speeds",
        "0.9",
        "--synthetic",
        "1",
        "--synthetic-languages",
        "es,da",
    ]
    flags += ["--speech-encoder", "mfcc", "--codebook-size", "8", "--shards", "2"]

    assert main(["--corpus", str(manifest), "--output", f"{tmp_path}/data", *flags]) == 0

    data = OutputDir.open(f"{tmp_path}/data", kind=KIND)
    pairs = list(read_pairs(data, "train"))
    assert Counter(p.provenance for p in pairs) == {"own": 4, "own/speed": 4, "own/synthetic": 4}
    seconds = {p.id: p.seconds for p in pairs}
    assert seconds["hello-es~0.9"] == pytest.approx(seconds["hello-es"] / 0.9, rel=0.01)
    assert data.info["corpus"]["training_speech"]["synthetic_languages"] == ["es", "da"]
    assert open_corpus(str(manifest)).card()["sha256"] == data.info["corpus"]["sha256"]
