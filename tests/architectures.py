"""Architectures tried: a tiny model of each, drawn at random, is built and checked as a run does it.

`python -m tests.architectures` writes the table of docs/reference/architectures.md; a slow test holds the page to it.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.fused import find_obstacle
from probing.records import InputError
from tests.helpers import build_word_tokenizer
from tests.probing.encoders.odd_checkpoints import write_tokenizer

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "architectures.md"
_MARKS = {"bos_token_id": 2, "eos_token_id": 3}
_USUAL = {
    **{"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    **{"max_position_embeddings": 64, "pad_token_id": 0},
}
_SMALL = {"embedding_size": 32}
_BART = {
    f"{part}_{name}": value
    for part in ("encoder", "decoder")
    for name, value in {"layers": 2, "attention_heads": 2, "ffn_dim": 64}.items()
} | {"d_model": 64, "max_position_embeddings": 64, "pad_token_id": 0, "decoder_start_token_id": 3, **_MARKS}
_T5 = {"d_model": 64, "d_kv": 32, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
_VISION = {"num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 16}
_GPT2 = {"n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 64, **_MARKS}
_LLAMA = _USUAL | _MARKS | {"num_key_value_heads": 2, "head_dim": 32}
_FUNNEL = {"block_sizes": [1, 1], "num_decoder_layers": 1, "d_model": 64, "n_head": 2, "d_head": 32, "d_inner": 64}
TRIED: dict[str, dict[str, Any]] = {
    "bert": _USUAL,
    "roberta": _USUAL | _MARKS | {"type_vocab_size": 1},
    "xlm-roberta": _USUAL | _MARKS | {"type_vocab_size": 1},
    "camembert": _USUAL | _MARKS | {"type_vocab_size": 1},
    "distilbert": {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64},
    "electra": _USUAL | _SMALL,
    "albert": _USUAL | _SMALL | _MARKS,
    "deberta": _USUAL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
    "deberta-v2": _USUAL
    | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "type_vocab_size": 0},
    "modernbert": _USUAL | _MARKS | {"local_attention": 4, "cls_token_id": 2, "sep_token_id": 3},
    "mpnet": _USUAL | _MARKS,
    "ernie": _USUAL,
    "megatron-bert": _USUAL,
    "roformer": _USUAL | {"embedding_size": 64},
    "rembert": _USUAL | {"input_embedding_size": 32},
    "ibert": _USUAL | _MARKS,
    "data2vec-text": _USUAL | _MARKS,
    "esm": _USUAL | {"mask_token_id": 4, "position_embedding_type": "absolute"},
    "squeezebert": _USUAL | {"embedding_size": 64},
    "mobilebert": _USUAL | {"embedding_size": 32, "intra_bottleneck_size": 64},
    "convbert": _USUAL | {"embedding_size": 64},
    "fnet": {name: value for name, value in _USUAL.items() if name != "num_attention_heads"},
    "nystromformer": _USUAL,
    "big_bird": _USUAL | _MARKS | {"attention_type": "original_full"},
    "longformer": _USUAL | {"attention_window": 16},
    "xlnet": {"d_model": 64, "n_layer": 2, "n_head": 2, "d_inner": 64, "pad_token_id": 0},
    "xlm": {"emb_dim": 64, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 64, "pad_index": 0},
    "mra": _USUAL | {"block_per_row": 1},
    "funnel": _FUNNEL | {"architectures": ["FunnelModel"], "pad_token_id": 0},
    "gpt2": _GPT2,
    "gpt_neox": _USUAL | _MARKS,
    "opt": {
        "hidden_size": 64,
        "word_embed_proj_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "ffn_dim": 64,
    }
    | {"max_position_embeddings": 64, "pad_token_id": 0, **_MARKS},
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 2, "pad_token_id": 0, **_MARKS},
    "llama": _LLAMA,
    "mistral": _LLAMA | {"sliding_window": 16},
    "qwen2": _LLAMA,
    "gemma2": _LLAMA,
    "t5": _T5 | {"pad_token_id": 0},
    "umt5": _T5 | {"pad_token_id": 0},
    "bart": _BART,
    "mbart": _BART,
    "pegasus": _BART,
    "mamba": {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 4, "pad_token_id": 0, **_MARKS},
    "rwkv": {"hidden_size": 64, "num_hidden_layers": 2, "attention_hidden_size": 64, "context_length": 64},
    "clip": {"text_config": _USUAL | _MARKS, "vision_config": {**_VISION, "hidden_size": 64, "num_hidden_layers": 2}},
}
"""Type of model, as its config.json names it -> its sizes, but for that of the vocabulary."""
_HEAD = """# Architectures tried

A tiny model of each architecture of transformers {version}, drawn at random, was built and checked as a run does
it. This says how its states behave, and nothing of the quality of published weights. Whatever is not listed is built
and checked the same way: the check, not a list, decides.

* **kernels**: whether a CPU can encode it by the compiled kernels, where all sizes are multiples of 32; all others go
  through torch.
* **batches**: of any sentences; of equal lengths only, since its states move with padding; or one sentence at a time.
* **reads**: left to right, or both ways. `--pooling cls` is refused where the first token reads no other word.
* **final norm**: the last state stands behind a norm that the others do not; `--mix-norm` gives all layers one scale.

{table}

Of encoder-decoders (T5, BART and their like) the encoder is probed; no such part, and no decoder, is trained. The
Of encoder-decoders (T5, BART and their like) the encoder is probed; no such part, and no decoder, is trained. The
states of Mamba and RWKV begin behind the first block: layer 0 is what that block reads. Tokenizers that exist in Python
alone (PhoBERT, BERTweet, ESM, ByT5, CANINE, Japanese BERT with fugashi) work, slowly. SentencePiece files without a
`tokenizer.json` (DeBERTa-v3) need the extra `sentencepiece`, which the run says. CANINE's layers are of characters and
of molecules, whose states are repeated for each of their characters; no gradient norms are measured there.
"""


def draw(kind: str) -> transformers.PreTrainedModel:
    """A tiny model in which nothing stays 0, as in published weights."""
    vocabulary = {} if kind == "clip" else {"vocab_size": build_word_tokenizer()[0].get_vocab_size()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(
            transformers.AutoConfig.for_model(kind, **(vocabulary | TRIED[kind]))
        )
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def try_architecture(kind: str, folder: Path) -> list[str]:
    """The cells of its row: name, kernels, batches, direction of reading, and what else differs."""
    draw(kind).save_pretrained(folder)
    write_tokenizer(folder)
    try:
        encoder = build(str(folder), dtype="float32", device="cpu", backend="torch")
        found = check_encoder(encoder)
    except InputError as error:
        reason = str(error).replace(str(folder), "").removeprefix("checkpoint : ")
        return [f"`{kind}`", "", "refused", "", re.split(r"[;(]", " ".join(reason.split()))[0].strip()]
    notes = [short for part, short in _NOTES.items() if any(part in line for line in found.warnings)]
    kernels = "no" if find_obstacle(encoder.model) else "yes"
    batches = {"padded": "any", "equal lengths": "equal lengths", "single": "one by one"}[found.facts["batching"]]
    return [f"`{kind}`", kernels, batches, found.facts["reads"], "; ".join(notes)]


_NOTES = {
    "after a final norm": "final norm",
    "reads neighbouring words": "layer 0 reads neighbouring words",
    "depend on the other": "states depend on batch mates",
}
"""Part of a warning -> what the table says of it."""


def write_page() -> str:
    """The page with its table."""
    heads = ["type of model", "kernels", "batches", "reads", "what else differs"]
    rows = []
    for kind in TRIED:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(try_architecture(kind, Path(folder)))
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])
    return _HEAD.format(version=transformers.__version__, table=table)


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
