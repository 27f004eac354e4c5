import numpy as np
import pytest
import torch

from probing.scalar_mix import ScalarMix, drop_layers, mix_layers


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_mix_is_the_weighted_sum_over_layers():
    stack, weights = draw(3, 4, 5).numpy(), np.array([0.2, 0.5, 0.3], dtype=np.float32)
    expected = sum(weight * layer for weight, layer in zip(weights, stack, strict=True))
    found = mix_layers(torch.from_numpy(stack), torch.from_numpy(weights))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)  # float32 sums of three


def test_several_mixes_at_once_are_those_mixes_one_by_one():
    stack, weights = draw(3, 4, 5), draw(2, 3, seed=1)
    together = mix_layers(stack, weights)
    assert together.shape == (2, 4, 5)
    for number in range(2):
        torch.testing.assert_close(together[number], mix_layers(stack, weights[number]))


def test_starts_as_the_plain_average():
    stack = draw(4, 2, 3, 5)
    torch.testing.assert_close(ScalarMix(4)(stack), stack.mean(dim=0))


def test_formula_against_numpy():
    mix, stack = ScalarMix(3), draw(3, 2, 5)
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([0.3, -1.2, 2.0]))
        mix.gamma.fill_(1.7)
    raised = np.exp([0.3, -1.2, 2.0])
    expected = 1.7 * np.tensordot(raised / raised.sum(), stack.numpy(), axes=1)
    np.testing.assert_allclose(mix(stack).detach().numpy(), expected, rtol=1e-5, atol=1e-6)  # float32


def test_weights_sum_to_one_and_no_constant_in_the_logits_matters():
    mix = ScalarMix(3)
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([0.3, -1.2, 2.0]))
    before = mix.weights.detach().clone()
    with torch.no_grad():
        mix.logits.add_(5)
    assert float(before.sum()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(mix.weights.detach(), before)


def test_gamma_is_learned_only_where_asked_for():
    for scale in (True, False):
        mix = ScalarMix(2, scale=scale)
        mix(draw(2, 3, 4)).square().sum().backward()
        assert (mix.gamma.grad is not None) == scale
        assert mix.logits.grad is not None


def test_norm_gives_every_token_mean_zero_and_variance_one_before_mixing():
    mix, stack = ScalarMix(2, norm=True), 5 * draw(2, 3, 4, 6) + 2
    values = stack.numpy()
    # The formula by hand; 1e-5 under the root is torch's guard against tokens that are constant.
    normed = (values - values.mean(-1, keepdims=True)) / np.sqrt(values.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(mix(stack).detach().numpy(), normed.mean(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", [False, True])
def test_no_token_moves_with_its_batch_mates(norm):
    mix, stack = ScalarMix(2, norm=norm), draw(2, 3, 4, 6)
    changed = stack.clone()
    changed[:, 1:] = 100 * draw(2, 2, 4, 6, seed=1)
    assert torch.equal(mix(stack)[0], mix(changed)[0])
    assert not torch.equal(mix(stack)[1], mix(changed)[1])


def test_norm_makes_the_size_of_a_layer_irrelevant_and_without_it_the_size_counts():
    stack = draw(2, 3, 4, 6)
    scaled = stack * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1)
    # 1e-5 under the root is not scaled along.
    torch.testing.assert_close(ScalarMix(2, norm=True)(scaled), ScalarMix(2, norm=True)(stack), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(ScalarMix(2)(scaled), ScalarMix(2)(stack), rtol=1e-1, atol=1e-1)


def test_input_is_not_changed():
    stack = draw(2, 3, 4)
    before = stack.clone()
    ScalarMix(2, norm=True, dropout=0.5).train()(stack)
    assert torch.equal(stack, before)


def test_layers_are_dropped_in_training_only():
    mix, stack = ScalarMix(4, dropout=0.5), draw(4, 2, 5)
    outputs = {tuple(mix.train()(stack).detach().flatten().tolist()) for _ in range(30)}
    assert len(outputs) > 1
    torch.testing.assert_close(mix.eval()(stack), stack.mean(dim=0))


def test_never_all_layers_are_dropped_and_the_rest_share_the_weight():
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([0.0, 1.0, 2.0])
    drawn = torch.stack([drop_layers(logits, 0.9, generator) for _ in range(500)])
    weights = drawn.softmax(dim=1)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(500))
    kept = torch.isfinite(drawn)
    # All three are dropped with probability .729, and then none is: 500 draws put that share within .08 (4 sd).
    assert float((kept.sum(dim=1) == 3).float().mean()) == pytest.approx(0.9**3 + 0.1**3, abs=0.08)
    assert bool((weights[~kept] == 0).all())


def test_gradient_by_a_layer_weight_is_its_closed_form():
    """dL/dw_l = gamma s_l <dL/dh_mix, h_l - sum_k s_k h_k>, against autograd in float64."""
    mix, stack = ScalarMix(4).double(), draw(4, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        mix.logits.copy_(draw(4, seed=1, dtype=torch.float64))
        mix.gamma.fill_(1.3)
    mixed = mix(stack)
    mixed.retain_grad()
    (mixed.tanh() * draw(3, 5, seed=2, dtype=torch.float64)).sum().backward()
    shares = mix.weights.detach()
    plain = mix_layers(stack, shares)
    expected = [1.3 * s * float((mixed.grad * (layer - plain)).sum()) for s, layer in zip(shares, stack, strict=True)]
    np.testing.assert_allclose(mix.logits.grad.numpy(), expected, rtol=1e-10, atol=1e-12)
    assert float(mix.gamma.grad) == pytest.approx(float((mixed.grad * plain).sum()), rel=1e-10)


def test_mixes_in_the_number_format_of_the_states():
    assert ScalarMix(2)(draw(2, 3, 4).bfloat16()).dtype == torch.bfloat16
