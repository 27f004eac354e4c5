"""Targets run in the active conda environment where there is one, and else in .venv; looked at, and not run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
_OF_ENVIRONMENTS = ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "VENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def show(target, **variables):
    """The commands that `make TARGET` would run, in an environment where nothing is installed yet."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_ENVIRONMENTS}
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", target]
    done = subprocess.run(command, cwd=ROOT, env=kept | variables, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in ("help", "clean")])
def test_every_target_takes_the_active_conda_environment_and_makes_no_other(target, tmp_path):
    shown = show(target, CONDA_PREFIX=str(tmp_path), CONDA_DEFAULT_ENV="bermo-probing")
    assert f'{tmp_path}/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"' in shown
    assert ".venv" not in shown
    assert "constraints.txt" not in shown
    programs = re.findall(r"^\S*bin/\S+", shown, re.MULTILINE)
    assert programs
    assert all(program.startswith(f"{tmp_path}/bin/") for program in programs)


@pytest.mark.parametrize(
    "variables", [{}, {"CONDA_PREFIX": ""}, {"CONDA_PREFIX": "/opt/conda", "CONDA_DEFAULT_ENV": "base"}]
)
@pytest.mark.parametrize("target", [target for target in TARGETS if target not in ("help", "clean")])
def test_without_one_or_in_base_targets_take_a_virtual_environment_with_pinned_versions(target, variables):
    shown = show(target, **variables)
    assert "-m venv .venv" in shown
    assert "--constraint constraints.txt" in shown
    assert "/opt/conda" not in shown
    assert all(program.startswith(".venv/bin/") for program in re.findall(r"^\S*bin/\S+", shown, re.MULTILINE))


def test_cleaning_leaves_a_conda_environment_alone(tmp_path):
    assert str(tmp_path) not in show("clean", CONDA_PREFIX=str(tmp_path), CONDA_DEFAULT_ENV="bermo-probing")


def test_help_names_every_target():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.findall(r"make ([a-z-]+)", done.stdout) == TARGETS
