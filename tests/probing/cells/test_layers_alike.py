"""Knock-outs, likeness of layers and the shape of their vectors, on a made-up stack with a planted signal."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax

from probing.cells.fitting import fit_folds
from probing.cells.geometry import measure_geometry
from probing.cells.knockouts import measure_knockouts
from probing.cells.scoring import compute_cell, inform
from probing.cells.similarity import measure_similarity
from probing.contracts.measure import Cell, Encoded
from probing.probes.stack_blocks import normalise
from probing.records import SPLITS, InputError, LayerStack
from probing.scores.similarity import compare_stacks
from probing.settings.checks import check_settings
from probing.settings.run import RunSettings
from tests.helpers import build_task

NAMES = ("embeddings", "1", "2", "3")
ENCODER = SimpleNamespace(
    layer_names=NAMES, device="cpu", checkpoint="made-up", revision="", digest="", hidden_size=4, hidden_sizes=(4,) * 4,
    max_length=16, dtype="float32", backend="torch", mixes_layers=True, tokenize=len, encode=len,
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


def plant(signals, n=(200, 60, 60), hidden=4, seed=0):
    """A task, and a stack whose layers hold its label as strongly as `signals` says, on noise of their own."""
    task = build_task(n=n)
    labels = np.concatenate([task.splits[split].labels for split in SPLITS])
    values = np.random.default_rng(seed).normal(size=(len(signals), len(labels), hidden))
    values[:, :, 0] += np.array(signals)[:, None] * labels
    rows = dict(zip(SPLITS, np.split(np.arange(len(labels)), np.cumsum(n)[:-1]), strict=True))
    stack = LayerStack((values + 3).astype(np.float32), NAMES, "mean")
    return task, Encoded(ENCODER, range(len(signals)), stack, rows)


def values_of(result, metric):
    return {
        score.layer: (score.value, score.ci_low, score.ci_high) for score in result.scores if score.metric == metric
    }


def test_without_the_planted_layer_all_is_lost_and_without_the_others_nothing():
    task, encoded = plant([0, 0, 40, 0])
    lost = measure_knockouts(Cell(task, "scalar_mix"), encoded, RunSettings())
    whole = compute_cell(Cell(task, "scalar_mix"), encoded, RunSettings())
    [found, *_] = [s for s in whole.scores if (s.split, s.metric) == ("test", "accuracy")]
    [bits] = [s for s in whole.scores if s.metric == "usable_information_bits"]
    assert found.value == 1
    assert bits.value > 0.8
    accuracy, information = (values_of(lost, f"knockout_{name}") for name in ("accuracy", "bits"))
    # Chance is left: the other layers, at next to no weight, are noise. Of 60 sentences it is known to .065.
    assert 1 - accuracy[2][0] == pytest.approx(0.5, abs=0.2)
    assert accuracy[2][1] > 0.3
    assert information[2][0] == pytest.approx(bits.value, abs=0.01)
    for layer in (1, 3):
        assert accuracy[layer][0] == 0
        value, low, high = information[layer]
        # A weight near 0 is not 0, and the blend with the shares is chosen anew.
        assert value == pytest.approx(0, abs=0.03)
        assert low - 0.01 <= 0 <= high + 0.01
    assert sorted(accuracy) == [1, 2, 3], "the embeddings are not mixed"


def test_of_two_layers_that_hold_the_same_neither_costs_all():
    task, encoded = plant([0, 0, 40, 0])
    twins = np.array(encoded.stack.values)
    twins[3] = twins[2]
    encoded = replace(encoded, stack=LayerStack(twins, NAMES, "mean"))
    lost = values_of(measure_knockouts(Cell(task, "scalar_mix"), encoded, RunSettings()), "knockout_accuracy")
    assert min(lost[2][0], lost[3][0]) == 0


@pytest.mark.parametrize("norm", [False, True])
def test_a_knockout_is_that_of_a_stack_whose_layer_was_set_to_its_mean_by_hand(norm):
    task, encoded = plant([0, 0.8, 1.5, 1.0])
    settings, cell = RunSettings(mix_norm=norm), Cell(task, "scalar_mix")
    lost = measure_knockouts(cell, encoded, settings)
    fit = fit_folds(cell, encoded, settings, [1, 2, 3])
    [probe] = fit.probes
    vectors = encoded.stack.values[1:].astype(float)
    vectors = normalise(vectors.astype(np.float32)).astype(float) if norm else vectors
    assert (probe.weights_ > 0.05).sum() >= 2
    for number, layer in enumerate((1, 2, 3)):
        changed = vectors.copy()
        changed[number] = vectors[number, encoded.rows["train"]].mean(axis=0)
        mixed = sum(weight * one for weight, one in zip(probe.weights_, changed, strict=True))
        answers = log_softmax((mixed - probe.mean_) / probe.scale_ @ probe.coef_.T + probe.intercept_, axis=1)
        read = {split: [answers[encoded.rows[split]]] for split in ("dev", "test")}
        labels = task.splits["test"].labels
        right = [(one["test"][0].argmax(axis=1) == labels).mean() for one in (fit.read, read)]
        bits = [inform(task, one).mean() for one in (fit.read, read)]
        assert values_of(lost, "knockout_accuracy")[layer][0] == pytest.approx(right[0] - right[1])
        assert values_of(lost, "knockout_bits")[layer][0] == pytest.approx(bits[0] - bits[1], abs=1e-4)


def test_likeness_of_layers_is_the_formula_on_different_test_sentences():
    task, encoded = plant([0, 1, 2, 3])
    rows = encoded.rows["test"].copy()
    rows[:5] = rows[5]
    encoded = replace(encoded, layers=[0, 2, 3], rows=encoded.rows | {"test": rows})
    found = measure_similarity(Cell(task, "layer"), encoded, RunSettings()).similarities
    assert [(one.layer, one.other_layer) for one in found] == [(a, b) for a in (0, 2, 3) for b in (0, 2, 3)]
    vectors = encoded.stack.values[:, np.unique(rows)]
    for one in found:
        expected = compare_stacks(vectors[[one.layer]], vectors[[one.other_layer]])[0, 0]
        assert one.value == pytest.approx(expected)
        assert one.ci_low <= one.value <= one.ci_high
        assert (one.n, one.other_layer_name) == (55, NAMES[one.other_layer])


def test_a_layer_that_says_the_same_of_all_sentences_is_like_none_and_fills_one_direction():
    task, encoded = plant([0, 1, 2, 3])
    values = np.array(encoded.stack.values)
    values[0] = values[0, 0]
    encoded = replace(encoded, stack=LayerStack(values, NAMES, "cls"))
    found = measure_similarity(Cell(task, "layer"), encoded, RunSettings()).similarities
    assert {one.layer for one in found} == {1, 2, 3}
    shape = measure_geometry(Cell(task, "layer"), encoded, RunSettings())
    assert values_of(shape, "effective_rank")[0] == (1, 1, 1)
    assert values_of(shape, "anisotropy")[0][0] == pytest.approx(1)
    assert 3 < values_of(shape, "effective_rank")[1][0] <= 4


def test_the_shape_of_vectors_does_not_hang_on_the_size_of_the_blocks(monkeypatch):
    task, encoded = plant([0, 1, 2, 3])
    whole = measure_geometry(Cell(task, "layer"), encoded, RunSettings())
    monkeypatch.setattr("probing.cells.geometry._ROWS", 7)
    parts = measure_geometry(Cell(task, "layer"), encoded, RunSettings())
    for metric in ("effective_rank", "anisotropy"):
        assert values_of(parts, metric)[2] == pytest.approx(values_of(whole, metric)[2])


def test_the_dimension_of_a_plane_in_many_is_two():
    pytest.importorskip("skdim", reason="an extra")
    from probing.scores.intrinsic_dimension import measure_dimension

    rng = np.random.default_rng(0)
    plane = rng.uniform(size=(1000, 2)) @ rng.normal(size=(2, 30))
    value, low, high = measure_dimension(np.vstack([plane, plane[:50]]).astype(np.float32))
    assert low < 2 < high
    assert value == pytest.approx(2, rel=0.1)


def test_a_measure_whose_module_is_missing_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("probing.settings.checks.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--measures intrinsic_dimension: needs the module skdim.*\[geometry\]"):
        check_settings(RunSettings(measures=("intrinsic_dimension",)))
    check_settings(RunSettings(measures=("geometry",)))
