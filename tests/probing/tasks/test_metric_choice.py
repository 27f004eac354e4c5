"""Metrics of the user's choice: the same tasks with other rules, and a refusal where a rule is not for their labels."""

import numpy as np
import pytest

from probing.records import SPLITS, InputError, Split, Task, TaskSpec
from probing.registry import METRICS
from probing.tasks.metric_choice import choose_metrics


def build(n_classes=2, graded=False):
    """A task of a few sentences; a graded one has fractions for labels."""
    texts, labels = tuple((f"sentence {n}",) for n in range(12)), np.arange(12) % n_classes
    targets = labels / 2 if graded else None
    splits = {split: Split(texts, labels, targets=targets) for split in SPLITS}
    return Task(TaskSpec("made", "Made", "semantic"), tuple("abcdefgh"[:n_classes]), splits)


def test_without_names_each_task_keeps_its_own():
    task = build()
    assert choose_metrics([task], ()) == [task]


def test_the_metrics_asked_for_stand_in_their_order_and_all_else_stays():
    (chosen,) = choose_metrics([build()], ("matthews", "f1"))
    assert chosen.spec.metrics == ("matthews", "f1")
    assert chosen.spec.metric == "matthews"
    assert chosen.splits["test"].texts == build().splits["test"].texts
    assert chosen.digest != build().digest, "finished cells of other metrics are not taken for these"


@pytest.mark.parametrize(
    ("task", "name", "message"),
    [
        (build(3), "f1", "--metrics f1: is for two classes, and Made has 3 classes; leave one of them out"),
        (build(2), "pearson", "--metrics pearson: is for scores, and Made has 2 classes"),
        (build(2, graded=True), "accuracy", "--metrics accuracy: is for classes, and Made has scores"),
    ],
)
def test_a_metric_for_other_labels_is_refused(task, name, message):
    with pytest.raises(InputError) as error:
        choose_metrics([build(), task] if not task.graded else [task], (name,))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews", "pearson", "spearman"])
def test_every_metric_of_ours_says_what_labels_it_is_for(name):
    tasks = [build(2), build(3), build(2, graded=True)]
    taken = []
    for task in tasks:
        try:
            taken += choose_metrics([task], (name,))
        except InputError:
            continue
    assert len(taken) in (1, 2), "no rule is for classes and for scores"


def test_a_metric_of_a_package_that_says_nothing_is_for_all(monkeypatch):
    monkeypatch.setattr(type(METRICS), "load", lambda *_: lambda labels, predicted, counts: counts.sum(axis=1) * 0.0)
    assert len(choose_metrics([build(3), build(2, graded=True)], ("theirs",))) == 2
