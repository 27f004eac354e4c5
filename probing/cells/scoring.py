"""Scoring the probes of a cell: predictions, metrics with intervals, usable information, layer weights."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from probing.bootstrap import percentile_interval
from probing.catalogue.controls import CEILING
from probing.catalogue.measures import MEASURES, Measure
from probing.catalogue.readouts import OF_TEXT, REPRESENTATIONS
from probing.cells.fitting import fit_and_keep
from probing.cells.plan import choose_layers, describe_probe
from probing.cells.surface import fit_text
from probing.contracts.measure import Cell, Encoded, describe
from probing.randomness import stream
from probing.records import Predictions, Split, Task, readout_key
from probing.registry import METRICS
from probing.scores.graded import expect_scores, spread_scores
from probing.scores.uncertainty import find_wilson, means_with_intervals, score_with_interval
from probing.scores.usable_information import pointwise_information
from probing.settings.run import RunSettings
from probing.tables import CellResult, LayerWeight, Score

NO_LAYER = -1


_LEAST_LOG = -300.0
"""In place of the logarithm of 0."""


@dataclass(frozen=True)
class Readout:
    """One thing that a fitted probe reads: a layer, or the mix."""

    layer: int
    layer_name: str
    hyperparameters: Mapping[str, int | float | list[float]]
    """In a cross-validation, a list of what was chosen in each fold."""
    converged: bool

    def columns(self) -> dict[str, Any]:
        """Columns of a score that describe the readout."""
        return vars(self) | {"hyperparameters": json.dumps(dict(self.hyperparameters))}


@describe(Measure(tuple(REPRESENTATIONS), flag="", scores=True))
def compute_cell(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Fit and score one cell."""
    layers = choose_layers(cell, encoded, settings)
    fit = fit_text(cell) if cell.representation in OF_TEXT else fit_and_keep(cell, encoded, settings, layers)
    facts = identify(cell, encoded, settings) | {"seconds": fit.seconds}
    scores, predictions = [], {}
    readouts = list(describe_readouts(cell, fit.probes, layers, encoded.encoder.layer_names))
    for split in ("dev", "test"):
        for readout, log_probabilities in zip(readouts, fit.read[split], strict=True):
            answers = read_predictions(log_probabilities, cell.task.splits[split])
            scores += score_predictions(cell.task, split, answers, facts | readout.columns())
            if split == "test":
                predictions[readout_key(cell.representation, readout.layer)] = answers
    if cell.representation != "none" and (MEASURES["usable_information"].takes_graded or not cell.task.graded):
        scored = [score for score in scores if (score.split, score.metric) == ("test", cell.task.spec.metric)]
        scores += measure_information(cell, fit.read, scored)
    if cell.representation == "layer" and not np.isnan(cell.task.ceiling):
        scores.append(note_ceiling(scores, cell.task.ceiling))
    mixed = cell.representation == "scalar_mix"
    weights = weigh_layers(fit.probes, layers, facts, encoded.encoder.layer_names) if mixed else []
    return CellResult(scores, weights, predictions)


def note_ceiling(scores: Sequence[Score], ceiling: float) -> Score:
    """Score that memorising can reach on a control task at most, as a score of no readout."""
    test = next(score for score in scores if score.split == "test")
    low, high = find_wilson(round(ceiling * test.n), test.n)
    title = REPRESENTATIONS["none"].title
    nothing = {"representation": "none", "layer": NO_LAYER, "layer_name": title, "hyperparameters": "{}"}
    return replace(
        test, **nothing, metric=CEILING, value=ceiling, ci_low=low, ci_high=high, majority=float("nan"), converged=True
    )


def measure_information(
    cell: Cell, read: Mapping[str, Sequence[Float[np.ndarray, "sentences classes"]]], scored: Sequence[Score]
) -> list[Score]:
    """The usable information of every readout, in bits per sentence, from the predictions that were scored."""
    values = means_with_intervals(inform(cell.task, read))
    return [
        replace(score, metric="usable_information_bits", value=value, ci_low=low, ci_high=high, majority=float("nan"))
        for score, (value, low, high) in zip(scored, values.tolist(), strict=True)
    ]


def inform(
    task: Task, read: Mapping[str, Sequence[Float[np.ndarray, "sentences classes"]]]
) -> Float[np.ndarray, "readouts sentences"]:
    """Bits that each readout gives about each test sentence's label."""
    shares = np.bincount(task.splits["train"].labels, minlength=len(task.classes)) / len(task.splits["train"])
    dev, test = (task.splits[split].labels for split in ("dev", "test"))
    pairs = zip(read["dev"], read["test"], strict=True)
    return np.stack([pointwise_information(one, dev, other, test, shares) for one, other in pairs])


def describe_readouts(
    cell: Cell, probes: Sequence[Any], layers: Sequence[int], layer_names: Sequence[str]
) -> Iterator[Readout]:
    """Describe the readouts of fitted probes, in their order."""
    by_layer = REPRESENTATIONS[cell.representation].by_layer
    title = REPRESENTATIONS[cell.representation].title
    names = [(layer, layer_names[layer]) for layer in layers] if by_layer else [(NO_LAYER, title)]
    for number, (layer, layer_name) in enumerate(names):
        chosen = {
            fact.rstrip("_"): _one_or_all(np.ravel(getattr(probe, fact))[number] for probe in probes)
            for fact in probes[0].choices
            if hasattr(probes[0], fact)
        }
        converged = all(bool(np.ravel(probe.converged_)[number]) for probe in probes)
        yield Readout(layer, layer_name, chosen, converged)


def _one_or_all(values: Iterable[Any]) -> float | list[float]:
    numbers = [float(value) for value in values]
    return numbers[0] if len(numbers) == 1 else numbers


def read_predictions(log_probabilities: Float[np.ndarray, "sentences classes"], split: Split) -> Predictions:
    """Predictions of a readout for the texts of a split."""
    if split.targets is None:
        log_probs = log_probabilities[np.arange(len(split)), split.labels].astype(np.float32)
        return Predictions(split.labels, log_probabilities.argmax(axis=1), log_probs)
    wanted = spread_scores(split.targets, log_probabilities.shape[1])
    log_probs = np.where(wanted > 0, wanted * np.maximum(log_probabilities, _LEAST_LOG), 0).sum(axis=1)
    return Predictions(split.targets, expect_scores(log_probabilities), log_probs.astype(np.float32))


def score_predictions(task: Task, split: str, predictions: Predictions, facts: Mapping[str, Any]) -> Iterator[Score]:
    """Scores of one readout on one split by every metric of the task, each with its interval.

    `facts` are the columns that say what is scored: those of `identify`, of the readout, and its seconds.
    """
    most_frequent = np.full_like(predictions.predicted, np.bincount(task.splits["train"].labels).argmax())
    once = np.ones((1, len(most_frequent)), dtype=np.int64)
    for metric in task.spec.metrics:
        # One stream per task and split: all readouts are resampled alike.
        rng = stream(0, "interval", task.name, split)
        value, low, high = score_with_interval(metric, predictions.labels, predictions.predicted, rng)
        yield Score(
            **facts,
            split=split,
            metric=metric,
            value=float(value),
            ci_low=float(low),
            ci_high=float(high),
            n=len(predictions.labels),
            majority=float(METRICS.load(metric)(predictions.labels, most_frequent, once)[0]),
        )


def score_samples(task: Task, split: str, metric: str, values: np.ndarray, facts: Mapping[str, Any]) -> Score:
    """A score whose first value is what was measured; the others, resamples or the bounds of the interval."""
    others = values[1:]
    low, high = others if len(others) == 2 else percentile_interval(others)
    return Score(
        **facts,
        split=split,
        metric=metric,
        value=float(values[0]),
        ci_low=float(low),
        ci_high=float(high),
        n=len(task.splits[split]),
        majority=float("nan"),
    )


def identify(cell: Cell, encoded: Encoded, settings: RunSettings) -> dict[str, Any]:
    """Columns that all scores of a cell have in common, and that say what they are of."""
    spec = cell.task.spec
    return {
        "model": settings.model,
        "checkpoint": encoded.encoder.checkpoint,
        "revision": encoded.encoder.revision,
        "task": spec.name,
        "group": spec.group,
        "representation": cell.representation,
        "pooling": "none" if cell.representation in ("none", *OF_TEXT) else settings.pooling,
        **describe_probe(cell, settings),
        "control": cell.control,
        "seed": cell.seed,
        "n_classes": len(cell.task.classes),
    }


_OF_WEIGHTS = ("model", "checkpoint", "task", "group", "control", "seed")


def weigh_layers(
    probes: Sequence[Any], layers: Sequence[int], facts: Mapping[str, Any], layer_names: Sequence[str]
) -> list[LayerWeight]:
    """The layer weights of a fitted mix; in a cross-validation, their mean over folds."""
    raw, weights, contributions = (
        np.mean([getattr(probe, name) for probe in probes], axis=0) for name in ("logits_", "weights_", "contribution_")
    )
    gamma = float(np.mean([probe.gamma_ for probe in probes]))
    return [
        LayerWeight(
            **{name: facts[name] for name in _OF_WEIGHTS},
            layer=layer,
            layer_name=layer_names[layer],
            weight_raw=float(raw[number]),
            weight=float(weights[number]),
            gamma=gamma,
            contribution=float(contributions[number]),
        )
        for number, layer in enumerate(layers)
    ]
