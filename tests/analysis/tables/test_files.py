"""Tables as files: one table, whatever draws it."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.runs.probing_run import load_run
from analysis.stats.of_a_run import RunNumbers
from analysis.tables import __main__ as command
from analysis.tables.formats import to_latex, to_markdown
from analysis.tables.measures import tabulate_quantities, tabulate_several_layers, tabulate_weight_intervals
from analysis.tables.of_a_run import tabulate_run
from analysis.tables.scores import narrow_pairs, tabulate_pairs
from analysis.tables.table import Table, format_p, frame_of, table_of
from analysis.terminal.tables import draw
from probing.catalogue.measures import name_quantities
from probing.store.own_files import list_own

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture(scope="module")
def tables():
    return tabulate_run(RunNumbers(load_run(RUNS / "bermo")))


def write(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["analysis.tables", *map(str, arguments)])
    return command.main()


@pytest.mark.slow
def test_the_command_writes_every_table_of_a_run_as_latex(tables, tmp_path, monkeypatch, capsys):
    assert write(monkeypatch, RUNS / "bermo", "--output", tmp_path / "paper") == 0
    files = sorted(path.name for path in (tmp_path / "paper").iterdir())
    assert files == sorted(f"{name}.tex" for name in tables.printed())
    assert {"main.tex", "scores.tex", "controls.tex", "depth.tex", "cost.tex"} <= set(files)
    assert len(capsys.readouterr().out.splitlines()) == len(files)
    for path in (tmp_path / "paper").iterdir():
        lines = path.read_text().splitlines()
        assert lines[0].startswith("% ")
        columns = lines[1].removeprefix(r"\begin{tabular}{").removesuffix("}")
        assert {line.count(" & ") + 1 for line in lines if line.endswith(r"\\")} == {len(columns)}
        assert lines[-1] == r"\end{tabular}"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["latex", "markdown", "csv"])
@pytest.mark.parametrize("name", ["bermo", "training_bert"])
def test_every_table_in_the_folder_of_a_run_is_known_as_its_own(name, form, tmp_path, monkeypatch):
    """What --overwrite removes: a table of an earlier run must not stay beside a later one."""
    assert write(monkeypatch, RUNS / name, "--output", tmp_path / "tables", "--form", form) == 0
    assert sorted(list_own(tmp_path)) == sorted((tmp_path / "tables").iterdir())


def test_names_of_tables_that_no_stored_run_has_are_known_too(run, tmp_path):
    (tmp_path / "tables").mkdir()
    quantities = {
        **tabulate_quantities(run, "information", "knockout", "geometry"),
        **tabulate_weight_intervals(run),
        **tabulate_several_layers(run),
    }
    named = [
        *quantities,
        *name_quantities("information"),
        *name_quantities("share"),
        *name_quantities("knockout"),
        *name_quantities("geometry"),
        "pruning",
        "above_untrained",
        "layers_alike",
        "layer_similarity",
    ]
    for name in named:
        (tmp_path / "tables" / f"{name}.tex").touch()
    (tmp_path / "tables" / "mine.tex").touch()
    assert {path.stem for path in list_own(tmp_path)} == set(named)


@pytest.mark.slow
def test_the_same_cells_stand_in_latex_and_in_csv(tables, tmp_path, monkeypatch):
    for form in ("latex", "csv"):
        assert write(monkeypatch, RUNS / "bermo", "--output", tmp_path, "--form", form) == 0
    table = pd.read_csv(tmp_path / "scores.csv", dtype=str)
    assert table.to_numpy().tolist() == [list(row) for row in tables.scores["scores"].rows]
    text = (tmp_path / "scores.tex").read_text()
    assert [cell for row in table.to_numpy().tolist() for cell in row[1:] if cell not in text] == []


def test_a_training_run_has_its_models_in_markdown(tmp_path, monkeypatch):
    assert write(monkeypatch, RUNS / "training_bert", "--output", tmp_path, "--form", "markdown") == 0
    lines = (tmp_path / "models.md").read_text().splitlines()
    assert lines[0].startswith("| Seed | Dev | Test |")
    assert sum(line.startswith("| ") for line in lines) == 2 + 5 + 1, "heads, ruler, five seeds, their mean"


def test_a_pruning_run_has_a_table_of_what_pruning_cost(build_training, write_training, tmp_path, monkeypatch):
    pruned = build_training("bermo", methods=("magnitude",), sparsities=(0.5, 0.9))
    folder = write_training(pruned, tmp_path / "pruned")
    assert write(monkeypatch, folder) == 0
    assert sorted(path.name for path in (folder / "tables").iterdir()) == ["models.tex", "pruning.tex"]


def test_a_folder_that_is_no_run_ends_in_one_line_and_2(tmp_path, monkeypatch, capsys):
    assert write(monkeypatch, tmp_path / "nowhere") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_table_without_rows_is_no_file(tables):
    assert not tables.seeds["seeds"].rows
    assert "seeds" not in tables.printed()


def test_latex_reads_no_sign_of_a_cell_as_its_own():
    table = Table("a caption\nof two lines", ["Task", "p & q"], [["[x]", "< 0.001"], ["a_b", "50 %"]])
    lines = to_latex(frame_of(table), table.caption).splitlines()
    assert lines[:2] == ["% a caption", "% of two lines"]
    assert lines[4] == r"Task & p \& q \\"
    assert lines[6] == r"{}[x] & $<$ 0.001 \\"
    assert lines[7] == r"a\_b & 50 \% \\"


def test_two_tasks_of_one_title_keep_their_columns():
    table = Table("", ["Layer", "MR", "MR"], [["1", "2", "3"]])
    assert to_markdown(frame_of(table)).splitlines()[2] == "| 1 | 2 | 3 |"
    assert to_latex(frame_of(table)).splitlines()[-3] == r"1 & 2 & 3 \\"


def test_the_terminal_draws_the_cells_as_they_are_and_reads_no_markup():
    table = Table("[red] note", ["Task", "Value"], [["[bold]a", "1 [0, 2]"]], title="[x]", strong=[0])
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(draw(table))
    shown = console.file.getvalue()
    assert all(text in shown for text in ("[x]", "[bold]a", "1 [0, 2]", "[red] note"))


def test_the_mean_over_seeds_is_set_off():
    frame = pd.DataFrame({"Seed": ["0", "1", "mean"], "Dev": ["1", "2", "1.5"]})
    assert list(table_of(frame, "").strong) == [2]
    assert list(table_of(frame.drop(columns="Seed"), "").strong) == []


def test_page_and_terminal_say_the_same_of_two_runs():
    row = {"title": "A", "contender": "mix", "first": 0.5, "second": 0.4, "difference": -0.1, "significant": True}
    row |= {"ci_low": -0.15, "ci_high": -0.05, "p_holm": 0.0001, "equivalent": False}
    pairs = pd.DataFrame([row, row | {"difference": 0.02, "significant": False, "p_holm": 0.3, "equivalent": True}])
    wide, narrow = tabulate_pairs(pairs, "old", "new"), narrow_pairs(pairs, "old", "new")
    assert wide.rows[0] == ["A", "mix", "50.0", "40.0", "-10.0*", "[-15.0, -5.0]", "< 0.001"]
    assert narrow.rows[0] == ["A", "mix", "50.0", "40.0", "-10.0 fell*", "[-15.0, -5.0]", "< 0.001"]
    assert wide.rows[1] == narrow.rows[1]
    assert wide.rows[1][4] == "+2.0="
    assert list(wide.strong) == list(narrow.strong) == [0]


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.001, "0.001"), (1.0, "1.000")])
def test_a_p_value_is_never_shown_as_0(p, text):
    assert format_p(p) == text


def test_rows_of_bits_and_differences_have_no_majority_even_in_old_files(tables):
    run = load_run(RUNS / "bermo")
    stored = pd.read_parquet(RUNS / "bermo" / "scores.parquet")
    answers = run.scores["metric"] == "accuracy"
    assert stored["majority"].notna().all(), "the stored run is of before"
    assert run.scores.loc[~answers, "majority"].isna().all()
    assert set(run.scores.loc[~answers, "metric"]) >= {"gain", "selectivity", "usable_information_bits"}
    assert np.array_equal(run.scores.loc[answers, "majority"], stored.loc[answers, "majority"])
