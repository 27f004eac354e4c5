"""What every probe has in common: its predictions follow from what it reads."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, ClassifierMixin


class Probe(Protocol):
    """A small classifier on the pooled vectors of some layers, with one or more readings of them."""

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
        /,
    ) -> Any:
        """Learn from train, choose on dev; gives itself back."""
        ...

    def read(
        self, X: Float[np.ndarray, "layers sentences hidden"], /
    ) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, reading by reading."""
        ...

    def get_params(self) -> dict[str, Any]:
        """The options that it was made with, by name."""
        ...

    def set_params(self, **options: Any) -> Any:
        """Set some of them; gives itself back."""
        ...


class Reader(ClassifierMixin, BaseEstimator):
    """A probe of a layer stack, with one or more readings of it: one for each layer, say, or one for their mix."""

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, reading by reading."""
        raise NotImplementedError

    def predict_proba(
        self, X: Float[np.ndarray, "layers sentences hidden"]
    ) -> Float[np.ndarray, "readings sentences classes"]:
        """Probability of each class, reading by reading."""
        return np.exp(np.stack(list(self.read(X))))

    def predict(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Int[np.ndarray, "readings sentences"]:
        """The most probable class, reading by reading; of equals the first."""
        return np.stack([log_probabilities.argmax(axis=1) for log_probabilities in self.read(X)])
