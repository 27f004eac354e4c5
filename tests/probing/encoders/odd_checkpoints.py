"""Tiny checkpoints with random weights, each odd in one way that is met among published ones."""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModel, PreTrainedTokenizerFast

from tests.helpers import build_word_tokenizer

TYPED = ("input_ids", "token_type_ids", "attention_mask")
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
_MARKS = {"bos_token_id": 2, "eos_token_id": 3}
_WITHOUT_HEADS = {name: value for name, value in _SIZES.items() if name != "num_attention_heads"}
_BART = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in
         {"layers": 2, "attention_heads": 2, "ffn_dim": 32}.items()}  # fmt: skip
_T5 = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
_VISION = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}
CONFIGS = {
    "bert": ("BertConfig", _SIZES),
    "roberta": ("RobertaConfig", _SIZES | _MARKS | {"type_vocab_size": 1}),
    "xlnet": ("XLNetConfig", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 32, "pad_token_id": 0}),
    "fnet": ("FNetConfig", _WITHOUT_HEADS),
    "deberta": ("DebertaV2Config", _SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"],
                                             "position_buckets": 8, "type_vocab_size": 0}),
    "convbert": ("ConvBertConfig", _SIZES | {"embedding_size": 32}),
    "mobilebert": ("MobileBertConfig", _SIZES | {"embedding_size": 16, "intra_bottleneck_size": 32}),
    "nystromformer": ("NystromformerConfig", _SIZES),
    "squeezebert": ("SqueezeBertConfig", _SIZES | {"embedding_size": 32}),
    "longformer": ("LongformerConfig", _SIZES | {"attention_window": 16}),
    "funnel": ("FunnelConfig", {"block_sizes": [1, 1], "architectures": ["FunnelModel"], "num_decoder_layers": 1,
                                "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 32, "pad_token_id": 0}),
    "mra": ("MraConfig", _SIZES | {"block_per_row": 1}),
    "canine": ("CanineConfig", _SIZES | {"max_position_embeddings": 128, "num_hash_buckets": 128,
                                         "num_hash_functions": 4}),
    "t5": ("T5Config", _T5 | {"pad_token_id": 0}),
    "bart": ("BartConfig", _BART | _MARKS | {"d_model": 32, "max_position_embeddings": 64, "pad_token_id": 0,
                                             "decoder_start_token_id": 3}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64} | _MARKS),
    "clip": ("CLIPConfig", {"text_config": _SIZES | _MARKS, "vision_config": _VISION | {"hidden_size": 32,
                                                                                       "patch_size": 16}}),
}  # fmt: skip
"""Configuration class of transformers and its sizes, but for that of the vocabulary."""


def draw(name, **changes):
    """A tiny model of an architecture; nothing stays 0, the row of [PAD] included, as in published weights."""
    kind, sizes = CONFIGS[name]
    vocabulary = {} if name == "clip" else {"vocab_size": build_word_tokenizer()[0].get_vocab_size()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModel.from_config(getattr(transformers, kind)(**(vocabulary | sizes | changes)))
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def write_tokenizer(folder, inputs=TYPED, limit=64):
    """A tokenizer that knows the words of the tiny tasks."""
    tokenizer, marks = build_word_tokenizer()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=limit, model_input_names=list(inputs), **marks
    ).save_pretrained(folder)


def write(folder, name, **changes):
    """The folder, in which a checkpoint of an architecture now stands."""
    folder = Path(folder)
    draw(name, **changes).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def patch(folder, file="config.json", **changes):
    """Change fields of a JSON file."""
    path = Path(folder) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder, change):
    """Put what a function makes of the stored tensors in their place."""
    path = Path(folder) / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
