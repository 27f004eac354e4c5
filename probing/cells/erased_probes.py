"""The probes of a cell fitted again, without each property of the run: fold by fold, readout by readout."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.cells.erasers import Erased, Place, draw_erasures, fit_erasers
from probing.cells.fitting import Fit, encode_labels, join_folds
from probing.cells.plan import make_probe
from probing.contracts.measure import Cell, Encoded
from probing.folds import plan_folds
from probing.probes.erased import Starting, fit_erased
from probing.randomness import stream
from probing.records import Task
from probing.settings.run import RunSettings
from probing.tasks.relabelling import label_by_word

PROPERTY, RANDOM, CONTROL = "erasure", "erasure_random", "erasure_control"
"""Ways to erase something, which are the metrics of their rows."""
Way = tuple[str, str]
"""One of these, and the property's task."""
Rows = Mapping[str, Int[np.ndarray, " _rows"]]


@dataclass(frozen=True)
class Question:
    """Task B with its fitted probes, and the tasks A whose properties are erased."""

    cell: Cell
    encoded: Encoded
    settings: RunSettings
    layers: Sequence[int]
    fit: Fit
    properties: Sequence[tuple[Task, Encoded]]


@dataclass(frozen=True)
class Answer:
    """Predictions of the probes of one readout for test sentences, when things are erased."""

    rows: Int[np.ndarray, " sentences"]
    read: Mapping[Way, Float[np.ndarray, "_sentences _classes"]]
    """Log probabilities, in nats."""
    ranks: Mapping[str, int]
    """By the property's task."""
    converged: bool


def ask(question: Question) -> list[Answer]:
    """The answers of each readout, of all test sentences; readouts go side by side, each on a thread of its own."""
    answers = []
    for fold, probe in zip(plan_folds(question.cell.task), question.fit.probes, strict=True):
        starts = _list_starts(question, probe)
        workers = min(torch.get_num_threads(), len(starts))
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            answers.append(list(pool.map(partial(_answer, question, fold), starts)))
    return [_join(question.cell.task, parts) for parts in zip(*answers, strict=True)]


def _list_starts(question: Question, probe: Any) -> list[tuple[Place, Starting]]:
    """The readouts of a fitted probe: where each one reads, and what it has learned there."""
    if question.cell.representation == "scalar_mix":
        place = Place(question.layers, probe.weights_, question.settings.mix_norm)
        return [(place, Starting(probe.mean_, probe.scale_, probe.coef_, probe.intercept_, probe.strength_))]
    learned = zip(probe.mean_, probe.scale_, probe.coef_, probe.intercept_, probe.strength_, strict=True)
    return [(Place([layer]), Starting(*one)) for layer, one in zip(question.layers, learned, strict=True)]


def _answer(question: Question, fold: Rows, start: tuple[Place, Starting]) -> Answer:
    """Fit the probe of one readout again on the training sentences of a fold, without each thing."""
    cell, encoded, (place, known) = question.cell, question.encoded, start
    erased = {task.name: _erase(question, fold, place, task, seen) for task, seen in question.properties}
    ranks = {name: one.rank for name, one in erased.items()}
    rng = stream(cell.seed, "erasure", cell.task.name, *map(str, place.layers))
    drawn = draw_erasures(encoded, place, fold["train"], list(ranks.values()), rng)
    ways = {(PROPERTY, name): one.own for name, one in erased.items()}
    ways |= {(CONTROL, name): one.control for name, one in erased.items() if one.control is not None}
    device, train = encoded.encoder.device, cell.task.splits["train"].select(fold["train"])
    labels = encode_labels(train, len(cell.task.classes), make_probe(cell, question.settings, device))
    vectors = place.take(encoded.stack, encoded.rows["train"][fold["train"]])
    fitted = fit_erased(vectors, labels, known, [*ways.values(), *drawn.values()], device)
    found = fitted.read(place.take(encoded.stack, encoded.rows["test"][fold["test"]]))
    read: dict[Any, Any] = dict(zip([*ways, *drawn], found, strict=True))
    random = {(RANDOM, name): read[rank] for name, rank in ranks.items()}
    return Answer(fold["test"], {way: read[way] for way in ways} | random, ranks, bool(fitted.converged.all()))


def _erase(question: Question, fold: Rows, place: Place, task: Task, encoded: Encoded) -> Erased:
    """The erasers of a property; those of a layer serve every cell of the run, and are kept."""
    cell, others = question.cell, question.encoded.others
    own = task.name == cell.task.name
    rows = fold["train"] if own else np.arange(len(task.splits["train"]))
    kept = {} if others is None else others.kept
    # Drawing a class for every word takes as long as an eraser of its own.
    drawn = _keep(kept, ("control task", task.digest, cell.seed), partial(_draw_control, task, cell.seed))
    fit = partial(fit_erasers, task, drawn, encoded, place, rows)
    if place.weights is not None or (own and task.folds):
        return fit()
    return _keep(kept, ("erasers", task.digest, *place.layers, cell.seed), fit)


def _draw_control(task: Task, seed: int) -> Task | None:
    return None if task.graded else label_by_word(task, seed)


def _keep(kept: dict[tuple, Any], key: tuple, compute: Callable[[], Any]) -> Any:
    if key not in kept:
        kept[key] = compute()
    return kept[key]


def _join(task: Task, parts: Sequence[Answer]) -> Answer:
    """The answers of one readout, of all folds as one."""
    n, ways = len(task.splits["test"]), list(parts[0].read)
    read = join_folds([(part.rows, [part.read[way] for way in ways]) for part in parts], n, len(task.classes))
    ranks = {name: max(part.ranks[name] for part in parts) for name in parts[0].ranks}
    return Answer(np.arange(n), dict(zip(ways, read, strict=True)), ranks, all(part.converged for part in parts))
