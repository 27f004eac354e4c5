"""Probes of the text itself: linear classifiers on which features occur, of the kind that needs no encoder.

A baseline must be as good as it can be, or it flatters what is held against it: the multinomial logistic regression is
that of `probing.probes.linear` on sparse features that are not standardised,

    min_{W, b}  (1/N) sum_i [ logsumexp_c(W_c . x_i + b_c) - (W_{y_i} . x_i + b_{y_i}) ]  +  (lambda / 2) ||W||^2

with lambda chosen on dev. Of many classes, where that would take hours, it is complement naive Bayes (Rennie et al.
2003, ICML, section 3), its smoothing chosen on dev.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.naive_bayes import ComplementNB

from probing.probes.selection import choose_strength, score_logits

STRENGTHS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""L2 strengths that dev chooses among. Ours: on ten tasks of 10,000 sentences dev scores fall towards both ends."""
SMOOTHINGS = (10.0, 1.0, 0.1, 0.01, 0.001)
"""Counts added to each feature of each class, which dev chooses among."""
MOST_CLASSES = 50
"""Above this, classes are counted and not separated."""
_TOLERANCE, _LEAST_SLOPE = 1e-3, 1e-6
_MOST_PASSES = 300

Labels = Int[np.ndarray, " _sentences"] | Float[np.ndarray, "_sentences _classes"]
"""The class index of each sentence; in a graded task, its probability of each class."""
Sparse = Any
"""A sparse matrix of scipy, sentences x features, in rows."""


class SparseLinearProbe:
    """Multinomial logistic regression on sparse features; `strength_` is the lambda that dev chose."""

    takes_scores = True
    choices = ("strength_",)

    def fit(self, X: Sparse, y: Labels, X_dev: Sparse, y_dev: Labels) -> "SparseLinearProbe":
        """Fit it at every strength, from strong to weak, each from where the last one ended, and keep the best on dev.

        Labels are class indices 0 .. classes - 1 or, in a graded task, the probability of each class.
        """
        wanted = y if y.ndim == 2 else np.eye(int(y.max()) + 1)[y]
        coef, fits = np.zeros((X.shape[1] + 1, wanted.shape[1])), []
        for strength in STRENGTHS:
            coef, converged = _descend(X, wanted.astype(float), strength, coef)
            fits.append((coef, converged))
        dev = [torch.from_numpy(_compute_logits(X_dev, weights)) for weights, _ in fits]
        scores = np.array([score_logits(logits, torch.from_numpy(y_dev)) for logits in dev])
        best = choose_strength(scores, STRENGTHS)
        self.strength_ = STRENGTHS[best]
        self.coef_, self.converged_ = fits[best]
        return self

    def read(self, X: Sparse) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout."""
        yield log_softmax(_compute_logits(X, self.coef_), axis=1)


class NaiveBayesProbe:
    """Complement naive Bayes on features that occur or do not; `smoothing_` is the one that dev chose."""

    takes_scores = False
    choices = ("smoothing_",)

    def fit(self, X: Sparse, y: Labels, X_dev: Sparse, y_dev: Labels) -> "NaiveBayesProbe":
        """Count at every smoothing, and keep the best on dev; labels are class indices 0 .. classes - 1."""
        with warnings.catch_warnings():
            # Half as many classes as sentences are many, which is the task's own matter.
            warnings.simplefilter("ignore", UserWarning)
            models = [ComplementNB(alpha=smoothing).fit(X, y) for smoothing in SMOOTHINGS]
        best = choose_strength(np.array([model.score(X_dev, y_dev) for model in models]), SMOOTHINGS)
        self.smoothing_, self.model_, self.converged_ = SMOOTHINGS[best], models[best], True
        return self

    def read(self, X: Sparse) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout, and not calibrated."""
        log_probs = np.full((X.shape[0], int(self.model_.classes_.max()) + 1), -np.inf)
        log_probs[:, self.model_.classes_] = self.model_.predict_log_proba(X)
        yield log_probs


TEXT_PROBES: Mapping[str, type[SparseLinearProbe] | type[NaiveBayesProbe]] = {
    "sparse_linear": SparseLinearProbe,
    "naive_bayes": NaiveBayesProbe,
}
"""By the name in the score table."""


def name_text_probe(n_classes: int) -> str:
    """Key of the probe that a text is read by."""
    return "naive_bayes" if n_classes > MOST_CLASSES else "sparse_linear"


def _descend(
    X: Sparse, wanted: Float[np.ndarray, "sentences classes"], strength: float, start: Float[np.ndarray, "rows classes"]
) -> tuple[Float[np.ndarray, "rows classes"], bool]:
    """Weights and, in the last row, intercepts of the lowest loss, and whether the descent came to its end."""
    n = len(wanted)

    def measure(point: np.ndarray) -> tuple[float, np.ndarray]:
        weights = point.reshape(start.shape)
        log_probs = log_softmax(_compute_logits(X, weights), axis=1)
        residuals = (np.exp(log_probs) - wanted) / n
        slopes = np.vstack([X.T @ residuals + strength * weights[:-1], residuals.sum(axis=0)])
        return float(-(wanted * log_probs).sum() / n + strength / 2 * np.square(weights[:-1]).sum()), slopes.ravel()

    # A slope is a share of sentences: where no feature tells anything, there is none to go down from the start.
    least = max(_LEAST_SLOPE, _TOLERANCE * float(np.abs(measure(np.zeros(start.size))[1]).max()))
    options = {"maxiter": _MOST_PASSES, "gtol": least, "ftol": 0.0}
    found = minimize(measure, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(start.shape), bool(np.abs(found.jac).max() <= least)


def _compute_logits(X: Sparse, weights: Float[np.ndarray, "rows classes"]) -> Float[np.ndarray, "sentences classes"]:
    return X @ weights[:-1] + weights[-1]
