import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.linear_model import LogisticRegression

from probing.scores.leace import Moments, draw_eraser, fit_eraser

N, HIDDEN, CLASSES = 600, 12, 4
RNG = np.random.default_rng(5)
LABELS = RNG.choice(CLASSES, p=[0.4, 0.3, 0.2, 0.1], size=N)
ONE_HOT = np.eye(CLASSES)[LABELS]
VECTORS = (RNG.normal(size=(N, HIDDEN)) + 1.5 * ONE_HOT @ RNG.normal(size=(CLASSES, HIDDEN))) @ RNG.normal(
    size=(HIDDEN, HIDDEN)
) + 3


def gather(X=VECTORS, Z=ONE_HOT, weights=None):
    return Moments(X.shape[1], Z.shape[1]).add(X, Z, weights)


def class_means(X, labels=LABELS):
    return np.stack([X[labels == label].mean(axis=0) for label in np.unique(labels)])


def norm_of_change(X, erased, metric):
    change = erased - X
    return np.einsum("nh,hg,ng->", change, metric, change)


def test_the_means_of_all_classes_are_equal():
    erased = fit_eraser(gather())(VECTORS)
    assert np.ptp(class_means(VECTORS), axis=0).max() > 1
    assert np.ptp(class_means(erased), axis=0).max() < 1e-8
    np.testing.assert_allclose(erased.mean(axis=0), VECTORS.mean(axis=0))


def test_a_linear_probe_is_at_the_majority():
    majority = np.bincount(LABELS).max() / N
    probe = LogisticRegression(C=1e6, max_iter=2000)
    assert probe.fit(VECTORS, LABELS).score(VECTORS, LABELS) > majority + 0.2
    erased = fit_eraser(gather())(VECTORS)
    assert probe.fit(erased, LABELS).score(erased, LABELS) == pytest.approx(majority)


def test_rank_is_that_of_the_cross_covariance():
    assert fit_eraser(gather()).rank == CLASSES - 1
    number = RNG.normal(size=(N, 1))
    assert fit_eraser(gather(Z=number)).rank == 1
    assert fit_eraser(gather(Z=np.ones((N, 1)))).rank == 0


def test_the_map_is_a_projection_and_a_second_time_changes_nothing():
    eraser = fit_eraser(gather())
    np.testing.assert_allclose(eraser.projection @ eraser.projection, eraser.projection, atol=1e-10)
    erased = eraser(VECTORS)
    np.testing.assert_allclose(eraser(erased), erased, atol=1e-9)


def test_it_is_the_published_formula():
    """By powers of matrices, where the implementation goes by eigenvalues of the correlations."""
    covariance, cross = np.cov(VECTORS.T, bias=True), (VECTORS - VECTORS.mean(axis=0)).T @ ONE_HOT / N
    whiten = fractional_matrix_power(covariance, -0.5)
    inner = whiten @ cross
    projection = np.linalg.inv(whiten) @ inner @ np.linalg.pinv(inner, rcond=1e-8) @ whiten
    np.testing.assert_allclose(fit_eraser(gather()).projection, projection, atol=1e-8)


@pytest.mark.parametrize("norm", ["euclidean", "covariance", "inverse covariance"])
def test_no_other_affine_guard_changes_the_vectors_less(norm):
    covariance = np.cov(VECTORS.T, bias=True)
    metric = {"euclidean": np.eye(HIDDEN), "covariance": covariance, "inverse covariance": np.linalg.inv(covariance)}
    mean, erased = VECTORS.mean(axis=0), fit_eraser(gather())(VECTORS)
    least = norm_of_change(VECTORS, erased, metric[norm])
    cross, rng = class_means(VECTORS) - mean, np.random.default_rng(0)
    # Any guard's linear part has the directions of the class means in its kernel.
    onto = np.linalg.pinv(cross) @ cross
    others = [np.eye(HIDDEN) - onto] + [
        erased_part @ (np.eye(HIDDEN) - onto) for erased_part in np.eye(HIDDEN) + 0.1 * rng.normal(size=(20, 12, 12))
    ]
    for other in others:
        guarded = mean + (VECTORS - mean) @ other.T
        assert np.ptp(class_means(guarded), axis=0).max() < 1e-8
        assert norm_of_change(VECTORS, guarded, metric[norm]) > least * 1.0001


def test_a_property_that_is_independent_stays_as_it_is():
    """Balanced within every class, and all else uncorrelated: its direction is none of the labels'."""
    labels = np.repeat(np.arange(2), 200)
    other = np.tile([-1.0, 1.0], 200)
    X = np.random.default_rng(1).normal(size=(400, 6))
    X -= class_means(X, 2 * labels + (other > 0))[2 * labels + (other > 0)]
    X = np.linalg.qr(X)[0] * 20
    X[:, 0] += labels
    X[:, 1] += other
    erased = fit_eraser(gather(X, np.eye(2)[labels]))(X)
    np.testing.assert_allclose(class_means(erased, other > 0), class_means(X, other > 0), atol=1e-10)
    assert np.ptp(class_means(erased, labels), axis=0).max() < 1e-10


@pytest.mark.parametrize("change", ["shift", "rotation", "scale"])
def test_it_follows_any_invertible_change_of_the_vectors(change):
    rng = np.random.default_rng(2)
    matrix = {
        "shift": np.eye(HIDDEN),
        "rotation": np.linalg.qr(rng.normal(size=(HIDDEN, HIDDEN)))[0],
        # As wide as an encoder's own: some of its units vary by 1e-9 of the others.
        "scale": np.diag(10.0 ** np.linspace(-9, 3, HIDDEN)),
    }[change]
    moved = fit_eraser(gather(VECTORS @ matrix + 7))(VECTORS @ matrix + 7)
    expected = fit_eraser(gather())(VECTORS) @ matrix + 7
    np.testing.assert_allclose((moved - 7) / np.diag(matrix) if change == "scale" else moved,
                               (expected - 7) / np.diag(matrix) if change == "scale" else expected,
                               rtol=1e-4, atol=1e-5)  # fmt: skip


def test_labels_may_be_renamed_and_measured_in_other_units():
    eraser = fit_eraser(gather())
    np.testing.assert_allclose(fit_eraser(gather(Z=ONE_HOT[:, ::-1])).projection, eraser.projection, atol=1e-10)
    np.testing.assert_allclose(fit_eraser(gather(Z=1e6 * ONE_HOT + 5)).projection, eraser.projection, atol=1e-8)


def test_dead_units_and_copies_do_no_harm():
    """With a constant unit and one that is twice another, the covariance has no inverse."""
    X = np.column_stack([VECTORS, np.full(N, 2.0), 2 * VECTORS[:, 0]]).astype(np.float32)
    eraser = fit_eraser(gather(X))
    erased = eraser(X.astype(np.float64))
    assert eraser.rank == CLASSES - 1
    assert np.abs(eraser.projection).max() < 1e3
    assert np.ptp(class_means(erased), axis=0).max() < 1e-8
    np.testing.assert_allclose(erased[:, :HIDDEN], fit_eraser(gather())(VECTORS), atol=1e-4)


def test_more_units_than_sentences():
    X = np.random.default_rng(3).normal(size=(30, 50))
    erased = fit_eraser(gather(X, ONE_HOT[:30]))(X)
    assert np.ptp(class_means(erased, LABELS[:30]), axis=0).max() < 1e-8


def test_blocks_add_up():
    moments = Moments(HIDDEN, CLASSES)
    for rows in np.array_split(np.arange(N), 7):
        moments.add(VECTORS[rows], ONE_HOT[rows])
    np.testing.assert_allclose(moments.covariance, np.cov(VECTORS.T, bias=True), atol=1e-9)
    np.testing.assert_allclose(fit_eraser(moments).projection, fit_eraser(gather()).projection, atol=1e-9)


def test_weights_count_as_copies_do():
    counts = RNG.integers(0, 4, size=N)
    copies = np.repeat(np.arange(N), counts)
    weighted, repeated = gather(weights=counts.astype(float)), gather(VECTORS[copies], ONE_HOT[copies])
    np.testing.assert_allclose(fit_eraser(weighted).projection, fit_eraser(repeated).projection, atol=1e-9)
    np.testing.assert_allclose(weighted.mean, repeated.mean)


def test_of_several_properties_side_by_side_each_has_its_own_eraser():
    other = np.eye(2)[RNG.integers(2, size=N)]
    both = gather(Z=np.column_stack([ONE_HOT, other]))
    first, second = slice(0, CLASSES), slice(CLASSES, CLASSES + 2)
    np.testing.assert_allclose(fit_eraser(both, first).projection, fit_eraser(gather()).projection, atol=1e-9)
    np.testing.assert_allclose(fit_eraser(both, second).projection, fit_eraser(gather(Z=other)).projection, atol=1e-9)


def test_far_from_zero_no_digits_are_lost():
    X = VECTORS + 1e6
    assert np.ptp(class_means(fit_eraser(gather(X))(X)), axis=0).max() < 1e-6


def test_a_random_subspace_takes_as_much_of_the_variance():
    """In the whitened space, in which each direction has variance 1: rank of it, whatever the directions."""
    moments = gather()
    inverse = np.linalg.inv(moments.covariance)
    for rank in (1, 3, HIDDEN + 4):
        eraser = draw_eraser(moments, rank, np.random.default_rng(rank))
        assert eraser.rank == min(rank, HIDDEN)
        np.testing.assert_allclose(eraser.projection @ eraser.projection, eraser.projection, atol=1e-8)
        taken = norm_of_change(VECTORS, eraser(VECTORS), inverse) / N
        assert taken == pytest.approx(eraser.rank)
    leace = fit_eraser(moments)
    assert norm_of_change(VECTORS, leace(VECTORS), inverse) / N == pytest.approx(leace.rank)


def test_a_random_subspace_leaves_the_classes_apart():
    wide = np.random.default_rng(0).normal(size=(N, 60))
    wide[:, :CLASSES] += 3 * ONE_HOT
    moments = gather(wide)
    kept = np.ptp(class_means(draw_eraser(moments, 3, np.random.default_rng(1))(wide)), axis=0).max()
    assert kept > 0.7 * np.ptp(class_means(wide), axis=0).max()


def test_single_precision_stays_single():
    X = VECTORS.astype(np.float32)
    assert fit_eraser(gather(X))(X).dtype == np.float32


def test_it_is_what_the_authors_package_computes():
    """`pip install concept-erasure`, in float64, without its shrinkage and its tolerance of .01 for singular values."""
    package, torch = pytest.importorskip("concept_erasure"), pytest.importorskip("torch")
    X, Z = torch.from_numpy(VECTORS), torch.from_numpy(ONE_HOT)
    theirs = package.LeaceFitter.fit(X, Z, svd_tol=1e-8, shrinkage=False).eraser(X).numpy()
    np.testing.assert_allclose(fit_eraser(gather())(VECTORS), theirs, atol=1e-8)
