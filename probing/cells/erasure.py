"""Scores of a task when the property of another one has been erased from the vectors (LEACE, arXiv 2306.03819).

For each task A of the run and the cell's task B: an eraser of A is fitted on A's training sentences, applied to all of
B's, and B's probe is fitted again on what is left, at the strength that it has. The number is B's score on test then,
minus its score before, paired by sentence. Where it falls, the probe of B had read what a linear probe of A reads.

Two controls have A's place: a random subspace of the same rank, drawn where B's vectors are white, and the labels of
A's control task (`label_by_word`). The mix keeps the layer weights that it learned with A in it, and A is erased from
the mixed vectors by an eraser of their own: of all affine maps that one changes what the probe reads least.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from probing.catalogue.measures import MEASURES
from probing.catalogue.readouts import REPRESENTATIONS
from probing.cells.erased_probes import CONTROL, PROPERTY, RANDOM, Answer, Question, ask
from probing.cells.fitting import take_fit
from probing.cells.plan import choose_layers
from probing.cells.scoring import NO_LAYER, identify, read_predictions
from probing.contracts.measure import Cell, Encoded, describe
from probing.randomness import stream
from probing.records import Task
from probing.scores.paired import compare_paired
from probing.settings.run import RunSettings
from probing.tables import CellResult, Score


@describe(MEASURES["erasure"])
def measure_erasure(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """For each readout and each property of the run: the change of the score when the property is erased.

    The task's own property is among them: without it, nothing should be left above the majority.
    """
    start, layers = time.perf_counter(), choose_layers(cell, encoded, settings)
    fit, about = take_fit(cell, encoded, settings, layers), REPRESENTATIONS[cell.representation]
    question = Question(cell, encoded, settings, layers, fit, list_properties(cell, encoded))
    answers, names = ask(question), encoded.encoder.layer_names
    readouts = [(layer, names[layer]) for layer in layers] if about.by_layer else [(NO_LAYER, about.title)]
    facts = identify(cell, encoded, settings) | {"seconds": time.perf_counter() - start}
    scores = []
    for (layer, name), plain, answer in zip(readouts, fit.read["test"], answers, strict=True):
        scores += _score(question, facts | {"layer": layer, "layer_name": name}, plain, answer)
    return CellResult(scores)


def list_properties(cell: Cell, encoded: Encoded) -> list[tuple[Task, Encoded]]:
    """The tasks whose properties can be erased from this one's vectors: of texts with as many segments, itself too."""
    own, others = (cell.task, encoded), encoded.others
    if others is None:
        return [own]
    segments = [len(task.splits["test"].texts[0]) for task in (cell.task, *others.tasks)]
    alike = [task for task, number in zip(others.tasks, segments[1:], strict=True) if number == segments[0]]
    return [own if task.name == cell.task.name else (task, others.encode(task)) for task in alike]


def count_covered(task: Task, erased: Task) -> float:
    """The share of a task's training sentences that the eraser of another one has seen."""
    known = set(erased.splits["train"].texts)
    return float(np.mean([text in known for text in task.splits["train"].texts]))


def _score(
    question: Question, facts: Mapping[str, Any], plain: Float[np.ndarray, "sentences classes"], answer: Answer
) -> list[Score]:
    """The rows of one readout: for each property, its own and its controls'."""
    task, test = question.cell.task, question.cell.task.splits["test"]
    before = read_predictions(plain, test)
    after = {way: read_predictions(read, test) for way, read in answer.read.items()}
    covered = {other.name: count_covered(task, other) for other, _ in question.properties}
    scores = []
    for (metric, erased), found in after.items():
        rng = stream(0, "interval", task.name, "test", "erasure")
        change = compare_paired(task.spec.metric, found, before, rng)
        known = {"rank": answer.ranks[erased], "after": change.after, "covered": covered[erased], "p": change.p}
        against = {"p_random": (RANDOM, erased), "p_control": (CONTROL, erased)} if metric == PROPERTY else {}
        for name, way in against.items():
            if way in after:
                known[name] = compare_paired(task.spec.metric, found, after[way], rng).p
        bounds = {"value": change.value, "ci_low": change.ci_low, "ci_high": change.ci_high}
        own = {"split": "test", "metric": metric, "n": len(test), "majority": float("nan"), "erased": erased}
        scores.append(Score(**facts, **bounds, **own, hyperparameters=json.dumps(known), converged=answer.converged))
    return scores
