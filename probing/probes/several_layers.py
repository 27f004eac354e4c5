"""Probes on several layers, made of the other probes: all layers side by side, and the mix of layers 0 to l."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from probing.contracts.probe import Reader
from probing.probes.linear import LinearProbe
from probing.probes.scalar_mix import ScalarMixProbe


class ConcatProbe(Reader):
    """A linear probe on the vectors of all layers in a row: one readout.

    It can use every layer for itself, with as many weights as layers times dimensions: the mix at its freest. Its
    memory is not bounded: all vectors stand in it, more than once, and a square matrix of that many weights.
    """

    takes_scores = True
    has_strength = False
    order_free = True
    by_request = False
    reads = "all layers"
    choices = ("strength_",)

    def __init__(self, device: str = "cpu"):
        self.device = device

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
    ) -> "ConcatProbe":
        """Fit as the linear probe is."""
        self.probe_ = LinearProbe(device=self.device).fit(join_layers(X), y, join_layers(X_dev), y_dev)
        self.classes_, self.strength_, self.converged_ = (
            self.probe_.classes_,
            self.probe_.strength_,
            self.probe_.converged_,
        )
        return self

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout."""
        yield from self.probe_.read(join_layers(X))


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


def join_layers(X: Float[np.ndarray, "layers sentences hidden"]) -> Float[np.ndarray, "1 sentences width"]:
    """All layers of a sentence in a row."""
    return X.transpose(1, 0, 2).reshape(1, X.shape[1], -1)
