import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from model.tokenization import PresetTokenizer, normalized
from tests.families import LIKE_GEMMA, byte_pairs, sentencepiece

SENTENCES = ["red cat", "le poisson bleu", "Été", "белый 猫", "", "  two  spaces "]


@pytest.fixture(scope="module")
def gemma():
    proto = sentencepiece(**LIKE_GEMMA)
    return keras_hub.tokenizers.Gemma3Tokenizer(proto, has_vision_tokens=False)


@pytest.fixture(scope="module")
def qwen():
    return keras_hub.tokenizers.Qwen3Tokenizer(*byte_pairs(["<|im_end|>", "<|endoftext|>"]))


@pytest.mark.parametrize("family", ["gemma", "qwen"])
def test_the_graph_splits_texts_as_the_family_own_tokenizer_does(family, request):
    tokenizer = request.getfixturevalue(family)
    split = PresetTokenizer(tokenizer).split(tf.constant(SENTENCES)).to_list()
    assert split == [list(ids) for ids in tokenizer(SENTENCES)]
    in_graph = tf.data.Dataset.from_tensors(SENTENCES).map(PresetTokenizer(tokenizer).split)
    assert next(iter(in_graph)).to_list() == split


def test_a_new_seed_does_not_take_the_tokenizer_away(gemma):
    tokenizer = PresetTokenizer(gemma)
    before = tokenizer.split(tf.constant(SENTENCES)).to_list()
    tf.random.set_seed(1)
    assert tokenizer.split(tf.constant(SENTENCES)).to_list() == before


def test_characters_are_the_pieces_of_each_by_itself(gemma):
    whole = PresetTokenizer(gemma).split(tf.constant(["red cat"])).to_list()[0]
    single = PresetTokenizer(gemma, units="characters").split(tf.constant(["red cat", ""]))
    assert len(single[0]) == len("red cat") > len(whole)
    assert "".join(gemma.id_to_token(int(i)) for i in single[0]) == "red▁cat"
    assert len(single[1]) == 0


def test_both_are_the_subwords_as_written_and_the_characters_as_they_sound(gemma):
    texts = tf.constant(["Red КОТ", ""])
    written = PresetTokenizer(gemma).split(texts).to_list()
    spelled = PresetTokenizer(gemma, units="characters", normalization="romanize").split(texts)
    both = PresetTokenizer(gemma, units="both", normalization="romanize").split(texts)
    assert both.to_list() == [
        one + two for one, two in zip(written, spelled.to_list(), strict=True)
    ]
    assert spelled.to_list()[0] not in (written[0], [])


def test_normalizations_do_what_they_are_called():
    texts = tf.constant(["Été ﬁn", "Москва"])
    told = {
        name: [text.decode() for text in normalized(texts, name).numpy()]
        for name in ("none", "casefold", "romanize")
    }
    assert told["none"] == ["Été fin", "Москва"]
    assert told["casefold"] == ["été fin", "москва"]
    assert told["romanize"] == ["ete fin", "moskva"]


def test_what_is_saved_splits_the_same(gemma, qwen, tmp_path):
    for tokenizer in (gemma, qwen):
        folder = tmp_path / type(tokenizer).__name__
        folder.mkdir()
        saved = PresetTokenizer(tokenizer, size=400, units="characters", normalization="casefold")
        saved.save_assets(str(folder))
        loaded = PresetTokenizer.load(saved.config(), str(folder), normalization="casefold")
        assert loaded.size == 400
        one, other = (t.split(tf.constant(SENTENCES)) for t in (saved, loaded))
        assert one.to_list() == other.to_list()
        assert loaded.config() == saved.config()


@pytest.mark.parametrize("name", ["EvilTokenizer", "Layer", "__builtins__"])
def test_a_class_that_is_no_tokenizer_is_refused(name, tmp_path):
    config = {"class": name, "config": {}, "units": "subwords", "size": 1}
    with pytest.raises(ValueError, match=f"'{name}' is no tokenizer"):
        PresetTokenizer.load(config, str(tmp_path), normalization="none")


def test_unknown_units_are_refused(gemma):
    with pytest.raises(ValueError, match="'words' are none of subwords, characters"):
        PresetTokenizer(gemma, units="words")


def test_ids_fit_32_bits_and_the_table(gemma):
    ids = PresetTokenizer(gemma).split(tf.constant(SENTENCES)).values.numpy()
    assert ids.dtype == np.int32
    assert ids.min() >= 0 and ids.max() < gemma.vocabulary_size()
