"""Claims about whole runs by Ray: encoding in units of several files, models that need another, sweeps."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="--engine ray: needs bermo-probing[cluster]"),
]
RUNS = ["one-seeds_0", "one-seeds_1", "two-seeds_0", "two-seeds_1"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Findings of the trials, all by one cluster."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.ray_runs", str(tmp_path_factory.mktemp("runs"))],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_killed_encoder_costs_its_unit_of_several_files_and_all_files_are_equal(found):
    trial = found["encode"]
    assert max(trial["sizes"]) > 1
    assert sum(trial["sizes"]) == 20
    assert trial["twice"] == [2]  # one batch, by two processes
    assert trial["same_work"]
    assert trial["same_bytes"]


def test_models_wait_for_the_one_that_they_need_and_are_those_of_one_process(found):
    assert found["make_needy"] == {"models": ["kdlsq-2-seed-0", "kdlsq-8-seed-0"], "same": True}


def test_a_sweep_by_ray_outlives_a_worker_lists_what_failed_and_computes_that_alone_again(found):
    trial = found["sweep"]
    assert trial["complete"] == [False, False, True]
    assert trial["fits_again"] == 1
    assert trial["same"]
    assert trial["counts"] == dict.fromkeys(RUNS, 8)


def test_how_far_a_sweep_by_ray_is_can_be_asked_from_another_process_and_folder(found):
    (_, during), (failed, after), (whole, last) = found["sweep"]["status"]
    assert (failed, whole) == (1, 0)
    # One unit waits to be killed, while the other worker goes on with other runs.
    assert re.search("a sweep of 4 runs, [0-3] of them finished", during)
    assert "a run is working in it" in during
    assert "4 of them finished" in after
    assert after.count("RuntimeError: told to fail") == 1
    assert "told to fail" not in last
