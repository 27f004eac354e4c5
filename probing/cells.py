"""One cell of a run: fit the probes of one task on one representation, and score them."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from probing.controls import CONTROLS
from probing.randomness import stream
from probing.records import SPLITS, CellResult, LayerStack, LayerWeight, Predictions, Score, Task
from probing.registry import resolve
from probing.scores.uncertainty import means_with_intervals, score_with_interval
from probing.scores.usable_information import pointwise_information
from probing.settings import RunSettings
from probing.states import Encoder

NO_LAYER = -1
PROTOCOL = "modern"


@dataclass(frozen=True)
class Cell:
    """The smallest piece of a run that is kept and resumed."""

    task: Task
    representation: str
    """`none` (a baseline that reads no vectors), `layer` (every layer for itself) or `scalar_mix`."""
    control: str = "none"
    seed: int = 0

    @property
    def name(self) -> str:
        """File name of the cell."""
        return f"{self.task.name}.{self.representation}.{self.control}.{self.seed}"


@dataclass(frozen=True)
class Reading:
    """One thing that a fitted probe reads: a layer, or the mix."""

    layer: int
    layer_name: str
    hyperparameters: Mapping[str, float]
    converged: bool


def plan_cells(settings: RunSettings, tasks: Sequence[Task], encoder: Encoder) -> list[Cell]:
    """The cells of the run itself, task by task."""
    cells = []
    for task in tasks:
        cells += [Cell(task, "none"), Cell(task, "layer")]
        if encoder.mixes_layers:
            cells += [Cell(task, "scalar_mix", seed=seed) for seed in settings.seeds]
    return cells


def plan_control(name: str, settings: RunSettings, tasks: Sequence[Task], encoder: Encoder) -> list[Cell]:
    """The cells of one control, task by task, for the first seed of the run."""
    control, seed = CONTROLS[name], settings.seeds[0]
    relabel = resolve("relabellings", control.relabelling) if control.relabelling else None
    mixes = encoder.mixes_layers and not control.embeddings_only
    return [
        Cell(relabel(task, seed) if relabel else task, representation, name, seed)
        for task in tasks
        for representation in (("layer", "scalar_mix") if mixes else ("layer",))
    ]


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
    start = time.perf_counter()
    layers = choose_layers(cell, settings, encoder.layer_names, layers)
    vectors = {split: stack.values[np.array(layers)[:, None], rows[split]] for split in SPLITS}
    labels = {split: cell.task.splits[split].labels for split in SPLITS}
    probe = make_probe(cell, settings, encoder.device)
    probe.fit(vectors["train"], labels["train"], vectors["dev"], labels["dev"])
    seconds = time.perf_counter() - start
    scores, predictions = [], {}
    readings = list(describe_readings(cell, probe, layers, encoder.layer_names))
    read = {split: list(probe.read(vectors[split])) for split in ("dev", "test")}
    for split in ("dev", "test"):
        for reading, log_probabilities in zip(readings, read[split], strict=True):
            said = read_predictions(log_probabilities, labels[split])
            scores.append(score_reading(cell, reading, split, said, settings, encoder, seconds))
            if split == "test":
                predictions[f"{cell.representation}/{reading.layer}"] = said
    if cell.representation != "none":
        scores += measure_information(cell, read, scores[len(readings) :])
    weights = weigh_layers(cell, probe, layers, settings.model, encoder) if cell.representation == "scalar_mix" else []
    return CellResult(scores, weights, predictions)


def choose_layers(
    cell: Cell, settings: RunSettings, layer_names: Sequence[str], layers: Sequence[int]
) -> Sequence[int]:
    """Those of the probed layers that a cell reads."""
    embeddings = [layer for layer, name in enumerate(layer_names) if name == "embeddings"]
    if cell.control != "none" and CONTROLS[cell.control].embeddings_only:
        return embeddings
    if cell.representation == "scalar_mix" and not settings.mix_embeddings:
        return [layer for layer in layers if layer not in embeddings] or layers
    return layers


def measure_information(
    cell: Cell, read: Mapping[str, Sequence[Float[np.ndarray, "sentences classes"]]], scored: Sequence[Score]
) -> list[Score]:
    """The usable information of every reading, in bits per sentence, from the predictions that were scored."""
    task = cell.task
    shares = np.bincount(task.splits["train"].labels, minlength=len(task.classes)) / len(task.splits["train"])
    dev, test = (task.splits[split].labels for split in ("dev", "test"))
    bits = [pointwise_information(one, dev, other, test, shares) for one, other in zip(*read.values(), strict=True)]
    values = means_with_intervals(np.stack(bits), stream(0, "interval", task.name, "test", "information"))
    return [
        replace(score, metric="usable_information_bits", value=value, ci_low=low, ci_high=high)
        for score, (value, low, high) in zip(scored, values.tolist(), strict=True)
    ]


def make_probe(cell: Cell, settings: RunSettings, device: str) -> Any:
    """The unfitted probe of a cell."""
    if cell.representation == "none":
        return resolve("probes", "majority")()
    if cell.representation == "scalar_mix":
        return resolve("probes", "scalar_mix")(seed=cell.seed, device=device)
    return resolve("probes", settings.probe)(device=device)


def describe_readings(cell: Cell, probe: Any, layers: Sequence[int], layer_names: Sequence[str]) -> Iterator[Reading]:
    """What the readings of a fitted probe are, in its order."""
    if cell.representation == "none":
        yield Reading(NO_LAYER, "none", {}, True)
    elif cell.representation == "scalar_mix":
        chosen = {"strength": float(probe.strength_), "gamma": probe.gamma_}
        yield Reading(NO_LAYER, "scalar mix", chosen, bool(probe.converged_))
    else:
        for number, layer in enumerate(layers):
            chosen = {"strength": float(probe.strength_[number])}
            yield Reading(layer, layer_names[layer], chosen, bool(probe.converged_[number]))


def read_predictions(
    log_probabilities: Float[np.ndarray, "sentences classes"], labels: Int[np.ndarray, " sentences"]
) -> Predictions:
    """What a reading says of some sentences."""
    given = log_probabilities[np.arange(len(labels)), labels].astype(np.float32)
    return Predictions(labels, log_probabilities.argmax(axis=1), given)


def score_reading(
    cell: Cell, reading: Reading, split: str, said: Predictions, settings: RunSettings, encoder: Encoder, seconds: float
) -> Score:
    """Score one reading on one split, with its interval."""
    spec = cell.task.spec
    # One stream per task and split: all readings are resampled alike.
    rng = stream(0, "interval", spec.name, split)
    value, low, high = score_with_interval(spec.metric, said.labels, said.predicted, rng)
    most_frequent = np.bincount(cell.task.splits["train"].labels).argmax()
    return Score(
        model=settings.model,
        checkpoint=encoder.checkpoint,
        revision=encoder.revision,
        task=spec.name,
        group=spec.group,
        representation=cell.representation,
        layer=reading.layer,
        layer_name=reading.layer_name,
        pooling="none" if cell.representation == "none" else settings.pooling,
        probe={"none": "majority", "scalar_mix": "scalar_mix"}.get(cell.representation, settings.probe),
        protocol=PROTOCOL,
        control=cell.control,
        seed=cell.seed,
        split=split,
        metric=spec.metric,
        value=float(value),
        ci_low=float(low),
        ci_high=float(high),
        n=len(said.labels),
        n_classes=len(cell.task.classes),
        majority=float((said.labels == most_frequent).mean()),
        hyperparameters=json.dumps(dict(reading.hyperparameters)),
        converged=reading.converged,
        seconds=seconds,
    )


def weigh_layers(cell: Cell, probe: Any, layers: Sequence[int], model: str, encoder: Encoder) -> list[LayerWeight]:
    """The layer weights of a fitted mix."""
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
            weight_raw=float(probe.logits_[number]),
            weight=float(probe.weights_[number]),
            gamma=probe.gamma_,
            contribution=float(probe.contribution_[number]),
        )
        for number, layer in enumerate(layers)
    ]
