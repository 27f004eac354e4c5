from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import bootstrap

from probing.cells.selectivity import subtract_controls
from probing.records import Predictions
from probing.tables import CellResult, Score


def result(control, readouts, n=300, representation="layer", seed=0):
    """A cell whose readouts are right with the probabilities given."""
    rng = np.random.default_rng([len(control), seed])
    scores, predictions = [], {}
    for layer, share in readouts.items():
        labels = rng.integers(0, 2, n)
        predicted = np.where(rng.random(n) < share, labels, 1 - labels)
        said = Predictions(labels, predicted, np.zeros(n, dtype=np.float32))
        predictions[f"{representation}/{layer}"] = said
        scores.append(score(control, representation, layer, float((labels == predicted).mean()), n))
    return CellResult(scores, [], predictions)


def score(control, representation, layer, value, n):
    facts = {"model": "bert", "checkpoint": "made-up", "revision": "", "task": "depth", "group": "syntactic"}
    facts |= {"representation": representation, "layer": layer, "layer_name": str(layer), "pooling": "mean"}
    facts |= {"probe": "linear", "protocol": "modern", "control": control, "seed": 0, "split": "test"}
    facts |= {"metric": "accuracy", "value": value, "ci_low": value, "ci_high": value, "n": n, "n_classes": 2}
    return Score(**facts, majority=0.5, hyperparameters="{}", converged=True, seconds=0.0)


def test_selectivity_is_the_difference_of_the_two_accuracies():
    plain, control = result("none", {0: 0.8, 1: 0.9}), result("control_task", {0: 0.7, 1: 0.6})
    found = {one.layer: one for one in subtract_controls([plain, control])}
    for layer in (0, 1):
        assert found[layer].metric == "selectivity"
        assert found[layer].control == "control_task"
        assert np.isnan(found[layer].majority), "always the same answer has no difference of its own"
        assert found[layer].value == pytest.approx(plain.scores[layer].value - control.scores[layer].value)


def test_its_interval_is_the_paired_bootstrap_of_scipy():
    plain, control = result("none", {0: 0.8}), result("control_task", {0: 0.6})
    (found,) = subtract_controls([plain, control])
    right = [cell.predictions["layer/0"] for cell in (plain, control)]
    differences = np.subtract(*((said.labels == said.predicted).astype(float) for said in right))
    theirs = bootstrap(
        (differences,), np.mean, n_resamples=4000, method="percentile", vectorized=True, rng=np.random.default_rng(0)
    ).confidence_interval
    # 1,000 samples put a 2.5 % quantile within .4 standard errors.
    assert [found.ci_low, found.ci_high] == pytest.approx(list(theirs), abs=0.4 * differences.std() / 300**0.5)


def test_every_reading_is_held_against_the_one_bag_of_embeddings():
    mixed = result("none", {-1: 0.9}, representation="scalar_mix")
    bag = result("bag_of_embeddings", {0: 0.6})
    found = subtract_controls([result("none", {0: 0.6, 1: 0.8}), mixed, bag])
    assert [(one.representation, one.layer) for one in found] == [("layer", 0), ("layer", 1), ("scalar_mix", -1)]
    assert {one.metric for one in found} == {"gain"}


def test_a_run_whose_seeds_begin_elsewhere_has_differences_too():
    plain, control = result("none", {0: 0.8}), result("control_task", {0: 0.6})
    later = CellResult([replace(control.scores[0], seed=5)], [], control.predictions)
    assert [one.seed for one in subtract_controls([plain, later])] == [0]


def test_a_reading_without_a_control_has_no_difference():
    assert not subtract_controls([result("none", {0: 0.6}), result("untrained", {1: 0.5})])
    assert not subtract_controls([result("none", {0: 0.6})])
