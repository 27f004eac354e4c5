"""Checkpoints whose tokenizer is a bare SentencePiece model give the tokens that SentencePiece itself gives."""

import io
import json

import pytest

from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from tests.helpers import WORDS
from tests.probing.encoders.odd_checkpoints import draw

sentencepiece = pytest.importorskip("sentencepiece")

OPTIONS = {"dtype": "float32", "device": "cpu", "backend": "torch"}
N_ROWS = 240
TEXTS = ["ada saw a cat .", "zebra ada", "ben sees the dogs", ""]
KINDS = {
    # Architecture, tokenizer, file, ids of its marks in the model, and how an id of the model becomes the tokenizer's:
    # DeBERTa and T5 take it as it is; fairseq's dictionaries have places of their own before it, and unknown at 3.
    "deberta_v3": ("deberta", "DebertaV2Tokenizer", "spm.model", {"pad": 0, "bos": 1, "eos": 2, "unk": 3}, 0),
    "t5": ("t5", "T5Tokenizer", "spiece.model", {"pad": 0, "bos": -1, "eos": 1, "unk": 2}, 0),
    "xlm_roberta": ("roberta", "XLMRobertaTokenizer", "sentencepiece.bpe.model", {"pad": -1}, 1),
    "camembert": ("roberta", "CamembertTokenizer", "sentencepiece.bpe.model", {"pad": -1}, 4),
}
MARKS = {"deberta_v3": ([1], [2]), "t5": ([], [1]), "xlm_roberta": ([0], [2]), "camembert": ([5], [6])}
"""Ids before and behind a sentence, as each of the published tokenizers has them."""


def train(marks):
    """A SentencePiece model of the words of the tiny tasks."""
    ids = {f"{name}_id": number for name, number in marks.items()}
    names = {"bos_piece": "[CLS]", "eos_piece": "[SEP]", "pad_piece": "[PAD]"} if marks.get("unk") == 3 else {}
    model, sentences = io.BytesIO(), [" ".join(WORDS), *TEXTS[:3], *WORDS] * 5
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2,
        **ids, **names,
    )  # fmt: skip
    return model.getvalue()


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    """Name of a kind, its folder, and SentencePiece with the same model."""
    architecture, tokenizer, file, marks, _ = KINDS[request.param]
    draw(architecture, vocab_size=N_ROWS).save_pretrained(tmp_path)
    (tmp_path / file).write_bytes(train(marks))
    settings = {"tokenizer_class": tokenizer, "model_max_length": 62}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return request.param, tmp_path, sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / file))


def test_tokens_are_those_of_sentencepiece_between_the_marks_of_the_architecture(kind):
    name, folder, model = kind
    encoder, shift = build(str(folder), **OPTIONS), KINDS[name][-1]
    before, behind = MARKS[name]
    for text, ids in zip(TEXTS, encoder.tokenize([(text,) for text in TEXTS]).ids, strict=True):
        moved = [3 if shift and number == model.unk_id() else number + shift for number in model.encode(text)]
        assert ids.tolist() == [*before, *moved, *behind], text


def test_it_passes_the_check_and_is_fast(kind):
    encoder = build(str(kind[1]), **OPTIONS)
    found = check_encoder(encoder)
    assert found.facts["reads"] == "both ways"
    assert not any("Python" in line for line in found.warnings)
