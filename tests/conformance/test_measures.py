"""What every measure must hold to, whoever wrote it: see `probing.contracts.measure`."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from probing.contracts.checking import find_breach
from probing.contracts.measure import Cell, Encoded, Measure
from probing.encoders.bermo import build, tiny
from probing.records import SPLITS, LayerStack
from probing.registry import MEASURES
from probing.representations.extraction import extract_stack
from probing.representations.pooling import Pooling
from probing.settings.run import RunSettings
from probing.store.cache import StackCache
from tests.helpers import build_task

SETTINGS = RunSettings(gradients=2, gradient_steps=2)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Each resample is a mix of its own; what is claimed here does not hang on their number."""
    monkeypatch.setattr("probing.cells.weight_intervals._RESAMPLES", 6)


@pytest.fixture(params=MEASURES.names())
def measure(request):
    if request.param == "intrinsic_dimension":
        pytest.importorskip("skdim", reason="an extra")
    return MEASURES.load(request.param)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """One whose gradients can be measured."""
    return build(tiny(tmp_path_factory.mktemp("tiny")), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def encoded(encoder, tmp_path_factory):
    """A tiny task as that encoder sees it, with layers 0 and 2 probed."""
    task = build_task()
    texts = [text for split in SPLITS for text in task.splits[split].texts]
    values = extract_stack(encoder, texts, Pooling(), StackCache(tmp_path_factory.mktemp("cache"))).stack.values
    borders = np.cumsum([0, *(len(task.splits[split]) for split in SPLITS)])
    rows = {split: np.arange(*borders[place : place + 2]) for place, split in enumerate(SPLITS)}
    return Encoded(encoder, [0, 2], LayerStack(np.array(values), encoder.layer_names, "mean"), rows)


def cells_of(measure, task):
    return [Cell(task, representation, seed=1) for representation in measure.about.representations]


def tables_of(result):
    """All rows that a cell gives, without what may differ from run to run."""
    parts = {"scores": result.scores, "weights": result.weights, "gradients": result.gradients}
    parts["amnesia"] = result.amnesia
    parts["similarities"] = result.similarities
    frames = {name: pd.DataFrame([asdict(row) for row in rows]) for name, rows in parts.items()}
    return {name: frame.drop(columns="seconds", errors="ignore") for name, frame in frames.items()}


def test_it_keeps_the_contract(measure):
    assert find_breach(measure, Measure) == ""
    assert measure.about.representations
    assert all(hasattr(SETTINGS, field) for field in measure.about.needs)


def test_its_rows_say_what_they_are_of_and_hold_numbers(measure, encoded):
    for cell in cells_of(measure, build_task()):
        tables = tables_of(measure(cell, encoded, SETTINGS))
        assert any(len(frame) for frame in tables.values())
        for frame in tables.values():
            if len(frame):
                assert set(frame["task"]) == {"past_present"}
                assert np.isfinite(frame[[one for one in ("value", "ci_low", "ci_high") if one in frame]]).all().all()
                named = {-1: None} | dict(enumerate(encoded.encoder.layer_names))
                for layer, layer_name in zip(frame["layer"], frame["layer_name"], strict=True):
                    assert named[layer] in (None, layer_name)
                    # A gradient reaches every layer; whatever is fitted reads those that are probed.
                    assert layer in (-1, *encoded.layers) or "quantity" in frame


@pytest.mark.slow
def test_it_gives_the_same_again(measure, encoded):
    for cell in cells_of(measure, build_task()):
        one, other = (tables_of(measure(cell, encoded, SETTINGS)) for _ in range(2))
        for name, frame in one.items():
            pd.testing.assert_frame_equal(frame, other[name])


def test_it_changes_no_vector(measure, encoded):
    before = encoded.stack.values.copy()
    for cell in cells_of(measure, build_task()):
        measure(cell, encoded, SETTINGS)
    assert np.array_equal(encoded.stack.values, before)


def test_a_graded_task_is_measured_where_the_measure_says_so(measure, encoded):
    if not measure.about.takes_graded:
        pytest.skip("says that it is about classes")
    task = build_task()
    rng = np.random.default_rng(0)
    splits = {
        name: replace(split, targets=np.clip(split.labels + rng.uniform(-0.4, 0.4, len(split)), 0, 1))
        for name, split in task.splits.items()
    }
    graded = replace(task, splits=splits, spec=replace(task.spec, metrics=("pearson",)))
    for cell in cells_of(measure, graded):
        result = measure(cell, encoded, SETTINGS)
        assert result.scores or result.weights or result.gradients or result.similarities or result.amnesia
