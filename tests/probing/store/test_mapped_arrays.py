from pathlib import Path

import numpy as np
import pytest

from probing.store import mapped_arrays
from probing.store.mapped_arrays import allocate, is_mapped, release

STATUS = Path("/proc/self/status")


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", 0)
    return allocate((4, 256, 1024), tmp_path)


def test_what_was_written_outlasts_being_given_back(mapped):
    values = np.random.default_rng(0).normal(size=mapped.shape).astype(np.float32)
    mapped[:] = values
    release(mapped)
    assert np.array_equal(mapped, values)
    release(mapped[1:, 3])
    assert np.array_equal(mapped, values)


def test_other_arrays_stay_as_they_are(tmp_path):
    path = tmp_path / "file"
    np.zeros(4096, dtype=np.float32).tofile(path)
    for array in (np.zeros(4096), np.memmap(path, np.float32, "c"), np.memmap(path, np.float32, "r+")):
        array[:] = 1
        release(array[2:])
        assert (array == 1).all()


def test_views_of_a_mapped_array_are_mapped_and_copies_are_not(mapped):
    assert is_mapped(mapped)
    assert is_mapped(mapped[1:, 3])
    assert not is_mapped(mapped.copy())
    assert not is_mapped(np.zeros(3))


@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_pages_given_back_are_not_in_memory_and_those_in_use_are(mapped):
    def count_resident():
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssFile:"))
        return int(line.split()[1])

    before = count_resident()
    mapped[:] = 1
    full = count_resident()
    release(mapped)
    assert full - before > 0.9 * mapped.nbytes / 1024
    assert count_resident() - before < 0.1 * mapped.nbytes / 1024
