import numpy as np
import pytest
from transformers import AutoTokenizer

from probing.records import InputError
from probing.training.data.vocabulary import read_marks, train_tokenizer
from tests.helpers import draw_sentences, save_tokenizer

SENTENCES = draw_sentences(300, np.random.default_rng(0))


def test_a_trained_vocabulary_has_its_size_loads_by_auto_tokenizer_and_loses_nothing(tmp_path):
    tokenizer = train_tokenizer(lambda: SENTENCES, 60, 32)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(loaded) == 60
    for sentence in SENTENCES[:20]:
        ids = loaded(sentence).input_ids
        assert loaded.unk_token_id not in ids
        assert loaded.decode(ids, skip_special_tokens=True).replace(" ", "") == sentence.replace(" ", "")
    assert loaded.mask_token == "[MASK]"


def test_the_same_text_gives_the_same_vocabulary():
    first, *others = [train_tokenizer(lambda: SENTENCES, 60, 32).get_vocab() for _ in range(5)]
    assert all(other == first for other in others)


def test_frequent_words_are_whole_and_pieces_inside_words_are_marked():
    pieces = set(train_tokenizer(lambda: SENTENCES, 100, 32).get_vocab())
    assert {"the", "cleo", "##a", "."} <= pieces
    assert "##." not in pieces


def test_rare_letters_are_unknown_and_take_no_room(monkeypatch):
    monkeypatch.setattr("probing.training.data.vocabulary._MOST_LETTERS", 20)
    tokenizer = train_tokenizer(lambda: [*SENTENCES, "ξ"], 60, 32)
    assert "ξ" not in tokenizer.get_vocab()
    assert tokenizer.unk_token_id in tokenizer("ξ").input_ids


def test_a_vocabulary_without_room_for_the_letters_is_refused():
    with pytest.raises(InputError, match=r"--vocabulary 20: too small for the letters .* expected at least \d\d"):
        train_tokenizer(lambda: SENTENCES, 20, 32)


def test_marks_of_a_word_piece_tokenizer(tmp_path):
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    marks = read_marks(tokenizer, "tiny")
    names = {number: word for word, number in tokenizer.get_vocab().items()}
    assert [names[marks.begin], names[marks.end], names[marks.mask]] == ["[CLS]", "[SEP]", "[MASK]"]
    assert {names[number] for number in np.flatnonzero(marks.special)} == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert all(names[number].startswith("##") == marks.continues[number] for number in names)
    assert tokenizer.mask_token == "[MASK]"


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    save_tokenizer(tmp_path, "roberta")
    with pytest.raises(InputError, match="checkpoint tiny: its tokenizer has no mask token"):
        read_marks(AutoTokenizer.from_pretrained(tmp_path), "tiny")
