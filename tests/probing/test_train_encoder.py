"""The script as a user starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_loads_no_torch_without_a_recipe_and_shows_a_recipes_flags_with_it():
    code = "import runpy, sys\nsys.argv = ['train_encoder.py', '--help']\n"
    code += "try:\n    runpy.run_path({!r}, run_name='__main__')\n"
    code += "except SystemExit:\n    print('torch' in sys.modules)"
    plain = run("-c", code.format(str(ROOT / "probing" / "train_encoder.py")))
    assert plain.stdout.strip().endswith("False")
    assert "--mix-learning-rate" in plain.stdout
    pruning = run("probing/train_encoder.py", "--recipe", "prune", "--help")
    assert "--score-learning-rate" in pruning.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "prun"], "unknown recipe 'prun': did you mean prune?"),
        (["--model", "brt"], "unknown classifier 'brt': did you mean bert"),
        (["--epochs", "nan"], "--epochs nan: expected more than 0"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(arguments, message):
    done = run("probing/train_encoder.py", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
