import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm

from analysis.figures.training import (
    COLUMN_INCHES,
    plot_gradients_by_depth,
    plot_layers_by_step,
    plot_pruning,
    plot_training,
)
from analysis.runs.training_run import (
    is_training,
    label_runs,
    load_training,
    load_trainings,
    name_variants,
    stack_logs,
    stack_models,
)
from analysis.tables.training import seeds_table
from analysis.terminal.training import draw_training_figures, show_training
from probing.records import InputError


@pytest.fixture(scope="module")
def pair(build_training):
    return [build_training("bert", rate=0.05), build_training("bermo", rate=0.1)]


@pytest.fixture(scope="module")
def pruned(build_training):
    return [
        build_training(model, methods=("magnitude", "soft_movement"), sparsities=(0.5, 0.9), top=top)
        for model, top in (("bert", 0.86), ("bermo", 0.9))
    ]


@pytest.fixture
def folder(pair, write_training, tmp_path):
    return write_training(pair[1], tmp_path / "bermo")


def test_a_training_folder_comes_back_as_it_was_written(folder, pair):
    run = load_training(folder)
    pd.testing.assert_frame_equal(run.log, pair[1].log)
    pd.testing.assert_frame_equal(run.models, pair[1].models)
    assert (run.name, run.recipe, run.model, run.task, run.metric) == (
        "bermo",
        "finetune",
        "bermo",
        "sst_2",
        "accuracy",
    )
    assert is_training(folder)
    assert not is_training(folder.parent)


@pytest.mark.parametrize("lacking", [["stage", "variant"], ["stage", "variant", "penalty"]])
def test_a_folder_of_before_there_were_chains_loads_with_the_columns_that_it_lacks(lacking, folder, pair):
    for name in ("training_log", "trained_models"):
        path = folder / f"{name}.parquet"
        pd.read_parquet(path).drop(columns=lacking).to_parquet(path)
    run = load_training(folder)
    for found, written in ((run.log, pair[1].log), (run.models, pair[1].models)):
        assert set(found["stage"]) == {""}
        assert set(found["variant"]) == {"{}"}
        assert set(found["penalty"]) == {0.0}
        pd.testing.assert_frame_equal(found.drop(columns=lacking), written.drop(columns=lacking), check_like=True)


def test_of_a_chain_the_last_stage_is_what_counts(folder, pair):
    for name, frame in (("training_log", pair[1].log), ("trained_models", pair[1].models)):
        chain = [own.assign(stage=stage) for _, own in frame.groupby("seed") for stage in ("first", "last")]
        chain = [own.assign(value=0.0) if (own["stage"] == "first").all() else own for own in chain]
        pd.concat(chain).to_parquet(folder / f"{name}.parquet")
    run = load_training(folder)
    for found, written in ((run.log, pair[1].log), (run.models, pair[1].models)):
        assert set(found["stage"]) == {"last"}
        assert found["value"].sum() == pytest.approx(written["value"].sum())
        assert len(found) == len(written)


def test_several_folders_are_told_apart_by_their_model_or_else_by_their_folder(folder, write_training, pair, tmp_path):
    other = write_training(pair[0], tmp_path / "bert")
    runs = load_trainings([other, folder])
    assert label_runs(runs) == ["bert", "bermo"]
    assert stack_logs(runs)["line"].unique().tolist() == ["bert", "bermo"]
    again = write_training(pair[0], tmp_path / "bert_again")
    assert label_runs(load_trainings([other, again])) == ["bert", "bert_again"]


def test_logs_of_pruning_have_a_line_for_each_method_and_aim(pruned):
    lines = set(stack_logs(pruned[:1])["line"])
    soft = {f"bert soft movement penalty {penalty}" for penalty in (500, 900)}
    assert lines == {"bert magnitude 50 %", "bert magnitude 90 %"} | soft
    assert set(stack_models(pruned)["line"]) == {"bert", "bermo"}


def spoil(folder, how):
    log, models = (pd.read_parquet(folder / f"{name}.parquet") for name in ("training_log", "trained_models"))
    if how == "gone":
        shutil.rmtree(folder)
    elif how == "half-written":
        (folder / "trained_models.parquet").unlink()
    elif how == "no rows":
        models[:0].to_parquet(folder / "trained_models.parquet")
    elif how == "twice":
        pd.concat([log, log[:2]]).to_parquet(folder / "training_log.parquet")
    elif how == "no column":
        log.drop(columns="quantity").to_parquet(folder / "training_log.parquet")
    elif how == "two tasks":
        models.assign(task=[f"task_{row}" for row in range(len(models))]).to_parquet(folder / "trained_models.parquet")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("gone", "no such folder; expected a run folder, such as train_encoder.py writes"),
        ("half-written", "trained_models.parquet is missing; the run did not finish"),
        ("no rows", "holds no rows"),
        ("twice", "2 row.s. twice, the first seed 0, step 0, quantity dev_score"),
        ("no column", "expected the columns quantity"),
        ("two tasks", "expected the models of one task, got task_0, task_1"),
    ],
)
def test_what_is_no_finished_training_run_is_refused_in_one_line(folder, how, message):
    spoil(folder, how)
    with pytest.raises(InputError, match=message) as caught:
        load_training(folder)
    assert "\n" not in str(caught.value)


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_curves_show_the_mean_over_seeds_and_a_band_from_the_lowest_to_the_highest(pair):
    axes = plot_training(stack_logs(pair), "accuracy").axes[0]
    line = lines_of(axes)["bert"]
    expected = 100 * (0.5 + 0.4 * (1 - np.exp(-0.05 * 50)) + np.mean([0, 0.001, 0.002]))
    assert line.get_ydata()[list(line.get_xdata()).index(50)] == pytest.approx(expected)
    band = axes.collections[0].get_paths()[0].vertices
    at_50 = band[band[:, 0] == 50, 1]
    assert np.ptp(at_50) == pytest.approx(0.2)


def test_one_seed_has_no_band(build_training):
    assert not plot_training(stack_logs([build_training(seeds=(0,))])).axes[0].collections


def test_lines_are_told_apart_without_colour(pair):
    found = lines_of(plot_training(stack_logs(pair)).axes[0]).values()
    assert len({(line.get_marker(), line.get_linestyle()) for line in found}) == 2


def test_heatmaps_of_layers_share_one_scale_over_models(pair):
    figure = plot_layers_by_step(stack_logs(pair), "gradient_norm")
    meshes = [axes.collections[0] for axes in figure.axes[:2]]
    assert meshes[0].norm is meshes[1].norm
    assert isinstance(meshes[0].norm, LogNorm)
    shown = np.asarray(meshes[0].get_array()).reshape(3, 11)
    assert shown[:, 0] == pytest.approx([1, 2, 3])


def test_weights_of_a_mix_are_drawn_in_percent_and_a_model_without_mix_has_none(pair):
    figure = plot_layers_by_step(stack_logs(pair), "weight")
    assert figure.axes[0].get_title() == "bermo"
    shown = np.asarray(figure.axes[0].collections[0].get_array()).reshape(3, 11)
    assert shown.sum(axis=0) == pytest.approx(100)
    with pytest.raises(InputError, match="quantity weight"):
        plot_layers_by_step(stack_logs(pair[:1]), "weight")


def test_gradients_by_depth_are_geometric_means_of_the_first_and_the_last_fifth(pair):
    first, last = plot_gradients_by_depth(stack_logs(pair)).axes
    # Of the steps 0, 10, 20 the middle one, since the logarithm falls in a straight line.
    assert lines_of(first)["bert"].get_ydata() == pytest.approx(np.array([1, 2, 3]) * np.exp(-0.05 * 10 / 5))
    assert lines_of(last)["bert"].get_ydata() == pytest.approx(np.array([1, 2, 3]) * np.exp(-0.05 * 90 / 5))


def test_pruning_curves_stand_at_the_zeros_reached_and_cross_the_diverged(pruned):
    figure = plot_pruning(stack_models(pruned))
    assert [axes.get_title() for axes in figure.axes] == ["magnitude", "soft movement"]
    line = lines_of(figure.axes[0])["bert"]
    assert line.get_xdata() == pytest.approx([49.5, 89.1])
    own = pruned[0].models.query("method == 'magnitude' and split == 'dev' and sparsity == 0.9")
    assert line.get_ydata()[1] == pytest.approx(100 * own["value"].mean())
    crosses = [mark.get_offsets() for mark in figure.axes[0].collections if len(mark.get_paths()[0].vertices) == 4]
    assert sum(len(cross) for cross in crosses) == 2  # one seed of each model


def test_nothing_pruned_has_no_pruning_curve(pair):
    with pytest.raises(InputError, match="pruned models"):
        plot_pruning(stack_models(pair))


def test_a_name_with_a_dollar_sign_is_no_formula(pair):
    logs = stack_logs(pair)
    figure = plot_training(logs.assign(line=logs["line"] + " $x$"))
    figure.draw_without_rendering()
    written = [text for text in figure.legends[0].get_texts() if "$x$" in text.get_text()]
    assert written
    assert not any(text.get_parse_math() for text in written)


def test_every_figure_fits_one_column_and_none_is_kept_by_pyplot(pair, pruned):
    found = draw_training_figures(pair[1])
    assert set(found) == {"training", "gradients_by_depth", "gradient_norm_by_step", "weight_by_step"}
    assert {figure.get_size_inches()[0] for figure in found.values()} == {COLUMN_INCHES}
    assert {"pruning", "training_magnitude", "training_soft_movement"} <= set(draw_training_figures(pruned[0]))
    assert not plt.get_fignums()


def test_the_table_has_a_row_per_seed_and_their_mean_and_standard_deviation(pair):
    table = seeds_table(pair[0])
    assert table["Seed"].tolist() == ["0", "1", "2", "mean"]
    values = 100 * pair[0].models.query("split == 'dev'")["value"]
    assert table["Dev"].tolist()[-1] == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    assert table["Diverged"].tolist() == ["no", "no", "no", "0 of 3"]


def test_a_second_metric_does_not_double_the_rows(pair):
    f1 = pair[0].models.assign(metric="f1", value=0.1)
    both = dataclasses.replace(pair[0], models=pd.concat([pair[0].models, f1], ignore_index=True))
    pd.testing.assert_frame_equal(seeds_table(both), seeds_table(pair[0]))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["finetune", "prune"])
def test_the_screen_shows_the_table_in_80_columns_and_figures_are_left(
    recipe, pair, pruned, write_training, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    folder = write_training({"finetune": pair[1], "prune": pruned[1]}[recipe], tmp_path / "run")
    show_training(folder)
    told = capsys.readouterr().out
    table = told.split("log, models and figures")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table
    assert "SST-2" in table
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert {"pruning.pdf" if recipe == "prune" else "training.pdf"} <= drawn


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("{}", ""),
        ('{"order": "sandwich"}', "sandwich"),
        ('{"arm": "teacher"}', "teacher"),
        ('{"arm": "kdlsq", "bits": 2}', "kdlsq 2 bits"),
        ('{"arm": "kdlsq", "bits": 8, "few_bits": 2, "in_few_bits": "embeddings"}', "kdlsq 8 bits, embeddings 2"),
    ],
)
def test_a_models_name_is_of_the_facts_of_its_variant(variant, name):
    assert name_variants(pd.DataFrame({"variant": [variant]})).tolist() == [name]
