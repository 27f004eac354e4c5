import numpy as np
import torch

from probing.contracts.encoder import HiddenStates
from probing.representations.pooling import choose_positions, pool_cls, pool_max, pool_mean
from probing.scalar_mix import mix_layers

STATES = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [100.0, 100.0]], [[5.0, -6.0], [0.0, 0.0], [0.0, 0.0]]])
POSITIONS = torch.tensor([[True, True, False], [True, False, False]])


def test_mean_is_the_mean_over_the_chosen_positions():
    assert pool_mean(STATES, POSITIONS).tolist() == [[2.0, -3.0], [5.0, -6.0]]


def test_max_is_the_largest_over_the_chosen_positions_also_where_all_are_negative():
    assert pool_max(STATES, POSITIONS).tolist() == [[3.0, -2.0], [5.0, -6.0]]


def test_cls_is_the_first_token_whatever_is_chosen():
    assert pool_cls(STATES, ~POSITIONS).tolist() == [[1.0, -4.0], [5.0, -6.0]]


def test_mean_of_bfloat16_states_is_taken_in_float32():
    """A sum of 1,000 ones and one 0.5 in bfloat16 would stop at 256."""
    states = torch.ones(1, 1000, 1, dtype=torch.bfloat16)
    states[0, 0, 0] = 0.5
    found = float(pool_mean(states, torch.ones(1, 1000, dtype=torch.bool)))
    assert abs(found - 999.5 / 1000) < 1e-6


def hidden(mask, special):
    mask, special = torch.tensor(mask, dtype=torch.bool), torch.tensor(special, dtype=torch.bool)
    return HiddenStates((torch.zeros(*mask.shape, 1),), mask, special)


def test_special_tokens_are_read_only_where_asked_for():
    states = hidden([[1, 1, 1, 1, 0]], [[1, 0, 0, 1, 0]])
    assert choose_positions(states, special_tokens=True).int().tolist() == [[1, 1, 1, 1, 0]]
    assert choose_positions(states, special_tokens=False).int().tolist() == [[0, 1, 1, 0, 0]]


def test_a_text_without_words_is_read_by_its_special_tokens():
    states = hidden([[1, 1, 0], [1, 1, 1]], [[1, 1, 0], [1, 0, 1]])
    assert choose_positions(states, special_tokens=False).int().tolist() == [[1, 1, 0], [0, 1, 0]]


def test_mean_and_cls_commute_with_the_scalar_mix_and_max_does_not():
    generator = torch.Generator().manual_seed(0)
    layers = torch.randn(4, 3, 7, 5, generator=generator)
    weights = torch.softmax(torch.randn(4, generator=generator), dim=0)
    positions = torch.arange(7) < torch.tensor([[7], [4], [1]])

    def compare(pool):
        mixed_then_pooled = pool(mix_layers(layers, weights), positions)
        pooled_then_mixed = mix_layers(torch.stack([pool(layer, positions) for layer in layers]), weights)
        return float((mixed_then_pooled - pooled_then_mixed).abs().max())

    # Sums of 4 x 7 float32 numbers near 1, grouped in two ways.
    assert compare(pool_mean) < 1e-6
    assert compare(pool_cls) < 1e-6
    assert compare(pool_max) > 0.1


def test_mean_agrees_with_numpy_row_by_row():
    generator = np.random.default_rng(0)
    states = generator.normal(size=(5, 9, 4)).astype(np.float32)
    positions = np.arange(9) < generator.integers(1, 10, size=(5, 1))
    expected = [row[chosen].mean(axis=0) for row, chosen in zip(states, positions, strict=True)]
    found = pool_mean(torch.from_numpy(states), torch.from_numpy(positions)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # float32 sums of nine
