import json
from types import SimpleNamespace

import numpy as np
import pytest

from probing.cells import fitting
from probing.cells.fitting import group_layers
from probing.cells.plan import make_probe, plan_cells
from probing.cells.scoring import compute_cell
from probing.contracts.measure import Cell, Encoded
from probing.records import SPLITS, LayerStack
from probing.settings.run import RunSettings
from tests.helpers import build_task

TASK = build_task("past_present", n=(90, 30, 30))
N = sum(len(split) for split in TASK.splits.values())


class NamedLayers(SimpleNamespace):
    """An encoder as a cell sees it: names and a device. Its layers bear names of their own (as sub-layers would)."""

    name = "bermo"
    checkpoint, revision, digest = "tiny", "", "abc"
    layer_names = ("embeddings", "1 attention", "1 output")
    hidden_sizes = (4, 4, 4)
    hidden_size, max_length, dtype, device, backend, mixes_layers = 4, 16, "float32", "cpu", "torch", True

    def tokenize(self, texts):
        raise AssertionError("a cell never touches tokens")

    encode = tokenize


def make_stack(where=None, seed=0):
    """Noise in every layer, and the label in layer `where`; rows in an order of their own."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, N, 4)).astype(np.float32)
    order = rng.permutation(N)
    borders = np.cumsum([0, *(len(TASK.splits[split]) for split in SPLITS)])
    rows = {split: order[start:stop] for split, start, stop in zip(SPLITS, borders, borders[1:], strict=False)}
    if where is not None:
        for split in SPLITS:
            values[where, rows[split], 0] += 8 * TASK.splits[split].labels
    return LayerStack(values, NamedLayers.layer_names, "mean"), rows


def compute(representation, where=None, layers=(0, 1, 2), **settings):
    stack, rows = make_stack(where)
    cell = Cell(TASK, representation)
    return compute_cell(cell, Encoded(NamedLayers(), list(layers), stack, rows), RunSettings(controls=(), **settings))


def accuracies(result, split="test"):
    return {score.layer: score.value for score in result.scores if (score.split, score.metric) == (split, "accuracy")}


@pytest.mark.parametrize("where", [0, 1, 2])
def test_the_label_is_found_in_the_layer_that_has_it_and_in_no_other(where):
    values = accuracies(compute("layer", where))
    assert values[where] > 0.97
    # 30 sentences of two classes by noise: standard deviation .09; four of them.
    assert all(value < 0.5 + 0.37 for layer, value in values.items() if layer != where)


def test_layers_bear_the_names_that_the_encoder_gives_them():
    names = {score.layer: score.layer_name for score in compute("layer").scores}
    assert names == dict(enumerate(NamedLayers.layer_names))


@pytest.mark.parametrize("where", [1, 2])
def test_the_mix_finds_the_layer_that_has_the_label(where):
    result = compute("scalar_mix", where)
    assert accuracies(result)[-1] > 0.97
    weights = {weight.layer: weight.weight for weight in result.weights}
    assert weights.keys() == {1, 2}
    assert max(weights, key=weights.get) == where


def test_the_embeddings_are_mixed_only_where_asked_for():
    without, with_them = (compute("scalar_mix", 0, mix_embeddings=mixed) for mixed in (False, True))
    assert accuracies(without)[-1] < 0.87
    assert accuracies(with_them)[-1] > 0.97
    assert max(with_them.weights, key=lambda weight: weight.weight).layer_name == "embeddings"


def test_where_the_embeddings_alone_are_chosen_the_mix_is_theirs():
    (weight,) = compute("scalar_mix", 0, layers=(0,)).weights
    assert (weight.layer, weight.weight) == (0, 1)


def test_the_baseline_is_the_most_frequent_training_class():
    result = compute("none")
    labels = TASK.splits["train"].labels
    most = np.bincount(labels).argmax()
    expected = (TASK.splits["test"].labels == most).mean()
    assert accuracies(result) == {-1: pytest.approx(expected)}
    for representation in ("none", "layer"):
        for score in compute(representation).scores:
            if score.split == "test" and score.metric == "accuracy":
                assert score.majority == pytest.approx(expected)


def test_bits_have_no_majority():
    bits = [score for score in compute("layer").scores if score.metric == "usable_information_bits"]
    assert len(bits) == 3
    assert all(np.isnan(score.majority) for score in bits)


def test_predictions_are_those_of_the_test_sentences_with_their_true_labels():
    result = compute("layer", 1)
    assert set(result.predictions) == {"layer/0", "layer/1", "layer/2"}
    for said in result.predictions.values():
        assert said.labels.tolist() == TASK.splits["test"].labels.tolist()
        assert (said.log_probability <= 0).all()
    said = result.predictions["layer/1"]
    right = said.predicted == said.labels
    # Of two classes, the predicted one has a probability above a half.
    assert ((said.log_probability > np.log(0.5)) == right).all()
    assert right.mean() == accuracies(result)[1]


@pytest.mark.parametrize("changes", [{"probe": "mlp"}, {"probe": "mlp", "protocol": "senteval"}])
def test_a_score_of_a_network_says_how_many_hidden_units_it_has(changes):
    scores = compute("layer", 1, **changes).scores
    assert {json.loads(score.hyperparameters)["n_hidden"] for score in scores} == {50.0}


def test_a_score_says_what_was_chosen_and_whether_it_converged():
    scores = [*compute("layer", 1).scores, *compute("scalar_mix", 1).scores]
    assert all("strength" in json.loads(score.hyperparameters) for score in scores)
    mixed = [json.loads(score.hyperparameters) for score in scores if score.representation == "scalar_mix"]
    assert all(chosen["n_minima"] >= 1 and chosen["loss_spread"] >= 0 for chosen in mixed)
    assert all(isinstance(score.converged, bool) for score in scores)
    assert all(score.converged for score in scores)


def test_intervals_hold_the_value_and_are_the_same_each_time():
    one, other = compute("layer", 1), compute("layer", 1)
    for a, b in zip(one.scores, other.scores, strict=True):
        assert a.ci_low <= a.value <= a.ci_high
        assert (a.value, a.ci_low, a.ci_high) == (b.value, b.ci_low, b.ci_high)


def test_the_mixes_of_a_run_are_planned_by_seed_and_only_for_encoders_that_mix():
    settings = RunSettings(seeds=(0, 1, 2), controls=())
    cells = plan_cells(settings, [TASK], NamedLayers())
    assert [(cell.representation, cell.seed) for cell in cells] == [
        ("none", 0), ("layer", 0), ("scalar_mix", 0), ("scalar_mix", 1), ("scalar_mix", 2),
    ]  # fmt: skip
    plain = NamedLayers()
    plain.mixes_layers = False
    assert "scalar_mix" not in {cell.representation for cell in plan_cells(settings, [TASK], plain)}


def test_no_two_cells_of_a_run_have_one_name():
    tasks = [TASK, build_task("obj_number")]
    cells = plan_cells(RunSettings(seeds=(0, 1), controls=()), tasks, NamedLayers())
    assert len({cell.name for cell in cells}) == len(cells)


@pytest.mark.parametrize("probe", ["linear", "mlp", "knn"])
def test_layers_fitted_by_groups_score_as_those_fitted_together(probe, monkeypatch):
    together = compute("layer", 1, probe=probe)
    # Two of the three layers at a time.
    monkeypatch.setattr(fitting, "_GROUP_BYTES", 2 * 4 * 4 * len(TASK.splits["train"]))
    groups = []
    monkeypatch.setattr(fitting, "make_probe", lambda *args: groups.append(args) or make_probe(*args))
    apart = compute("layer", 1, probe=probe)
    assert len(groups) == 2
    for one, other in zip(together.scores, apart.scores, strict=True):
        assert (one.layer, one.metric, one.hyperparameters) == (other.layer, other.metric, other.hyperparameters)
        assert (one.converged, one.value) == (other.converged, pytest.approx(other.value, abs=1e-5))  # float32


def test_the_majority_baseline_reads_a_single_layer_and_the_mix_all_at_once():
    stack, _ = make_stack()
    assert group_layers(Cell(TASK, "none"), [0, 1, 2], stack, 60) == [[0]]
    assert group_layers(Cell(TASK, "scalar_mix"), [0, 1, 2], stack, 10**9) == [[0, 1, 2]]
    assert group_layers(Cell(TASK, "layer"), [0, 1, 2], stack, 10**9) == [[0], [1], [2]]
