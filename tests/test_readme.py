"""The README's commands exist, with the flags it gives them; and some are run."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = sorted({line for line in LINES if line and not line.startswith("#")})


def run_python(*arguments, **options):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


@cache
def help_of(*target):
    """What a script or a module says when it is asked for help."""
    return run_python(*target, "--help").stdout


def test_there_are_commands_to_test():
    assert "make probe" in COMMANDS
    assert "make test" in COMMANDS


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_a_make_target_exists(command):
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python ")])
def test_a_command_has_every_flag_that_it_is_given(command):
    words = shlex.split(command)
    target = words[1:3] if words[1] == "-m" else words[1:2]
    recipe = words[words.index("--recipe") :][:2] if "--recipe" in words else []
    shown = help_of(*target, *recipe)
    assert "usage" in shown, command
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"{flag}\b", shown), flag


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_file_that_is_linked_to_is_there(path):
    assert (ROOT / path).exists()


def test_ci_calls_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
def test_the_six_lines_on_data_of_ones_own_work(tmp_path):
    [block] = [block for block in BLOCKS if "my_task.csv" in block]
    script = block.replace("data/mine", str(tmp_path / "mine")).replace("python ", f"{sys.executable} ")
    script = script.rstrip() + f" --output {tmp_path / 'run'} --cache-dir {tmp_path / 'cache'} --quiet"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
