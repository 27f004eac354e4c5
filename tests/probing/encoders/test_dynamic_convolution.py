"""The convolution against its definition, written out in numpy token by token and tap by tap."""

import numpy as np
import pytest
import torch

from probing.encoders.dynamic_convolution import DynamicConvolution, convolve

HIDDEN, HEADS, TAPS = 6, 2, 5


def draw(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def sum_over_taps(values, kernels):
    """o_t = sum_j K_t[j] v_{t + j - (k-1)/2}, nothing outside the text."""
    n_texts, n_tokens, hidden = values.shape
    n_heads, n_taps = kernels.shape[2:]
    share, out = hidden // n_heads, np.zeros_like(values)
    for text in range(n_texts):
        for token in range(n_tokens):
            for tap in range(n_taps):
                other = token + tap - (n_taps - 1) // 2
                if 0 <= other < n_tokens:
                    for place in range(hidden):
                        out[text, token, place] += (
                            kernels[text, token, place // share, tap] * values[text, other, place]
                        )
    return out


@pytest.mark.parametrize("n_tokens", [1, 3, 31, 32, 33, 70])
def test_blocks_of_bands_are_the_sum_over_taps(n_tokens):
    values, kernels = draw(2, n_tokens, HIDDEN), draw(2, n_tokens, HEADS, TAPS, seed=1)
    expected = sum_over_taps(values.numpy(), kernels.numpy())
    np.testing.assert_allclose(convolve(values, kernels).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_the_whole_is_what_its_equations_say():
    """One linear map after the other, as the authors' code has them; ours multiplies the maps first."""
    layer = DynamicConvolution(HIDDEN, HEADS, TAPS).double()
    states = draw(2, 7, HIDDEN)
    part = {name: tensor.detach().numpy() for name, tensor in layer.named_parameters()}
    x = states.numpy()
    gate = 1 / (1 + np.exp(-(x @ part["gate.weight"].T + part["gate.bias"])))
    values = (x @ part["linear.weight"].T + part["linear.bias"]) * gate
    fixed = np.broadcast_to(part["depthwise.weight"][:, 0], (*values.shape[:2], HIDDEN, TAPS))
    separable = sum_over_taps(values, fixed) @ part["pointwise.weight"].T + part["pointwise.bias"]
    logits = (separable @ part["kernel.weight"].T + part["kernel.bias"]).reshape(2, 7, HEADS, TAPS)
    kernels = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = sum_over_taps(values, kernels)
    np.testing.assert_allclose(layer(states, None).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_its_gradient_is_that_of_small_steps():
    layer = DynamicConvolution(HIDDEN, HEADS, TAPS).double()
    inputs = (draw(1, 4, HIDDEN).requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(lambda states, *_: layer(states, None), inputs)


def test_padding_has_no_part_in_it_unless_it_is_let_in():
    layer = DynamicConvolution(HIDDEN, HEADS, TAPS).double()
    states = draw(1, 9, HIDDEN)
    present = (torch.arange(9) < 6).double()[None, :, None]
    alone = layer(states[:, :6], None)
    torch.testing.assert_close(layer(states, present)[:, :6], alone)
    seen = (layer(states, None)[:, :6] - alone).abs().amax(dim=(0, 2))
    # A value reads 2 taps further and its kernel 2 more: tokens 4 and 5 by the sum, 4 and 5 by the kernel.
    assert bool((seen[:4] < 1e-15).all())  # sums in another order
    assert bool((seen[4:] > 1e-3).all())
