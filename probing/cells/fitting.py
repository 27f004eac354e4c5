"""Fitting the probes of a cell: every fold of the task, layers in groups that memory holds."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from probing.cells.plan import make_probe
from probing.contracts.measure import Cell, Encoded, find_measure
from probing.folds import plan_folds
from probing.records import SPLITS, LayerStack, Split
from probing.scores.graded import spread_scores
from probing.settings.run import RunSettings

_GROUP_BYTES = 2**29
"""Training vectors that are in memory at a time where each layer is probed by itself; a probe makes copies of them."""

_LEARNED = ("mean_", "scale_", "coef_", "intercept_")
"""Attributes that a linear probe has learned of each layer."""


@dataclass(frozen=True)
class Fit:
    """The probes of a cell, one for each fold (or what `join_groups` makes of several), and what they say."""

    probes: Sequence[Any]
    read: Mapping[str, Sequence[Float[np.ndarray, "_sentences classes"]]]
    """Of `dev` and `test`: the log probabilities (nats) by each readout, every sentence's from its own fold."""
    seconds: float
    """Spent on fitting."""


def fit_folds(cell: Cell, encoded: Encoded, settings: RunSettings, layers: Sequence[int]) -> Fit:
    """Fit a probe for every fold of the task, or once where the splits are fixed."""
    splits, n_classes, stack = cell.task.splits, len(cell.task.classes), encoded.stack
    probes, seconds, predictions = [], 0.0, {"dev": [], "test": []}
    for fold in plan_folds(cell.task):
        as_published = settings.protocol == "senteval_original"
        train = order_as_published(splits["train"], fold["train"]) if as_published else fold["train"]
        chosen = {**fold, "train": train}
        picked = {split: encoded.rows[split][chosen[split]] for split in SPLITS}
        fitted, readouts = [], {split: [] for split in predictions}
        for group in group_layers(cell, layers, stack, len(picked["train"])):
            probe = make_probe(cell, settings, encoded.encoder.device)
            labels = {split: encode_labels(splits[split].select(chosen[split]), n_classes, probe) for split in SPLITS}
            vectors = {split: stack.select(group, picked[split]) for split in ("train", "dev")}
            start = time.perf_counter()
            # The training vectors, which are the most of all, are given up here.
            fitted.append(probe.fit(vectors.pop("train"), labels["train"], vectors["dev"], labels["dev"]))
            seconds += time.perf_counter() - start
            vectors["test"] = stack.select(group, picked["test"])
            for split in predictions:
                readouts[split] += probe.read(vectors[split])
        probes.append(join_groups(fitted))
        for split, parts in predictions.items():
            parts.append((chosen[split], readouts[split]))
    read = {split: join_folds(parts, len(splits[split]), n_classes) for split, parts in predictions.items()}
    return Fit(probes, read, seconds)


def fit_and_keep(cell: Cell, encoded: Encoded, settings: RunSettings, layers: Sequence[int]) -> Fit:
    """Fit the probes of the run's own scores, as `fit_folds`; they are kept where a measure goes on from there."""
    fit = fit_folds(cell, encoded, settings, layers)
    if encoded.others and cell.control == "none" and any(find_measure(name).goes_on for name in settings.measures):
        encoded.others.kept[_name_fit(cell)] = fit
    return fit


def take_fit(cell: Cell, encoded: Encoded, settings: RunSettings, layers: Sequence[int]) -> Fit:
    """The probes of the scores of the same task and readout: those that were kept, or fitted again."""
    kept = encoded.others.kept.pop(_name_fit(cell), None) if encoded.others else None
    return kept or fit_folds(cell, encoded, settings, layers)


def _name_fit(cell: Cell) -> tuple:
    return "fit", cell.task.digest, cell.representation, cell.seed


def order_as_published(train: Split, rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """The rows in the order that SentEval trains on, so that its random batches hold the same sentences.

    It sorts the texts of a split by the number of words of each segment, then by class; equals stay as they stand in
    the file.
    """
    n_words = np.array([[len(segment.split()) for segment in train.texts[row]] for row in rows], dtype=int)
    # Of lexsort's keys the last one counts most.
    return rows[np.lexsort([train.labels[rows], *n_words.T[::-1]])]


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
    choices = probes[0].choices
    facts = [fact for fact in (*choices, "converged_", *_LEARNED) if hasattr(probes[0], fact)]
    joined = {fact: np.concatenate([getattr(probe, fact) for probe in probes]) for fact in facts}
    return SimpleNamespace(choices=choices, **joined)


def encode_labels(
    split: Split, n_classes: int, probe: Any
) -> Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"]:
    """Labels that a probe is to learn: class indices or, in a graded task, class probabilities if it `takes_scores`."""
    if split.targets is None or not probe.takes_scores:
        return split.labels
    return spread_scores(split.targets, n_classes)


def join_folds(
    parts: Sequence[tuple[Int[np.ndarray, " _rows"], Sequence[Float[np.ndarray, "_rows _classes"]]]],
    n_sentences: int,
    n_classes: int,
) -> list[Float[np.ndarray, "sentences classes"]]:
    """Join what each readout predicts for all sentences; a class that a fold's training lacked gets probability 0."""
    n_readouts = len(parts[0][1])
    joined = [np.full((n_sentences, n_classes), -np.inf, dtype=np.float32) for _ in range(n_readouts)]
    for rows, predictions in parts:
        for whole, one in zip(joined, predictions, strict=True):
            whole[rows, : one.shape[1]] = one
    return joined
