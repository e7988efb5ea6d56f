from __future__ import annotations

import numpy as np
import pytest

from pipelines.pairs import Pair
from scann_index.row import Row, from_table, read_parquet, rows_of, to_parquet, unique

TOKENS = np.array([3, 3, 7], np.int16)


def test_a_transcription_gives_speech_and_its_transcript():
    pair = Pair(
        id="p1",
        task="transcription",
        source_language="fr",
        target_text="chat",
        target_language="fr",
        sentence_id="cat",
        split="test",
        source_tokens=TOKENS,
        audio="a.wav",
        speaker="v1",
        seconds=0.12,
    )
    speech, text = rows_of(pair)
    assert speech == Row("p1", "cat", "fr", "speech", "chat", "a.wav", "v1", 0.12, "test")
    assert speech.tokens.tolist() == [3, 3, 7]
    assert (text.language, text.modality, text.text, text.split) == ("fr", "text", "chat", "test")
    assert (text.sentence_id, text.audio, text.tokens.size) == ("cat", "", 0)


def test_a_translation_gives_speech_of_unknown_transcript():
    pair = Pair("p1", "translation", "fr", "cat", "en", "cat", "test", TOKENS, audio="a.wav")
    speech, text = rows_of(pair)
    assert (speech.language, speech.text) == ("fr", "")
    assert (text.language, text.text) == ("en", "cat")


def test_a_bitext_pair_gives_two_texts():
    pair = Pair("p1", "bitext", "fr", "cat", "en", "cat", "train", source_text="chat")
    assert [(r.modality, r.language, r.text) for r in rows_of(pair)] == [
        ("text", "fr", "chat"),
        ("text", "en", "cat"),
    ]


def test_a_text_has_one_id_whichever_pair_it_comes_from():
    one, other = (Pair(i, "bitext", "fr", "cat", "en", "s", "train", source_text=i) for i in "ab")
    (one_source, one_target), (other_source, other_target) = rows_of(one), rows_of(other)
    assert one_target == other_target
    assert one_source.id != other_source.id


def test_equal_texts_are_kept_once_but_not_across_sentences_or_languages():
    rows = [
        Row("a", "s1", "en", "text", "cat"),
        Row("b", "s1", "en", "text", "cat"),
        Row("c", "s2", "en", "text", "cat"),
        Row("d", "s1", "fr", "text", "cat"),
        Row("e", "s1", "en", "text", "Cat"),
    ]
    assert [row.id for row in unique(rows)] == ["a", "c", "d", "e"]
    assert unique(rows[::-1]) == unique(rows)


def test_of_one_recording_in_two_pairs_the_row_with_a_transcript_is_kept():
    translated = Row("a-to-en", "s1", "fr", "speech", "", "a.wav", split="test")
    transcribed = Row("z", "s1", "fr", "speech", "chat", "a.wav", split="test")
    other = Row("b", "s1", "fr", "speech", "chat", "b.wav", split="test")
    assert [row.id for row in unique([translated, transcribed, other])] == ["b", "z"]


def test_recordings_that_sound_different_are_both_kept():
    rows = [
        Row("a", "s1", "fr", "speech", "chat", "a.wav", tokens=TOKENS),
        Row("b", "s1", "fr", "speech", "chat", "a.wav", tokens=TOKENS[1:]),
        Row("c", "s1", "fr", "speech", "chat", "a.wav", tokens=TOKENS.copy()),
    ]
    assert [row.id for row in unique(rows)] == ["a", "b"]


def test_rows_come_back_from_parquet_without_their_tokens():
    rows = [
        Row("a", "\N{RED APPLE}", "ar", "text", "تفاحة حمراء", split="test"),
        Row("b", "s", "en", "speech", "", "a.wav", "v", 1.25, "dev", TOKENS),
    ]
    data = to_parquet(rows)
    assert from_table(read_parquet(data)) == rows
    assert data == to_parquet(rows)


def test_the_gender_of_a_speaker_goes_from_the_pair_to_the_stored_row():
    pair = Pair("p1", "translation", "fr", "cat", "en", "cat", "test", TOKENS, gender="female")
    speech, text = rows_of(pair)
    assert (speech.gender, text.gender) == ("female", "")
    assert [row.gender for row in from_table(read_parquet(to_parquet([speech, text])))] == [
        "female",
        "",
    ]


def test_rows_of_unknown_gender_are_stored_as_they_were_before_there_was_any():
    import io

    import pyarrow.parquet as pq

    data = to_parquet([Row("a", "s", "en", "speech", "t", "a.wav", "v")])
    assert "gender" not in pq.read_table(io.BytesIO(data)).column_names
    table = read_parquet(data)
    assert table["gender"].to_pylist() == [""]


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_damaged_parquet_file_is_an_error_in_words(cut):
    data = to_parquet([Row("a", "s", "en", "text", "t")])
    with pytest.raises(ValueError, match="not readable as Parquet"):
        read_parquet(data[:cut])


def test_other_columns_are_refused():
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"]}), buffer)
    with pytest.raises(ValueError, match="has the columns"):
        read_parquet(buffer.getvalue())
