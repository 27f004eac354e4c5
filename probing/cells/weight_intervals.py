"""Bootstrap intervals of the mix's weights and of their centre of gravity."""

import time

import numpy as np

from probing.bootstrap import resample_counts
from probing.catalogue.measures import MEASURES
from probing.catalogue.readouts import REPRESENTATIONS
from probing.cells.fitting import encode_labels, fit_folds
from probing.cells.plan import choose_layers
from probing.cells.scoring import NO_LAYER, Readout, identify, score_samples
from probing.contracts.measure import Cell, Encoded, describe
from probing.folds import plan_folds
from probing.probes.mix_resamples import refit_weights
from probing.randomness import stream
from probing.scores.mixing import describe_mixes
from probing.settings.run import RunSettings
from probing.tables import CellResult

_RESAMPLES = 40
"""Ours: as many as show where the middle 95 % lie, coarsely, at 6 (Tense) to 17 times (SentLen) the cost of the mix."""


@describe(MEASURES["weight_intervals"])
def measure_weight_intervals(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Weights of the mix, their centres of gravity and their entropy, with intervals over training sentences.

    Each resample of the training sentences has its mix fitted again (`refit_weights`), with the strength as it was
    chosen, from every minimum that the mix has and from even weights, and the lowest end counts; dev and test take no
    part. How many minima the mix has, by how much they differ, and how many a resample has on average, stands beside
    every interval (`n_minima`, `loss_spread`, `resample_minima`). In a cross-validation the
    resamples are shared out among the folds.

    A resample has fewer distinct sentences than the sample: where a class has few of them (word content), or all weight
    is on one layer, the interval may lie beside the estimate, which is then biased by about that much.
    """
    start = time.perf_counter()
    layers = choose_layers(cell, encoded, settings)
    fit = fit_folds(cell, encoded, settings, layers)
    train, rng = cell.task.splits["train"], stream(0, "interval", cell.task.name, "train", "weights")
    once, lengths = (
        np.mean([getattr(probe, name) for probe in fit.probes], axis=0) for name in ("weights_", "lengths_")
    )
    weights, n_minima = [once[None]], []
    for probe, chosen in zip(fit.probes, plan_folds(cell.task), strict=True):
        own = chosen["train"]
        counts = resample_counts(len(own), rng, -(-_RESAMPLES // len(fit.probes)))
        labels = encode_labels(train.select(own), len(cell.task.classes), probe)
        vectors = encoded.stack.select(layers, encoded.rows["train"][own])
        refits = refit_weights(probe, vectors, labels, counts)
        weights.append(refits.weights)
        n_minima += refits.n_minima.tolist()
    found = describe_mixes(np.concatenate(weights), lengths, layers)
    minima = {
        "n_minima": float(np.mean([probe.n_minima_ for probe in fit.probes])),
        "loss_spread": float(np.max([probe.loss_spread_ for probe in fit.probes])),
        "resample_minima": float(np.mean(n_minima)),
    }
    facts, scores = identify(cell, encoded, settings) | {"seconds": time.perf_counter() - start}, []
    names, converged = encoded.encoder.layer_names, all(probe.converged_ for probe in fit.probes)
    each = [(layer, names[layer]) for layer in layers]
    for metric, values in found.items():
        readouts = each if metric.startswith("mix_") else [(NO_LAYER, REPRESENTATIONS[cell.representation].title)]
        for names, row in zip(readouts, values, strict=True):
            readout = Readout(*names, {"resamples": len(row) - 1} | minima, converged)
            scores.append(score_samples(cell.task, "train", metric, row, facts | readout.columns()))
    return CellResult(scores)
