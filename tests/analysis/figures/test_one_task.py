from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from analysis.figures.one_task import plot_task
from probing.records import InputError
from probing.tables import GradientNorm, column_names


@pytest.fixture(scope="module")
def measured(run):
    """The run with gradients that halve from layer to layer."""
    row = {"model": "bermo", "checkpoint": "made-up", "task": "past_present", "step": 0, "quantity": "hidden", "n": 8}
    rows = [
        row | {"head": head, "layer": layer, "layer_name": str(layer)}
        | {"value": 2.0**-layer, "ci_low": 2.0**-layer, "ci_high": 2.0**-layer}
        for head in ("last_layer", "scalar_mix")
        for layer in range(7)
    ]  # fmt: skip
    return replace(run, gradients=pd.DataFrame(rows, columns=column_names(GradientNorm)))


def texts(axes):
    return " ".join(text.get_text() for text in axes.findobj(Text))


def test_the_panels_hold_the_numbers_of_the_run(measured):
    scores, mix, gradients = plot_task(measured, "past_present").axes
    rows = measured.scores.query("task == 'past_present' and split == 'test' and representation == 'layer'")
    [line] = [line for line in scores.lines if line.get_label() == "single layer"]
    assert line.get_ydata() == pytest.approx(100 * rows["value"].to_numpy())
    own = measured.weights.query("task == 'past_present'")
    heights = [bar.get_height() for bar in mix.patches]
    assert heights == pytest.approx(100 * np.concatenate([own["weight"], own["contribution"]]))
    assert [list(line.get_ydata()) for line in gradients.lines] == [[2.0**-layer for layer in range(7)]] * 2


def test_what_a_run_lacks_is_said_with_the_flag_that_brings_it(plain_run):
    _, mix, gradients = plot_task(plain_run, "past_present").axes
    assert "--model bermo" in texts(mix)
    assert "--gradients 16" in texts(gradients)
    assert not mix.patches
    assert not gradients.lines


def test_one_layer_is_drawn(plain_run):
    scores = plain_run.scores[plain_run.scores["layer"].isin([-1, 6])]
    axes = plot_task(replace(plain_run, scores=scores), "past_present").axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["6"]


def test_a_task_that_the_run_lacks_is_refused(plain_run):
    with pytest.raises(InputError, match=r"got WC; it has SentLen, TreeDepth, Tense, ObjNum"):
        plot_task(plain_run, "word_content")
