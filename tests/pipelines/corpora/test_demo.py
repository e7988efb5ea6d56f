"""The embedded corpus: what is in it, how it is split, who speaks, and what eSpeak is given."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from pipelines.corpora import demo_speech
from pipelines.corpora.demo import LANGUAGES, SEEN, UNSEEN, DemoCorpus, names, split_sentences
from pipelines.corpora.demo_reading import spoken_text
from pipelines.rejects import Rejected
from pipelines.synthesis import SAMPLE_RATE, parse_espeak_uri, shared_synthesizer
from pipelines.utterance import Utterance


@pytest.fixture(scope="module")
def rows() -> list[Utterance]:
    rows = list(DemoCorpus().utterances())
    assert all(isinstance(row, Utterance) for row in rows)
    return rows  # type: ignore[return-value]


def test_names_are_clean_phrases_and_distinct_in_every_language() -> None:
    assert len(names()) == 1923
    assert names()["😀"] == {
        "en": "grinning face",
        "es": "cara sonriendo",
        "fr": "visage rieur",
        "de": "grinsendes gesicht",
        "ru": "широко улыбается",
        "tr": "sırıtan yüz",
        "ar": "وجه بابتسامة عريضة",
        "pt": "rosto risonho",
        "it": "faccina con un gran sorriso",
        "id": "wajah gembira",
        "fa": "خنده",
        "zh": "嘿嘿",
        "ja": "にっこり笑う",
        "ko": "활짝 웃는 얼굴",
    }
    assert names()["#️⃣"]["en"] == "keycap #"
    assert names()["🇨🇮"]["en"] == "Côte d’Ivoire"
    for language in LANGUAGES:
        phrases = [name[language] for name in names().values()]
        assert len({phrase.casefold() for phrase in phrases}) == 1923
        assert not any(re.search(r"[:_]|^\s|\s$|\s\s|^$", phrase) for phrase in phrases)


def test_the_split_is_by_sentence_and_of_the_stated_size() -> None:
    splits = split_sentences()

    assert Counter(splits.values()) == {"test": 380, "dev": 100, "train": 1443}
    # By hash, so the same on every machine.
    assert (splits["😀"], splits["🐈"], splits["🎄"]) == ("dev", "test", "train")


def test_training_speaks_seen_languages_and_evaluation_all(rows: list[Utterance]) -> None:
    counts = Counter((row.split, row.language) for row in rows)

    for language in LANGUAGES:
        assert counts["train", language] == (2 * 1443 if language in SEEN else 0)
        assert counts["dev", language] == 100
        assert counts["test", language] == 380
    assert len(rows) == 2 * 1443 * 7 + 480 * 14
    assert not set(SEEN) & set(UNSEEN)


def test_ids_are_unique_and_say_what_they_name(rows: list[Utterance]) -> None:
    assert len({row.id for row in rows}) == len(rows)
    for row in rows[:200]:
        assert re.fullmatch(rf"demo-{row.language}-{row.split}-\d{{5}}-\d", row.id)


def test_no_sentence_text_speaker_or_variant_is_in_two_splits(rows: list[Utterance]) -> None:
    def split_of(key: str) -> dict[str, set[str]]:
        values = defaultdict(set)
        for row in rows:
            values[row.split].add(
                {
                    "sentence": row.sentence_id,
                    "text": f"{row.language} {row.transcript.casefold()}",
                    "speaker": row.speaker,
                    "variant": row.speaker.split("-")[0],
                    "rate": row.speaker.split("-")[1],
                    "pitch": row.speaker.split("-")[2],
                }[key]
            )
        return values

    for key in ("sentence", "text", "speaker", "variant", "rate", "pitch"):
        values = split_of(key)
        assert not values["train"] & values["test"], key
        assert not values["train"] & values["dev"], key
        assert not values["dev"] & values["test"], key


def test_the_takes_of_a_training_sentence_are_different_speakers(rows: list[Utterance]) -> None:
    takes = defaultdict(set)
    for row in rows:
        if row.split == "train":
            takes[row.language, row.sentence_id].add(row.speaker.split("-")[0])

    assert {len(variants) for variants in takes.values()} == {2}
    assert len({demo_speech.draw_speaker("train", 12345, take) for take in range(20)}) == 20


def test_every_speaker_of_the_pool_is_used_about_equally(rows: list[Utterance]) -> None:
    for split, speakers in demo_speech.SPEAKERS.items():
        counts = Counter(row.speaker for row in rows if row.split == split)
        expected = counts.total() / len(speakers)

        assert set(counts) == {speaker.name for speaker in speakers}
        assert max(counts.values()) < 1.5 * expected
        assert min(counts.values()) > 0.5 * expected


def test_the_first_rows_already_hold_every_language_and_split(rows: list[Utterance]) -> None:
    assert {row.language for row in rows[:100]} == set(LANGUAGES)
    assert {row.split for row in rows[:500]} == {"train", "dev", "test"}


def test_the_rows_are_the_same_in_every_process_and_from_a_pickled_corpus(
    rows: list[Utterance],
) -> None:
    script = (
        "from pipelines.corpora.demo import DemoCorpus\n"
        "from itertools import islice\n"
        "for row in islice(DemoCorpus().utterances(), 500): print(row.id, row.audio)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    ).stdout.decode()

    assert elsewhere.splitlines() == [f"{row.id} {row.audio}" for row in rows[:500]]
    assert list(pickle.loads(pickle.dumps(DemoCorpus())).utterances()) == rows


def test_bitext_pairs_seen_languages_with_english_in_training_sentences_only() -> None:
    pairs = list(DemoCorpus().bitext())
    splits = split_sentences()

    assert len(pairs) == 1443 * 6
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert (
        {splits[pair.sentence_id] for pair in pairs} == {pair.split for pair in pairs} == {"train"}
    )
    languages = {(pair.source_language, pair.target_language) for pair in pairs}
    assert languages == {(a, "en") for a in SEEN if a != "en"}
    texts = {(p.sentence_id, p.source_language, p.source_text, p.target_text) for p in pairs}
    assert ("0️⃣", "fr", "touches 0", "keycap 0") in texts


def test_rows_are_the_utterances_and_then_the_bitext() -> None:
    ids = [row.id for row in DemoCorpus().rows()]
    assert len(ids) == len(set(ids)) == 20_202 + 1_400 + 5_320 + 1443 * 6


def test_the_card_states_sizes_languages_and_sources() -> None:
    card = DemoCorpus(voices_per_sentence=3).card()

    assert card["sentences"] == {"train": 1443, "dev": 100, "test": 380}
    assert (card["seen"], card["unseen"]) == (list(SEEN), list(UNSEEN))
    assert card["voices_per_sentence"] == 3
    assert set(card["sources"]) == {"emoji", "espeakng-loader", "pykakasi"}


def test_less_than_one_voice_a_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="voices_per_sentence is 0"):
        DemoCorpus(voices_per_sentence=0)


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("en", "Côte d’Ivoire", "Côte d’Ivoire"),
        ("ja", "原子のシンボル", "げんしのしんぼる"),
        ("ja", "8時", "8じ"),
        ("ja", "2人のシルエット", "ふたりのしるえっと"),
        ("ja", "走る人 右向き", "はしるひと みぎむき"),
        ("ja", "家族 大人一人と子供二人", "かぞく おとなひとりとこどもふたり"),
        ("ja", "旗 ボスニア・ヘルツェゴビナ", "はた ぼすにあ へるつぇごびな"),
        ("ja", "okマーク", "ok まーく"),
        ("zh", "北极熊", "北极希庸"),
        ("ar", "الزر /مقبول/ باليابانية", "الزر مقبول باليابانية"),
        ("ko", "키 캡 #", "키 캡 샵"),
        ("tr", "tuş *", "tuş *"),
    ],
)
def test_what_espeak_would_spell_out_is_written_as_it_is_said(
    language: str, text: str, spoken: str
) -> None:
    assert spoken_text(text, language) == spoken


def test_no_japanese_name_keeps_a_kanji_in_what_is_spoken() -> None:
    for name in names().values():
        assert not re.search("[一-鿿々ァ-ヴ]", spoken_text(name["ja"], "ja")), name["ja"]


def test_the_speech_of_every_language_and_split_is_sound(rows: list[Utterance]) -> None:
    kinds = sorted({(row.language, row.split): row for row in rows}.values(), key=lambda r: r.id)
    results = shared_synthesizer().speak([parse_espeak_uri(row.audio) for row in kinds])

    assert len(results) == 7 * 3 + 7 * 2
    for row, samples in zip(kinds, results, strict=True):
        assert not isinstance(samples, Rejected), (row, samples)
        assert 0.2 < len(samples) / SAMPLE_RATE < 6, row
        assert abs(samples).max() > 2000, row


def test_every_variant_speaks_loud_enough_and_at_a_normal_pace() -> None:
    speakers = {
        speaker.variant: speaker for pool in demo_speech.SPEAKERS.values() for speaker in pool
    }
    speeches = [
        demo_speech.speech(
            "grinning cat with smiling eyes", "en", speaker._replace(words_per_minute=160)
        )
        for speaker in speakers.values()
    ]

    for variant, samples in zip(speakers, shared_synthesizer().speak(speeches), strict=True):
        assert not isinstance(samples, Rejected), variant
        loudness = (samples.astype(float) ** 2).mean() ** 0.5
        assert loudness > 1000, variant
        assert abs(samples).max() < 32767, variant
        assert 1.3 < len(samples) / SAMPLE_RATE < 2.6, variant


def test_importing_the_corpus_loads_no_emoji_and_no_tensorflow() -> None:
    script = (
        "import sys, pipelines.corpora.demo\n"
        "print([m for m in ('emoji', 'pykakasi', 'tensorflow') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script]).decode().strip() == "[]"
