"""One cell of a run: fit the probes of one task on one representation, and score them."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from probing.cell_plan import REPRESENTATIONS, Cell, choose_layers, make_probe, name_probe
from probing.partition import plan_rounds
from probing.randomness import stream
from probing.records import SPLITS, CellResult, LayerStack, LayerWeight, Predictions, Score, Split, Task
from probing.registry import resolve
from probing.scores.graded import expect_scores, spread_scores
from probing.scores.uncertainty import means_with_intervals, score_with_interval
from probing.scores.usable_information import pointwise_information
from probing.settings import RunSettings
from probing.states import Encoder

NO_LAYER = -1
_LEAST_LOG = -300.0
"""In place of the logarithm of 0."""
_GROUP_BYTES = 2**29
"""Training vectors that are in memory at a time where each layer is probed by itself; a probe makes copies of them."""
_CHOSEN = ("strength_", "gamma_", "n_neighbours_")
"""What a fitted probe may say of each of its readings."""


@dataclass(frozen=True)
class Reading:
    """One thing that a fitted probe reads: a layer, or the mix."""

    layer: int
    layer_name: str
    hyperparameters: Mapping[str, int | float | list[float]]
    """In a cross-validation, a list of what was chosen in each round."""
    converged: bool


@dataclass(frozen=True)
class Fit:
    """The probes of a cell, one for each round (or what `join_groups` makes of several), and what they say."""

    probes: Sequence[Any]
    read: Mapping[str, Sequence[Float[np.ndarray, "_sentences classes"]]]
    """Of `dev` and `test`: the log probabilities (nats) by each reading, every sentence's from its own round."""
    seconds: float
    """Spent on fitting."""


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


def fit_rounds(
    cell: Cell,
    settings: RunSettings,
    device: str,
    layers: Sequence[int],
    stack: LayerStack,
    rows: Mapping[str, Int[np.ndarray, " sentences"]],
) -> Fit:
    """Fit a probe in every round of the task: one round where the splits are fixed, else one for each fold."""
    splits, n_classes = cell.task.splits, len(cell.task.classes)
    probes, seconds, said = [], 0.0, {"dev": [], "test": []}
    for chosen in plan_rounds(cell.task):
        picked = {split: rows[split][chosen[split]] for split in SPLITS}
        fitted, readings = [], {split: [] for split in said}
        for group in group_layers(cell, layers, stack, len(picked["train"])):
            probe = make_probe(cell, settings, device)
            labels = {split: encode_labels(splits[split].select(chosen[split]), n_classes, probe) for split in SPLITS}
            vectors = {split: stack.select(group, picked[split]) for split in ("train", "dev")}
            start = time.perf_counter()
            # The training vectors, which are the most of all, are given up here.
            fitted.append(probe.fit(vectors.pop("train"), labels["train"], vectors["dev"], labels["dev"]))
            seconds += time.perf_counter() - start
            vectors["test"] = stack.select(group, picked["test"])
            for split in said:
                readings[split] += probe.read(vectors[split])
        probes.append(join_groups(fitted))
        for split, parts in said.items():
            parts.append((chosen[split], readings[split]))
    read = {split: join_rounds(parts, len(splits[split]), n_classes) for split, parts in said.items()}
    return Fit(probes, read, seconds)


def group_layers(cell: Cell, layers: Sequence[int], stack: LayerStack, n_sentences: int) -> list[Sequence[int]]:
    """The layers that are fitted together: as many as memory should hold where each is read by itself, else all."""
    if cell.representation == "none":
        return [layers[:1]]
    size = (
        max(1, _GROUP_BYTES // (4 * stack.hidden_size * n_sentences)) if cell.representation == "layer" else len(layers)
    )
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def join_groups(probes: Sequence[Any]) -> Any:
    """One probe that says what several say, each of its own layers."""
    if len(probes) == 1:
        return probes[0]
    facts = [fact for fact in (*_CHOSEN, "converged_") if hasattr(probes[0], fact)]
    return SimpleNamespace(**{fact: np.concatenate([getattr(probe, fact) for probe in probes]) for fact in facts})


def encode_labels(
    split: Split, n_classes: int, probe: Any
) -> Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"]:
    """What a probe is to learn: class indices or, in a graded task, class probabilities if it `takes_scores`."""
    if split.targets is None or not getattr(probe, "takes_scores", False):
        return split.labels
    return spread_scores(split.targets, n_classes)


def join_rounds(
    parts: Sequence[tuple[Int[np.ndarray, " _rows"], Sequence[Float[np.ndarray, "_rows _classes"]]]],
    n_sentences: int,
    n_classes: int,
) -> list[Float[np.ndarray, "sentences classes"]]:
    """What each reading says of all sentences; a class that a round's training lacked has probability 0 there."""
    n_readings = len(parts[0][1])
    joined = [np.full((n_sentences, n_classes), -np.inf, dtype=np.float32) for _ in range(n_readings)]
    for rows, said in parts:
        for whole, one in zip(joined, said, strict=True):
            whole[rows, : one.shape[1]] = one
    return joined


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
            for fact in _CHOSEN
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
        majority=float(resolve("metrics", metric)(said.labels, most_frequent, once)[0]),
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
