"""The parts of an installed package in a whole run, started as a user would start it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from outside_parts import letters

from probing.exit_codes import end_in_one_line
from probing.run_senteval import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(outside_path, tmp_path):
    """Function: the main job in a new interpreter, in an empty folder."""

    def run(*flags, installed=True):
        command = [sys.executable, str(ROOT / "probing" / "run_senteval.py"), "--output", "run", "--no-report", *flags]
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"}
        environment |= {"PYTHONPATH": os.pathsep.join(outside_path)} if installed else {}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.slow
def test_a_run_made_of_the_parts_of_others_alone(start, tmp_path):
    checkpoint = letters.tiny(tmp_path)
    done = start(
        "--model", "letters", "--checkpoint", checkpoint, "--data", "vowels", "--probe", "centroid",
        "--pooling", "last", "--mix", "on", "--measures", "separation",
        "--controls", "bag_of_embeddings", "control_task", "untrained",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert set(scores["layer_name"]) == {"none", "scalar mix", *letters.LetterEncoder.layer_names}
    assert set(scores["control"]) == {"none", "bag_of_embeddings", "control_task"}
    assert re.search(r"control untrained is left out: .* no config.json", done.stderr)
    assert set(scores["metric"]) >= {"mean_recall", "accuracy"}
    read = scores[(scores["representation"] == "layer") & (scores["control"] == "none") & (scores["split"] == "test")]
    assert set(read["probe"]) == {"centroid"}
    assert set(read["pooling"]) == {"last"}
    # The last token is the full stop: alone it says nothing of the word before, and with its neighbours it does.
    values = read[read["metric"] == "accuracy"].set_index("layer_name")["value"]
    assert values["embeddings"] < values["wider"]
    separations = scores[scores["metric"] == "separation"]
    assert list(separations["layer_name"]) == list(letters.LetterEncoder.layer_names)
    assert separations["value"].between(separations["ci_low"], separations["ci_high"]).all()
    assert "gradient norms are left out: LetterEncoder" in done.stderr


@pytest.mark.slow
def test_without_the_package_its_names_are_unknown_and_the_nearest_is_offered(start):
    done = start("--model", "letters", installed=False)
    assert done.returncode == 2
    assert done.stderr.startswith("unknown encoder 'letters': ")
    assert len(done.stderr.splitlines()) == 1


def test_a_misspelt_name_of_an_outside_part_is_answered_with_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_senteval.py", "--model", "leters"])
    assert end_in_one_line(main) == 2
    assert "did you mean letters?" in capsys.readouterr().err
