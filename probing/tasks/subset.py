"""The same task with fewer sentences, the same ones every time."""

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import numpy as np

from probing.digests import text_key
from probing.records import Split, Task


def limit_task(task: Task, limit: int) -> Task:
    """At most `limit` sentences of each split, classes in proportion, the same ones every time.

    The order in which they are taken is that of a hash of the text: tasks that share sentences share most of those that
    are taken, and what they share is encoded once. A smaller limit gives a subset of a larger one; every class keeps at
    least one sentence as far as the limit allows.
    """
    return replace(task, splits={name: _limit_split(split, limit) for name, split in task.splits.items()})


def _limit_split(split: Split, limit: int) -> Split:
    if len(split) <= limit:
        return split
    keys = [sha256(b"limit 0 " + text_key(text)).digest() for text in split.texts]
    order = np.array(sorted(range(len(split)), key=lambda row: (keys[row], row)))
    rank: Counter[int] = Counter()
    sizes = np.bincount(split.labels)
    position = np.empty(len(split))
    for row in order:
        label = int(split.labels[row])
        position[row] = rank[label] / sizes[label]
        rank[label] += 1
    rows = np.sort(order[np.argsort(position[order], kind="stable")[:limit]])
    return split.select(rows)
