import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LONGEST_FUNCTION = 5


def cells(path, kind):
    book = json.loads(path.read_text(encoding="utf-8"))
    return [cell | {"source": "".join(cell["source"])} for cell in book["cells"] if cell["cell_type"] == kind]


def test_there_are_six():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_first_what_it_answers(path):
    first = cells(path, "markdown")[0]["source"]
    assert first.startswith("# ")
    assert "Answers: " in first or "Answers:" in first


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_no_counts(path):
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_functions_are_short_and_the_claims_are_asserted(path):
    trees = [ast.parse(re.sub(r"^%.*$", "", cell["source"], flags=re.MULTILINE)) for cell in cells(path, "code")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    lengths = [node.end_lineno - node.lineno + 1 for node in nodes if isinstance(node, ast.FunctionDef)]
    assert max(lengths, default=0) <= LONGEST_FUNCTION
    assert any(isinstance(node, ast.Assert) for node in nodes)


@pytest.mark.parametrize("path", [*NOTEBOOKS[:4], *NOTEBOOKS[5:]], ids=lambda path: path.stem)
def test_the_run_folder_comes_from_one_cell_with_the_stored_sample_behind_it(path):
    naming = [cell["source"] for cell in cells(path, "code") if "tests/analysis/runs" in cell["source"]]
    assert len(naming) == 1
    assert re.search(r'os\.environ\.get\("PROBING_RUNS?"', naming[0])


@pytest.mark.parametrize("path", [*NOTEBOOKS[:4], *NOTEBOOKS[5:]], ids=lambda path: path.stem)
def test_figures_are_shown(path):
    """Without it a figure that is no pyplot figure is shown as its name."""
    assert cells(path, "code")[0]["source"].startswith("%matplotlib inline")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_whole(path, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROBING_RUN")}
    environment |= {"HF_HUB_OFFLINE": "1", "IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "--nbmake", "-q", "-p", "no:cacheprovider", "-o", "addopts=", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:]
