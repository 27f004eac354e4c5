"""Linear and mixed probes fitted to growing portions of the data, each of which predicts the sentences up to the next.

All layers and strengths of a portion are fitted together. A portion knows only the classes that occur in it: the
others get probability 0 here, and whoever turns probabilities into a code has to see to that.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.logistic_problem import LogisticProblem
from probing.probes.mix_problem import MixProblem
from probing.probes.selection import STRENGTHS
from probing.probes.stack_blocks import StackBlocks, normalise
from probing.scalar_mix import mix_layers
from probing.store.mapped_arrays import release

# Looser than a probe's own: any iterate gives a valid code, and what remains of the gradient moves it little.
_TOLERANCE = 3e-3
_MOST_ITERATIONS = 100
_BLOCK_NUMBERS = 2**22
"""Units of vectors, or logits, that are in memory while sentences are predicted."""

Predict = Callable[[Float[np.ndarray, "layers block hidden"]], Float[Tensor, "readouts strengths block classes"]]
"""Log probabilities (nats) of each class, for some sentences."""
Fit = Callable[[Float[np.ndarray, "layers portion hidden"], Int[Tensor, " portion"]], Predict]
"""Fit to a portion of the sentences, its classes numbered densely, where the labels are."""


def predict_onwards(
    fit: Fit,
    X: Float[np.ndarray, "layers sentences hidden"],
    y: Int[np.ndarray, " sentences"],
    cuts: Sequence[int],
    device: str = "cpu",
) -> Float[np.ndarray, "readouts strengths rest"]:
    """Log probability (nats) of the true class of every sentence from the first cut on.

    Args:
        fit: `fit_layers` or `fit_mix`.
        X: vectors, in the order of the code.
        y: class indices.
        cuts: numbers of sentences, rising; a probe is fitted at each but the last.
        device: where to compute.
    """
    parts = []
    for end, stop in pairwise(cuts):
        classes, dense = np.unique(y[:end], return_inverse=True)
        predict = fit(X[:, :end], torch.tensor(dense, device=device))
        size = max(1, _BLOCK_NUMBERS // (len(X) * max(X.shape[2], len(STRENGTHS) * len(classes))))
        for start in range(end, stop, size):
            rows = slice(start, min(start + size, stop))
            parts.append(_read_true(predict(X[:, rows]), classes, y[rows]))
            release(X)
    return np.concatenate(parts, axis=2)


def fit_layers(X: Float[np.ndarray, "layers portion hidden"], labels: Int[Tensor, " portion"]) -> Predict:
    """Every layer for itself: one readout per layer."""
    problem = LogisticProblem(torch.tensor(X, device=labels.device), labels, STRENGTHS)
    coef, intercept = problem.unpack(problem.solve(_TOLERANCE, _MOST_ITERATIONS))

    def predict(block: np.ndarray) -> Tensor:
        scaled = (torch.tensor(block, device=labels.device) - problem.mean.unsqueeze(1)) / problem.scale.unsqueeze(1)
        return (torch.einsum("lnh,lkch->lknc", scaled, coef) + intercept.unsqueeze(2)).log_softmax(dim=3)

    return predict


def fit_mix(
    X: Float[np.ndarray, "layers portion hidden"], labels: Int[Tensor, " portion"], norm: bool = False
) -> Predict:
    """The learned mix, from even weights, with every vector normalised before where `norm` says so: one readout."""
    problem = MixProblem(StackBlocks(X, norm, str(labels.device)), labels, STRENGTHS)
    solution = problem.solve(_TOLERANCE, _MOST_ITERATIONS)
    mix, weights, intercepts = problem.unpack(solution.points)
    means, deviations = problem.moments(mix)

    def predict(block: np.ndarray) -> Tensor:
        vectors = torch.tensor(normalise(block) if norm else block, device=labels.device)
        scaled = (mix_layers(vectors, mix) - means.unsqueeze(1)) / deviations.unsqueeze(1)
        return torch.baddbmm(intercepts.unsqueeze(1), scaled, weights.mT).log_softmax(dim=2).unsqueeze(0)

    return predict


def _read_true(
    log_probs: Tensor, classes: np.ndarray, labels: np.ndarray
) -> Float[np.ndarray, "readouts strengths block"]:
    known = np.isin(labels, classes)
    column = np.where(known, np.searchsorted(classes, labels), 0)
    index = torch.from_numpy(column).to(log_probs.device).view(1, 1, -1, 1).expand(*log_probs.shape[:3], 1)
    return np.where(known, log_probs.gather(3, index).squeeze(3).double().cpu().numpy(), -np.inf)
