from pathlib import Path

import pandas as pd
import pytest

from analysis.figures.by_layer import plot_code_length, plot_gradients, plot_selectivity
from analysis.figures.depth import plot_depth
from analysis.figures.of_a_run import draw_figures
from analysis.runs.probing_run import load_run
from analysis.stats.depth import summarise_depth
from probing.records import InputError

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture(scope="module")
def stored():
    return load_run(RUNS / "bermo")


def lines(figure, panel=0):
    return {line.get_label(): line for line in figure.axes[panel].lines if not line.get_label().startswith("_")}


def test_what_is_left_above_each_control_is_drawn_in_points(stored):
    drawn = lines(plot_selectivity(stored.scores), panel=3)
    assert set(drawn) == {"above the bag of embeddings", "above the control task", "above the untrained encoder"}
    rows = stored.scores.query("metric == 'selectivity' and task == 'past_present' and representation == 'layer'")
    expected = 100 * rows.sort_values("layer")["value"].to_numpy()
    assert drawn["above the control task"].get_ydata() == pytest.approx(expected)


def test_lines_are_told_apart_without_colour(stored):
    drawn = lines(plot_selectivity(stored.scores)).values()
    assert len({line.get_linestyle() for line in drawn}) == len({line.get_marker() for line in drawn}) == 3


def test_gradients_have_a_line_per_head_and_step(stored):
    drawn = lines(plot_gradients(stored.gradients))
    times = ("before training", "after 200 steps")
    assert set(drawn) == {f"head on the {head}, {time}" for head in ("last layer", "mix") for time in times}
    rows = stored.gradients.query("quantity == 'hidden' and task == 'sentence_length' and head == 'scalar_mix'")
    expected = rows[rows["step"] == 200].sort_values("layer")["value"].to_numpy()
    assert drawn["head on the mix, after 200 steps"].get_ydata() == pytest.approx(expected)


def test_code_length_has_a_line_for_the_task_and_for_each_control(stored):
    plain = stored.scores.query("metric == 'accuracy' and split == 'test' and control in ('none', 'control_task')")
    made = plain[plain["representation"] == "layer"].assign(metric="compression", split="train")
    drawn = lines(plot_code_length(pd.concat([stored.scores, made])))
    assert set(drawn) == {"the task", "the control task"}


def test_depth_marks_what_was_measured_at_its_depth(stored):
    depth = summarise_depth(stored)
    drawn = lines(plot_depth(depth))
    assert set(drawn) >= {"centre of gravity of weights", "centre of gravity of contributions"}
    assert "expected layer of cumulative mixes" not in drawn
    assert drawn["centre of gravity of weights"].get_xdata()[0] == pytest.approx(depth["gravity_weight"].iloc[-1])


@pytest.mark.slow
def test_a_run_has_a_figure_of_all_that_it_measured(stored):
    assert set(draw_figures(stored)) >= {"depth", "above_controls", "gradients_hidden", "gradients_parameters"}


def test_nothing_to_draw_is_one_line(plain_run):
    for draw, frame in (
        (plot_selectivity, plain_run.scores),
        (plot_code_length, plain_run.scores),
        (plot_gradients, plain_run.gradients),
    ):
        with pytest.raises(InputError, match="got none"):
            draw(frame)


def test_a_missing_layer_draws_nothing(stored):
    rows = stored.gradients
    lacking = rows[(rows["task"] != "tree_depth") | (rows["layer"] != 3)]
    with pytest.raises(InputError, match="task tree_depth lacks 3"):
        plot_gradients(lacking)
