"""Codes in bytes: there and back, laid out as numpy says, and as small as claimed."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from probing.encoders.packing import PackedEmbedding, PackedLinear, PackedWeight, find_width, is_packed, pack, unpack
from probing.encoders.step_size import count_levels

RNG = np.random.default_rng(0)


def draw_codes(bits, shape):
    levels = count_levels(bits)
    return torch.tensor(RNG.integers(-levels, levels + 1, shape), dtype=torch.float32)


@pytest.mark.parametrize("columns", [1, 3, 4, 7, 16])
@pytest.mark.parametrize("bits", range(2, 9))
def test_what_is_packed_comes_back(bits, columns):
    codes, width = draw_codes(bits, (5, columns)), find_width(bits)
    packed = pack(codes, width)
    assert packed.dtype == torch.uint8
    assert packed.shape == (5, -(-columns * width // 8))
    assert torch.equal(unpack(packed, width, columns), codes)


@pytest.mark.parametrize("width", [2, 4, 8])
def test_every_byte_has_the_codes_that_arithmetic_says(width):
    every = torch.arange(256, dtype=torch.uint8)[:, None]
    found = unpack(every, width, 8 // width).numpy()
    wanted = [
        [byte // 2 ** (width * k) % 2**width - 2 ** (width - 1) for k in range(8 // width)] for byte in range(256)
    ]
    np.testing.assert_array_equal(found, wanted)


def test_the_first_code_stands_in_the_lowest_bits():
    assert pack(torch.tensor([[-1.0, 0.0, 1.0, 1.0]]), 2).item() == 0b11_11_10_01
    assert pack(torch.tensor([[-7.0, 7.0]]), 4).item() == 0b1111_0001


@pytest.mark.parametrize("per_row", [False, True])
def test_rows_are_those_of_the_whole_matrix(per_row):
    weight = PackedWeight((6, 5), 4, per_row)
    codes, step = draw_codes(4, (6, 5)), torch.rand(6 if per_row else 1, 1) + 0.1
    weight.fill(codes, step)
    whole = (codes * step).numpy()
    np.testing.assert_array_equal(weight().numpy(), whole)
    rows = torch.tensor([[3, 0], [5, 3]])
    np.testing.assert_array_equal(weight.find_rows(rows).numpy(), whole[rows.numpy()])


def test_a_packed_map_is_the_plain_one_with_its_weights_and_rounded_inputs():
    plain = nn.Linear(5, 6)
    packed = PackedLinear(plain, 2, False, 4)
    codes = draw_codes(2, (6, 5))
    packed.packed.fill(codes, torch.tensor([[0.3]]))
    packed.input_step.step.fill_(0.25)
    inputs = torch.tensor(RNG.normal(size=(2, 3, 5)), dtype=torch.float32)
    rounded = torch.tensor(0.25 * np.rint(np.clip(inputs.numpy() / 0.25, -7, 7)))
    assert torch.equal(packed(inputs), F.linear(rounded, codes * 0.3, plain.bias))
    assert is_packed(nn.Sequential(packed))
    assert not is_packed(nn.Sequential(plain))


def test_a_packed_table_has_the_rows_of_its_matrix():
    table = PackedEmbedding(nn.Embedding(7, 4, padding_idx=0), 8, True)
    codes, step = draw_codes(8, (7, 4)), torch.rand(7, 1)
    table.packed.fill(codes, step)
    ids = torch.tensor([[1, 6, 0]])
    assert torch.equal(table(ids), (codes * step)[ids])
    assert torch.equal(table.weight, codes * step)
    assert (table.num_embeddings, table.embedding_dim, table.padding_idx) == (7, 4, 0)
