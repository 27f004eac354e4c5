import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import bootstrap
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from probing.cells.code_length import code_sentences
from probing.probes.online import fit_layers, predict_onwards
from probing.probes.selection import STRENGTHS
from probing.scores.codelength import PORTIONS, cut_portions, find_gravity, measure_code, mix_codes, smooth
from tests.helpers import draw_stack


def test_portions_are_those_of_the_paper():
    assert cut_portions(100_000) == [100, 200, 400, 800, 1600, 3200, 6250, 12500, 25000, 50000, 100000]
    assert len(PORTIONS) == 11


def test_small_data_have_fewer_portions_and_all_their_sentences():
    assert cut_portions(40) == [1, 2, 5, 10, 20, 40]
    assert cut_portions(1) == [1]


def test_without_a_probe_smoothing_gives_the_uniform_code():
    bits = mix_codes(smooth(np.full((1, 4, 7), -np.inf), np.zeros(7, dtype=int), 5))
    assert bits == pytest.approx(np.full((1, 7), math.log2(5)))


def test_sentence_by_sentence_the_code_of_counts_is_that_of_krichevsky_and_trofimov():
    """Whose length has a closed form: the Dirichlet-multinomial with all parameters 1/2."""
    labels = np.random.default_rng(0).choice(3, size=200, p=[0.6, 0.3, 0.1])
    seen = np.arange(200)
    counts = np.array([np.bincount(labels[:n], minlength=3)[label] for n, label in enumerate(labels)])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(seen > 0, np.log(counts / seen), -np.inf)
    found = mix_codes(smooth(shares[None, None], seen, 3)).sum()
    totals = np.bincount(labels, minlength=3)
    closed = gammaln(1.5) - gammaln(201.5) + (gammaln(totals + 0.5) - gammaln(0.5)).sum()
    assert found == pytest.approx(-closed / math.log(2))


def test_vectors_that_say_nothing_cost_the_code_of_the_counts():
    """The probe on constant vectors gives the shares of the portion before, which is known in closed form."""
    labels = np.random.default_rng(1).choice(3, size=320, p=[0.5, 0.3, 0.2])
    found = code_sentences(np.ones((1, 320, 4), np.float32), labels, 3, by_layer=True).sum()
    cuts = cut_portions(320)
    expected = cuts[0] * math.log2(3)
    for start, stop in pairwise(cuts):
        counts = np.bincount(labels[:start], minlength=3)
        expected -= np.log2((counts[labels[start:stop]] + 0.5) / (start + 1.5)).sum()
    # The fit stops at 3e-3 of its first gradient.
    assert found == pytest.approx(expected, rel=2e-3)


def test_each_portion_is_scikit_learns_log_loss():
    stack, labels = draw_stack(n_layers=1, n=160, hidden=4, n_classes=3, seed=2)
    stack, labels = stack.astype(np.float32), np.concatenate([[0, 1, 2], labels[3:]])
    cuts = [40, 80, 160]
    found = predict_onwards(fit_layers, stack, labels, cuts)[0]
    start = 0
    for end, stop in pairwise(cuts):
        mean, scale = stack[0, :end].mean(axis=0), stack[0, :end].std(axis=0)
        scaled = (stack[0] - mean) / scale
        for number, strength in ((0, STRENGTHS[0]), (2, STRENGTHS[2])):
            probe = LogisticRegression(C=1 / (strength * end), tol=1e-8, max_iter=5000).fit(scaled[:end], labels[:end])
            expected = log_loss(labels[end:stop], probe.predict_proba(scaled[end:stop]), labels=range(3))
            ours = -found[number, start : start + stop - end].mean()
            # 3e-3 of the first gradient is left.
            assert ours == pytest.approx(expected, rel=5e-3)
        start += stop - end


def test_the_mixture_costs_no_more_than_the_best_code_and_the_choice_of_it():
    rng = np.random.default_rng(0)
    given = np.log(rng.uniform(0.05, 0.95, size=(2, 8, 300)))
    totals = mix_codes(given).sum(axis=1)
    best = -given.sum(axis=2).max(axis=1) / math.log(2)
    assert ((totals >= best - 1e-9 - 3) & (totals <= best + math.log2(8) + 1e-9)).all()
    even = -np.logaddexp.reduce(given.sum(axis=2), axis=1) / math.log(2) + 3
    assert totals == pytest.approx(even)


def test_a_signal_compresses_and_noise_does_not():
    stack, labels = draw_stack(n_layers=2, n=400, hidden=4, n_classes=4, signal=4.0, seed=1)
    stack[1] = np.random.default_rng(3).normal(size=stack[1].shape)
    bits = code_sentences(stack, labels, 4, by_layer=True).sum(axis=1)
    compression = 400 * 2 / bits
    assert compression[0] > 2
    # Noise costs the price of learning that it is noise.
    assert 0.8 < compression[1] < 1.02


def test_the_mix_is_coded_by_itself():
    stack, labels = draw_stack(n_layers=3, n=120, hidden=4, n_classes=2, signal=4.0)
    bits = code_sentences(stack, labels, 2, by_layer=False)
    assert bits.shape == (1, 120)
    assert bits.sum() < 120


def test_a_class_that_turns_up_late_costs_finitely_many_bits():
    stack, labels = draw_stack(n_layers=1, n=64, hidden=3, n_classes=2)
    labels[:40], labels[-1] = labels[:40] % 2, 2
    bits = code_sentences(stack, labels, 3, by_layer=True)
    assert np.isfinite(bits).all()
    assert bits[0, -1] > math.log2(32)


def test_intervals_are_those_of_scipys_bootstrap():
    rng = np.random.default_rng(0)
    bits = rng.exponential(size=(1, 200))
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=4000).astype(float)
    lengths = np.quantile(measure_code(bits, counts, 4)["compression"][0], [0.025, 0.975])
    theirs = bootstrap(
        (bits[0],), lambda sample, axis: 2 / sample.mean(axis=axis), n_resamples=4000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # Both have 4,000 samples, whose 2.5 % quantiles are within .2 standard errors of theirs.
    assert lengths == pytest.approx(list(theirs), abs=0.2 * 2 / bits.mean() * bits.std() / bits.mean() / 200**0.5 * 2)


def test_the_centre_of_gravity_by_hand():
    compression = np.array([[1.0, 2.0], [1.0, 0.0], [2.0, 2.0]])
    assert find_gravity(compression, [0, 1, 4]) == pytest.approx([(1 + 8) / 4, 8 / 4])
