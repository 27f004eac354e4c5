"""A probe without parameters: what class do the nearest training sentences have?

The neighbours are those of largest cosine, after the training mean has been taken out of all vectors: hidden states
share a common direction that would make all cosines alike (Ethayarajh 2019, arXiv 1909.00512). With v_c votes for
class c among k neighbours and C classes,

    p(c) = (v_c + 1 / C) / (sum_c v_c + 1)

so that no class is impossible. The vote of the r-th nearest, r = 1..k, counts 1 + (k - r + 1) / (k^2 + k): all these
extras together are half a vote, so that they decide between classes of equal votes and nothing else.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from probing.contracts.probe import Reader
from probing.probes.selection import choose_strength

NEIGHBOURS = (1, 3, 9, 27, 81)
"""Numbers of neighbours that dev chooses among. Ours."""
_BLOCK = 512


class KNNProbe(Reader):
    """The vote of the nearest training sentences, in each layer: one readout for each.

    Args:
        neighbours: numbers of neighbours; the best on dev is kept, and of equals the largest. None is larger than the
            training set.
        device: where to compute.
    """

    takes_scores = False
    has_strength = False
    order_free = True
    by_request = True
    reads = "each layer"
    choices = ("n_neighbours_",)

    def __init__(self, neighbours: Sequence[int] = NEIGHBOURS, device: str = "cpu"):
        self.neighbours, self.device = neighbours, device

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"],
    ) -> "KNNProbe":
        """Keep the training sentences, and for each layer the number of neighbours that is best on dev.

        Labels are class indices 0 .. classes - 1.
        """
        self.classes_ = np.arange(int(y.max()) + 1)
        self.y_ = torch.tensor(y, device=self.device)
        self.mean_ = X.mean(axis=1, keepdims=True)
        self.directions_ = F.normalize(torch.tensor(X - self.mean_, device=self.device), dim=2)
        tried = sorted({min(number, len(y)) for number in self.neighbours})
        self.dev_scores_ = np.stack(
            [(votes.argmax(axis=2) == y_dev).mean(axis=1) for votes in self._vote(X_dev, tried)]
        )
        self.n_neighbours_ = np.array(
            [tried[choose_strength(row, [float(number) for number in tried])] for row in self.dev_scores_]
        )
        self.converged_ = np.ones(len(X), dtype=bool)
        return self

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, layer by layer."""
        for layer in range(len(X)):
            number = int(self.n_neighbours_[layer])
            (votes,) = self._count(layer, X[layer], [number])
            yield np.log((votes + 1 / len(self.classes_)) / (votes.sum(axis=1, keepdims=True) + 1))

    def _vote(self, X: np.ndarray, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for layer, vectors in enumerate(X):
            yield np.stack(self._count(layer, vectors, numbers))

    def _count(self, layer: int, vectors: np.ndarray, numbers: Sequence[int]) -> list[np.ndarray]:
        """Votes for each class, for several numbers of neighbours."""
        asked = torch.tensor(vectors - self.mean_[layer], device=self.device)
        counts: list[list[Tensor]] = [[] for _ in numbers]
        for block in asked.split(_BLOCK):
            order = (block @ self.directions_[layer].T).topk(max(numbers), dim=1).indices
            voters = F.one_hot(self.y_[order], len(self.classes_)).double()
            for counted, number in zip(counts, numbers, strict=True):
                extras = torch.arange(number, 0, -1, device=voters.device) / (number**2 + number)
                counted.append(torch.einsum("nkc,k->nc", voters[:, :number], 1 + extras.double()))
        return [torch.cat(counted).cpu().numpy() for counted in counts]
