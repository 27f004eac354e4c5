"""Parts of the losses of linear and mixed probes: standardisation, softmax, the coordinates of the solver."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

_BLOCK_LOGITS = 2**21
_BLOCK_ROWS = (256, 4096)
_GRAM_BLOCK = 96


def block_rows(n_logits: int) -> int:
    """Number of sentences to take at a time, when each has `n_logits`: few for the caches, enough for a product."""
    least, most = _BLOCK_ROWS
    return max(least, min(most, _BLOCK_LOGITS // n_logits))


Labels = Int[Tensor, " sentences"] | Float[Tensor, "sentences classes"]
"""The class index of each sentence; in a graded task, its probability of each class."""


def count_classes(labels: Labels) -> int:
    """Number of classes."""
    return labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1


def softmax_loss(
    logits: Float[Tensor, "sentences problems classes"],
    labels: Labels,
    counts: Float[Tensor, "sentences problems"] | None = None,
) -> tuple[Float[Tensor, " problems"], Float[Tensor, "sentences problems classes"]]:
    """The cross-entropy in nats, summed over sentences, and its gradient by the logits.

    Args:
        logits: before softmax; best laid out in memory as problems x classes x sentences, as the gradient is.
        labels: the truth.
        counts: how often each sentence counts in each problem; none: once.
    """
    # With the sentences innermost, also a softmax over two classes fills the processor's vectors.
    log_probabilities = F.log_softmax(logits.permute(1, 2, 0), dim=1)
    if labels.ndim == 2:
        wanted = labels.T
        losses = -(log_probabilities * wanted).sum(dim=1)
        residuals = log_probabilities.exp_() - wanted
    else:
        index = labels.expand(len(log_probabilities), 1, -1)
        losses = -log_probabilities.gather(1, index).squeeze(1)
        residuals = log_probabilities.exp_()
        residuals.scatter_add_(1, index, torch.full_like(residuals[:, :1], -1.0))
    if counts is not None:
        losses, residuals = losses * counts.T, residuals.mul_(counts.T.unsqueeze(1))
    return losses.sum(dim=1), residuals.permute(2, 0, 1)


def multiply_by_itself(vectors: Float[Tensor, "sentences hidden"]) -> Float[Tensor, "hidden hidden"]:
    """X'X, of which only blocks on and below the diagonal are multiplied."""
    hidden = vectors.shape[1]
    product = vectors.new_zeros(hidden, hidden)
    for begin in range(0, hidden, _GRAM_BLOCK):
        end = min(hidden, begin + _GRAM_BLOCK)
        product[begin:end, :end] = vectors[:, begin:end].T @ vectors[:, :end]
    return product.tril() + product.tril(-1).T


def eigenbasis(
    gram: Float[Tensor, "*batch hidden hidden"], exactly: bool = True
) -> tuple[Float[Tensor, "*batch hidden"], Float[Tensor, "*batch hidden hidden"]]:
    """Eigenvalues, none negative, and orthonormal eigenvectors in columns, computed in float64 where `exactly`."""
    values, vectors = torch.linalg.eigh(gram.double() if exactly else gram)
    return values.clamp_min(0).to(gram.dtype), vectors.to(gram.dtype)


def curvature(
    eigenvalues: Float[Tensor, "*batch hidden"], strengths: Float[Tensor, " strengths"], n_classes: int
) -> Float[Tensor, "*batch strengths hidden"]:
    """Curvature of the penalised loss in each principal direction, at the even guess.

    There the Hessian is (1/C)(I - 11'/C) x X'X/N + lambda I: Boehning's bound (1992), with 1/C for its 1/2.
    """
    return eigenvalues.unsqueeze(-2) / n_classes + strengths.unsqueeze(-1)


def standardise(
    vectors: Float[Tensor, "layers sentences hidden"],
) -> tuple[Float[Tensor, "layers hidden"], Float[Tensor, "layers hidden"]]:
    """Bring every feature of every layer to mean 0 and standard deviation 1, in place; return what they were.

    A feature that varies by less than a millionth of 1 + |mean| is dead or constant: it stays near 0, its scale is 1.
    """
    mean = vectors.mean(dim=1)
    # The mean first: squares of features far from 0 would lose the digits that their deviation is made of.
    vectors -= mean.unsqueeze(1)
    scale = replace_dead(vectors.square().mean(dim=1).sqrt(), mean)
    vectors /= scale.unsqueeze(1)
    return mean, scale


def replace_dead(
    scale: Float[Tensor, "layers hidden"], mean: Float[Tensor, "layers hidden"]
) -> Float[Tensor, "layers hidden"]:
    """Standard deviations, 1 in place of those of features that are dead or constant."""
    return torch.where(scale > 1e-6 * (1 + mean.abs()), scale, torch.ones_like(scale))
