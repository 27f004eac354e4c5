"""What every metric must hold to, whoever wrote it; ours equal the reference implementations, on each weighting."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from probing.contracts.metric import Metric
from probing.randomness import stream
from probing.registry import METRICS
from probing.scores.uncertainty import score_with_interval

REFERENCES: dict[str, Callable] = {
    "accuracy": lambda labels, predicted, weights: accuracy_score(labels, predicted, sample_weight=weights),
    "f1": lambda labels, predicted, weights: f1_score(labels, predicted, sample_weight=weights),
    "matthews": lambda labels, predicted, weights: matthews_corrcoef(labels, predicted, sample_weight=weights),
    # scipy takes no weights: the sentences are repeated instead
    "pearson": lambda labels, predicted, n: pearsonr(np.repeat(labels, n), np.repeat(predicted, n)).statistic,
    "spearman": lambda labels, predicted, n: spearmanr(np.repeat(labels, n), np.repeat(predicted, n)).statistic,
}
GRADED = ("pearson", "spearman")


def draw_pairs(metric: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs and twenty weightings of them, some pairs left out."""
    rng = np.random.default_rng(seed)
    if metric in GRADED:
        labels = rng.integers(0, 26, size=60) / 5
        predicted = np.round(labels + rng.normal(size=60), 1)
    else:
        labels, predicted = np.divmod(np.arange(4 if metric == "f1" else 16), 2 if metric == "f1" else 4)
    counts = rng.integers(0, 9, size=(20, len(labels)))
    counts[:, 0] += 1
    counts[:, -1] += 1
    return labels, predicted, counts


@pytest.fixture(params=METRICS.names())
def any_metric(request: pytest.FixtureRequest) -> Metric:
    return METRICS.load(request.param)


def draw_binary(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and predictions of two classes, which are scores as well, and five weightings of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=n)
    predicted = np.where(rng.random(n) < 0.8, labels, 1 - labels)
    return labels, predicted, rng.integers(0, 4, size=(5, n)) + (np.arange(n) < 4)


def test_a_metric_gives_a_number_for_each_weighting(any_metric: Metric) -> None:
    values = any_metric(*draw_binary())
    assert values.shape == (5,)
    assert values.dtype.kind == "f"
    assert np.isfinite(values).all()
    assert len(set(values.tolist())) > 1


def test_a_count_is_so_many_repetitions(any_metric: Metric) -> None:
    labels, predicted, counts = draw_binary()
    for weights, value in zip(counts, any_metric(labels, predicted, counts), strict=True):
        rows = np.repeat(np.arange(len(labels)), weights)
        alone = any_metric(labels[rows], predicted[rows], np.ones((1, len(rows)), dtype=int))
        # float64 sums in another order
        assert alone[0] == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_order_of_the_pairs_is_irrelevant(any_metric: Metric) -> None:
    labels, predicted, counts = draw_binary()
    order = np.random.default_rng(1).permutation(len(labels))
    other = any_metric(labels[order], predicted[order], counts[:, order])
    np.testing.assert_allclose(other, any_metric(labels, predicted, counts), rtol=1e-9, atol=1e-12)


def test_nothing_is_better_than_to_be_right(any_metric: Metric) -> None:
    labels, _, counts = draw_binary()
    best = any_metric(labels, labels, counts)
    for seed in range(5):
        assert (any_metric(labels, np.random.default_rng(seed).permutation(labels), counts) < best).all()


def test_where_a_metric_is_undefined_it_is_finite_all_the_same(any_metric: Metric) -> None:
    for label, answer in ((0, 0), (0, 1), (1, 0), (1, 1)):
        alike = np.full(6, label), np.full(6, answer), np.ones((1, 6), dtype=int)
        assert np.isfinite(any_metric(*alike)).all()


def test_a_metric_changes_nothing_that_it_is_given(any_metric: Metric) -> None:
    given, again = draw_binary(), draw_binary()
    any_metric(*given)
    for one, other in zip(given, again, strict=True):
        assert np.array_equal(one, other)


def test_every_metric_of_ours_has_a_reference() -> None:
    assert set(REFERENCES) == set(METRICS.own)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("metric", REFERENCES)
def test_a_metric_equals_its_reference_on_every_weighting(metric: str, seed: int) -> None:
    labels, predicted, counts = draw_pairs(metric, seed)
    expected = [REFERENCES[metric](labels, predicted, weights) for weights in counts]
    # float64 sums over at most some hundred terms
    np.testing.assert_allclose(METRICS.load(metric)(labels, predicted, counts), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("metric", ["f1", "matthews", "pearson", "spearman"])
def test_predictions_that_are_all_alike_score_nothing(metric: str) -> None:
    labels = np.array([0, 1, 1, 0]) if metric not in GRADED else np.array([0.1, 2.5, 4.0, 5.0])
    predicted = np.zeros(4, dtype=int) if metric not in GRADED else np.full(4, 0.1 + 0.2)
    assert METRICS.load(metric)(labels, predicted, np.ones((1, 4), dtype=int)) == [0]


@pytest.mark.parametrize("metric", REFERENCES)
def test_perfect_predictions_score_one(metric: str) -> None:
    labels = np.array([0, 1, 1, 0, 1])
    assert METRICS.load(metric)(labels, labels, np.ones((1, 5), dtype=int))[0] == pytest.approx(1)


@pytest.mark.parametrize("metric", REFERENCES)
def test_the_interval_is_that_of_resampled_sentences(metric: str) -> None:
    """Against a plain bootstrap that draws sentences and calls the reference on them."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, size=150)
    predicted = np.where(rng.random(150) < 0.8, labels, 1 - labels)
    if metric in GRADED:
        labels, predicted = labels + rng.random(150), predicted + rng.random(150)
    value, low, high = score_with_interval(metric, labels, predicted, stream(0, "test"))
    draws = [rng.integers(0, 150, size=150) for _ in range(400)]
    plain = [REFERENCES[metric](labels[rows], predicted[rows], np.ones(150, dtype=int)) for rows in draws]
    assert value == pytest.approx(REFERENCES[metric](labels, predicted, np.ones(150, dtype=int)))
    # a quantile at 2.5 % of 400 draws has a standard error of about 0.13 standard deviations; four of them. An accuracy
    # has Wilson's interval, which at 150 sentences is the bootstrap's to a quarter of a standard deviation.
    np.testing.assert_allclose([low, high], np.quantile(plain, [0.025, 0.975]), atol=0.6 * np.std(plain))
