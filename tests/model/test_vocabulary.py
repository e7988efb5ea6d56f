import tensorflow as tf

from model.vocabulary import ANY_LANGUAGE, PADDING, SPEECH, TEXT, Vocabulary


def vocabulary(**changes) -> Vocabulary:
    arguments = {"audio_tokens": 16, "trained_languages": ("en", "fr"), "max_text_tokens": 12}
    return Vocabulary(**{**arguments, **changes})


def text_of(ids, vocab: Vocabulary) -> str:
    letters = [i - vocab.first_byte for i in ids.numpy()[2:] if i != PADDING]
    return bytes(letters).decode()


def test_a_prefix_names_modality_and_language():
    vocab = vocabulary()
    prefixes = vocab.prefix(TEXT, tf.constant(["en", "fr", "it", ""])).numpy()
    assert prefixes[:, 0].tolist() == [TEXT] * 4
    assert len({prefixes[0, 1], prefixes[1, 1], ANY_LANGUAGE}) == 3
    assert prefixes[2:, 1].tolist() == [ANY_LANGUAGE, ANY_LANGUAGE]


def test_romanized_text_is_latin_letters_whatever_the_script():
    vocab = vocabulary(max_text_tokens=20)
    texts = ["Été", "Москва", "東京", "كتاب", "서울", "ab\U0001f600"]
    ids = vocab.text_ids(tf.constant(texts), tf.constant([""] * len(texts)))
    spelled = [text_of(row, vocab) for row in ids]
    assert spelled[:5] == ["ete", "moskva", "dongjing", "ktab", "seoul"]
    assert spelled[5].startswith("ab")


def test_casefolded_text_keeps_its_script_and_is_cut_at_the_limit():
    vocab = vocabulary(normalization="casefold", max_text_tokens=8)
    ids = vocab.text_ids(tf.constant(["Мир", "A longer text"]), tf.constant(["", ""]))
    assert ids.shape == (2, 8)
    assert text_of(ids[0], vocab) == "мир"
    assert text_of(ids[1], vocab) == "a long"


def test_runs_of_one_audio_token_collapse_but_not_across_utterances():
    vocab = vocabulary(max_speech_tokens=7)
    tokens = tf.ragged.constant([[5, 5, 6, 6, 5], [5], []], tf.int64, ragged_rank=1)
    ids = vocab.speech_ids(tokens, tf.constant(["en", "", "fr"])).numpy()
    first = vocab.text_size
    assert ids[:, 0].tolist() == [SPEECH] * 3
    assert ids[0, 2:].tolist() == [first + 5, first + 6, first + 5, 0, 0]
    assert ids[1, 2:].tolist() == [first + 5, 0, 0, 0, 0]
    assert ids[2, 2:].tolist() == [0] * 5


def test_text_and_audio_ids_never_meet_and_fill_the_table():
    vocab = vocabulary(max_text_tokens=300, normalization="casefold")
    every_byte = tf.constant([bytes(range(1, 128))])
    ids = vocab.text_ids(every_byte, tf.constant([""])).numpy()
    assert ids.max() < vocab.text_size
    speech = vocab.speech_ids(tf.ragged.constant([[0, 15]], ragged_rank=1), tf.constant([""]))
    assert speech.numpy()[0, 2:4].tolist() == [vocab.text_size, vocab.size - 1]


def test_text_ids_are_the_same_inside_a_graph():
    vocab = vocabulary()
    graph = tf.function(vocab.text_ids)
    texts, languages = tf.constant(["été", "мир"]), tf.constant(["fr", "ru"])
    assert (graph(texts, languages).numpy() == vocab.text_ids(texts, languages).numpy()).all()
