import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from rich.measure import Measurement

from analysis.runs.probing_run import load_run
from analysis.stats.depth import summarise_depth
from analysis.stats.of_a_run import RunNumbers
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all
from analysis.tables.depth import narrow_depth
from analysis.tables.formats import to_csv, to_latex, to_markdown
from analysis.tables.main import find_best, main_table
from analysis.tables.of_a_run import tabulate_run
from analysis.tables.table import Table, format_bounds, format_gain, format_percent, format_points
from analysis.terminal.run import draw_table, show_details
from analysis.terminal.tables import draw, open_console, print_table


@pytest.fixture(scope="module")
def parts(run):
    return summarise(run), compare_all(run)


@pytest.fixture(scope="module")
def table(parts):
    return main_table(*parts)


def pairs(*rows):
    columns = ["level", "task", "group", "first", "second", "difference", "significant"]
    return pd.DataFrame([("task", "a", "semantic", *row) for row in rows], columns=columns)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([("mix", "last", 0.1, True), ("mix", "best", 0.02, True), ("best", "last", 0.08, True)], "mix"),
        ([("mix", "last", 0.1, True), ("mix", "best", 0.02, False), ("best", "last", 0.08, True)], ""),
        ([("mix", "last", -0.1, True), ("mix", "best", -0.1, True), ("best", "last", 0.0, False)], ""),
        ([("mix", "last", -0.1, True), ("mix", "best", -0.2, True), ("best", "last", 0.1, True)], "best"),
    ],
)
def test_a_value_is_marked_only_where_it_beats_each_other(rows, best):
    row = pd.Series({"level": "task", "task": "a", "group": "semantic", "best_layer": 3, "last_layer": 6})
    assert find_best(row, pairs(*rows)) == best


def test_the_last_layer_is_marked_where_it_is_the_best_and_beats_the_mix():
    row = pd.Series({"level": "task", "task": "a", "group": "semantic", "best_layer": 6, "last_layer": 6})
    rows = [("mix", "last", -0.1, True), ("mix", "best", -0.1, True), ("best", "last", 0.0, False)]
    assert find_best(row, pairs(*rows)) == "last"


def test_the_table_has_tasks_in_order_and_a_mean_after_each_group(table):
    order = "SentLen WC mean TreeDepth TopConst BShift mean Tense SubjNum ObjNum SOMO CoordInv mean mean"
    assert table["Task"].tolist() == order.split()
    assert table["Group"].tolist()[-1] == "all"


def test_cells_are_the_scores_times_100_with_one_decimal(table, run):
    row = table[table["Task"] == "ObjNum"].iloc[0]
    scores = run.scores[(run.scores["task"] == "obj_number") & (run.scores["split"] == "test")]
    last = scores[scores["layer"] == 6].iloc[0]
    assert row["Last (layer 6)"] == f"{last.value * 100:.1f} ± {(last.ci_high - last.ci_low) * 50:.1f}"
    assert row["Majority"] == "50.0"


def test_the_difference_stands_with_its_interval_in_either_form(parts, table):
    pair = parts[1].query("first == 'mix' and second == 'last' and task == 'obj_number'").iloc[0]
    row = table[table["Task"] == "ObjNum"].iloc[0]
    assert pair.significant
    assert row["Mix - last"] == f"{100 * pair.difference:+.1f}*"
    assert row["95 % interval"] == f"[{100 * pair.ci_low:+.1f}, {100 * pair.ci_high:+.1f}]"
    half = main_table(*parts, interval="half")["95 % interval"]
    assert half.str.startswith("± ").all()


def test_without_a_mix_the_best_layer_is_compared_with_the_last(plain_run):
    table = main_table(summarise(plain_run), compare_all(plain_run))
    assert "Best - last" in table
    assert "Mix" not in table


def test_markdown_has_a_row_per_row_and_equal_cells_in_each(table):
    lines = to_markdown(table).splitlines()
    assert len(lines) == len(table) + 2
    assert {line.count("|") for line in lines} == {len(table.columns)}
    assert ("**" in to_markdown(table)) == (table["Marked"] != "").any()


def test_csv_reads_back(table):
    back = pd.read_csv(io.StringIO(to_csv(table)), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(back.astype(object), table)


def test_latex_escapes_what_latex_would_read(table):
    odd = table.iloc[:1].assign(Task="a_b & 50% {x} \\y $", Marked="Mix")
    text = to_latex(odd)
    assert r"a\_b \& 50\% \{x\} \textbackslash{}y \$" in text
    assert r"\textbf{" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert all(
        line.count(" & ") == len(table.columns) - 2 for line in to_latex(table).splitlines() if line.endswith("\\\\")
    )


def test_a_pipe_in_a_name_does_not_break_markdown(table):
    assert r"a\|b" in to_markdown(table.iloc[:1].assign(Task="a|b"))


@pytest.mark.slow
@pytest.mark.parametrize("n_layers", [7, 25])
def test_the_screen_table_fits_in_100_columns_uncut(build_run, n_layers):
    run = build_run(n_layers=n_layers)
    compared = compare_all(run)
    console = Console(width=100, file=io.StringIO(), color_system=None)
    drawn = draw_table(main_table(summarise(run), compared), compared, run)
    assert Measurement.get(console, console.options.update(max_width=300), drawn).minimum <= 100
    console.print(drawn)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


def test_markup_in_names_comes_out_as_text(run, parts):
    table = main_table(*parts)
    table.loc[0, "Task"] = "[red]x[/red]"
    odd = type(run)(run.folder, run.scores.assign(checkpoint="[bold]/a"), run.weights, run.predictions, {}, {})
    console = Console(width=140, file=io.StringIO(), color_system=None)
    console.print(draw_table(table, parts[1], odd))
    assert "[red]x[/red]" in console.file.getvalue()
    assert "[bold]/a" in console.file.getvalue()


@pytest.mark.slow
def test_on_80_columns_no_number_is_cut(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    compared = compare_all(run)
    console = open_console()
    console.print(draw_table(main_table(summarise(run), compared), compared, run, narrow=True))
    show_details(RunNumbers(run), console)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert "Mix" in shown


@pytest.mark.parametrize("form", [format_percent, format_points])
def test_a_difference_that_rounds_to_nothing_has_no_minus(form):
    assert form(-0.0004) in ("0.0", "+0.0")
    assert form(-0.0) in ("0.0", "+0.0")
    assert form(-0.0006).startswith("-0.1")
    assert "-0.0" not in format_gain(-0.0004, 0.01)
    assert "-0.0" not in format_bounds(-0.0004, 0.01)


def test_a_narrow_table_keeps_the_majority_and_drops_the_interval(run):
    compared = compare_all(run)
    drawn = draw_table(main_table(summarise(run), compared), compared, run, narrow=True)
    heads = [str(column.header).replace("\n", " ") for column in drawn.columns]
    assert "Majority" in heads
    assert "95 % interval" not in heads
    assert "of the paired difference" not in str(drawn.caption)
    whole = draw_table(main_table(summarise(run), compared), compared, run)
    assert "of the paired difference" in str(whole.caption)


def test_redirected_output_has_whole_tables(run, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert open_console().width >= 100
    monkeypatch.setenv("COLUMNS", "60")
    console = open_console()
    assert console.width == 80
    wide = Table(
        "note", ["Task", *(f"column {number}" for number in range(12))], [["x", *["123.4 [120.0, 130.0]"] * 12]]
    )
    with console.capture() as caught:
        print_table(console, draw(wide))
    assert caught.get().count("123.4 [120.0, 130.0]") == 12


def test_captions_explain_the_columns_that_are_shown_and_no_other(run):
    depth = summarise_depth(run)
    note = narrow_depth(depth).caption
    assert "CG weights" in note
    assert "Expected" not in note
    assert "compressions" not in note
    measured = depth.assign(expected_layer=1.5, gravity_compression=2.0, gravity_compression_low=1.0)
    assert "Expected" in narrow_depth(measured).caption
    assert "95 % intervals over training" in narrow_depth(measured).caption


@pytest.mark.slow
def test_the_main_table_of_the_page_opens_on_tasks_and_scores_and_names_its_means():
    numbers = RunNumbers(load_run(Path(__file__).parents[1] / "runs" / "bermo"), 0)
    main = tabulate_run(numbers).main
    assert (main.heads[0], main.heads[-1]) == ("Task", "Group")
    assert main.heads.index("Majority") == 1
    means = [row for row in main.rows if row[0].startswith("mean")]
    assert means
    assert all(row[0] == f"mean of {row[-1]}" for row in means)


def test_the_sign_of_a_small_difference_is_explained_where_it_stands(run):
    summary, compared = summarise(run), compare_all(run)
    for equivalent in (False, True):
        marked = compared.assign(equivalent=equivalent)
        table = main_table(summary, marked)
        assert table["Mix - last"].str.contains("=").any() == equivalent
        note = str(draw_table(table, marked, run).caption)
        assert ("=: a difference below a point either way" in note) == equivalent
