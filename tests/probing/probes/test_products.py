import pytest
import torch

from probing.probes.products import has_short_products, short_products, split_in_two


def draw(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_two_short_numbers_hold_sixteen_bits():
    matrix = draw(50, 40)
    high, low = split_in_two(matrix)
    assert torch.equal(high, high.bfloat16().float())
    assert torch.equal(high + low, matrix)
    left = (low - low.bfloat16().float()).abs()
    # bfloat16 rounds to 2^-9 of a number, twice over.
    assert bool((left <= 2.0**-17 * matrix.abs()).all())


def test_a_split_product_of_rounded_vectors_is_nearly_that_in_float64():
    """The weights' rounding is gone, and the vectors' alone is left."""
    weights, vectors = draw(30, 384), draw(200, 384, seed=1).bfloat16().float()
    exact = weights.double() @ vectors.double().T
    with short_products():
        once = weights @ vectors.T
        twice = sum(part @ vectors.T for part in split_in_two(weights))
    # Sums of 384 products of size 1: 20 * 2^-17 = 1.5e-4 of rounding at worst, against 20 * 2^-9 = 4e-2.
    assert (twice - exact).abs().max() < 1e-3
    if has_short_products(torch.device("cpu")):
        assert (once - exact).abs().max() > 1e-2


def test_products_are_exact_again_afterwards_whatever_happens():
    weights, vectors = draw(30, 384), draw(200, 384, seed=1)
    before = weights @ vectors.T
    with pytest.raises(ZeroDivisionError), short_products():
        _ = 1 / 0
    assert torch.equal(weights @ vectors.T, before)
