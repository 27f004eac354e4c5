"""A tiny BERT with random weights, written as a real one is: the conformance tests build our encoders over it."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerFast

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_LIMIT = 16
"""Longest input in tokens, special tokens included."""


def draw_bert(vocabulary_size: int) -> PreTrainedModel:
    """Two blocks of width 8, with random weights, biases and norms included: no parameter is left at 0 or 1."""
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=_LIMIT,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return disturb(BertModel(config)).eval()


@torch.no_grad()
def disturb(model: PreTrainedModel) -> PreTrainedModel:
    """Move every parameter off its start, in place, by draws from torch's own generator."""
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def write_bert(folder: Path) -> str:
    """Write a tiny BERT and its tokenizer into an empty folder, as `save_pretrained` does.

    Returns:
        The name of the checkpoint, as `--checkpoint` takes it.
    """
    tokenizer = write_tokenizer(folder)
    draw_bert(len(tokenizer)).save_pretrained(folder)
    return str(folder)


def write_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Write a tokenizer that knows letters into a folder."""
    fast = PreTrainedTokenizerFast(tokenizer_object=build_word_pieces(()), model_max_length=_LIMIT, **_SPECIAL)
    fast.save_pretrained(folder)
    return fast


def build_word_pieces(words: Iterable[str]) -> Tokenizer:
    """BERT's kind of tokenizer: WordPiece, lower case, [CLS] first ... [SEP] second ... [SEP], [PAD] = 0.

    Args:
        words: known as such; of all others, the letters are.
    """
    pieces = [*_SPECIAL.values(), "[MASK]", *words, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()  # pyright: ignore
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore
    tokenizer.decoder = decoders.WordPiece()  # pyright: ignore
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")],
    )
    return tokenizer
