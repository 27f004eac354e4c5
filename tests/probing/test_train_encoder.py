"""The script as a user starts it, and what the README does with what it left."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import build_task, write_task

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PRUNING = re.findall(r"^python .*--recipe prune .*$\n^python .*--model bert --checkpoint .*$", README, re.MULTILINE)


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_readmes_pruned_model_can_be_probed(tiny_folder, tmp_path):
    """Its two commands, on a tiny encoder and small data: pruned is a BERMo, and it is probed as bert."""
    [commands] = PRUNING
    write_task(tmp_path / "data", build_task("past_present", n=(96, 40, 40)))
    small = {"train_encoder": f"--checkpoint {tiny_folder} --max-steps 8 --device cpu --quiet"}
    small["run_senteval"] = f"--tasks past_present --gradients 0 --cache-dir {tmp_path / 'cache'} --quiet"
    for command in commands.splitlines():
        words = command.replace("data/results/", f"{tmp_path}/").replace("--task SST-2", "--task past_present")
        [usual] = [flags for script, flags in small.items() if script in command]
        words += f" {usual} --data {tmp_path / 'data'}"
        words += "" if "--output" in command else f" --output {tmp_path / 'probed'}"
        done = run(*shlex.split(words)[1:])
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "pruned" / "models" / "magnitude-0.5-seed-0" / "README.md").is_file()
    assert (tmp_path / "probed" / "scores.parquet").is_file()


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
