"""Tokenizers in Python give the tokens that transformers itself gives, and are told of."""

import json
import shutil

import numpy as np
import pytest
from transformers import AutoTokenizer

from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from tests.helpers import WORDS
from tests.probing.encoders.odd_checkpoints import draw

OPTIONS = {"dtype": "float32", "device": "cpu", "backend": "torch"}
TEXTS = [("ada saw a cat .",), ("ben",), ("ada sees dogs", "ben saw the tree"), ("",), ("ada saw " * 60,), ("ada " * 50, "ben " * 50)]  # fmt: skip  # noqa: E501
FILES = {
    "PhobertTokenizer": {"vocab.txt": "".join(f"{word} 9\n" for word in WORDS), "bpe.codes": "a d\nb e\n"},
    "BertweetTokenizer": {"vocab.txt": "".join(f"{word} 9\n" for word in WORDS), "bpe.codes": "a d 1\nb e 1\n"},
    "EsmTokenizer": {"vocab.txt": "\n".join(["<cls>", "<pad>", "<eos>", "<unk>", *WORDS])},
}
JAPANESE = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"猫犬がはいる。", "いる", "走る"])
CUTS = {
    "character": ({"subword_tokenizer_type": "character"}, ["猫", "が", "い", "る", "。"]),
    "wordpiece": ({"subword_tokenizer_type": "wordpiece"}, ["猫", "が", "いる", "。"]),
}
"""How Japanese BERT cuts the words that MeCab finds, and what becomes of 猫がいる。"""


@pytest.fixture(params=FILES)
def folder(request, tmp_path):
    folder = tmp_path / "model"
    draw("roberta").save_pretrained(folder)
    for name, content in FILES[request.param].items():
        (folder / name).write_text(content)
    settings = {"tokenizer_class": request.param, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_a_tokenizer_in_python_gives_its_own_tokens_cut_and_marked_as_fast_ones_do(folder):
    encoder, plain = build(str(folder), **OPTIONS), AutoTokenizer.from_pretrained(folder)
    tokens, limit = encoder.tokenize(TEXTS), encoder.max_length
    for row, text in enumerate(TEXTS):
        whole = plain(*text)["input_ids"]
        assert bool(tokens.truncated[row]) == (len(whole) > limit)
        expected = plain(*text, truncation=True, max_length=limit)["input_ids"]
        assert tokens.ids[row].tolist() == expected
        assert tokens.special[row][0]
        assert tokens.special[row][-1]
    assert tokens.truncated.tolist() == [False, False, False, False, True, True]
    assert not tokens.special[0][1:-1].any()


def test_it_is_checked_and_told(folder):
    encoder = build(str(folder), **OPTIONS)
    assert any("written in Python" in line for line in check_encoder(encoder).warnings)


def test_marks_typed_in_a_sentence_are_text_here_too(folder):
    encoder = build(str(folder), **OPTIONS)
    ids = encoder.tokenize([("ada saw </s> <eos> .",)]).ids[0]
    assert not set(ids[1:-1].tolist()) & {int(ids[0]), int(ids[-1])}


def test_the_digest_follows_the_files_and_not_the_place(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    digest = build(str(folder), **OPTIONS).digest
    assert build(str(copy), **OPTIONS).digest == digest
    last = sorted(name for name in ("vocab.txt", "bpe.codes") if (copy / name).is_file())[0]
    (copy / last).write_text((copy / last).read_text() + ("c l\n" if last == "bpe.codes" else "\nanother"))
    assert build(str(copy), **OPTIONS).digest != digest


def test_states_are_those_of_the_tokens(folder):
    encoder = build(str(folder), **OPTIONS)
    tokens = encoder.tokenize(TEXTS[:2])
    states = encoder.encode(tokens, np.arange(2))
    assert states.mask.sum(dim=1).tolist() == tokens.lengths.tolist()


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("dictionary", ["ipadic", "unidic_lite"])
def test_japanese_words_are_found_by_mecab_and_cut_as_the_checkpoint_says(cut, dictionary, tmp_path):
    pytest.importorskip("fugashi")
    pytest.importorskip(dictionary)
    draw("bert").save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text(JAPANESE)
    settings, pieces = CUTS[cut]
    settings |= {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab", "model_max_length": 64}
    settings |= {"mecab_kwargs": {"mecab_dic": dictionary}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    words = JAPANESE.split("\n")
    ids = build(str(tmp_path), **OPTIONS).tokenize([("猫がいる。",)]).ids[0]
    assert [words[number] for number in ids] == ["[CLS]", *pieces, "[SEP]"]


def test_bytes_are_tokens_without_any_file(tmp_path):
    draw("t5", vocab_size=384).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    encoder = build(str(tmp_path), **OPTIONS)
    # ByT5 has three marks before the bytes, and </s> at 1 behind them.
    assert encoder.tokenize([("é a",)]).ids[0].tolist() == [*(byte + 3 for byte in "é a".encode()), 1]
    assert check_encoder(encoder).facts["reads"] == "both ways"
