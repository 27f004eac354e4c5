"""What can be measured of a cell beyond the scores of its probes: code length, added information, sure weights."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np
from jaxtyping import Float, Int

from probing.cell_plan import REPRESENTATIONS, Cell, choose_layers
from probing.cells import NO_LAYER, Reading, encode_labels, fit_rounds, group_layers, identify, inform
from probing.partition import plan_rounds
from probing.probes.mix_resamples import refit_weights
from probing.probes.online import fit_layers, fit_mix, predict_onwards
from probing.randomness import stream
from probing.records import CellResult, LayerStack, Score
from probing.scores.codelength import cut_portions, find_gravity, measure_code, mix_codes, smooth
from probing.scores.mixing import describe_mixes
from probing.scores.uncertainty import bound, means_with_intervals, resample_counts
from probing.settings import RunSettings
from probing.states import Encoder

_RESAMPLES = 40
"""Ours: as many as show where the middle 95 % lie, coarsely, at two to three times the cost of the mix itself."""
_CODE_DRAWS = 20
"""Times that 50 resamples of the code's sentences are drawn: 1,000 at once, of 100,000 sentences, would be 0.8 GB."""


def measure_code_length(
    cell: Cell,
    settings: RunSettings,
    encoder: Encoder,
    layers: Sequence[int],
    stack: LayerStack,
    rows: Mapping[str, Int[np.ndarray, " sentences"]],
) -> CellResult:
    """Code length in bits and compression of the training labels; by layer, also the compressions' centre of gravity.

    The order of the sentences is drawn from the seed, once for all readings. Intervals are over training sentences,
    with the probes as they are.
    """
    start = time.perf_counter()
    task, by_layer = cell.task, REPRESENTATIONS[cell.representation].by_layer
    layers = choose_layers(cell, settings, encoder.layer_names, layers)
    order = stream(cell.seed, "code_length", task.name).permutation(len(task.splits["train"]))
    labels, bits = task.splits["train"].labels[order], []
    for group in group_layers(cell, layers, stack, len(order)):
        vectors = stack.select(group, rows["train"][order])
        options = {"by_layer": by_layer, "norm": settings.mix_norm, "device": encoder.device}
        bits.append(code_sentences(vectors, labels, len(task.classes), **options))
    seconds = time.perf_counter() - start
    rng = stream(0, "interval", task.name, "train")
    drawn = chain([np.ones((1, len(labels)))], (resample_counts(len(labels), rng, 50) for _ in range(_CODE_DRAWS)))
    parts = [measure_code(np.concatenate(bits), counts, len(task.classes)) for counts in drawn]
    values = {metric: np.concatenate([part[metric] for part in parts], axis=1) for metric in parts[0]}
    name = cell.representation.replace("_", " ")
    places = [(layer, encoder.layer_names[layer]) for layer in layers] if by_layer else [(NO_LAYER, name)]
    if by_layer:
        values["compression_gravity"] = find_gravity(values["compression"], layers)[None]
    scores = []
    for metric, samples in values.items():
        for place, row in zip(places if len(samples) == len(places) else [(NO_LAYER, "all")], samples, strict=True):
            reading = Reading(*place, {"portions": len(cut_portions(len(labels)))}, True)
            scores.append(_score(cell, reading, settings, encoder, "train", metric, row, len(labels), seconds))
    return CellResult(scores)


def code_sentences(
    vectors: Float[np.ndarray, "layers sentences hidden"],
    labels: Int[np.ndarray, " sentences"],
    n_classes: int,
    *,
    by_layer: bool,
    norm: bool = False,
    device: str = "cpu",
) -> Float[np.ndarray, "readings sentences"]:
    """Bits that the label of each sentence costs, given those before it, by each layer or by the mix of all.

    `norm` is the mix's: whether vectors are normalised before they are mixed.
    """
    cuts = cut_portions(len(labels))
    fit = fit_layers if by_layer else partial(fit_mix, norm=norm)
    given = predict_onwards(fit, vectors, labels, cuts, device)
    unseen = np.full((*given.shape[:2], cuts[0]), -np.inf)
    seen = np.repeat([0, *cuts[:-1]], np.diff([0, *cuts]))
    return mix_codes(smooth(np.concatenate([unseen, given], axis=2), seen, n_classes))


def measure_conditional_information(
    cell: Cell,
    settings: RunSettings,
    encoder: Encoder,
    layers: Sequence[int],
    stack: LayerStack,
    rows: Mapping[str, Int[np.ndarray, " sentences"]],
) -> CellResult:
    """Bits that each layer adds to what the baseline layer B holds (Hewitt et al. 2021, arXiv 2109.09234, eq. 5).

    I_V(R_l -> Y | B) = H_V(Y | B) - H_V(Y | B, R_l), both by probes: on B alone, and on B and layer l side by side.
    """
    base = settings.baseline_layer % len(encoder.layer_names)
    others = [layer for layer in layers if layer != base]
    alone = fit_rounds(cell, settings, encoder.device, [base], stack, rows)
    joint = fit_rounds(cell, settings, encoder.device, others, _Beside(stack, base), rows)
    seconds = alone.seconds + joint.seconds
    known, both = (inform(cell.task, fit.read) for fit in (alone, joint))
    rng = stream(0, "interval", cell.task.name, "test", "information")
    values = means_with_intervals(both - known, rng)
    scores = []
    for layer, row in zip(others, values, strict=True):
        reading = Reading(layer, encoder.layer_names[layer], {"baseline_layer": base}, True)
        metric, n = "conditional_information_bits", both.shape[1]
        scores.append(_score(cell, reading, settings, encoder, "test", metric, row, n, seconds))
    return CellResult(scores)


def measure_weight_intervals(
    cell: Cell,
    settings: RunSettings,
    encoder: Encoder,
    layers: Sequence[int],
    stack: LayerStack,
    rows: Mapping[str, Int[np.ndarray, " sentences"]],
) -> CellResult:
    """Weights of the mix, their centres of gravity and their entropy, with intervals over training sentences.

    Each resample of the training sentences has its mix fitted again (`refit_weights`), with the strength as it was
    chosen; dev and test take no part. In a cross-validation the resamples are shared out among the rounds.

    A resample has fewer distinct sentences than the sample: where a class has few of them (word content), or all weight
    is on one layer, the interval may lie beside the estimate, which is then biased by about that much.
    """
    start = time.perf_counter()
    layers = choose_layers(cell, settings, encoder.layer_names, layers)
    fit = fit_rounds(cell, settings, encoder.device, layers, stack, rows)
    train, rng = cell.task.splits["train"], stream(0, "interval", cell.task.name, "train", "weights")
    once, lengths = (
        np.mean([getattr(probe, name) for probe in fit.probes], axis=0) for name in ("weights_", "lengths_")
    )
    weights = [once[None]]
    for probe, chosen in zip(fit.probes, plan_rounds(cell.task), strict=True):
        own = chosen["train"]
        counts = resample_counts(len(own), rng, -(-_RESAMPLES // len(fit.probes)))
        labels = encode_labels(train.select(own), len(cell.task.classes), probe)
        weights.append(refit_weights(probe, stack.select(layers, rows["train"][own]), labels, counts))
    found = describe_mixes(np.concatenate(weights), lengths, layers)
    seconds, scores = time.perf_counter() - start, []
    each, converged = [(layer, encoder.layer_names[layer]) for layer in layers], all(p.converged_ for p in fit.probes)
    for metric, values in found.items():
        places = each if metric.startswith("mix_") else [(NO_LAYER, "scalar mix")]
        for place, row in zip(places, values, strict=True):
            reading = Reading(*place, {"resamples": len(row) - 1}, converged)
            scores.append(_score(cell, reading, settings, encoder, "train", metric, row, len(train), seconds))
    return CellResult(scores)


class _Beside(LayerStack):
    """Every layer of a stack with one and the same layer in front of it."""

    def __init__(self, stack: LayerStack, base: int):
        self._stack, self._base = stack, base
        self.layer_names, self.pooling = stack.layer_names, stack.pooling

    @property
    def hidden_size(self) -> int:
        return 2 * self._stack.hidden_size

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        known = np.repeat(self._stack.select([self._base], rows), len(layers), axis=0)
        return np.concatenate([known, self._stack.select(layers, rows)], axis=2)


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
