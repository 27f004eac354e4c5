"""The script as a user starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from probing.train_encoder import main
from tests.helpers import run_script

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(monkeypatch, capsys):
    """Function: what the script does with some arguments: its exit code, and what it printed and complained of."""

    def run(*arguments):
        return run_script(main, "train_encoder.py", arguments, monkeypatch, capsys)

    return run


def test_help_loads_no_torch_without_a_recipe():
    code = "import runpy, sys\nsys.argv = ['train_encoder.py', '--help']\n"
    code += "try:\n    runpy.run_path({!r}, run_name='__main__')\n"
    code += "except SystemExit:\n    print('torch' in sys.modules)"
    code = code.format(str(ROOT / "probing" / "train_encoder.py"))
    plain = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plain.stdout.strip().endswith("False")
    assert "--mix-learning-rate" in plain.stdout
    assert "--score-learning-rate" not in plain.stdout


def test_help_shows_a_recipes_flags_with_it(start):
    code, shown, _ = start("--recipe", "prune", "--help")
    assert code == 0
    assert "--score-learning-rate" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "prun"], "unknown recipe 'prun': did you mean prune or pretrain?"),
        (["--model", "brt"], "unknown classifier 'brt': did you mean bert"),
        (["--epochs", "nan"], "--epochs nan: expected more than 0"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(arguments, message, start):
    code, _, complaint = start(*arguments)
    assert code == 2
    assert message in complaint
    assert complaint.count("\n") == 1
