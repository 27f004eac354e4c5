"""Masked language models: predictions at hidden tokens, samples of them, and the place where one is found."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel

from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_tokenizer, load_with_head
from probing.records import InputError

MASKED_LM_RUNS = Path("data/results")
"""Folder of the run folders of masked language models stand that are made for encoders without one."""


def predict_at(
    model: Any, inputs: Mapping[str, Tensor], places: Int[Tensor, " places"]
) -> Float[Tensor, "places vocab"]:
    """The logits of a masked language model at some tokens; no other token goes through the vocabulary's head.

    Args:
        model: any with a head for masked tokens, `...ForMaskedLM`; several processes may wrap it.
        inputs: its keywords.
        places: of the tokens, counted over all texts of the batch laid end to end.
    """
    with states_at(places, getattr(model, "module", model)):
        return model(**inputs).logits[0]


@contextmanager
def states_at(places: Int[Tensor, " places"], model: PreTrainedModel) -> Iterator[None]:
    """While this lasts, a model's head sees the last layer's states at some places alone, as one text.

    Every head for masked tokens works token by token, under another name in each architecture.
    """

    def pick(module: Any, inputs: Any, output: Any) -> Any:
        del module, inputs
        output["last_hidden_state"] = output[0].flatten(0, 1)[places][None]
        return output

    handle = model.base_model.register_forward_hook(pick)  # pyright: ignore
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def sample_tokens(logits: Float[Tensor, "places vocab"], noise: Float[Tensor, " places"]) -> Int[Tensor, " places"]:
    """A token for each row, drawn from softmax(logits): the first whose cumulated probability is above the noise.

    Args:
        logits: of all tokens.
        noise: uniform in [0, 1), drawn by the caller.
    """
    cumulated = logits.float().softmax(dim=1).cumsum(dim=1)
    # In float32 the last sum is not quite 1, and above it there would be no token.
    wanted = (noise * cumulated[:, -1])[:, None].contiguous()
    return torch.searchsorted(cumulated, wanted, right=True).squeeze(1).clamp_max(logits.shape[1] - 1)


def load_masked_lm(checkpoint: Checkpoint, config: Any = None) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The encoder with its architecture's head for masked tokens, and transformers' report on its tensors.

    A head that was not stored is drawn by torch's own generator. The head's matrix is the table of embeddings.

    Args:
        checkpoint: of an encoder, with or without a head.
        config: with another dropout than is stored.

    Raises:
        InputError: the architecture has no such head, or it cannot be read.
    """
    return load_with_head(AutoModelForMaskedLM, "a masked language model", checkpoint, config)


def find_masked_lm(checkpoint: str) -> Checkpoint:
    """The masked language model that belongs to an encoder.

    It is the checkpoint itself, if that was stored with such a head; else the one in `data/results/masked-lm-NAME`,
    NAME being the last part of the checkpoint's name.

    Args:
        checkpoint: as `--checkpoint` names the encoder.

    Raises:
        InputError: there is none, saying how to make it; or the one there reads other tokens.
    """
    found = find_checkpoint(checkpoint)
    if _has_head(found):
        return found
    folder = name_masked_lm(checkpoint)
    if not folder.is_dir():
        raise InputError(
            f"checkpoint {found.name}: has no head for masked tokens, and {folder} is not there; make it by python "
            f"probing/train_encoder.py --recipe pretrain --checkpoint {checkpoint} --text FOLDER --output {folder}"
        )
    other = find_checkpoint(str(folder))
    if not _has_head(other):
        raise InputError(f"{folder}: no masked language model; move it away, and make one by --recipe pretrain")
    if load_tokenizer(other).get_vocab() != load_tokenizer(found).get_vocab():
        raise InputError(f"{folder}: has another vocabulary than checkpoint {found.name}; make it anew from that one")
    return other


def name_masked_lm(checkpoint: str) -> Path:
    """The run folder of the masked language model that is made for an encoder without one."""
    return MASKED_LM_RUNS / f"masked-lm-{Path(checkpoint.partition('@')[0]).name}"


def _has_head(checkpoint: Checkpoint) -> bool:
    """True where a checkpoint was saved with a head for masked tokens, by the class that it names."""
    config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
    return any("ForMaskedLM" in str(name) for name in config.get("architectures") or ())
