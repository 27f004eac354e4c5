"""Choice among several fitted strengths."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probing.probes.logistic import Labels

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""L2 strengths that dev chooses among, from strong to weak. Ours: on the tasks of 2,000 to 20,000 sentences that they
were tried on, dev scores fall towards both ends."""


def choose_strength(dev_scores: Float[np.ndarray, " strengths"], strengths: Sequence[float] | Sequence[int]) -> int:
    """Index of the strength with the best dev score, unrounded; among equals the strongest regularisation."""
    return max(range(len(strengths)), key=lambda index: (dev_scores[index], strengths[index]))


def score_strengths(
    vectors: Float[Tensor, "sentences hidden"],
    coef: Float[Tensor, "strengths classes hidden"],
    intercept: Float[Tensor, "strengths classes"],
    labels: Labels,
) -> Float[np.ndarray, " strengths"]:
    """Accuracy of each strength; in a graded task, the correlation of expected and true scores."""
    fitted = zip(coef, intercept, strict=True)
    return np.array([score_logits(torch.addmm(bias, vectors, weights.T), labels) for weights, bias in fitted])


def score_logits(logits: Float[Tensor, "sentences classes"], labels: Labels) -> float:
    """Accuracy of the likeliest classes; in a graded task, the correlation of expected and true scores."""
    if labels.ndim == 1:
        return (logits.argmax(dim=1) == labels).double().mean().item()
    scale = torch.arange(labels.shape[1], dtype=logits.dtype, device=logits.device)
    # The expected score, not the likeliest class: a correlation sees how near a guess is.
    pair = torch.stack([logits.softmax(dim=1) @ scale, labels.to(logits.dtype) @ scale]).double()
    return torch.corrcoef(pair)[0, 1].nan_to_num().item()
