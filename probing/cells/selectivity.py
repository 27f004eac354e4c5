"""A score minus its control's score, paired by test sentence.

With c_i = 1 where the readout is right about sentence i and k_i = 1 where the same readout of the control is right
about the control's label of the same sentence:

    difference = (1/N) sum_i (c_i - k_i)

Against a control task this is the selectivity of Hewitt & Liang 2019 (arXiv 1909.03368, section 2.2), of sentences;
against an untrained encoder, a bag of embeddings or what the text itself tells it is what training, context or the
encoder adds, called `gain` here. In [-1, 1]; the interval is one of paired differences over sentences
(`bootstrap.interval_of_differences`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from probing.bootstrap import interval_of_differences
from probing.catalogue.controls import CONTROLS
from probing.records import Predictions, readout_key
from probing.tables import CellResult, Score

Readouts = Mapping[tuple[str, int], tuple[Score, Predictions]]
"""By representation and layer: the test score of one task, and the predictions that it was counted from."""


def subtract_controls(results: Sequence[CellResult]) -> list[Score]:
    """One score for every readout of the run and every control that has the same readout.

    The metric is the control's `difference`, the `control` its name, and the seed the readout's first: controls are
    computed for the first one of the run.
    """
    tasks = dict.fromkeys(score.task for result in results for score in result.scores)
    scores = []
    for task in tasks:
        plain = _collect(results, task, "none")
        for control in CONTROLS:
            scores += _subtract(plain, _collect(results, task, control), control)
    return scores


def right(predictions: Predictions) -> Float[np.ndarray, " sentences"]:
    """1 where the class was found, 0 elsewhere."""
    return (predictions.labels == predictions.predicted).astype(float)


def _collect(results: Sequence[CellResult], task: str, control: str) -> Readouts:
    found: dict[tuple[str, int], tuple[Score, Predictions]] = {}
    for result in results:
        for score in result.scores:
            predictions = result.predictions.get(readout_key(score.representation, score.layer))
            if predictions is None or predictions.labels.dtype.kind == "f":
                continue  # scores on a scale are not right or wrong
            if (score.task, score.control, score.split) == (task, control, "test"):
                found.setdefault((score.representation, score.layer), (score, predictions))
    return {readout: pair for readout, pair in found.items() if readout[0] != "none"}


def _subtract(plain: Readouts, controlled: Readouts, control: str) -> Iterator[Score]:
    pairs = []
    for readout, (score, predictions) in plain.items():
        other = next(iter(controlled.values()), None) if CONTROLS[control].is_single else controlled.get(readout)
        # The first seed's of both; a probe whose start is of no account has seed 0, whatever the run's are.
        if other is not None and len(other[1].labels) == len(predictions.labels):
            pairs.append((score, right(predictions) - right(other[1])))
    if not pairs:
        return
    for score, differences in pairs:
        value, (low, high) = float(differences.mean()), interval_of_differences(differences)
        facts = {"control": control, "metric": CONTROLS[control].difference, "majority": float("nan")}
        yield replace(score, **facts, value=value, ci_low=float(low), ci_high=float(high))
