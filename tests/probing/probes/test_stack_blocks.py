import numpy as np
import pytest

from probing.probes import stack_blocks
from probing.probes.stack_blocks import StackBlocks, normalise
from probing.store import mapped_arrays
from tests.helpers import draw_stack


def join(blocks, size):
    return np.concatenate([block.numpy().copy() for _, block in blocks.read(size)], axis=1)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_blocks_in_a_row_are_the_centred_stack_and_leave_it_as_it_is(size, norm):
    stack, _ = draw_stack()
    stack += np.float32(3)
    kept = stack.copy()
    blocks = StackBlocks(stack, norm)
    wanted = normalise(stack) if norm else stack
    mean = wanted.mean(axis=1, keepdims=True)
    for _ in range(2):
        np.testing.assert_allclose(join(blocks, size), wanted - mean, atol=1e-6)  # float32 means of 60 numbers near 3
    np.testing.assert_allclose(blocks.mean.numpy(), mean[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(blocks.lengths, np.linalg.norm(wanted - mean, axis=2).mean(axis=1), rtol=1e-6)
    assert np.array_equal(stack, kept)


def test_sizes_of_blocks_may_change_from_pass_to_pass():
    stack, _ = draw_stack()
    blocks = StackBlocks(stack)
    whole = join(blocks, 60)
    for size in (7, 60, 30, 1000, 59):
        assert np.array_equal(join(blocks, size), whole)


def test_a_mapped_stack_that_is_given_back_on_the_way_reads_the_same(tmp_path, monkeypatch):
    stack, _ = draw_stack()
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", 0)
    mapped = mapped_arrays.allocate(stack.shape, tmp_path)
    mapped[:] = stack
    released = []
    monkeypatch.setattr(stack_blocks, "release", lambda array: released.append(mapped_arrays.release(array)))
    monkeypatch.setattr(stack_blocks, "HELD_BYTES", 7 * stack[:, 0].nbytes)
    assert np.array_equal(join(StackBlocks(mapped), 4), join(StackBlocks(stack), 4))
    assert len(released) > 15
