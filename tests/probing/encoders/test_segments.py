"""Texts of three segments are what the tokenizer's own pieces make by hand; pairs so made are the tokenizer's own."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoTokenizer

from probing.encoders.bert import build
from probing.encoders.inputs import ModelInputs, make_tokens
from probing.encoders.segments import share_room
from probing.records import InputError
from tests.helpers import ARCHITECTURES, LIMIT
from tests.probing.encoders.test_slow_tokenizers import folder as slow_folder  # noqa: F401

TRIPLE = ("ada often", "likes", "the tree .")
PAIRS = [("ada saw a cat", "ben"), ("", "ben ."), ("dan", "")]


@pytest.fixture(params=ARCHITECTURES)
def opened(request, tiny_folders):
    return open_folder(tiny_folders(request.param))


def open_folder(folder, limit=LIMIT):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer, ModelInputs(tokenizer, AutoConfig.from_pretrained(folder), limit)


def lists(tokens):
    return [[row.tolist() for row in part] for part in (tokens.ids, tokens.types, tokens.special)]


def test_a_pair_put_together_is_the_tokenizers_own(opened):
    _, inputs = opened
    joined = make_tokens([inputs.join(inputs.split(pair)) for pair in PAIRS])
    assert lists(joined) == lists(inputs.tokenize(PAIRS))


def test_three_segments_beside_others_move_no_single_text_and_no_pair(opened):
    _, inputs = opened
    texts = [("ada saw a cat .",), ("ada saw", "ben"), ("ada sees the trees here now . " * 5,), ("ada " * 20, "ben")]
    alone, mixed = inputs.tokenize(texts), inputs.tokenize([TRIPLE, *texts, TRIPLE])
    for one, other in zip(lists(alone), lists(mixed), strict=True):
        assert other[1:-1] == one
    assert mixed.truncated.tolist() == [False, *alone.truncated.tolist(), False]


def test_a_triple_in_bert_has_three_separators_and_types_0_1_0(tiny_folder):
    tokenizer, inputs = open_folder(tiny_folder)
    head, relation, tail = (tokenizer.encode(part, add_special_tokens=False) for part in TRIPLE)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    tokens = inputs.tokenize([TRIPLE])
    assert tokens.ids[0].tolist() == [cls, *head, sep, *relation, sep, *tail, sep]
    first, second, third = len(head) + 2, len(relation) + 1, len(tail) + 1
    assert tokens.types[0].tolist() == [0] * first + [1] * second + [0] * third
    assert np.flatnonzero(tokens.special[0]).tolist() == [0, first - 1, first + second - 1, first + second + third - 1]
    batch = inputs.collate(tokens, np.arange(1), "cpu")
    assert batch["token_type_ids"][0].tolist() == tokens.types[0].tolist()


def test_a_triple_in_roberta_repeats_the_marks_between_and_has_one_type(tiny_folders):
    tokenizer, inputs = open_folder(tiny_folders("roberta"))
    head, relation, tail = (tokenizer.encode(part, add_special_tokens=False) for part in TRIPLE)
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    tokens = inputs.tokenize([TRIPLE])
    assert tokens.ids[0].tolist() == [start, *head, end, end, *relation, end, end, *tail, end]
    assert not tokens.types[0].any()


def test_a_tokenizer_in_python_does_the_same(slow_folder):  # noqa: F811
    tokenizer, inputs = open_folder(slow_folder, 64)
    joined = make_tokens([inputs.join(inputs.split(pair)) for pair in PAIRS])
    assert lists(joined) == lists(inputs.tokenize(PAIRS))
    pieces = [tokenizer.encode(part, add_special_tokens=False) for part in TRIPLE]
    tokens = inputs.tokenize([TRIPLE])
    assert tokens.ids[0][~tokens.special[0]].tolist() == [number for part in pieces for number in part]


def test_too_long_a_triple_is_cut_where_it_is_longest_and_counted(tiny_folder):
    _, inputs = open_folder(tiny_folder)
    tokens = inputs.tokenize([("ada " * 20, "likes", "trees " * 5), TRIPLE])
    assert tokens.truncated.tolist() == [True, False]
    assert len(tokens.ids[0]) == LIMIT
    # 16 tokens less 4 marks and one of the relation leave 11: all 5 of the tail, and 6 of the head.
    assert [len(part) for part in np.split(tokens.ids[0], np.flatnonzero(tokens.special[0]))] == [0, 7, 2, 6, 1]


def test_a_limit_without_room_for_a_word_of_each_segment_is_refused(tiny_folder):
    _, inputs = open_folder(tiny_folder, 6)
    with pytest.raises(InputError, match="--max-length 6: the marks of 3 segments and a word of each take 7"):
        inputs.tokenize([TRIPLE])


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_an_encoder_is_another_one_where_segments_that_it_knows_are_kept_from_it(kind, tiny_folders, tmp_path):
    encoders = []
    for number, names in enumerate((["input_ids", "token_type_ids"], ["input_ids"])):
        folder = shutil.copytree(tiny_folders(kind), tmp_path / str(number))
        settings = folder / "tokenizer_config.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_input_names": names}))
        encoders.append(build(str(folder), dtype="float32", device="cpu", backend="torch"))
    typed, untyped = (one.encode(one.tokenize([PAIRS[0]]), np.arange(1)).layers[-1] for one in encoders)
    # By the digest alone the cache knows whose vectors it has.
    assert (encoders[0].digest == encoders[1].digest) == np.allclose(typed, untyped, atol=1e-4) == (kind != "bert")


def test_a_mark_typed_in_a_segment_is_text(tiny_folder):
    tokenizer, inputs = open_folder(tiny_folder)
    tokens = inputs.tokenize([("ada [SEP]", "likes", "trees")])
    assert (tokens.ids[0] == tokenizer.sep_token_id).sum() == 3


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(0, 80))
def test_room_is_shared_as_if_the_longest_lost_one_after_the_other(lengths, room):
    kept = share_room(np.array(lengths), room)
    expected = np.array(lengths)
    while expected.sum() > room:
        longest = np.flatnonzero(expected == expected.max())[-1]
        expected[longest] -= 1
    assert kept.tolist() == expected.tolist()
