import numpy as np
import pytest
import torch

from probing.probes import mix_choice
from probing.probes.mix_descent import find_waking, guess_evenly
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import draw_starts, explore
from probing.probes.scalar_mix import ScalarMixProbe
from probing.probes.stack_blocks import StackBlocks
from probing.store import mapped_arrays
from tests.helpers import draw_stack
from tests.probing.probes.test_mix_reference import fit_by_scipy


def draw_parts(seed=0, n=4600, hidden=6):
    """Layers 0 and 2 tell a part of the class each, layer 1 nothing."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    stack = generator.normal(size=(3, n, hidden)).astype(np.float32)
    stack[0, :, 0] += 0.9 * (2 * labels - 1)
    stack[2, :, 1] += 0.6 * (2 * labels - 1)
    return stack, labels


def problem_of(stack, labels, strengths=(0.01,)):
    return MixProblem(StackBlocks(stack), torch.from_numpy(labels), strengths)


def fit(stack, labels, **options):
    return ScalarMixProbe(strengths=(0.1, 0.01, 1e-3), **options).fit(stack, labels, stack[:, :500], labels[:500])


@pytest.mark.slow
def test_a_minimum_found_on_some_sentences_is_the_one_of_full_passes(monkeypatch):
    stack, labels = draw_parts()
    drawn = []
    draw = mix_choice.draw_some
    monkeypatch.setattr(mix_choice, "draw_some", lambda *given: drawn.append(draw(*given)) or drawn[-1])
    some = fit(stack, labels)
    assert len(drawn[0].labels) == 1500
    monkeypatch.setattr(mix_choice, "draw_some", lambda problem, seed: None)
    every = fit(stack, labels)
    assert (some.converged_, some.strength_, some.n_minima_) == (True, every.strength_, every.n_minima_)
    assert some.loss_ == pytest.approx(every.loss_, rel=1e-5)
    np.testing.assert_allclose(some.weights_, every.weights_, atol=5e-3)
    loss, weights = fit_by_scipy(stack, labels, some.strength_)
    assert some.loss_ == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(some.weights_, weights, atol=0.01)


def test_where_the_sentences_drawn_mislead_the_end_is_a_minimum_of_all_sentences(monkeypatch):
    """Of those drawn, layer 1 alone tells the class; of all, layers 0 and 2."""
    stack, labels = draw_parts()
    rows = np.arange(300)
    stack[:, rows] = np.random.default_rng(1).normal(size=(3, 300, 6))
    stack[1, rows, 3] += 2 * (2 * labels[rows] - 1)
    found = explore(problem_of(stack, labels).on_some(rows), start(stack, labels), 3e-3, 20)
    assert found.mixes[0].argmax() == 1
    assert float(found.mixes[0, 1]) > 0.9
    monkeypatch.setattr(mix_choice, "draw_some", lambda problem, seed: problem.on_some(rows))
    probe = fit(stack, labels)
    loss, weights = fit_by_scipy(stack, labels, probe.strength_)
    assert probe.converged_
    assert probe.loss_ == pytest.approx(loss, rel=1e-3)
    np.testing.assert_allclose(probe.weights_, weights, atol=0.02)
    assert weights.argmax() == 0


def start(stack, labels):
    return guess_evenly(problem_of(stack, labels), 0, torch.from_numpy(draw_starts(0, 3)).float())


def test_exploring_ends_in_the_minima_that_are_found_in_directions_of_their_own():
    stack, labels = draw_parts(n=1500)
    problem = problem_of(stack, labels)
    found = explore(problem, start(stack, labels), 1e-4, 300)
    loss, weights = fit_by_scipy(stack, labels, 0.01)
    assert float(found.losses[0]) == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(found.mixes[0].numpy(), weights, atol=0.01)
    assert not bool(find_waking(problem, found, torch.full_like(found.losses, 1e-4)).any())


def draw_labels(stack, labels, seed):
    some = mix_choice.draw_some(problem_of(stack, labels), seed)
    assert some is not None
    return some.labels


def test_some_sentences_are_drawn_where_they_are_many_and_have_every_class():
    stack, labels = draw_parts()
    some, again, other = (draw_labels(stack, labels, seed) for seed in (0, 0, 1))
    assert len(some) == 1500
    assert torch.equal(some, again)
    assert not torch.equal(some, other)
    assert mix_choice.draw_some(problem_of(stack[:, :4400], labels[:4400]), 0) is None
    # One sentence of a third class may not be among those drawn, and no class may be left out in silence.
    rare = [
        mix_choice.draw_some(problem_of(stack, np.where(np.arange(len(labels)) == row, 2, labels)), 0)
        for row in range(8)
    ]
    assert any(one is None for one in rare)
    assert all(one is None or bool((one.labels == 2).any()) for one in rare)


def test_of_a_mapped_stack_some_are_drawn_where_they_are_a_small_part(tmp_path, monkeypatch):
    stack, labels = draw_parts(n=18_500)
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", 0)
    mapped = mapped_arrays.allocate(stack.shape, tmp_path)
    mapped[:] = stack
    one, other = (mix_choice.draw_some(problem_of(X, labels), 0) for X in (stack, mapped))
    assert one is not None
    assert other is not None
    for (_, block), (_, again) in zip(one.vectors.read(1500), other.vectors.read(1500), strict=True):
        assert torch.equal(block, again)
    assert mix_choice.draw_some(problem_of(mapped[:, :17_000], labels[:17_000]), 0) is None


def test_losses_of_some_sentences_are_brought_to_the_deviations_of_all():
    stack, labels = draw_stack(n=300)
    whole, rows = problem_of(stack, labels), np.arange(0, 300, 3)
    some = whole.on_some(rows)
    mixes, weights = torch.tensor([[0.5, 0.3, 0.2]]), 0.1 * torch.ones(1, whole.n_classes, stack.shape[2])
    weights[:, 0] *= -1
    numbers, intercepts = torch.zeros(1, dtype=torch.long), torch.zeros(1, whole.n_classes)
    some.loss.prepare(1e-3)
    measured = some.measure(numbers, mixes, weights, intercepts)
    mixed = np.tensordot(mixes[0].numpy(), stack.astype(float), axes=1)
    scaled = (mixed[rows] - mixed[rows].mean(axis=0)) / mixed.std(axis=0)
    logits = scaled @ weights[0].double().numpy().T
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(rows)), labels[rows]]
    expected = losses.mean() + 0.005 * float(weights.square().sum())
    assert float(measured[0]) == pytest.approx(expected, rel=1e-5)
