"""Measures called by themselves, on a made-up stack."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from probing.cells.code_length import measure_code_length
from probing.cells.scoring import compute_cell
from probing.cells.weight_intervals import measure_weight_intervals
from probing.contracts.measure import Cell, Encoded
from probing.probes.stack_blocks import normalise
from probing.records import SPLITS, LayerStack
from probing.settings.run import RunSettings
from tests.helpers import build_task

NAMES = ("embeddings", "1", "2", "3")
ENCODER = SimpleNamespace(
    layer_names=NAMES, device="cpu", checkpoint="made-up", revision="", digest="", hidden_size=5, hidden_sizes=(5,) * 4,
    max_length=16, dtype="float32", backend="torch", mixes_layers=True, tokenize=len, encode=len,
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def compute(measure, settings, *, normalised=False, representation="scalar_mix"):
    """A measure of the mix on vectors whose layers differ in length, those of layer 2 bearing the label."""
    task = build_task()
    sizes = [len(task.splits[split]) for split in SPLITS]
    labels = np.concatenate([task.splits[split].labels for split in SPLITS])
    values = np.random.default_rng(0).normal(size=(len(NAMES), sum(sizes), 5))
    values[2, :, 0] += 3 * labels
    values = (values * np.array([1, 1, 4, 0.5])[:, None, None]).astype(np.float32)
    stack = LayerStack(normalise(values) if normalised else values, NAMES, "mean")
    rows = dict(zip(SPLITS, np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]), strict=True))
    cell = Cell(task, representation, measure=measure.__name__)
    return measure(cell, Encoded(ENCODER, range(len(NAMES)), stack, rows), settings)


def values_of(result, metric):
    return [score.value for score in result.scores if score.metric == metric]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Each resample is a mix of its own; what is claimed here does not hang on their number."""
    monkeypatch.setattr("probing.cells.weight_intervals._RESAMPLES", 6)


@pytest.mark.parametrize("norm", [False, True])
def test_weights_with_intervals_are_those_of_the_mix_of_the_run(norm):
    settings = RunSettings(mix_norm=norm)
    measured, mix = compute(measure_weight_intervals, settings), compute(compute_cell, settings)
    assert values_of(measured, "mix_weight") == pytest.approx([row.weight for row in mix.weights], abs=1e-6)
    contributions = [row.contribution for row in mix.weights]
    assert values_of(measured, "mix_contribution") == pytest.approx(contributions, abs=1e-6)
    gravity = sum(row.layer * row.contribution for row in mix.weights)
    assert values_of(measured, "contribution_gravity") == pytest.approx([gravity], abs=1e-5)
    assert all(score.split == "train" and score.ci_low <= score.ci_high for score in measured.scores)
    chosen = json.loads(mix.scores[0].hyperparameters)
    for score in measured.scores:
        found = json.loads(score.hyperparameters)
        assert [found["n_minima"], found["loss_spread"]] == [chosen["n_minima"], chosen["loss_spread"]]
        assert found["resample_minima"] >= 1


@pytest.mark.slow
def test_code_length_of_a_mix_with_a_norm_is_that_of_normalised_vectors():
    metric = "code_length_bits"
    with_norm = compute(measure_code_length, RunSettings(mix_norm=True))
    by_hand = compute(measure_code_length, RunSettings(), normalised=True)
    without = compute(measure_code_length, RunSettings())
    assert values_of(with_norm, metric) == pytest.approx(values_of(by_hand, metric), rel=1e-6)
    assert values_of(without, metric) != pytest.approx(values_of(by_hand, metric), rel=1e-3)
    # The layers themselves are standardised, unit by unit, and not normed.
    layers = [
        compute(measure_code_length, RunSettings(mix_norm=norm), representation="layer") for norm in (False, True)
    ]
    assert values_of(layers[0], metric) == values_of(layers[1], metric)
