"""Orders of sub-layers beside one another: each probing run finds its model, tables and figure say what is in them."""

import json
import sys
from dataclasses import replace

import pandas as pd
import pytest

from analysis.figures.orders import plot_orders
from analysis.orders import main
from analysis.runs.frames import mean_scores
from analysis.runs.orders_run import load_orders
from analysis.stats.between_runs import compare_runs
from analysis.stats.summary import summarise_tasks
from analysis.tables.orders import tabulate_probed, tabulate_trained
from probing.records import InputError
from probing.tables import TrainedModel, column_names

ORDERS = {"interleaved": "1212", "convolution_first": "0122"}
TASKS = ["bigram_shift", "past_present"]


@pytest.fixture
def folders(tmp_path, build_run, build_training, write_run, write_training):
    """A training run of two orders, of which the second did not come to the loss, and a probing run of each."""
    trained, rows = build_training(seeds=(0,)), []
    own = trained.models.drop(columns=["variant", "folder", "until_dev_loss", "dev_loss", "metric"])
    for number, (name, pattern) in enumerate(ORDERS.items()):
        facts = {"variant": json.dumps({"order": name, "pattern": pattern}), "folder": f"models/{name}-seed-0"}
        facts |= {"until_dev_loss": 5.0, "dev_loss": 4.9 + number / 4}
        rows += [own.assign(**facts, metric="masked_accuracy"), own.assign(**facts, metric="bits_per_token")]
    models = pd.concat(rows, ignore_index=True)[column_names(TrainedModel)]
    training = write_training(replace(trained, models=models), tmp_path / "trained")
    probed = []
    for name in ORDERS:
        (training / "models" / f"{name}-seed-0").mkdir(parents=True)
        run = build_run(n_layers=5, tasks=TASKS, mix=False, seeds=(0,), n=200)
        run = replace(run, manifest={"encoder": {"checkpoint": str(training / "models" / f"{name}-seed-0")}})
        probed.append(write_run(run, tmp_path / f"probed-{name}"))
    return training, probed


def test_each_probing_run_finds_the_model_that_it_reads_in_the_order_of_training(folders):
    training, probed = folders
    orders = load_orders(training, probed[::-1])
    assert [(order.name, order.pattern) for order in orders] == [("interleaved", "1212"), ("convolution first", "0122")]
    assert [order.run.folder for order in orders] == probed


def test_a_loss_that_was_not_reached_is_loud_in_the_table(folders):
    rows = tabulate_trained(load_orders(*folders)).rows
    assert [row[4] for row in rows] == ["4.900 of 5", "5.150 of 5, NOT REACHED"]


@pytest.mark.slow
def test_the_table_holds_the_best_layers_and_their_paired_difference(folders):
    one, other = load_orders(*folders)
    table = tabulate_probed([one, other])
    best = summarise_tasks(one.run).set_index("title")
    pairs = compare_runs(one.run, other.run).query("contender == 'best'").set_index("title")
    for row in table.rows:
        assert row[2].startswith(f"{100 * best.loc[row[0], 'best']:.1f} [")
        assert row[2].endswith(f"({best.loc[row[0], 'best_name']})")
        assert row[4].split()[0].rstrip("*") == f"{100 * pairs.loc[row[0], 'difference']:+.1f}"


def test_the_figure_has_a_panel_for_each_order_with_its_sublayers_on_the_axis_and_one_scale(folders):
    names = {"a": ["1:att", "2:ffn", "3:att", "4:ffn"], "b": ["1:conv", "2:conv", "3:att", "4:ffn"]}
    scores = {}
    for (name, layers), order, lift in zip(names.items(), load_orders(*folders), (0.0, 0.05), strict=True):
        frame = mean_scores(order.run.scores)
        labels = dict(enumerate(["embeddings", *layers]))
        frame = frame.assign(layer_name=frame["layer"].map(labels), value=frame["value"] + lift)
        scores[name] = frame
    figure = plot_orders(scores)
    panels = [axes for axes in figure.axes if axes.get_title() in names]
    assert [[label.get_text() for label in axes.get_yticklabels()][::-1][1:] for axes in panels] == list(names.values())
    colours = [axes.collections[0].get_array().max() for axes in panels]
    assert colours[1] == pytest.approx(1)
    assert colours[0] < 1  # the best of all orders is the other's


@pytest.mark.slow
def test_the_command_leaves_tables_and_figure_and_prints_both_orders(folders, monkeypatch, capsys, tmp_path):
    training, probed = folders
    arguments = [training, *probed, "--output", tmp_path / "set"]
    monkeypatch.setattr(sys, "argv", ["analysis.orders", *map(str, arguments)])
    assert main() == 0
    shown = capsys.readouterr().out
    assert "interleaved" in shown
    assert "NOT REACHED" in shown
    assert {path.name for path in (tmp_path / "set").iterdir()} == {
        "orders_by_layer.png", "orders_by_layer.pdf", "orders_trained.csv", "orders_probed.csv",
    }  # fmt: skip


def test_what_does_not_belong_together_is_refused(folders, write_run, build_run, tmp_path):
    training, probed = folders
    with pytest.raises(InputError, match="probe one model, models/interleaved-seed-0; name one of them"):
        load_orders(training, [probed[0], probed[0]])
    with pytest.raises(InputError, match="expected the probing runs of its models too, got none"):
        load_orders(training, [])
    strange = write_run(build_run(n_layers=5, tasks=TASKS, mix=False), tmp_path / "strange")
    with pytest.raises(InputError, match=r"which is no kept model of .*trained"):
        load_orders(training, [strange])
