"""A whole run with every control and measure, on a tiny encoder."""

import json
from copy import copy
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from probing.catalogue.controls import CONTROLS, DEFAULT_CONTROLS, check_controls
from probing.catalogue.measures import MEASURES as CATALOGUE
from probing.catalogue.measures import ON_REQUEST
from probing.cells.plan import (
    choose_layers,
    describe_probe,
    find_classes_only,
    make_probe,
    name_probe,
    plan_cells,
    plan_control,
    plan_measure,
)
from probing.contracts.measure import Cell, Encoded
from probing.encoders.bermo import build
from probing.pipeline import run
from probing.progress import Reporter
from probing.records import InputError, LayerStack
from probing.settings.run import RunSettings
from tests.helpers import build_task, write_task

pytestmark = pytest.mark.slow
MEASURES = tuple(name for name in ON_REQUEST if not CATALOGUE[name].module or find_spec(CATALOGUE[name].module))
"""All that this installation can compute."""


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    return build(str(tiny_folder), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def settings(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    for name in ("past_present", "obj_number"):
        write_task(folder, build_task(name))
    return RunSettings(
        model="bermo", checkpoint=str(tiny_folder), data=str(folder), controls=tuple(CONTROLS), control_mix=True,
        measures=MEASURES, dtype="float32", device="cpu", threads=1, quiet=True,
        output=tmp_path_factory.mktemp("run") / "run",
        cache_dir=tmp_path_factory.mktemp("cache"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcome(settings):
    return run(settings, Reporter(quiet=True))


@pytest.fixture(scope="module")
def scores(outcome):
    assert not outcome.failures
    return pd.read_parquet(outcome.folder / "scores.parquet")


def select(scores, **wanted):
    for column, value in wanted.items():
        scores = scores[scores[column] == value]
    return scores


def test_every_control_scores_its_readings(scores):
    for control in CONTROLS:
        rows = select(scores, control=control, metric="accuracy", split="test", task="obj_number")
        layers = [-1] if CONTROLS[control].of_text else [0] if control == "bag_of_embeddings" else [0, 1, 2]
        mixes = [-1] if CONTROLS[control].mixes else []
        assert sorted(rows["layer"]) == mixes + layers


def test_differences_are_those_of_the_scores(scores):
    rows = select(scores, control="control_task", metric="selectivity")
    assert sorted(rows["layer"]) == [-1, -1, 0, 0, 1, 1, 2, 2]
    for row in rows.itertuples():
        one, other = (
            select(scores, task=row.task, layer=row.layer, metric="accuracy", split="test", control=control,
                   representation=row.representation)["value"].item()
            for control in ("none", "control_task")
        )  # fmt: skip
        assert row.value == pytest.approx(one - other)
        assert row.ci_low <= row.value <= row.ci_high


def test_control_rows_are_of_the_runs_model(scores):
    assert set(scores["model"]) == {"bermo"}
    assert select(scores, control="untrained")["revision"].str.startswith("untrained").any()


def test_the_layer_zero_of_the_run_is_the_bag_of_embeddings(scores):
    rows = select(scores, layer=0, metric="accuracy", representation="layer", split="test")
    for task, found in rows.groupby("task"):
        by_control = found.set_index("control")["value"]
        assert by_control["bag_of_embeddings"] == by_control["none"], task


def test_every_measure_has_its_rows(scores):
    plain = select(scores, control="none", task="past_present")
    lengths = select(plain, metric="code_length_bits")
    assert set(zip(lengths["representation"], lengths["layer"], strict=True)) == {
        ("layer", 0), ("layer", 1), ("layer", 2), ("scalar_mix", -1),
    }  # fmt: skip
    compression = select(plain, metric="compression").set_index(["representation", "layer"])["value"]
    expected = 60 * np.log2(2) / lengths.set_index(["representation", "layer"])["value"]
    assert (compression - expected).abs().max() < 1e-9
    gravity = select(plain, metric="compression_gravity")["value"].item()
    by_layer = compression["layer"]
    assert gravity == pytest.approx((by_layer.index * by_layer).sum() / by_layer.sum())
    assert select(plain, metric="conditional_information_bits")["layer"].tolist() == [1, 2]
    assert select(plain, representation="concat", metric="accuracy", split="test")["layer"].tolist() == [-1]
    assert select(plain, representation="cumulative_mix", metric="accuracy", split="test")["layer"].tolist() == [
        0,
        1,
        2,
    ]
    assert select(plain, metric="usable_information_bits", representation="layer")["layer"].tolist() == [0, 1, 2]


def test_layers_are_held_against_each_other_and_left_out_of_the_mix_one_by_one(outcome, scores):
    plain = select(scores, control="none", task="past_present")
    for metric in ("knockout_accuracy", "knockout_bits"):
        assert select(plain, metric=metric, representation="scalar_mix")["layer"].tolist() == [1, 2]
    for metric in ("effective_rank", "anisotropy"):
        assert select(plain, metric=metric, split="train")["layer"].tolist() == [0, 1, 2]
    table = pd.read_parquet(outcome.folder / "layer_similarity.parquet")
    assert len(table) == 2 * 3 * 3
    own = table[table["layer"] == table["other_layer"]]
    assert own["value"].to_numpy() == pytest.approx(1)


def test_intervals_of_the_weights_are_of_the_weights_of_the_run(outcome, scores):
    weights = pd.read_parquet(outcome.folder / "layer_weights.parquet")
    weights = select(weights, control="none", task="past_present").set_index("layer")
    measured = select(scores, task="past_present", representation="scalar_mix", control="none")
    for metric, column in (("mix_weight", "weight"), ("mix_contribution", "contribution")):
        rows = select(measured, metric=metric).set_index("layer")
        assert rows["value"].to_dict() == pytest.approx(weights[column].to_dict(), abs=1e-5)
        assert (rows["ci_low"] < rows["ci_high"]).all()
        gravity = select(measured, metric=f"{column}_gravity")
        assert gravity["value"].item() == pytest.approx((weights.index * weights[column]).sum(), abs=1e-5)
        assert 1 - 1e-9 <= gravity["ci_low"].item() < gravity["ci_high"].item() <= 2 + 1e-9
    assert 0 <= select(measured, metric="weight_entropy_bits")["value"].item() <= 1


def test_bits_about_a_class_are_at_most_its_entropy(scores):
    # Of test labels by the shares that classes have in train, which may take a little more than one bit a label.
    assert (select(scores, metric="usable_information_bits")["value"] <= 1.02).all()


def test_the_cost_of_every_control_and_measure_is_written_down(outcome):
    stages = json.loads((outcome.folder / "manifest.json").read_text())["stages"]
    assert {*CONTROLS, *MEASURES, "probing", "encoding untrained"} <= stages.keys()
    assert all(stage["seconds"] >= 0 for stage in stages.values())


def test_a_second_run_computes_no_cell_again(settings, outcome, scores):
    before = {path: path.stat().st_mtime_ns for path in (outcome.folder / "cells").iterdir()}
    run(settings, Reporter(quiet=True))
    after = {path: path.stat().st_mtime_ns for path in (outcome.folder / "cells").iterdir()}
    assert after == before
    pd.testing.assert_frame_equal(pd.read_parquet(outcome.folder / "scores.parquet"), scores)


def test_the_default_controls_exist_and_leave_the_sanity_check_out():
    check_controls(DEFAULT_CONTROLS)
    assert set(CONTROLS) - set(DEFAULT_CONTROLS) == {"shuffled_labels", "untrained", "characters"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": ("untraind",)}, "unknown control 'untraind': did you mean untrained"),
        ({"measures": ("code_lenght",)}, "unknown measure 'code_lenght': did you mean code_length"),
        ({"measures": ("code_length",), "probe": "mlp"}, "only with --probe linear"),
        ({"measures": ("weight_intervals",), "mix_dropout": 0.1}, "only with --protocol modern and --mix-dropout 0"),
        ({"probe": "knn", "protocol": "senteval"}, "SentEval has none"),
        ({"probe": "scalar_mix"}, "--probe scalar_mix: comes with .*; expected centroid, knn, linear, mlp"),
        ({"mix_dropout": 1.0}, "--mix-dropout 1.0: expected a probability"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(changes, message):
    with pytest.raises(InputError, match=message):
        run(RunSettings(**changes), Reporter(quiet=True))


def test_each_seed_has_a_cell_where_the_start_matters(encoder):
    task, seeds = build_task(), (0, 1, 2)
    for changes, expected in (({}, 1), ({"probe": "mlp"}, 3), ({"probe": "knn"}, 1), ({"protocol": "senteval"}, 3)):
        cells = plan_cells(RunSettings(seeds=seeds, **changes), [task], encoder)
        assert sum(cell.representation == "layer" for cell in cells) == expected
        assert sum(cell.representation == "scalar_mix" for cell in cells) == 3


def test_controls_and_measures_take_the_first_seed(encoder):
    settings, task = RunSettings(control_mix=True, seeds=(5, 6)), build_task()
    cells = plan_control("control_task", settings, [task], encoder)
    cells += plan_measure("code_length", settings, [task], encoder)
    assert {cell.seed for cell in cells} == {5}
    assert len({cell.name for cell in cells}) == len(cells) == 4


def test_the_published_protocol_takes_its_own_probe():
    layer, mix = (Cell(build_task(), representation) for representation in ("layer", "scalar_mix"))
    published = RunSettings(protocol="senteval_original", probe="mlp")
    assert name_probe(layer, published) == name_probe(mix, published) == "senteval"
    assert make_probe(layer, published).get_params()["n_hidden"] == 50
    assert make_probe(layer, published).faults
    assert make_probe(mix, published).mixes
    assert not make_probe(layer, RunSettings(protocol="senteval")).faults
    assert make_probe(layer, RunSettings(protocol="senteval")).n_hidden == 0


def test_the_table_says_which_probe_of_the_published_ones_it_was():
    layer, mix = (Cell(build_task(), representation) for representation in ("layer", "scalar_mix"))
    named = {
        (probe, protocol): describe_probe(layer, RunSettings(probe=probe, protocol=protocol))
        for probe in ("linear", "mlp")
        for protocol in ("modern", "senteval")
    }
    assert len({(one["probe"], one["protocol"]) for one in named.values()}) == len(named)
    assert named["mlp", "senteval"] == {"probe": "senteval_mlp", "protocol": "senteval"}
    dropping = RunSettings(mix_dropout=0.1)
    assert describe_probe(mix, dropping) == {"probe": "senteval", "protocol": "senteval"}
    assert describe_probe(layer, dropping) == {"probe": "linear", "protocol": "modern"}


def test_the_flag_that_forbids_graded_tasks_is_named():
    assert find_classes_only(RunSettings()) == ""
    assert find_classes_only(RunSettings(probe="knn")) == "--probe knn"
    assert find_classes_only(RunSettings(probe="centroid")) == ""
    assert find_classes_only(RunSettings(protocol="senteval")) == "--protocol senteval"
    assert find_classes_only(RunSettings(mix_dropout=0.1)) == "--mix-dropout 0.1"


def test_an_encoder_without_embeddings_has_no_bag_of_them(encoder):
    nameless = copy(encoder)
    nameless.layer_names = ("1", "2")
    settings, tasks = RunSettings(), [build_task()]
    assert plan_control("bag_of_embeddings", settings, tasks, encoder)
    assert plan_control("bag_of_embeddings", settings, tasks, nameless) == []


def test_a_graded_task_is_refused_by_probes_that_know_classes_only():
    task = build_task()
    splits = {name: replace(split, targets=split.labels.astype(float)) for name, split in task.splits.items()}
    graded = Cell(replace(task, splits=splits), "layer")
    assert make_probe(graded, RunSettings())
    with pytest.raises(ValueError, match="the mlp probe knows classes only"):
        make_probe(graded, RunSettings(probe="mlp"))


def test_word_content_never_has_a_hidden_layer_there():
    task = build_task()
    words = type(task)(type(task.spec)("word_content", "WC", "surface"), task.classes, task.splits)
    assert make_probe(Cell(words, "layer"), RunSettings(protocol="senteval", probe="mlp")).n_hidden == 0


def test_dropped_layers_make_the_mix_a_minibatch_one():
    mix = Cell(build_task(), "scalar_mix")
    assert name_probe(mix, RunSettings()) == "scalar_mix"
    assert make_probe(mix, RunSettings(mix_norm=True)).norm
    assert make_probe(Cell(build_task(), "cumulative_mix"), RunSettings(mix_norm=True)).norm
    dropped = make_probe(mix, RunSettings(mix_dropout=0.2))
    assert (dropped.dropout, dropped.mixes) == (0.2, True)


def test_embeddings_are_mixed_where_the_settings_say_so(encoder):
    def choose(cell, layers, **settings):
        stack = LayerStack(np.zeros((3, 1, encoder.hidden_size), np.float32), encoder.layer_names, "mean")
        return choose_layers(cell, Encoded(encoder, layers, stack, {}), RunSettings(**settings))

    mix = Cell(build_task(), "scalar_mix")
    assert choose(mix, [0, 1, 2]) == [1, 2]
    assert choose(mix, [0, 1, 2], mix_embeddings=True) == [0, 1, 2]
    assert choose(mix, [0]) == [0]
    assert choose(Cell(build_task(), "cumulative_mix"), [0, 1]) == [0, 1]
    assert choose(Cell(build_task(), "layer", "bag_of_embeddings"), [1, 2]) == [0]
