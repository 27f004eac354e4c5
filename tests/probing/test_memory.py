"""What a run holds in memory does not grow with its stack. Linux alone tells what of it is not backed by a file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")]

SHAPE = (9, 12_000, 768)
"""Layers, sentences, hidden: 330 MB."""
PROBE = """
import json, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from probing import cells, scratch, store
from probing.cell_plan import Cell
from probing.probes import linear, scalar_mix
from probing.records import Split, Task, TaskSpec
from probing.settings import RunSettings

folder, shape, in_memory, group = json.loads(sys.argv[1])
scratch.IN_MEMORY_BYTES, cells._GROUP_BYTES = in_memory, group
layers, n, hidden = shape
rng = np.random.default_rng(0)

def anonymous():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024

def watch():
    while True:
        peaks.append(anonymous())
        time.sleep(0.002)

def few(*args):
    probe = make_probe(*args)
    return probe.set_params(max_iterations=1)

make_probe, cells.make_probe = cells.make_probe, few
labels = rng.integers(0, 2, n)
before, peaks = anonymous(), []
threading.Thread(target=watch, daemon=True).start()
space = store.StackCache(Path(folder)).space(encoder="drawn")
keys = [store.text_key((str(number),)) for number in range(n)]
for start in range(0, n, 500):
    values = rng.standard_normal((layers, 500, hidden), dtype=np.float32)
    space.add(keys[start : start + 500], values, np.zeros(500, dtype=bool))
names = ("embeddings", *map(str, range(1, layers)))
stack = space.stack(keys, names, "mean")
order = rng.permutation(n)
rows = dict(zip(("train", "dev", "test"), np.split(order, [n - 1000, n - 500])))
splits = {name: Split(tuple((str(row),) for row in chosen), labels[chosen]) for name, chosen in rows.items()}
task = Task(TaskSpec("drawn", "Drawn", "semantic"), ("0", "1"), splits)
encoder = SimpleNamespace(layer_names=names, device="cpu", checkpoint="", revision="")
growth = {}
for representation in ("layer", "scalar_mix"):
    cells.compute_cell(Cell(task, representation), RunSettings(controls=()), encoder, range(layers), stack, rows)
    growth[representation] = max(peaks) - before
    peaks.clear()
print(json.dumps(growth))
"""


def measure_growth(folder, in_memory, group):
    """Peak of the memory that no file backs, less what it was before the stack was made, by representation."""
    arguments = json.dumps([str(folder), SHAPE, in_memory, group])
    run = subprocess.run([sys.executable, "-c", PROBE, arguments], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_a_stack_is_made_and_probed_in_far_less_memory_than_it_would_take(tmp_path):
    size = 4 * SHAPE[0] * SHAPE[1] * SHAPE[2]
    bounded = measure_growth(tmp_path / "mapped", 2**25, 2**25)
    # What remains: copies of one layer, and the mix's blocks of a pass, whose size depends on the width alone.
    assert bounded["layer"] < 0.6 * size
    assert bounded["scalar_mix"] < size
    # The same with all of it in memory: so the measurement sees what it is to see.
    free = measure_growth(tmp_path / "free", 2**40, 2**40)
    assert all(growth > size for growth in free.values()), free
