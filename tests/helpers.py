"""Tiny encoders and tasks, built here and not downloaded."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from probing.encoders.lv_bert_model import LvBertConfig
from probing.encoders.tiny_checkpoints import build_word_pieces
from probing.exit_codes import end_in_one_line
from probing.records import Split, Task, TaskSpec
from probing.store.cell_files import pack_cell, unpack_cell
from probing.tasks.files.senteval import format_rows

HIDDEN = 8
N_LAYERS = 2
LIMIT = 16
"""Longest input of every tiny encoder, in tokens, special tokens included."""
NAMES = ("ada", "ben", "cleo", "dan", "eva")
VERBS = ("sees", "saw", "knows", "knew", "likes", "liked")
THINGS = ("dogs", "dog", "cats", "cat", "trees", "tree")
FILLERS = ("today", "often", "here", "now")
WORDS = (*NAMES, *VERBS, *THINGS, *FILLERS, "the", "a", ".")

SIZES = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": LIMIT,
}
ROBERTA_SIZES = SIZES | {"max_position_embeddings": LIMIT + 2, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
"""RoBERTa's table of positions begins at pad_token_id + 1, so that it holds two rows that no token can use."""


def build_word_tokenizer(words=WORDS):
    """BERT's kind of tokenizer, which knows the words of the tiny tasks."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return build_word_pieces(words), special


def build_byte_tokenizer():
    """RoBERTa's kind: bytes, merged into the words known; <s> first </s> </s> second </s>, <pad> = 1."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: number for number, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    merges = []
    for word in WORDS:
        built = "Ġ"
        for letter in word:
            merges.append((built, letter))
            built += letter
            vocab.setdefault(built, len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab, list(dict.fromkeys(merges)), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer, {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}


TYPED = ("input_ids", "token_type_ids", "attention_mask")
UNTYPED = ("input_ids", "attention_mask")

ARCHITECTURES = {
    "bert": (BertConfig, SIZES, build_word_tokenizer, TYPED),
    "roberta": (RobertaConfig, ROBERTA_SIZES, build_byte_tokenizer, UNTYPED),
    "xlm_roberta": (XLMRobertaConfig, ROBERTA_SIZES, build_byte_tokenizer, UNTYPED),
    "distilbert": (
        DistilBertConfig,
        {"dim": HIDDEN, "n_layers": N_LAYERS, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": LIMIT},
        build_word_tokenizer,
        TYPED,  # as its published tokenizers, though the model takes none
    ),
    "electra": (ElectraConfig, SIZES | {"embedding_size": 6}, build_word_tokenizer, TYPED),
    "deberta_v2": (
        DebertaV2Config,
        SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
        | {"type_vocab_size": 0},
        build_word_tokenizer,
        TYPED,
    ),
    "modernbert": (
        ModernBertConfig,
        SIZES | {"local_attention": 4, "global_attn_every_n_layers": 2}
        | {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
        build_word_tokenizer,
        UNTYPED,
    ),
    "mpnet": (MPNetConfig, ROBERTA_SIZES, build_byte_tokenizer, UNTYPED),
    "albert": (
        AlbertConfig,
        SIZES | {"embedding_size": 6, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
        build_word_tokenizer,
        TYPED,
    ),
}  # fmt: skip
"""Configuration class, sizes, tokenizer and inputs of each architecture that must load."""
OWN = {
    "lv_bert": (
        LvBertConfig,
        {name: size for name, size in SIZES.items() if name != "num_hidden_layers"}
        | {"embedding_size": HIDDEN, "conv_kernel_size": 3, "layer_pattern": (0, 1, 2, 0)},
        build_word_tokenizer,
        TYPED,
    ),
}
"""Architectures of ours, which have tests of their own."""


def build_config(architecture, **changes):
    """The configuration of a tiny encoder."""
    config_class, sizes, make_tokenizer, _ = (ARCHITECTURES | OWN)[architecture]
    return config_class(vocab_size=make_tokenizer()[0].get_vocab_size(), **(sizes | changes))


def build_model(architecture="bert", *, seed=0, **changes):
    """A tiny encoder with random weights, biases and norms included: no parameter is left at 0 or 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(build_config(architecture, **changes))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def save_tokenizer(folder: Path, architecture="bert", make_tokenizer=None, limit=LIMIT):
    """Write the tokenizer of an architecture into a folder."""
    _, _, usual, inputs = (ARCHITECTURES | OWN)[architecture]
    tokenizer, tokens = (make_tokenizer or usual)()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=limit, model_input_names=list(inputs), **tokens
    )
    fast.save_pretrained(folder)


def save_encoder(folder: Path, architecture="bert", *, seed=0, **changes) -> Path:
    """Write a tiny encoder and its tokenizer into a folder, as `save_pretrained` does."""
    build_model(architecture, seed=seed, **changes).save_pretrained(folder)
    save_tokenizer(folder, architecture)
    return folder


def draw_sentences(n, rng):
    """Distinct sentences of several lengths: a name, a verb, a thing, some more."""
    sentences = {}
    while len(sentences) < n:
        parts = [rng.choice(NAMES), rng.choice(VERBS), rng.choice(["the", "a"]), rng.choice(THINGS)]
        parts += list(rng.choice(FILLERS, size=rng.integers(0, 5)))
        sentences[" ".join([*parts, "."])] = None
    return list(sentences)


LABELLERS = {
    "past_present": lambda sentence: "PAST" if sentence.split()[1] in {"saw", "knew", "liked"} else "PRES",
    "obj_number": lambda sentence: "NNS" if sentence.split()[3] in {"dogs", "cats", "trees"} else "NN",
    "sentence_length": lambda sentence: str(len(sentence.split()) // 3),
}


def build_task(name="past_present", n=(60, 20, 20), seed=0) -> Task:
    """A tiny task whose labels can be read off the sentences."""
    label = LABELLERS[name]
    sentences = draw_sentences(sum(n), np.random.default_rng(seed))
    classes = tuple(sorted({label(sentence) for sentence in sentences}))
    borders = np.cumsum([0, *n])
    splits = {}
    for split, start, stop in zip(("train", "dev", "test"), borders, borders[1:], strict=False):
        chosen = sentences[start:stop]
        splits[split] = Split(
            tuple((sentence,) for sentence in chosen), np.array([classes.index(label(sentence)) for sentence in chosen])
        )
    return Task(TaskSpec(name, name, "semantic"), classes, splits, origin="tiny")


def write_task(folder: Path, task: Task) -> None:
    """Write a task as a SentEval file."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        (name, task.classes[label], text[0])
        for name, split in task.splits.items()
        for text, label in zip(split.texts, split.labels, strict=True)
    ]
    (folder / f"{task.name}.txt").write_text(format_rows(rows))


def read_cells(folder):
    """The content of every cell of a run folder, its seconds set to 0."""
    found = {}
    for path in sorted((folder / "cells").iterdir()):
        content = path.read_bytes()
        key = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["key"]
        result = unpack_cell(content, key)
        scores = [replace(score, seconds=0.0) for score in result.scores]
        found[path.name] = pack_cell(key, replace(result, scores=scores))
    return found


def draw_stack(n_layers=3, n=60, hidden=5, n_classes=3, seed=0, signal=1.0, dtype=np.float32):
    """Random vectors whose class means differ, less from layer to layer: stack and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    rng.shuffle(labels)
    centres = rng.normal(size=(n_layers, n_classes, hidden)) * (signal / (1 + np.arange(n_layers)))[:, None, None]
    stack = rng.normal(size=(n_layers, n, hidden)) + centres[:, labels]
    return stack.astype(dtype), labels


def install_parts(folder):
    """Install `tests/waiting_parts.py` as pip would a package of someone else, `waiting`, and its pipe beside it."""
    described = folder / "waiting-1.dist-info"
    described.mkdir(parents=True)
    (folder / "waiting.py").write_text((Path(__file__).parent / "waiting_parts.py").read_text())
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting\nVersion: 1\n")
    (described / "entry_points.txt").write_text(
        "[probing.probes]\nwaiting = waiting:WaitingProbe\n[probing.poolings]\nwaiting = waiting:pool_waiting\n"
        "[probing.recipes]\ncounted = waiting:RECIPE\n"
    )
    os.mkfifo(folder / "pipe")


def run_script(main, name, arguments, monkeypatch, capsys):
    """What a script does with some arguments: its exit code, and what it printed and complained of."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    capsys.readouterr()
    try:
        code = end_in_one_line(main)
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


def extract_path(supernet, model):
    """Copy the weights on a supernet's path into a plain model of its pattern, heads included."""
    tensors = supernet.state_dict()
    for place, code in enumerate(supernet.config.layer_pattern):
        here = f"sublayers.{place}."
        chosen = f"{here}candidates.{code}."
        tensors = {
            name.replace(chosen, here): tensor for name, tensor in tensors.items() if chosen in name or here not in name
        }
    model.load_state_dict(tensors)
