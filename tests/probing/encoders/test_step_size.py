"""Quantisation with a step: against numpy by hand, and its gradients against finite differences."""

import numpy as np
import pytest
import torch

from probing.encoders.step_size import FixedStep, choose_step, count_levels, encode, quantise

BITS = (2, 3, 4, 5, 6, 7, 8)
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(6, 50)) * np.geomspace(0.1, 3, 6)[:, None]


def quantise_by_hand(values, step, levels):
    return step * np.rint(np.clip(values / step, -levels, levels))


def differentiate(values, step, levels, weights, *, clips=True, scale=1.0):
    """Gradients of sum(weights * q(values)) for values and step, by autograd in float64."""
    x, s = torch.tensor(values, requires_grad=True), torch.tensor(step, requires_grad=True)
    (quantise(x, s, levels, scale=scale, clips=clips) * torch.tensor(weights)).sum().backward()
    return x.grad.numpy(), s.grad.numpy()


@pytest.mark.parametrize("bits", BITS)
def test_values_are_those_of_numpy_and_no_more_than_the_levels(bits):
    levels = 2 ** (bits - 1) - 1
    assert count_levels(bits) == levels
    found = quantise(torch.tensor(VALUES, dtype=torch.float32), torch.tensor(0.3), levels).numpy()
    wanted = quantise_by_hand(VALUES.astype(np.float32), np.float32(0.3), levels)
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(found)) <= 2 * levels + 1


def test_two_bits_are_ternary_and_use_all_three_values():
    codes = encode(torch.tensor(VALUES), torch.tensor(0.5), count_levels(2))
    assert sorted(codes.unique().tolist()) == [-1, 0, 1]


@pytest.mark.parametrize("shape", [(), (1, 1), (6, 1)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_gradient_of_a_step_is_that_of_the_smoothed_function_by_finite_differences(bits, shape):
    """Straight through: each rounding is a shift that stays while the step moves, so that q is smooth in it."""
    levels, weights = count_levels(bits), RNG.normal(size=VALUES.shape)
    step = np.full(shape, 0.6 / levels)

    ratio = VALUES / step
    shift = np.rint(ratio) - ratio

    def smoothed(s):
        moved = np.where(np.abs(ratio) <= levels, VALUES / s + shift, np.sign(ratio) * levels)
        return weights * s * moved

    _, found = differentiate(VALUES, step, levels, weights)
    h = 1e-6 * 0.6 / levels
    rows = (smoothed(step + h) - smoothed(step - h)) / (2 * h)
    wanted = rows.sum() if found.size == 1 else rows.sum(axis=1, keepdims=True)
    # Central differences lose about half of float64's digits; codes and gradients are rounded to float32.
    np.testing.assert_allclose(found, np.reshape(wanted, shape), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gradients_are_lsqs_written_out_and_have_its_scale(bits):
    levels, step, weights = count_levels(bits), 0.9 / count_levels(bits), RNG.normal(size=VALUES.shape)
    ratio = VALUES / step
    inside = np.abs(ratio) <= levels
    assert 0.2 < inside.mean() < 0.98
    slope = np.where(inside, np.rint(ratio) - ratio, np.sign(ratio) * levels)
    to_values, to_step = differentiate(VALUES, step, levels, weights)
    np.testing.assert_allclose(to_step, (weights * slope).sum(), rtol=1e-5)
    np.testing.assert_allclose(to_values, weights * inside, rtol=1e-6)
    _, scaled = differentiate(VALUES, step, levels, weights, scale=1 / np.sqrt(VALUES.size * levels))
    np.testing.assert_allclose(scaled, to_step / np.sqrt(VALUES.size * levels), rtol=1e-6)
    free, _ = differentiate(VALUES, step, levels, weights, clips=False)
    np.testing.assert_allclose(free, weights, rtol=1e-6)


def test_the_range_that_kdlsq_learns_has_the_gradient_that_the_step_has():
    """The authors' dq/dalpha = sign(x) outside, (q - x) / alpha inside, with alpha = s n: n times it is dq/ds."""
    levels, step = count_levels(4), 0.1
    alpha = step * levels
    q = quantise_by_hand(VALUES, step, levels)
    theirs = np.where(np.abs(VALUES / alpha) > 1, np.sign(VALUES), (q - VALUES) / alpha).sum()
    _, ours = differentiate(VALUES, step, levels, np.ones_like(VALUES))
    np.testing.assert_allclose(ours, theirs * levels, rtol=1e-5)


def test_bfloat16_is_computed_in_float32_and_given_back_as_it_came():
    values = torch.tensor(VALUES).bfloat16()
    found = quantise(values, torch.tensor(0.01), count_levels(8))
    assert found.dtype == torch.bfloat16
    wanted = quantise_by_hand(values.float().numpy(), np.float32(0.01), 127)
    np.testing.assert_array_equal(found.float().numpy(), torch.tensor(wanted).bfloat16().float().numpy())


@pytest.mark.parametrize("bits", BITS)
def test_first_steps_are_the_rules(bits):
    values, levels = torch.tensor(VALUES, dtype=torch.float32), count_levels(bits)
    size = np.abs(VALUES)
    largest = size.max(axis=1, keepdims=True) / levels
    np.testing.assert_allclose(choose_step(values, levels, "largest"), largest, rtol=1e-6)
    wanted = 2 * size.mean(axis=1, keepdims=True) / np.sqrt(levels)
    np.testing.assert_allclose(choose_step(values, levels, "lsq"), wanted, rtol=1e-6)
    step = choose_step(values, levels, "error").numpy()

    def errors(s):
        return ((quantise_by_hand(VALUES, s, levels) - VALUES) ** 2).sum(axis=1)

    grid = [errors(largest * share) for share in np.arange(1, 51) / 50]
    np.testing.assert_allclose(errors(step), np.min(grid, axis=0), rtol=1e-4)
    # Few levels are worth a clipped range: there the rule must differ from the largest value's.
    assert bits > 4 or errors(step).sum() < 0.95 * errors(largest).sum()


def test_zeros_alone_have_a_step_and_stay_zeros():
    values = torch.zeros(2, 5)
    for rule in ("error", "lsq", "largest"):
        step = choose_step(values, 1, rule)
        assert (step > 0).all()
        assert torch.equal(quantise(values, step, 1), values)


def test_a_fixed_step_keeps_its_levels_in_the_state():
    one, other = FixedStep(4, torch.tensor([0.5])), FixedStep(8, torch.tensor([0.5]))
    assert one.state_dict()["levels"].item() == 7
    assert other.state_dict()["levels"].item() == 127
    np.testing.assert_array_equal(one(torch.tensor([9.0, -0.6])), [3.5, -0.5])


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_values_and_gradients_are_those_of_torchaos_learned_steps(bits, per_row):
    """Theirs lets values pass that round to the last level, up to half a step beyond it: none of ours lie there.

    torchao is no development package: transformers imports it wherever it is, and its source warns (`-W ignore`).
    """
    learnable = pytest.importorskip("torchao.quantization.pt2e.learnable_fake_quantize")
    observers = pytest.importorskip("torchao.quantization.pt2e.observer")
    levels = count_levels(bits)
    step = np.geomspace(0.5, 1.5, 6)[:, None] / levels if per_row else np.array(0.9 / levels)
    ratio = VALUES / step
    values = np.where((np.abs(ratio) > levels) & (np.abs(ratio) <= levels + 0.5), 0.0, VALUES).astype(np.float32)
    kind = observers.PerChannelMinMaxObserver if per_row else observers.MinMaxObserver
    options = (
        {"ch_axis": 0, "qscheme": torch.per_channel_symmetric} if per_row else {"qscheme": torch.per_tensor_symmetric}
    )
    theirs = learnable.LearnableFakeQuantize(kind, -levels, levels, use_grad_scaling=True, dtype=torch.qint8, **options)
    weights, x = torch.tensor(RNG.normal(size=VALUES.shape)).float(), torch.tensor(values, requires_grad=True)
    theirs(x.detach())
    theirs.enable_range_learning()
    theirs.scale.data.copy_(torch.tensor(step).float().reshape(theirs.scale.shape))
    wanted = theirs(x)
    (wanted * weights).sum().backward()

    mine, own = torch.tensor(values, requires_grad=True), torch.tensor(step).float().requires_grad_()
    found = quantise(mine, own, levels, scale=(values.size * levels) ** -0.5)
    (found * weights).sum().backward()
    # Both are float32; theirs multiplies by 1 / s where ours divides, and sums in another order.
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(mine.grad, x.grad)
    torch.testing.assert_close(own.grad.flatten(), theirs.scale.grad.flatten(), rtol=1e-4, atol=1e-5)
    assert (own.grad.abs() > 1e-3).all()
