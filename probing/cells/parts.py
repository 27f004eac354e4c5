"""The share of a run that one part does: files of encoded sentences, or cells."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from probing.cells.encoding import TaskEncoder
from probing.cells.plan import estimate_work
from probing.cells.runner import PlannedStage
from probing.records import Task
from probing.settings.parts import Part


def limit_stages(stages: Iterable[PlannedStage], part: Part) -> Iterator[PlannedStage]:
    """The stages of a run, each with the cells of one part alone.

    Every part assigns all cells in the same way, whether they are there already or not: none is left out, none is taken
    twice, and a part that is done again has the same ones.
    """
    loads = [0.0] * part.count
    for stage in stages:
        costs = [estimate_work(cell, len(stage.sentences.layers)) for cell in stage.cells]
        numbers = assign(costs, loads)
        own = [cell for cell, number in zip(stage.cells, numbers, strict=True) if number == part.number - 1]
        yield replace(stage, cells=own)


def assign(costs: Sequence[float], loads: list[float]) -> list[int]:
    """Number of the part that each cell goes to: the costliest first, to whichever has least to do.

    Args:
        costs: of the cells.
        loads: costs that each part has already; those of the cells are added.
    """
    numbers = [0] * len(costs)
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        numbers[index] = loads.index(min(loads))
        loads[numbers[index]] += costs[index]
    return numbers


def encode_stages(tasks: Sequence[Task], stages: Iterable[PlannedStage]) -> None:
    """Encode the sentences of all tasks by every encoder that a run has, in its order."""
    done: list[TaskEncoder] = []
    for stage in stages:
        sentences = stage.sentences
        if sentences in done or not stage.cells:
            continue
        if not done:
            sentences.extend_ahead(tasks[0])
        for name in dict.fromkeys(cell.task.name for cell in stage.cells):
            sentences.extend(next(task for task in tasks if task.name == name))
        done.append(sentences)
