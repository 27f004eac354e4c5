"""Contract of a probe: a small classifier on the pooled vectors of frozen layers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, ClassifierMixin

Reads = Literal["each layer", "all layers", "layers up to", "nothing"]
"""Kinds of readouts of a probe: a layer alone, all layers together, a layer and those before it."""


class Probe(Protocol):
    """A small classifier, in scikit-learn's manners.

    It has one readout for each layer, or a single one: see `reads`. Made without arguments it is ready to be fitted. A
    run then sets those of these options that `get_params` names, and no others:

    * `device`: where to compute;
    * `seed`: of what is drawn; a probe without it is fitted once, whatever the seeds of the run are;
    * `norm`, `dropout`, `mixes`: `--mix-norm`, `--mix-dropout` and whether it is to read the mix.

    The same data and options give the same probe, what it is given stays as it is, and classes have no order.
    """

    takes_scores: bool
    """True where it learns the probability of each class too, as graded tasks have them; if not, they are refused."""
    has_strength: bool
    """True where it has an option `strengths`, from which dev chooses: the larger, the nearer predictions are to
    even."""
    order_free: bool
    """True where the order of the training sentences and the numbers of the classes make no difference."""
    by_request: bool
    """True where `--probe` may name it; the others come with a representation or a protocol."""
    reads: Reads
    """Kind of each of its readouts."""
    choices: Sequence[str]
    """Names of what dev chose, and of options that tell two probes of one name apart: attributes that a fitted probe
    may have, a number for each readout."""
    tiny: Mapping[str, Any]
    """Options that make it quick, and sound, on a few hundred sentences: for the conformance tests."""

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
        /,
    ) -> Any:
        """Learn from train, choose on dev, and give itself back, with two more attributes at least.

        Labels are class indices 0 .. classes - 1 or, in a graded task and if it `takes_scores`, the probability of each
        class.

        * `classes_`: 0 .. classes - 1, as many as train has;
        * `converged_`: for each readout, whether the training came to its end.
        """
        ...

    def read(
        self, X: Float[np.ndarray, "layers sentences hidden"], /
    ) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, readout by readout."""
        ...

    def get_params(self) -> dict[str, Any]:
        """The options that it was made with, by name."""
        ...

    def set_params(self, **options: Any) -> Any:
        """Set some of them; gives itself back."""
        ...


class Reader(ClassifierMixin, BaseEstimator):
    """Base that probes may inherit from: options by name, and predictions that follow from `read`."""

    choices: ClassVar[Sequence[str]] = ()
    tiny: ClassVar[Mapping[str, Any]] = {}

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, readout by readout."""
        raise NotImplementedError

    def predict_proba(
        self, X: Float[np.ndarray, "layers sentences hidden"]
    ) -> Float[np.ndarray, "readouts sentences classes"]:
        """Probability of each class, readout by readout."""
        return np.exp(np.stack(list(self.read(X))))

    def predict(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Int[np.ndarray, "readouts sentences"]:
        """The most probable class, readout by readout; of equals the first."""
        return np.stack([log_probabilities.argmax(axis=1) for log_probabilities in self.read(X)])
