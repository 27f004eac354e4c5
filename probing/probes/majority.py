"""The baseline that reads no vectors."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from probing.contracts.probe import Reader


class MajorityProbe(Reader):
    """Always the most frequent training class; its probabilities are the training shares. A single readout.

    Among equally frequent classes the first one is taken.
    """

    takes_scores = True
    has_strength = False
    order_free = True
    by_request = False
    reads = "nothing"

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"] | None = None,
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"] | None = None,
    ) -> "MajorityProbe":
        """Count the classes; labels are class indices 0 .. classes - 1 or the probability of each class."""
        counts = y.sum(axis=0) if y.ndim == 2 else np.bincount(y)
        self.classes_ = np.arange(len(counts))
        self.shares_ = counts / counts.sum()
        self.converged_ = True
        return self

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout, the same for every sentence."""
        with np.errstate(divide="ignore"):
            yield np.tile(np.log(self.shares_), (X.shape[1], 1))
