"""Code length of the labels given the vectors (online coding, Voita & Titov 2020, arXiv 2003.12298)."""

import time
from functools import partial
from itertools import chain

import numpy as np
from jaxtyping import Float, Int

from probing.bootstrap import resample_counts
from probing.catalogue.measures import MEASURES
from probing.catalogue.readouts import REPRESENTATIONS
from probing.cells.fitting import group_layers
from probing.cells.plan import choose_layers
from probing.cells.scoring import NO_LAYER, Readout, identify, score_samples
from probing.contracts.measure import Cell, Encoded, describe
from probing.probes.online import fit_layers, fit_mix, predict_onwards
from probing.randomness import stream
from probing.scores.codelength import cut_portions, find_gravity, measure_code, mix_codes, smooth
from probing.settings.run import RunSettings
from probing.tables import CellResult

_CODE_DRAWS = 20
"""Times that 50 resamples of the code's sentences are drawn: 1,000 at once, of 100,000 sentences, would be 0.8 GB."""


@describe(MEASURES["code_length"])
def measure_code_length(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Code length in bits and compression of the training labels; by layer, also the compressions' centre of gravity.

    The order of the sentences is drawn from the seed, once for all readouts. Intervals are over training sentences,
    with the probes as they are: over new ones, which make other probes, they cover some 85 % (`test_coverage.py`).
    """
    start = time.perf_counter()
    task, by_layer = cell.task, REPRESENTATIONS[cell.representation].by_layer
    layers, encoder = choose_layers(cell, encoded, settings), encoded.encoder
    order = stream(cell.seed, "code_length", task.name).permutation(len(task.splits["train"]))
    labels, bits = task.splits["train"].labels[order], []
    for group in group_layers(cell, layers, encoded.stack, len(order)):
        vectors = encoded.stack.select(group, encoded.rows["train"][order])
        options = {"by_layer": by_layer, "norm": settings.mix_norm, "device": encoder.device}
        bits.append(code_sentences(vectors, labels, len(task.classes), **options))
    seconds = time.perf_counter() - start
    rng = stream(0, "interval", task.name, "train")
    drawn = chain([np.ones((1, len(labels)))], (resample_counts(len(labels), rng, 50) for _ in range(_CODE_DRAWS)))
    parts = [measure_code(np.concatenate(bits), counts, len(task.classes)) for counts in drawn]
    values = {metric: np.concatenate([part[metric] for part in parts], axis=1) for metric in parts[0]}
    name = REPRESENTATIONS[cell.representation].title
    readouts = [(layer, encoder.layer_names[layer]) for layer in layers] if by_layer else [(NO_LAYER, name)]
    if by_layer:
        values["compression_gravity"] = find_gravity(values["compression"], layers)[None]
    scores, facts = [], identify(cell, encoded, settings) | {"seconds": seconds}
    for metric, samples in values.items():
        for names, row in zip(readouts if len(samples) == len(readouts) else [(NO_LAYER, "all")], samples, strict=True):
            readout = Readout(*names, {"portions": len(cut_portions(len(labels)))}, True)
            scores.append(score_samples(task, "train", metric, row, facts | readout.columns()))
    return CellResult(scores)


def code_sentences(
    vectors: Float[np.ndarray, "layers sentences hidden"],
    labels: Int[np.ndarray, " sentences"],
    n_classes: int,
    *,
    by_layer: bool,
    norm: bool = False,
    device: str = "cpu",
) -> Float[np.ndarray, "readouts sentences"]:
    """Bits that the label of each sentence costs, given those before it, by each layer or by the mix of all.

    `norm` is the mix's: whether vectors are normalised before they are mixed.
    """
    cuts = cut_portions(len(labels))
    fit = fit_layers if by_layer else partial(fit_mix, norm=norm)
    log_probs = predict_onwards(fit, vectors, labels, cuts, device)
    unseen = np.full((*log_probs.shape[:2], cuts[0]), -np.inf)
    seen = np.repeat([0, *cuts[:-1]], np.diff([0, *cuts]))
    return mix_codes(smooth(np.concatenate([unseen, log_probs], axis=2), seen, n_classes))
