"""Pseudo-likelihood of sentences under a masked language model (Salazar et al. 2020, arXiv 1910.14659).

perplexity = exp(mean over tokens of -log p(token | all other tokens of its sentence))
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float, Int
from torch.nn import functional as F

from probing.encoders.masked_lm import predict_at
from probing.training.evaluation.by_block import mean_with_interval

_TOKENS = 4096


@torch.inference_mode()
def compute_losses(
    model: Any,
    sentences: Sequence[Int[np.ndarray, " _tokens"]],
    special: Bool[np.ndarray, " vocab"],
    mask: int,
    accelerator: Accelerator,
) -> list[Float[np.ndarray, " _ordinary"]]:
    """-log p of each token that is no mark, in nats, hidden by itself; sentences of one length are computed together.

    Args:
        model: in eval mode, on the accelerator's device.
        sentences: their tokens.
        special: true at marks.
        mask: the token that hides another.
        accelerator: device and precision.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, ids in enumerate(sentences):
        by_length[len(ids)].append(row)
    found: list[Float[np.ndarray, " _ordinary"]] = [np.empty(0)] * len(sentences)
    for length, rows in by_length.items():
        for start in range(0, len(rows), max(1, _TOKENS // length)):
            some = rows[start : start + max(1, _TOKENS // length)]
            ids = np.stack([sentences[row] for row in some])
            with accelerator.autocast():
                losses = _hide_each(model, torch.from_numpy(ids).to(accelerator.device), mask)
            for row, own, values in zip(some, ids, losses, strict=True):
                found[row] = values[~special[own]]
    return found


def _hide_each(model: Any, ids: Int[torch.Tensor, "batch tokens"], mask: int) -> Float[np.ndarray, "batch tokens"]:
    columns = []
    for place in range(ids.shape[1]):
        shown = ids.clone()
        shown[:, place] = mask
        places = torch.arange(len(ids), device=ids.device) * ids.shape[1] + place
        logits = predict_at(model, {"input_ids": shown}, places).float()
        columns.append(F.cross_entropy(logits, ids[:, place], reduction="none").cpu().numpy())
    return np.stack(columns, axis=1)


def perplexity_with_interval(
    losses: Sequence[Float[np.ndarray, " _ordinary"]], rng: np.random.Generator
) -> Float[np.ndarray, "3"]:
    """The perplexity of some sentences and the bounds of its interval over them."""
    rows = np.repeat(np.arange(len(losses)), [len(own) for own in losses])
    return np.exp(mean_with_interval(np.concatenate(losses).astype(float), rows, rng))
