"""Probing all layers and strengths: ours, scikit-learn one fit at a time, and the SentEval classifier's recipe."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from probing.contracts.encoder import Encoder
from probing.probes import senteval
from probing.probes.fused import MANY_CLASSES
from probing.probes.linear import LinearProbe
from probing.probes.selection import STRENGTHS, choose_strength
from probing.records import SPLITS, Task
from tests.benchmarks.encoding import encode_ours

_ITERATIONS = 5000
_DEAD = 1e-6
_TOLERANCE, _FINE_TOLERANCE = 1e-4, 1e-5
"""Of scikit-learn: its default; and what it takes to end where ours does when classes are many: there the default stops
at weak strengths 0.01 nats above the optimum, and up to seven points below its accuracy."""


@dataclass(frozen=True)
class Data:
    """A task's vectors and labels: train, dev and test."""

    vectors: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]

    def select_layers(self, layers: Sequence[int]) -> "Data":
        """Some layers alone."""
        return Data(tuple(part[list(layers)] for part in self.vectors), self.labels)

    def shorten(self, n: int) -> "Data":
        """The first training sentences alone."""
        vectors, labels = (self.vectors[0][:, :n], *self.vectors[1:]), (self.labels[0][:n], *self.labels[1:])
        return Data(vectors, labels)


def encode_task(task: Task, encoder: Encoder) -> Data:
    """All layers of the task's sentences."""
    splits = [task.splits[name] for name in SPLITS]
    return Data(tuple(encode_ours(encoder, split.texts) for split in splits), tuple(split.labels for split in splits))


def fit_ours(data: Data) -> Float[np.ndarray, " layers"]:
    """All layers and strengths in one solve."""
    (X, X_dev, X_test), (y, y_dev, y_test) = data.vectors, data.labels
    return (LinearProbe().fit(X, y, X_dev, y_dev).predict(X_test) == y_test).mean(axis=1)


def find_alive(vectors: Float[np.ndarray, "sentences hidden"]) -> Bool[np.ndarray, " hidden"]:
    """Units that vary by more than a millionth of 1 + |mean|: ours leaves the others near 0.

    scikit-learn's scaler would make any that varies at all, by 1e-33 even, as large as the rest: other problems.
    """
    return vectors.std(axis=0) > _DEAD * (1 + np.abs(vectors.mean(axis=0)))


def fit_sklearn(data: Data) -> Float[np.ndarray, " layers"]:
    """The same problems, on standardised vectors: scikit-learn's C is 1 / (strength x sentences).

    With two classes it fits one vector of weights w for our pair (-w/2, w/2), which half the penalty is for: twice C.
    """
    return np.array([_fit_layer_sklearn(data.select_layers([layer])) for layer in range(len(data.vectors[0]))])


def fit_senteval(data: Data) -> Float[np.ndarray, " layers"]:
    """SentEval's grid, one network at a time; the chosen one is trained a second time, as the original does."""
    return np.array([_fit_layer_senteval(data.select_layers([layer])) for layer in range(len(data.vectors[0]))])


def fit_senteval_mix(data: Data) -> float:
    """The same of the scalar mix of all layers, which SentEval itself does not know."""
    return _fit_layer_senteval(data, mixes=True)


def try_sklearn(data: Data) -> None:
    """One fit of the last layer, to see how many threads suit it."""
    _fit_sklearn(data.vectors[0][-1], data.labels[0], STRENGTHS[len(STRENGTHS) // 2])


def try_senteval(data: Data) -> None:
    """The same of SentEval's recipe: one network on the last layer, and its first passes only."""
    (X, X_dev, _), (y, y_dev, _) = data.select_layers([-1]).vectors, data.labels
    senteval.SentEvalProbe(strengths=senteval.STRENGTHS[:1], max_epochs=0).fit(X, y, X_dev, y_dev)


def _fit_layer_sklearn(data: Data) -> float:
    y, y_dev, y_test = data.labels
    kept = find_alive(data.vectors[0][0])
    X, X_dev, X_test = (part[0][:, kept] for part in data.vectors)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    X, X_dev, X_test = ((part - mean) / scale for part in (X, X_dev, X_test))
    fitted = [_fit_sklearn(X, y, strength) for strength in STRENGTHS]
    best = choose_strength(np.array([probe.score(X_dev, y_dev) for probe in fitted]), STRENGTHS)
    return float(fitted[best].score(X_test, y_test))


def _fit_sklearn(X: np.ndarray, y: np.ndarray, strength: float) -> LogisticRegression:
    scale = len(y) / (2 if y.max() == 1 else 1)
    tolerance = _FINE_TOLERANCE if y.max() + 1 >= MANY_CLASSES else _TOLERANCE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=1 / (strength * scale), max_iter=_ITERATIONS, tol=tolerance).fit(X, y)


def _fit_layer_senteval(data: Data, mixes: bool = False) -> float:
    (X, X_dev, X_test), (y, y_dev, y_test) = data.vectors, data.labels

    def fit(strength: float) -> senteval.SentEvalProbe:
        return senteval.SentEvalProbe(mixes=mixes, strengths=(strength,)).fit(X, y, X_dev, y_dev)

    scores = np.array([fit(strength).dev_scores_[0, 0] for strength in senteval.STRENGTHS])
    chosen = fit(senteval.STRENGTHS[choose_strength(scores, senteval.STRENGTHS)])
    return float((chosen.predict(X_test)[0] == y_test).mean())
