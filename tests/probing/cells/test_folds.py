"""Cells of cross-validated and graded tasks, against the same thing done by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from probing.cells.scoring import compute_cell
from probing.contracts.measure import Cell, Encoded
from probing.folds import plan_folds
from probing.probes.linear import LinearProbe
from probing.probes.logistic import softmax_loss
from probing.records import LayerStack, Split, Task, TaskSpec
from probing.scores.graded import expect_scores, spread_scores
from probing.settings.run import RunSettings
from probing.tables import CellResult

LAYERS = ("embeddings", "1", "2")
N = 120
FOLDS = 4


class TinyEncoder(SimpleNamespace):
    name, checkpoint, revision, digest = "bermo", "tiny", "", "abc"
    layer_names, hidden_sizes, hidden_size, max_length = LAYERS, (5, 5, 5), 5, 16
    dtype, device, backend, mixes_layers = "float32", "cpu", "torch", True

    def tokenize(self, texts):
        raise AssertionError("a cell never touches tokens")

    encode = tokenize


def make_stack(informative: np.ndarray, layer: int = 2) -> LayerStack:
    values = np.random.default_rng(0).normal(size=(3, len(informative), 5)).astype(np.float32)
    values[layer, :, 0] += informative
    return LayerStack(values, LAYERS, "mean")


def make_texts(n: int, name: str = "text") -> tuple[tuple[str, ...], ...]:
    return tuple((f"{name} {row}",) for row in range(n))


def make_folded(labels: np.ndarray, metrics: tuple[str, ...] = ("accuracy",), copies: int = 1) -> Task:
    texts = make_texts(len(labels) // copies) * copies
    whole = Split(texts, labels)
    spec = TaskSpec("mr", "MR", "transfer", metrics=metrics)
    return Task(spec, ("0", "1"), dict.fromkeys(("train", "dev", "test"), whole), folds=FOLDS)


def compute(task: Task, stack: LayerStack, representation: str = "layer", **settings: object) -> CellResult:
    rows, start = {}, 0
    for name, split in task.splits.items():
        rows[name] = np.arange(len(split)) + (0 if task.folds else start)
        start += len(split)
    options = {"controls": (), **settings}
    return compute_cell(
        Cell(task, representation),
        Encoded(TinyEncoder(), [0, 1, 2], stack, rows),
        RunSettings(**options),  # type: ignore[arg-type]
    )


def values_of(result: CellResult, metric: str, split: str = "test") -> dict[int, float]:
    return {score.layer: score.value for score in result.scores if (score.metric, score.split) == (metric, split)}


def test_a_cross_validation_says_what_a_probe_for_each_says_of_their_own_parts() -> None:
    labels = np.arange(N) % 2
    task, stack = make_folded(labels), make_stack(2.0 * labels)
    result = compute(task, stack)
    expected = np.full((3, N), -1)
    for one in plan_folds(task):
        train, dev, test = (one[split] for split in ("train", "dev", "test"))
        probe = LinearProbe().fit(stack.values[:, train], labels[train], stack.values[:, dev], labels[dev])
        expected[:, test] = probe.predict(stack.values[:, test])
    for layer in range(3):
        said = result.predictions[f"layer/{layer}"]
        assert np.array_equal(said.predicted, expected[layer])
        assert np.array_equal(said.labels, labels)
        assert values_of(result, "accuracy")[layer] == (expected[layer] == labels).mean()
    assert all(score.n == N for score in result.scores)
    strengths = [score.hyperparameters for score in result.scores]
    assert all(one.count(",") == FOLDS - 1 for one in strengths)


def test_labels_that_nothing_tells_are_at_chance_although_every_sentence_is_trained_on() -> None:
    """The control: were a sentence ever predicted by a probe that knew it, 30 free directions would tell."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(N) % 2)
    values = rng.normal(size=(3, N, 30)).astype(np.float32)
    result = compute(make_folded(labels), LayerStack(values, LAYERS, "mean"))
    for split in ("dev", "test"):
        # Standard deviation .046 for 120 guesses; four of them.
        assert all(abs(value - 0.5) < 0.19 for value in values_of(result, "accuracy", split).values())


def test_copies_of_a_sentence_give_no_answer_away() -> None:
    rng = np.random.default_rng(4)
    labels = np.tile(rng.permutation(np.arange(40) % 2), 3)
    values = np.tile(rng.normal(size=(3, 40, 20)), (1, 3, 1)).astype(np.float32)
    result = compute(make_folded(labels, copies=3), LayerStack(values, LAYERS, "mean"))
    # 40 distinct sentences: standard deviation .08; four of them. With copies in training all would be right.
    assert all(abs(value - 0.5) < 0.32 for value in values_of(result, "accuracy").values())


def test_the_mix_of_a_cross_validation_has_one_row_of_weights_per_layer() -> None:
    labels = np.arange(N) % 2
    result = compute(make_folded(labels, ("accuracy", "f1")), make_stack(4.0 * labels), "scalar_mix")
    assert [weight.layer for weight in result.weights] == [1, 2]
    assert sum(weight.weight for weight in result.weights) == pytest.approx(1)
    assert sum(weight.contribution for weight in result.weights) == pytest.approx(1)
    assert result.weights[1].weight > result.weights[0].weight
    metrics = [score.metric for score in result.scores if score.split == "test"]
    assert metrics == ["accuracy", "f1", "usable_information_bits"]


def make_graded(seed: int = 0) -> tuple[Task, np.ndarray]:
    scores = np.random.default_rng(seed).uniform(0, 5, size=3 * N)
    splits = {}
    for number, name in enumerate(("train", "dev", "test")):
        chosen = scores[number * N : (number + 1) * N]
        labels = np.floor(chosen + 0.5).astype(int)
        splits[name] = Split(make_texts(N, name), labels, targets=chosen)
    spec = TaskSpec("sts_b", "STS-B", "transfer", metrics=("pearson", "spearman"))
    return Task(spec, tuple("012345"), splits), scores


def test_scores_are_found_where_they_are_and_nowhere_else() -> None:
    task, scores = make_graded()
    result = compute(task, make_stack(20 * scores))
    for metric in ("pearson", "spearman"):
        values = values_of(result, metric)
        assert values[2] > 0.95
        # A correlation of 120 pairs by chance has a standard deviation of .09; four of them.
        assert all(abs(values[layer]) < 0.37 for layer in (0, 1))
    said = result.predictions["layer/2"]
    assert np.array_equal(said.labels, scores[2 * N :])
    assert np.corrcoef(said.predicted, said.labels)[0, 1] == pytest.approx(values_of(result, "pearson")[2])
    assert {score.metric for score in result.scores} == {"pearson", "spearman"}
    assert {score.majority for score in result.scores} == {0.0}


def test_a_probe_that_knows_classes_only_refuses_a_graded_task() -> None:
    task, scores = make_graded()
    with pytest.raises(ValueError, match="knows classes only"):
        compute(task, make_stack(20 * scores), probe="knn")


@pytest.mark.parametrize("representation", ["none", "scalar_mix"])
def test_the_baseline_and_the_mix_of_a_graded_task(representation: str) -> None:
    task, scores = make_graded()
    (value,) = values_of(compute(task, make_stack(5 * scores), representation), "pearson").values()
    assert value == 0 if representation == "none" else value > 0.95


def test_spreading_a_score_is_undone_by_its_expectation() -> None:
    scores = np.array([0, 0.2, 1, 2.5, 4.999, 5])
    spread = spread_scores(scores, 6)
    np.testing.assert_allclose(spread[3], [0, 0, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(spread.sum(axis=1), 1, rtol=1e-6)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(expect_scores(np.log(spread)), scores, atol=1e-6)  # float32


def test_the_loss_of_probabilities_is_that_of_torch() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    wanted = torch.rand(7, 4, generator=rng, dtype=torch.float64)
    wanted /= wanted.sum(dim=1, keepdim=True)
    losses, slopes = softmax_loss(logits.detach(), wanted)
    expected = torch.stack([cross_entropy(logits[:, one], wanted, reduction="sum") for one in range(3)])
    expected.sum().backward()
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(slopes, logits.grad)
