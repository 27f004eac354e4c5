"""Scoring the probes of a cell: predictions, metrics with intervals, usable information, layer weights."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from probing.cells.fitting import CHOSEN_FACTS, fit_rounds
from probing.cells.plan import REPRESENTATIONS, Cell, choose_layers, name_probe
from probing.contracts.encoder import Encoder
from probing.randomness import stream
from probing.records import CellResult, LayerStack, LayerWeight, Predictions, Score, Split, Task
from probing.registry import METRICS
from probing.scores.graded import expect_scores, spread_scores
from probing.scores.uncertainty import bound, means_with_intervals, score_with_interval
from probing.scores.usable_information import pointwise_information
from probing.settings.run import RunSettings

NO_LAYER = -1


_LEAST_LOG = -300.0
"""In place of the logarithm of 0."""


@dataclass(frozen=True)
class Reading:
    """One thing that a fitted probe reads: a layer, or the mix."""

    layer: int
    layer_name: str
    hyperparameters: Mapping[str, int | float | list[float]]
    """In a cross-validation, a list of what was chosen in each round."""
    converged: bool


def compute_cell(
    cell: Cell,
    settings: RunSettings,
    encoder: Encoder,
    layers: Sequence[int],
    stack: LayerStack,
    rows: Mapping[str, Int[np.ndarray, " sentences"]],
) -> CellResult:
    """Fit and score one cell.

    Args:
        cell: what to compute.
        settings: of the run.
        encoder: that made the stack.
        layers: indices of the layers that are probed.
        stack: pooled vectors of all layers and sentences.
        rows: where each split's sentences stand in the stack.
    """
    layers = choose_layers(cell, settings, encoder.layer_names, layers)
    fit = fit_rounds(cell, settings, encoder.device, layers, stack, rows)
    scores, predictions = [], {}
    readings = list(describe_readings(cell, fit.probes, layers, encoder.layer_names))
    for split in ("dev", "test"):
        for reading, log_probabilities in zip(readings, fit.read[split], strict=True):
            said = read_predictions(log_probabilities, cell.task.splits[split])
            for metric in cell.task.spec.metrics:
                scores.append(score_reading(cell, reading, split, metric, said, settings, encoder, fit.seconds))
            if split == "test":
                predictions[f"{cell.representation}/{reading.layer}"] = said
    if cell.representation != "none" and not cell.task.graded:
        scored = [score for score in scores if (score.split, score.metric) == ("test", cell.task.spec.metric)]
        scores += measure_information(cell, fit.read, scored)
    mixed = cell.representation == "scalar_mix"
    weights = weigh_layers(cell, fit.probes, layers, settings.model, encoder) if mixed else []
    return CellResult(scores, weights, predictions)


def measure_information(
    cell: Cell, read: Mapping[str, Sequence[Float[np.ndarray, "sentences classes"]]], scored: Sequence[Score]
) -> list[Score]:
    """The usable information of every reading, in bits per sentence, from the predictions that were scored."""
    rng = stream(0, "interval", cell.task.name, "test", "information")
    values = means_with_intervals(inform(cell.task, read), rng)
    return [
        replace(score, metric="usable_information_bits", value=value, ci_low=low, ci_high=high)
        for score, (value, low, high) in zip(scored, values.tolist(), strict=True)
    ]


def inform(
    task: Task, read: Mapping[str, Sequence[Float[np.ndarray, "sentences classes"]]]
) -> Float[np.ndarray, "readings sentences"]:
    """Bits that each reading gives about each test sentence's label."""
    shares = np.bincount(task.splits["train"].labels, minlength=len(task.classes)) / len(task.splits["train"])
    dev, test = (task.splits[split].labels for split in ("dev", "test"))
    pairs = zip(read["dev"], read["test"], strict=True)
    return np.stack([pointwise_information(one, dev, other, test, shares) for one, other in pairs])


def describe_readings(
    cell: Cell, probes: Sequence[Any], layers: Sequence[int], layer_names: Sequence[str]
) -> Iterator[Reading]:
    """What the readings of fitted probes are, in their order."""
    by_layer = REPRESENTATIONS[cell.representation].by_layer
    name = cell.representation.replace("_", " ")
    places = [(layer, layer_names[layer]) for layer in layers] if by_layer else [(NO_LAYER, name)]
    for number, (layer, layer_name) in enumerate(places):
        chosen = {
            fact.rstrip("_"): _one_or_all(np.ravel(getattr(probe, fact))[number] for probe in probes)
            for fact in CHOSEN_FACTS
            if hasattr(probes[0], fact)
        }
        converged = all(bool(np.ravel(probe.converged_)[number]) for probe in probes)
        yield Reading(layer, layer_name, chosen, converged)


def _one_or_all(values: Iterable[Any]) -> float | list[float]:
    numbers = [float(value) for value in values]
    return numbers[0] if len(numbers) == 1 else numbers


def read_predictions(log_probabilities: Float[np.ndarray, "sentences classes"], split: Split) -> Predictions:
    """What a reading says of the texts of a split."""
    if split.targets is None:
        given = log_probabilities[np.arange(len(split)), split.labels].astype(np.float32)
        return Predictions(split.labels, log_probabilities.argmax(axis=1), given)
    wanted = spread_scores(split.targets, log_probabilities.shape[1])
    given = np.where(wanted > 0, wanted * np.maximum(log_probabilities, _LEAST_LOG), 0).sum(axis=1)
    return Predictions(split.targets, expect_scores(log_probabilities), given.astype(np.float32))


def score_reading(
    cell: Cell,
    reading: Reading,
    split: str,
    metric: str,
    said: Predictions,
    settings: RunSettings,
    encoder: Encoder,
    seconds: float,
) -> Score:
    """Score one reading on one split by one metric, with its interval."""
    spec = cell.task.spec
    # One stream per task and split: all readings are resampled alike.
    rng = stream(0, "interval", spec.name, split)
    value, low, high = score_with_interval(metric, said.labels, said.predicted, rng)
    most_frequent = np.full_like(said.predicted, np.bincount(cell.task.splits["train"].labels).argmax())
    once = np.ones((1, len(most_frequent)), dtype=np.int64)
    return Score(
        **identify(cell, reading, settings, encoder),
        split=split,
        metric=metric,
        value=float(value),
        ci_low=float(low),
        ci_high=float(high),
        n=len(said.labels),
        majority=float(METRICS.load(metric)(said.labels, most_frequent, once)[0]),
        seconds=seconds,
    )


def identify(cell: Cell, reading: Reading, settings: RunSettings, encoder: Encoder) -> dict[str, Any]:
    """What a score is of: the fields that say so."""
    spec = cell.task.spec
    return {
        "model": settings.model,
        "checkpoint": encoder.checkpoint,
        "revision": encoder.revision,
        "task": spec.name,
        "group": spec.group,
        "representation": cell.representation,
        "layer": reading.layer,
        "layer_name": reading.layer_name,
        "pooling": "none" if cell.representation == "none" else settings.pooling,
        "probe": name_probe(cell, settings),
        "protocol": settings.protocol,
        "control": cell.control,
        "seed": cell.seed,
        "n_classes": len(cell.task.classes),
        "hyperparameters": json.dumps(dict(reading.hyperparameters)),
        "converged": reading.converged,
    }


def weigh_layers(
    cell: Cell, probes: Sequence[Any], layers: Sequence[int], model: str, encoder: Encoder
) -> list[LayerWeight]:
    """The layer weights of a fitted mix; in a cross-validation, their mean over rounds."""
    raw, weights, contributions = (
        np.mean([getattr(probe, name) for probe in probes], axis=0) for name in ("logits_", "weights_", "contribution_")
    )
    gamma = float(np.mean([probe.gamma_ for probe in probes]))
    return [
        LayerWeight(
            model=model,
            checkpoint=encoder.checkpoint,
            task=cell.task.name,
            group=cell.task.spec.group,
            control=cell.control,
            seed=cell.seed,
            layer=layer,
            layer_name=encoder.layer_names[layer],
            weight_raw=float(raw[number]),
            weight=float(weights[number]),
            gamma=gamma,
            contribution=float(contributions[number]),
        )
        for number, layer in enumerate(layers)
    ]


def _score(
    cell: Cell,
    reading: Reading,
    settings: RunSettings,
    encoder: Encoder,
    split: str,
    metric: str,
    values: np.ndarray,
    n: int,
    seconds: float,
) -> Score:
    """A score of which the first value is what was measured; the others, resamples or the bounds of the interval."""
    rest = values[1:]
    low, high = rest if len(rest) == 2 else bound(rest[None])[0]
    labels = cell.task.splits[split].labels
    majority = float(np.mean(labels == np.bincount(cell.task.splits["train"].labels).argmax()))
    facts = {"value": float(values[0]), "ci_low": float(low), "ci_high": float(high), "n": n, "seconds": seconds}
    return Score(**identify(cell, reading, settings, encoder), split=split, metric=metric, majority=majority, **facts)
