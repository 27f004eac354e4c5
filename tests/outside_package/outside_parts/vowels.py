"""A task made on the spot: is there an o in the last word?"""

from itertools import product

import numpy as np

from probing.records import SPLITS, Split, Task, TaskSpec

SPEC = TaskSpec("vowels", "Vowels", "own", metrics=("mean_recall", "accuracy"))


def load(names):
    """The one task, whatever of it is asked for."""
    subjects, verbs = ("ada", "ben", "cleo", "dan", "eva", "finn"), ("sees", "saw", "knows", "knew", "likes")
    words = ("dog", "cat", "fox", "bird", "cow", "ant", "stone", "tree")
    lines = [" ".join(parts) for parts in product(subjects, verbs, words)]
    order = np.random.default_rng(0).permutation(len(lines))
    splits = {}
    for split, rows in zip(SPLITS, np.split(order, [140, 190]), strict=True):
        chosen = [lines[row] for row in rows]
        labels = np.array([int("o" in line.split()[-1]) for line in chosen])
        splits[split] = Split(tuple((line,) for line in chosen), labels)
    return {SPEC.name: Task(SPEC, ("no", "yes"), splits, origin="made by outside_parts")}
