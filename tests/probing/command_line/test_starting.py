"""What a command sets up before it imports anything."""

import os
import subprocess
import sys

import pytest

_SHOW = "from probing.command_line.starting import start; start(); import torch"


def _spins(**given: str) -> str:
    """The line by which OpenMP itself says how long its threads wait awake."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", _SHOW], env=environment | {"OMP_DISPLAY_ENV": "verbose"} | given,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not lines:
        pytest.skip("torch has another OpenMP than GNU's here")
    return lines[0].split("'")[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_threads_wait_for_each_other_asleep_unless_told_otherwise(given, expected):
    assert _spins(**given) == expected
