"""The same task with fewer sentences, the same ones every time."""

from collections import Counter
from dataclasses import replace

import numpy as np

from probing.randomness import stream
from probing.records import Split, Task


def limit_task(task: Task, limit: int, seed: int = 0) -> Task:
    """At most `limit` sentences of each split, classes in proportion, the same ones every time.

    A smaller limit gives a subset of a larger one; every class keeps at least one sentence as far as the limit allows.
    """
    splits = {
        name: _limit_split(split, limit, stream(seed, "limit", task.name, name)) for name, split in task.splits.items()
    }
    return replace(task, splits=splits)


def _limit_split(split: Split, limit: int, generator: np.random.Generator) -> Split:
    if len(split) <= limit:
        return split
    order = generator.permutation(len(split))
    rank: Counter[int] = Counter()
    sizes = np.bincount(split.labels)
    position = np.empty(len(split))
    for row in order:
        label = int(split.labels[row])
        position[row] = rank[label] / sizes[label]
        rank[label] += 1
    rows = np.sort(order[np.argsort(position[order], kind="stable")[:limit]])
    return split.select(rows)
