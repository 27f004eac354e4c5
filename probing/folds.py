"""Folds for sources that do not say which sentences train, choose and test: ten, stratified, assigned by content."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from jaxtyping import Int

from probing.digests import text_key
from probing.records import SPLITS, Task, Text

N_FOLDS = 10
"""Folds that sentences are assigned to, as SentEval's cross-validation does (arXiv 1803.05449)."""


def assign_folds(
    texts: Sequence[Text], labels: Int[np.ndarray, " sentences"], n_folds: int = N_FOLDS, seed: int = 0
) -> Int[np.ndarray, " sentences"]:
    """The part that each sentence falls into: every class spread evenly, equal texts always in one part.

    The order is that of a hash of text and seed: it depends neither on the order of the sentences nor on the machine.
    Unlike SentEval's, these parts never share a text: of MPQA's 10,606 phrases, 2,365 repeat another one.
    """
    places: dict[bytes, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        places[sha256(f"{seed} ".encode() + text_key(text)).digest()].append(row)
    folds, n_assigned = np.empty(len(texts), dtype=np.int64), 0
    for key in sorted(places, key=lambda key: (labels[places[key]].min(), key)):
        folds[places[key]] = n_assigned % n_folds
        n_assigned += len(places[key])
    return folds


def describe_folds(task: Task) -> list[dict[str, str | int]]:
    """List the split or fold of every sentence, one row each; no rows where the source says so itself.

    `row` counts a split's sentences from 0, as predictions do; `line` is where the sentence stands in its file. Of a
    cross-validation the whole is listed, as `test`, with the `fold` in which each sentence is tested; else that is -1.
    """
    if not task.split_rule:
        return []
    rows = []
    for name, split in task.splits.items():
        if task.folds and name != "test":
            continue
        n = len(split)
        folds = assign_folds(split.texts, split.labels, task.folds) if task.folds else np.full(n, -1)
        lines = np.zeros(n, dtype=int) if split.lines is None else split.lines
        pairs = zip(lines.tolist(), folds.tolist(), strict=True)
        rows += [
            {"task": task.name, "split": name, "row": row, "line": line, "fold": fold}
            for row, (line, fold) in enumerate(pairs)
        ]
    return rows


def plan_folds(task: Task) -> list[Mapping[str, Int[np.ndarray, " rows"]]]:
    """Plan the rows that a probe is fitted, chosen and tested on, of the task's splits: once, or once for each fold.

    Plan k of a cross-validation tests on fold k, chooses the strength on the next fold and trains on the others: over
    all folds each sentence is predicted once as test and once as dev, never by a probe that had seen it.
    """
    if not task.folds:
        return [{split: np.arange(len(task.splits[split])) for split in SPLITS}]
    whole = task.splits["test"]
    folds = assign_folds(whole.texts, whole.labels, task.folds)
    plans = []
    for fold in range(task.folds):
        test, dev = folds == fold, folds == (fold + 1) % task.folds
        masks = {"train": ~(test | dev), "dev": dev, "test": test}
        plans.append({split: np.flatnonzero(mask) for split, mask in masks.items()})
    return plans
