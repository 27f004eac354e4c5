"""Probe on several layers, made of other probes: the mix of layers 0 to l."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from probing.contracts.probe import Reader
from probing.probes.scalar_mix import ScalarMixProbe


class CumulativeMixProbe(Reader):
    """A scalar-mix probe on layers 0 to l, for every l (Tenney et al. 2019, arXiv 1905.05950, section 3.2).

    One readout for each l; what layer l brings is the score of readout l minus that of readout l - 1.
    """

    takes_scores = True
    has_strength = False
    order_free = True
    by_request = False
    reads = "layers up to"
    choices = ("strength_", "gamma_", "n_minima_", "loss_spread_")

    def __init__(self, norm: bool = False, seed: int = 0, device: str = "cpu"):
        self.norm, self.seed, self.device = norm, seed, device

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
    ) -> "CumulativeMixProbe":
        """Fit one mix after the other."""
        self.probes_ = [
            ScalarMixProbe(norm=self.norm, seed=self.seed, device=self.device).fit(X[:count], y, X_dev[:count], y_dev)
            for count in range(1, len(X) + 1)
        ]
        self.classes_ = self.probes_[0].classes_
        self.strength_ = np.array([probe.strength_ for probe in self.probes_])
        self.gamma_ = np.array([probe.gamma_ for probe in self.probes_])
        self.n_minima_ = np.array([probe.n_minima_ for probe in self.probes_])
        self.loss_spread_ = np.array([probe.loss_spread_ for probe in self.probes_])
        self.converged_ = np.array([probe.converged_ for probe in self.probes_])
        return self

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, mix by mix."""
        for count, probe in enumerate(self.probes_, start=1):
            yield from probe.read(X[:count])
