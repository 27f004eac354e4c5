"""The notebooks: what they say, that nothing in them is left over, and what they draw of runs of every kind.

Their cells are executed without a kernel, for every choice of every dropdown; at the end of the file with one.
"""

import ast
import json
import os
import re
import shutil
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from ipywidgets import VBox
from jupyter_client.manager import start_new_kernel
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from analysis.figures import redrawing

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OF_RUNS = [*NOTEBOOKS[:4], *NOTEBOOKS[5:]]
STORED = " ".join(f"tests/analysis/runs/{name}" for name in ("bermo", "bermo_cls", "untrained"))
TWO = " ".join(f"tests/analysis/runs/{name}" for name in ("bermo", "untrained"))
USED = "tests/analysis/runs/used"
RUNS = {"04": TWO, "07": USED, "08": TWO}
"""Runs that a notebook is about, where not all of the others."""
LONGEST_FUNCTION = {"05_bring_your_own": 7}


def cells(path, kind):
    book = json.loads(path.read_text(encoding="utf-8"))
    return [cell | {"source": "".join(cell["source"])} for cell in book["cells"] if cell["cell_type"] == kind]


def parse(cell):
    return ast.parse(re.sub(r"^%.*$", "", cell["source"], flags=re.MULTILINE))


def execute(path):
    """The value of each cell that ends in an expression."""
    names, values = {}, []
    for cell in cells(path, "code"):
        tree = parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), names)
        if last is not None:
            values.append(eval(compile(ast.Expression(last.value), str(path), "eval"), names))
    return values


def choose_everything(widget):
    """Every combination of the options of a widget's dropdowns, one after the other."""
    boxes = widget.children[0].children
    for values in product(*([value for _, value in options_of(box)] for box in boxes)):
        for box, value in zip(boxes, values, strict=True):
            box.value = value
        yield values


def options_of(box):
    return [option if isinstance(option, tuple) else (option, option) for option in box.options]


@pytest.fixture
def shown(monkeypatch):
    """What the widgets displayed, one after the other."""
    shown = []
    monkeypatch.setattr(redrawing, "display", lambda *things: shown.append(things))
    return shown


@pytest.fixture
def open_runs(monkeypatch):
    """Function: Jupyter was started at the root with these runs named, and the kernel runs in notebooks/."""

    def open_runs(runs):
        monkeypatch.chdir(ROOT / "notebooks")
        monkeypatch.setenv("PWD", str(ROOT))
        monkeypatch.delenv("PROBING_RUN", raising=False)
        monkeypatch.setenv("PROBING_RUNS", runs)

    return open_runs


@pytest.fixture
def write_odd_run(tmp_path):
    """Function: a copy of the stored run without gradients and mix, and of some layers alone."""

    def write(layers):
        folder = shutil.copytree(ROOT / "tests/analysis/runs/bermo", tmp_path / "odd")
        (folder / "gradient_norms.parquet").unlink()
        for name in ("scores", "layer_weights", "predictions"):
            table = pd.read_parquet(folder / f"{name}.parquet")
            # The table of weights has no readouts: it is about the mix.
            readouts = table.get("representation", pd.Series("scalar_mix", table.index))
            kept = readouts.isin(["layer", "none"]) & table["layer"].isin([-1, *layers])
            table[kept].to_parquet(folder / f"{name}.parquet")
        return folder

    return write


def test_they_are_in_order():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07", "08"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_first_what_it_answers_and_what_to_see_and_last_what_was_seen(path):
    first = cells(path, "markdown")[0]["source"]
    assert first.startswith("# ")
    assert "Answers: " in first
    assert "What to see: " in first
    heads = [cell["source"].splitlines()[0] for cell in cells(path, "markdown") if cell["source"].startswith("##")]
    assert heads[-1] == "## What was seen"
    # By the run, not by whoever wrote the notebook.
    assert re.search(r"list_sentences\(|redraw\(|print\(f", cells(path, "code")[-1]["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_no_counts(path):
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_functions_are_short(path):
    nodes = [node for cell in cells(path, "code") for node in ast.walk(parse(cell))]
    lengths = [node.end_lineno - node.lineno + 1 for node in nodes if isinstance(node, ast.FunctionDef)]
    assert max(lengths, default=0) <= LONGEST_FUNCTION.get(path.stem, 5)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_asserted_where_an_explanation_should_stand(path):
    assert not [cell["source"] for cell in cells(path, "code") if re.search(r"^\s*assert ", cell["source"], re.M)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in OF_RUNS if path.stem[:2] in ("01", "02", "06", "07")], ids=lambda p: p.stem
)
def test_no_table_has_a_column_of_nothing(path, shown, open_runs):
    open_runs(RUNS.get(path.stem[:2], STORED))
    tables = [value for value in execute(path) if isinstance(value, pd.DataFrame)]
    tables += [thing.data for things in shown for thing in things if isinstance(thing, Styler)]
    assert tables
    for table in tables:
        assert list(table.columns[table.isna().all() | (table.astype(str) == "nan").any()]) == []


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_the_run_folders_come_from_one_cell_with_the_stored_samples_behind_them(path):
    naming = [cell["source"] for cell in cells(path, "code") if "tests/analysis/runs" in cell["source"]]
    assert len(naming) == 1
    assert re.search(r"find_(runs|pair)\(", naming[0])


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_figures_are_shown(path):
    """Without it a figure that is no pyplot figure is shown as its name."""
    assert cells(path, "code")[0]["source"].startswith("%matplotlib inline")


@pytest.mark.slow
@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_every_choice_of_every_dropdown_shows_something(path, shown, open_runs):
    open_runs(RUNS.get(path.stem[:2], STORED))
    widgets = [value for value in execute(path) if isinstance(value, VBox)]
    assert widgets
    assert any(isinstance(thing, Figure) for things in shown for thing in things)
    for widget in widgets:
        for _ in choose_everything(widget):
            assert shown[-1]
            assert all(thing is not None for thing in shown[-1])


@pytest.mark.slow
@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
@pytest.mark.parametrize("layers", [range(7), [6]], ids=["no_mix_no_gradients", "one_layer"])
def test_a_run_without_mix_gradients_or_depth_is_no_trouble(path, layers, shown, open_runs, write_odd_run):
    open_runs(str(write_odd_run(layers)))
    execute(path)
    assert all(thing is not None for things in shown for thing in things)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_whole_in_a_kernel(path, tmp_path):
    """By the blocking client: now and then nbclient's, under pytest, and the kernel wait for one another for ever."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROBING_RUN")}
    training = " ".join(f"tests/analysis/runs/training_{model}" for model in ("bert", "bermo"))
    environment |= {"HF_HUB_OFFLINE": "1", "IPYTHONDIR": str(tmp_path), "PROBING_RUNS": f"{STORED} {training}"}
    manager, client = start_new_kernel(cwd=str(path.parent), env=environment | {"PWD": str(ROOT)})
    try:
        for cell in cells(path, "code"):
            reply = client.execute_interactive(cell["source"], timeout=300, output_hook=lambda _: None)
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
