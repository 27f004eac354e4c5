"""Words and their substitutes, against a masked language model asked by hand and cosines by numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, PreTrainedTokenizerFast

from probing.encoders.tiny_checkpoints import build_word_pieces
from probing.records import Split
from probing.training.data.near_words import EmbeddingNeighbours, find_whole_words, list_spellings
from probing.training.data.vocabulary import read_marks
from probing.training.data.word_choices import Choices, WordFinder
from probing.training.recipes.tiny_bert_words import Rewriting, choose_words, draw_places, replace_words, write_part
from tests.helpers import NAMES, SIZES, THINGS, VERBS

WORDS = (*NAMES, *VERBS, *THINGS, "the", "and", "7", ".")
TEXTS = (("Ada sees the trees .",), ("ben knew dogs", "7 dogz and a tree, cleo"), ("of the", "."))


@pytest.fixture(scope="module")
def tokenizer():
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=build_word_pieces(WORDS), mask_token="[MASK]", **special)


@pytest.fixture(scope="module")
def model(tokenizer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForMaskedLM.from_config(BertConfig(vocab_size=len(tokenizer), **SIZES))
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


@pytest.fixture(scope="module")
def tools(tokenizer, model):
    marks, table = read_marks(tokenizer, "it"), model.get_input_embeddings().weight
    spellings = list_spellings(tokenizer, marks)
    near = EmbeddingNeighbours(table, spellings, find_whole_words(spellings, marks), 5)
    return WordFinder(tokenizer, 16), Choices(model, tokenizer, marks, near, 5)


def test_words_of_letters_are_found_with_their_places_and_stop_words_are_not(tools):
    one, pair, none = tools[0].find(TEXTS)
    assert [(word.spelling, word.place, word.start, word.stop) for word in one.words] == [
        ("Ada", 0, 0, 3), ("sees", 1, 4, 8), ("trees", 3, 13, 18)
    ]  # fmt: skip
    assert [(word.spelling, word.segment, len(word.tokens)) for word in pair.words] == [
        ("ben", 0, 1), ("knew", 0, 1), ("dogs", 0, 1), ("dogz", 1, 2), ("tree", 1, 1), ("cleo", 1, 1)
    ]  # fmt: skip
    assert none.words == []


def test_a_word_of_one_piece_gets_the_likeliest_words_of_a_model_that_does_not_see_it(tools, tokenizer, model):
    finder, choices = tools
    texts = finder.find(TEXTS)
    found = choices.list_for(texts, [range(len(text.words)) for text in texts])
    whole = find_whole_words(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), read_marks(tokenizer, "it"))
    for text, row in zip(texts[:2], found, strict=False):
        for number, word in enumerate(text.words):
            words = row[number]
            if len(word.tokens) > 1:
                continue
            ids, at = text.ids.copy(), word.tokens[0]
            own, ids[at] = ids[at], tokenizer.mask_token_id
            with torch.no_grad():
                inputs = {
                    "input_ids": torch.from_numpy(ids)[None],
                    "token_type_ids": torch.from_numpy(text.types)[None],
                }
                logits = model(**inputs).logits[0, at].double().numpy()
            logits[~whole], logits[own] = -np.inf, -np.inf
            expected = tokenizer.convert_ids_to_tokens(np.argsort(-logits)[:5].tolist())
            assert words == expected


def test_a_word_of_several_pieces_gets_the_nearest_words_by_cosine(tools, tokenizer, model):
    finder, choices = tools
    (text,) = finder.find([("dogz",)])
    words = choices.list_for([text], [{0}])[0][0]
    table = model.get_input_embeddings().weight.detach().double().numpy()
    mean = table[text.ids[1:-1]].mean(axis=0)
    cosines = table @ mean / np.linalg.norm(table, axis=1)
    order = [word for word in tokenizer.convert_ids_to_tokens(np.argsort(-cosines).tolist()) if word.isalpha()]
    assert words == [word for word in order if word != "dog"][:5]


def test_words_are_replaced_where_they_stand_and_nothing_else_moves(tools):
    (text,) = tools[0].find(TEXTS[1:2])
    replaced = replace_words(TEXTS[1], [(text.words[1], "saw"), (text.words[3], "cat"), (text.words[5], "eva")])
    assert replaced == ("ben saw dogs", "7 cat and a tree, eva")


def test_each_word_is_replaced_with_the_probability_asked_for():
    generator = np.random.default_rng(0)
    places = draw_places(4000, 0.4, generator)
    assert len(places) / 4000 == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 4000))
    drawn = choose_words(places, {place: ["x", "y"] for place in places}, generator)
    assert [place for place, _ in drawn] == places
    assert np.mean([word == "x" for _, word in drawn]) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 1600))
    assert choose_words(draw_places(2, 1.0, generator), {0: ["x"], 1: []}, generator) == [(0, "x")]


def test_a_model_is_asked_for_the_words_that_are_replaced_and_no_other(tools, monkeypatch):
    split, asked = Split(TEXTS, np.array([1, 0, 1])), []
    usual = Choices._predict
    monkeypatch.setattr(
        Choices, "_predict", lambda self, texts, chosen: asked.extend(chosen) or usual(self, texts, chosen)
    )
    rows = write_part(split, 0, Rewriting(1, 0.5, 5), 0, tools)
    words = tools[0].find(TEXTS)
    replaced = {(row.row, place) for row in rows for place in row.places}
    assert 0 < len(replaced) < sum(len(text.words) for text in words)
    assert {(row, words[row].words[number].place) for row, number in asked} <= replaced


def test_what_is_written_says_where_it_is_from_and_depends_on_its_row_alone(tools, monkeypatch):
    split, how = Split(TEXTS, np.array([1, 0, 1])), Rewriting(3, 0.5, 5)
    rows = write_part(split, 0, how, 0, tools)
    assert {row.row for row in rows} == {0, 1}
    finder = tools[0]
    for row in rows:
        words = {word.place: word for word in finder.find([split.texts[row.row]])[0].words}
        assert row.label == split.labels[row.row]
        assert tuple(words[place].spelling for place in row.places) == row.old
        assert row.text == replace_words(split.texts[row.row], [(words[p], new) for p, new in zip(row.places, row.new)])  # noqa: B905
    monkeypatch.setattr("probing.training.recipes.tiny_bert_words._PART", 1)
    apart = [row for part in range(3) for row in write_part(split, part, how, 0, tools)]
    assert apart == rows
    assert write_part(split, 0, replace(how, copies=1), 1, tools) != rows[:1]
