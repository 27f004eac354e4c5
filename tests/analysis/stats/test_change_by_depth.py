"""Change by depth beside gradient norms: planted orders, and the exact p of a few blocks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.figures.change import plot_change, plot_pairs
from analysis.stats.change_by_depth import correlate_change, explain_change, find_p, match_gradients
from analysis.tables.change import tabulate_change, tabulate_correlations, tabulate_nearest
from analysis.terminal.layers import show_change, show_similarity
from probing.records import InputError
from probing.tables import LayerChange, LayerSimilarity

NAMES = ["embeddings", *map(str, range(1, 7))]


@pytest.fixture(scope="module")
def training(build_training):
    """Two seeds of six blocks, whose gradient norms grow with depth."""
    run = build_training(n_layers=7, seeds=(0, 1), steps=30)
    return run.__class__(
        **vars(run) | {"models": run.models.assign(folder=[f"models/seed-{s}" for s in run.models["seed"]])}
    )


def measure(weights, alike):
    """Rows of similarity and change of both models, with these values by layer."""
    likeness, moved = {}, {}
    for seed in (0, 1):
        name, values = f"models/seed-{seed}", [float(value) for value in alike]
        moved[name] = [LayerChange("start", name, i, NAMES[i], float(value)) for i, value in enumerate(weights)]
        likeness[name] = [
            LayerSimilarity("bert", "start", name, "sst_2", i, NAMES[i], j, NAMES[j], value, 0.0, 1.0, 50)
            for i in range(7)
            for j in range(7)
            for value in [values[i] if i == j else 0.1]
        ]
    return likeness, moved


def match(training, weights, alike):
    frames = [
        pd.DataFrame([vars(row) | {"trained": name} for name, rows in part.items() for row in rows])
        for part in measure(weights, alike)
    ]
    return match_gradients(training, *frames)


GROWING = [0.5, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06]


def test_changes_stand_beside_the_geometric_mean_of_each_layers_gradients(training):
    frame = match(training, GROWING, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    rows = frame[frame["model"] == "models/seed-1"].set_index("layer")
    assert rows["weight_change"].tolist() == GROWING
    assert rows["vector_change"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    # The made-up norms of layer l at step t are (1 + l) exp(-rate t / 5): their logarithms' mean is that at step 15.
    expected = [(1 + layer) * np.exp(-0.05 * 15 / 5) for layer in range(7)]
    assert rows["gradient_norm"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("weights", "rank", "said"),
    [
        (GROWING, 1, "follows"),
        ([0.5, *GROWING[:0:-1]], -1, "against"),
        ([1, 3, 6, 1, 5, 2, 4], None, "no common order"),
    ],
)
def test_the_order_of_blocks_is_found_and_said(training, weights, rank, said):
    found = correlate_change(match(training, weights, [0.5, 0.4, 0.9, 0.5, 0.8, 0.6, 0.7]))
    row = found[(found["what"] == "weights") & (found["against"] == "gradients")].iloc[0]
    if rank is not None:
        assert row["rank"] == pytest.approx(rank)
        assert row["p"] == pytest.approx(2 / 720), "of 720 orders two are as far from none"
        assert row["lowest"] == row["highest"] == pytest.approx(rank)
    assert (row["n_blocks"], row["n_models"]) == (6, 2)
    about_weights, about_vectors = explain_change(found)
    assert said in about_weights
    assert about_weights.startswith("Change of weights")
    assert "no common order" in about_vectors
    assert len(tabulate_correlations(found).rows) == 5


def test_p_is_near_that_of_the_t_law_where_blocks_are_many_and_counts_orders_where_few():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 8))
    assert find_p(one, other) == pytest.approx(spearmanr(one, other).pvalue, abs=0.02)
    assert find_p(np.arange(4.0), np.array([0, 2, 1, 3.0])) == pytest.approx(8 / 24)
    assert find_p(np.arange(12.0), np.arange(12.0)) < 1e-6


def test_three_blocks_are_too_few_to_say(build_training):
    run = build_training(n_layers=3, seeds=(0,), steps=30)
    run = run.__class__(**vars(run) | {"models": run.models.assign(folder="models/seed-0")})
    found = correlate_change(match(run, GROWING, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]))
    assert found.empty
    assert ["four blocks or more" in line for line in explain_change(found)] == [True]


def test_it_is_printed_drawn_and_saved(training, tmp_path, capsys):
    show_change(training, *measure(GROWING, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), tmp_path)
    printed = capsys.readouterr().out
    assert "Change of weights by depth follows gradient norms" in printed
    assert "0.400" in printed
    stems = {"layer_similarity", "layer_change", "change_by_depth", "correlations"}
    assert {path.stem for path in tmp_path.glob("*.parquet")} == stems
    assert (tmp_path / "change_by_depth.png").stat().st_size > 5000
    frame = pd.read_parquet(tmp_path / "change_by_depth.parquet")
    assert len(plot_change(frame).axes) == 3
    assert len(tabulate_change(frame).rows) == 7


@pytest.mark.slow
def test_two_encoders_have_the_nearest_layer_of_each_named(tmp_path, capsys):
    rows = measure(GROWING, [1, 0.9, 0.05, 0.7, 0.6, 0.5, 0.4])[0]["models/seed-0"]
    show_similarity(rows, tmp_path)
    assert "start and seed-0 on SST-2" in capsys.readouterr().out
    table = tabulate_nearest(pd.DataFrame(rows), "")
    assert table.rows[1] == ["1", "0.900 [0.000, 1.000]", "1", "0.900 [0.000, 1.000]"]
    assert table.rows[2][2] != "2"
    assert pd.read_parquet(tmp_path / "layer_similarity.parquet").shape == (49, 12)
    shown = np.asarray(plot_pairs(pd.DataFrame(rows)).axes[0].collections[0].get_array()).reshape(7, 7)
    assert np.diag(shown) == pytest.approx([1, 0.9, 0.05, 0.7, 0.6, 0.5, 0.4])
    with pytest.raises(InputError, match="no layer has a likeness"):
        show_similarity([])
