"""A vocabulary to train on: wordfreq's words, said by eSpeak NG."""

from __future__ import annotations

import pickle
import sys

import pytest

from pipelines.corpora import open_corpus
from pipelines.corpora.words import WordsCorpus
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND, read_pairs
from pipelines.prepare import main
from pipelines.synthesis import parse_espeak_uri


def words(*languages: str, **options: int) -> list[tuple[str, str]]:
    return [(row.language, row.transcript) for row in WordsCorpus(languages, **options).rows()]


def test_the_commonest_words_of_each_language_come_in_turn():
    assert words("en", "es", words=3) == [
        *(("en", "the"), ("es", "de")),
        *(("en", "to"), ("es", "la")),
        *(("en", "and"), ("es", "que")),
    ]


def test_words_are_letters_in_the_languages_own_script():
    russian = [word for _, word in words("ru", words=4000)]
    english = [word for _, word in words("en", words=4000)]

    assert len(russian) == len(set(russian)) == len(english) == len(set(english)) == 4000
    assert all("\u0400" <= letter <= "\u04ff" for word in russian for letter in word)
    assert all(word.isalpha() and len(word) > 1 for word in english)


def test_one_letter_is_a_word_where_it_stands_for_a_syllable():
    assert ("zh", "的") in words("zh", words=5)
    assert ("hi", "की") in words("hi", words=20), "vowel signs belong to a word"


def test_a_word_of_two_languages_is_one_sentence_and_its_recordings_have_speakers_of_their_own():
    rows = list(WordsCorpus(["fr", "es"], words=10, voices=2).rows())

    de = [row for row in rows if row.transcript == "de"]
    assert {row.language for row in de} == {"fr", "es"} and len({row.id for row in de}) == 4
    assert len({row.sentence_id for row in de}) == 1
    french = [row for row in de if row.language == "fr"]
    assert len({row.speaker for row in french}) == 2
    assert parse_espeak_uri(french[0].audio).text == "de"
    assert {row.split for row in rows} == {"train"}


def test_a_reader_sent_to_a_worker_reads_the_same():
    corpus = open_corpus("words", languages=["tr"], words=5)
    assert list(pickle.loads(pickle.dumps(corpus)).rows()) == list(corpus.rows())


@pytest.mark.parametrize(
    ("languages", "message"),
    [((), "whose words.*--languages"), (("en", "xx"), "no words in xx; --languages takes")],
)
def test_languages_that_there_are_no_words_of_are_named(languages, message):
    with pytest.raises(ValueError, match=message):
        WordsCorpus(languages)


def test_no_words_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        WordsCorpus(["en"], words=0)


def test_without_wordfreq_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(ValueError, match=r"pip install 'babelear\[words\]'"):
        WordsCorpus(["en"])


def test_words_are_prepared_beside_a_corpus_with_its_codebook(tmp_path):
    encoder = "--speech-encoder=mfcc", "--shards=1"
    demo, output = tmp_path / "demo", tmp_path / "words"
    assert main([f"--output={demo}", *encoder, "--codebook-size=64", "--limit=150"]) == 0

    beside = f"--held-out={demo}", f"--codebook={demo}/codebook", f"--output={output}"
    status = main(["--corpus=words", "--languages=en,tr", "--words=6", *beside, *encoder])

    assert status == 0
    pairs = list(read_pairs(OutputDir.open(str(output), kind=KIND), "train"))
    assert sorted(pair.target_text for pair in pairs if pair.source_language == "tr") == sorted(
        ["ve", "bir", "bu", "için", "de", "da"]
    )
    assert all(len(pair.source_tokens) > 3 for pair in pairs)
    assert {pair.provenance for pair in pairs} == {"words"}
