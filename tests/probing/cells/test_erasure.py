"""Planted signals: what erasing one property does to the probe of another, where the answer is known."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from probing.cells.erasers import Place
from probing.cells.erasure import count_covered, measure_erasure
from probing.cells.runner import identify_inputs
from probing.cells.scoring import compute_cell
from probing.contracts.measure import Cell, Encoded, Others
from probing.records import SPLITS, LayerStack, Split, Task, TaskSpec
from probing.settings.run import RunSettings

HIDDEN, LAYERS = 16, (0, 1)
SIZES = {"train": 300, "dev": 200, "test": 200}
SETTINGS = RunSettings(threads=1)
ENCODER = SimpleNamespace(
    checkpoint="planted", revision="", layer_names=("embeddings", "1"), device="cpu", digest="d", dtype="float32",
    backend="torch", max_length=16, hidden_size=HIDDEN, hidden_sizes=(HIDDEN,) * 2, mixes_layers=True, tokenize=len,
    encode=len,
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


def plant(seed=0, names=("sentence_length", "tree_depth", "subj_number", "obj_number"), folds=0):
    """Tasks on one pool of sentences: the second a copy of the first, the third independent, the last partly the first.

    Every layer has a direction for each of two bits, and noise.
    """
    rng = np.random.default_rng(seed)
    n = sum(SIZES.values())
    bits = rng.integers(2, size=(2, n))
    mixed = np.where(rng.random(n) < 0.8, bits[0], rng.integers(2, size=n))
    labels = dict(zip(names, (bits[0], bits[0], bits[1], mixed), strict=True))
    noise = 0.4 * rng.normal(size=(len(LAYERS), n, HIDDEN))
    signal = np.einsum("bn,lbh->lnh", bits, rng.normal(size=(len(LAYERS), 2, HIDDEN)))
    stack = LayerStack((noise + signal).astype(np.float32), ENCODER.layer_names, "mean")
    borders = np.cumsum([0, *SIZES.values()])
    places = {split: np.arange(*borders[number : number + 2]) for number, split in enumerate(SPLITS)}
    texts = [(f"word{number % 40} text {number}",) for number in range(n)]
    tasks, encoded = [], {}
    kept = Others(tasks, lambda task: encoded[task.name])
    for name, values in labels.items():
        rows = dict.fromkeys(SPLITS, np.arange(n)) if folds else places
        splits = {split: Split(tuple(texts[row] for row in own), values[own]) for split, own in rows.items()}
        tasks.append(Task(TaskSpec(name, name, "surface"), ("0", "1"), splits, folds=folds))
        encoded[name] = Encoded(ENCODER, list(LAYERS), stack, rows, kept)
    return {task.name: task for task in tasks}, encoded


def measure(task, encoded, representation="layer", settings=SETTINGS):
    return measure_erasure(Cell(task, representation), encoded[task.name], settings).scores


def pick(scores, erased, metric="erasure"):
    return [score for score in scores if (score.erased, score.metric) == (erased, metric)]


@pytest.fixture(scope="module")
def planted():
    return plant()


@pytest.mark.parametrize("representation", ["layer", "scalar_mix"])
def test_what_is_independent_stays_and_a_copy_goes(planted, representation):
    tasks, encoded = planted
    scores = measure(tasks["sentence_length"], encoded, representation)
    majority = max(np.bincount(tasks["sentence_length"].splits["test"].labels)) / SIZES["test"]
    for score in pick(scores, "tree_depth"):
        assert json.loads(score.hyperparameters)["after"] < majority + 0.06
        assert score.value < -0.3
        assert json.loads(score.hyperparameters)["p_random"] < 1e-6
    for score in pick(scores, "subj_number"):
        assert abs(score.value) < 0.03
        assert score.ci_low < 0 < score.ci_high or score.value == 0
    assert len(pick(scores, "tree_depth")) == (2 if representation == "layer" else 1)


def test_controls_take_nothing(planted):
    scores = measure(planted[0]["sentence_length"], planted[1])
    for metric in ("erasure_random", "erasure_control"):
        # One direction of sixteen may hold a part of the one that matters.
        assert all(score.value > -0.12 for score in pick(scores, "tree_depth", metric))


def test_its_own_property_is_erased_too_and_leaves_the_majority(planted):
    tasks, encoded = planted
    for score in pick(measure(tasks["subj_number"], encoded), "subj_number"):
        assert json.loads(score.hyperparameters)["after"] == pytest.approx(0.5, abs=0.1)


def test_the_more_of_a_property_is_another_the_more_erasing_it_takes(planted):
    """Four fifths of the last task's labels are the first one's, the others chance."""
    tasks, encoded = planted
    copy, partly, independent = (
        pick(measure(tasks["obj_number"], encoded), erased)[0].value
        for erased in ("sentence_length", "tree_depth", "subj_number")
    )
    assert copy == pytest.approx(partly)
    assert copy < -0.3 < -0.05 < independent


def test_differences_are_of_the_plain_score(planted):
    task, encoded = planted[0]["obj_number"], planted[1]["obj_number"]
    plain = {
        score.layer: score.value
        for score in compute_cell(Cell(task, "layer"), encoded, SETTINGS).scores
        if (score.split, score.metric) == ("test", "accuracy")
    }
    for score in measure_erasure(Cell(task, "layer"), encoded, SETTINGS).scores:
        assert json.loads(score.hyperparameters)["after"] == pytest.approx(plain[score.layer] + score.value)


@pytest.mark.slow
def test_an_eraser_has_seen_its_own_training_sentences_alone(planted):
    """Other labels of dev and test of the task that is erased move nothing."""
    expected = [score.value for score in pick(measure(planted[0]["obj_number"], planted[1]), "sentence_length")]
    tasks, encoded = plant()
    for split in ("dev", "test"):
        tasks["sentence_length"].splits[split].labels[:] = 0
    after = pick(measure(tasks["obj_number"], encoded), "sentence_length")
    assert [score.value for score in after] == expected
    tasks["sentence_length"].splits["train"].labels[::2] = 0
    encoded["obj_number"].others.kept.clear()
    assert [score.value for score in pick(measure(tasks["obj_number"], encoded), "sentence_length")] != expected


@pytest.mark.slow
def test_a_cross_validation_is_erased_fold_by_fold():
    tasks, encoded = plant(folds=4)
    scores = measure(tasks["sentence_length"], encoded)
    assert all(score.value < -0.3 for score in pick(scores, "tree_depth"))
    assert all(abs(score.value) < 0.03 for score in pick(scores, "subj_number"))
    own = pick(scores, "sentence_length")
    assert all(json.loads(score.hyperparameters)["after"] < 0.6 for score in own)


@pytest.mark.slow
def test_scores_on_a_scale_are_erased_and_probed():
    tasks, encoded = plant()
    graded = tasks["sentence_length"]
    rng = np.random.default_rng(1)
    splits = {
        name: replace(split, targets=np.clip(split.labels + rng.uniform(-0.3, 0.3, len(split)), 0, 1))
        for name, split in graded.splits.items()
    }
    graded = replace(graded, splits=splits, spec=replace(graded.spec, metrics=("pearson",)))
    encoded["sentence_length"].others.tasks[0] = graded
    (taken, *_), (kept, *_) = (pick(measure(graded, encoded), name) for name in ("tree_depth", "subj_number"))
    assert taken.value < -0.5 < -0.03 < kept.value
    assert taken.ci_low < taken.value < taken.ci_high < 0
    assert json.loads(taken.hyperparameters)["p"] < 1e-6
    erased = pick(measure(tasks["tree_depth"], encoded), "sentence_length")
    assert all(score.value < -0.3 and json.loads(score.hyperparameters)["rank"] == 1 for score in erased)
    assert not pick(measure(tasks["tree_depth"], encoded), "sentence_length", "erasure_control")


def test_pairs_and_single_sentences_are_not_erased_from_one_another():
    tasks, encoded = plant()
    others = encoded["sentence_length"].others
    pair = others.tasks[2]
    splits = {
        name: replace(split, texts=tuple((text[0], "again") for text in split.texts))
        for name, split in pair.splits.items()
    }
    others.tasks[2] = replace(pair, splits=splits)
    erased = {score.erased for score in measure(tasks["sentence_length"], encoded)}
    assert erased == {"sentence_length", "tree_depth", "obj_number"}


def test_a_cell_is_computed_again_when_another_task_changes():
    tasks, encoded = plant()
    cell, own = Cell(tasks["sentence_length"], "layer", measure="erasure"), encoded["sentence_length"]
    plain = Cell(tasks["sentence_length"], "layer")
    before = [identify_inputs(one, own, SETTINGS) for one in (cell, plain)]
    own.others.tasks[1] = plant(seed=3)[0]["tree_depth"]
    after = [identify_inputs(one, own, SETTINGS) for one in (cell, plain)]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_the_vectors_of_a_mix_are_the_sum_of_its_layers():
    stack = plant()[1]["tree_depth"].stack
    rows, weights = np.array([5, 3, 600]), np.array([0.25, 0.75])
    expected = 0.25 * stack.values[0, rows] + 0.75 * stack.values[1, rows]
    np.testing.assert_allclose(Place([0, 1], weights).take(stack, rows), expected, rtol=1e-5, atol=1e-6)


def test_the_share_that_an_eraser_has_seen_is_of_distinct_tasks():
    tasks, _ = plant()
    one = tasks["tree_depth"]
    half = replace(one, splits=dict(one.splits) | {"train": one.splits["train"].select(np.arange(75))})
    assert count_covered(one, half) == 0.25
    assert count_covered(half, one) == 1.0


def test_probes_that_were_kept_for_it_give_the_same_numbers():
    tasks, encoded = plant()
    cell, settings = Cell(tasks["obj_number"], "scalar_mix"), replace(SETTINGS, measures=("erasure",))
    anew = measure_erasure(cell, encoded["obj_number"], settings).scores
    compute_cell(cell, encoded["obj_number"], settings)
    kept = encoded["obj_number"].others.kept
    assert sum(key[0] == "fit" for key in kept) == 1
    again = measure_erasure(cell, encoded["obj_number"], settings).scores
    apart = {"seconds": 0.0, "majority": 0.0}
    assert [replace(score, **apart) for score in again] == [replace(score, **apart) for score in anew]
    assert not any(key[0] == "fit" for key in kept)
