"""Probing all layers and strengths: ours, scikit-learn one fit at a time, and the SentEval classifier's recipe."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from probing.encoders.bert import build
from probing.probes import senteval
from probing.probes.linear import STRENGTHS, LinearProbe
from probing.probes.selection import choose_strength
from probing.records import SPLITS, Task
from probing.states import Encoder
from tests.benchmarks.encoding import encode_ours
from tests.benchmarks.sizes import WARM_UP, Sizes, draw_tasks
from tests.benchmarks.timing import Comparison, Way, compare

OURS, SKLEARN, SENTEVAL = "ours", "scikit-learn, one fit at a time", "SentEval's recipe, layer by layer"
_ITERATIONS = 5000
_EQUAL = 0.2
"""Points of accuracy within which two ways agree."""


@dataclass(frozen=True)
class Data:
    """A task's vectors and labels: train, dev and test."""

    vectors: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]

    def select_layer(self, layer: int) -> "Data":
        """One layer alone."""
        return Data(tuple(part[layer : layer + 1] for part in self.vectors), self.labels)

    def shorten(self, n: int) -> "Data":
        """The first training sentences alone."""
        vectors, labels = (self.vectors[0][:, :n], *self.vectors[1:]), (self.labels[0][:n], *self.labels[1:])
        return Data(vectors, labels)


Fitter = Callable[[Data], Float[np.ndarray, " layers"]]
"""Fits every layer at every strength, chooses by dev, and gives the accuracies on test."""


def compare_probing(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """One comparison per task, with the accuracies that each way reaches."""
    encoder = build(checkpoint, device="cpu")
    return [_compare_task(task, encoder, sizes) for task in draw_tasks(sizes.tasks, sizes.probed)]


def encode_task(task: Task, encoder: Encoder) -> Data:
    """All layers of the task's sentences."""
    splits = [task.splits[name] for name in SPLITS]
    return Data(tuple(encode_ours(encoder, split.texts) for split in splits), tuple(split.labels for split in splits))


def fit_ours(data: Data) -> Float[np.ndarray, " layers"]:
    """All layers and strengths in one solve."""
    (X, X_dev, X_test), (y, y_dev, y_test) = data.vectors, data.labels
    return (LinearProbe().fit(X, y, X_dev, y_dev).predict(X_test) == y_test).mean(axis=1)


def fit_sklearn(data: Data) -> Float[np.ndarray, " layers"]:
    """The same problems, on standardised vectors: scikit-learn's C is 1 / (strength x sentences).

    With two classes it fits one vector of weights w for our pair (-w/2, w/2), which half the penalty is for: twice C.
    """
    return np.array([_fit_layer_sklearn(data.select_layer(layer)) for layer in range(len(data.vectors[0]))])


def fit_senteval(data: Data) -> Float[np.ndarray, " layers"]:
    """SentEval's grid, one network at a time; the chosen one is trained a second time, as the original does."""
    return np.array([_fit_layer_senteval(data.select_layer(layer)) for layer in range(len(data.vectors[0]))])


def fit_senteval_mix(data: Data) -> float:
    """The same of the scalar mix of all layers, which SentEval itself does not know."""
    return _fit_layer_senteval(data, mixes=True)


def _compare_task(task: Task, encoder: Encoder, sizes: Sizes) -> Comparison:
    data = encode_task(task, encoder)
    few, n_fits = data.shorten(WARM_UP), len(encoder.layer_names)
    fitters: dict[str, Fitter] = {OURS: fit_ours, SKLEARN: fit_sklearn, SENTEVAL: fit_senteval}
    ways = [Way(name, partial(fit, data), n_fits, partial(fit, few)) for name, fit in fitters.items()]
    title = f"probing {task.spec.title}, {len(data.labels[0])} sentences x {n_fits} layers"
    comparison = compare(title, "layers", ways, sizes.rounds)
    for name, accuracies in comparison.results.items():
        comparison.facts[f"accuracy by layer, {name}"] = (100 * accuracies).round(2).tolist()
    for name in (SKLEARN, SENTEVAL):
        gaps = 100 * (comparison.results[OURS] - comparison.results[name])
        comparison.facts[f"ours minus {name}, points: mean over layers"] = float(gaps.mean())
        comparison.facts[f"layers where ours is at most {_EQUAL} points below {name}"] = int((gaps > -_EQUAL).sum())
    return comparison


def _fit_layer_sklearn(data: Data) -> float:
    scaler, (y, y_dev, y_test) = StandardScaler().fit(data.vectors[0][0]), data.labels
    X, X_dev, X_test = (scaler.transform(part[0]) for part in data.vectors)
    scale = len(y) / (2 if y.max() == 1 else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = [LogisticRegression(C=1 / (one * scale), max_iter=_ITERATIONS).fit(X, y) for one in STRENGTHS]
    best = choose_strength(np.array([probe.score(X_dev, y_dev) for probe in fitted]), STRENGTHS)
    return float(fitted[best].score(X_test, y_test))


def _fit_layer_senteval(data: Data, mixes: bool = False) -> float:
    (X, X_dev, X_test), (y, y_dev, y_test) = data.vectors, data.labels

    def fit(strength: float) -> senteval.SentEvalProbe:
        return senteval.SentEvalProbe(mixes=mixes, strengths=(strength,)).fit(X, y, X_dev, y_dev)

    scores = np.array([fit(strength).dev_scores_[0, 0] for strength in senteval.STRENGTHS])
    chosen = fit(senteval.STRENGTHS[choose_strength(scores, senteval.STRENGTHS)])
    return float((chosen.predict(X_test)[0] == y_test).mean())
