import re

import pandas as pd
import pytest

from analysis.report.findings import conclude_claims, conclude_gradients, conclude_mix, conclude_pairs, conclude_sizes
from analysis.runs.frames import mean_weights
from analysis.stats.depth import COLUMNS, summarise_depth


def depth_row(**changed):
    row = dict.fromkeys(COLUMNS, float("nan"))
    row |= {"task": "past_present", "title": "Tense", "best_layer": 3, "best_name": "3", "disagreement": ""}
    return pd.DataFrame([row | {"indistinct": (2, 3), "gravity_contribution": 2.5} | changed])


WEIGHTS = pd.DataFrame({"task": "past_present", "layer_name": ["1", "2", "3"], "contribution": [0.1, 0.2, 0.7]})


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "gravity is 2.5: inside the range"),
        ({"indistinct": (1, 2, 3)}, "3 of 4 layers are not significantly worse than the best, so the depth"),
        ({"gravity_contribution": 5.0}, "gravity is 5.0: outside the range"),
        ({"disagreement": "weight points to layer 1"}, "they disagree (weight points to layer 1)"),
        ({"indistinct": (0, 1, 2, 3)}, "the depth of this task is inconclusive"),
    ],
)
def test_a_mix_is_held_against_the_layers_as_good_as_the_best(changed, verdict):
    [sentence] = conclude_mix(depth_row(**changed), WEIGHTS, n_layers=4)
    assert sentence.startswith("Tense: the best single layer, by dev, is layer 3 (")
    assert "takes 70 % from layer 3" in sentence
    assert verdict in sentence


def test_the_largest_share_named_is_that_of_the_run(run):
    weights = mean_weights(run.weights)
    sentences = conclude_mix(summarise_depth(run), weights, n_layers=7)
    for sentence, (_, own) in zip(sentences, weights.groupby("task", sort=False), strict=True):
        assert f"takes {100 * own['contribution'].max():.0f} %" in sentence


def test_without_a_mix_or_with_one_layer_this_is_said(plain_run):
    sentences = conclude_mix(summarise_depth(plain_run), mean_weights(plain_run.weights), n_layers=7)
    assert len(sentences) == 4
    assert all("learned no mix" in sentence for sentence in sentences)
    [sentence] = conclude_mix(depth_row(indistinct=(3,)), WEIGHTS.iloc[:0], n_layers=1)
    assert "the only one probed" in sentence


def gradient_rows(slopes, layers=range(4), step=200):
    """Two tasks; from layer to layer the norm grows by a factor, one for each head; earlier steps are other rows."""
    rows = [
        {"task": task, "head": head, "step": own_step, "layer": layer, "quantity": "hidden"}
        | {"layer_name": str(layer) if layer else "embeddings"}
        | {"value": scale / slope ** (3 - layer) * (1 if own_step else 7)}
        for head, slope in slopes.items()
        for task, scale in (("a", 1.0), ("b", 10.0))
        for layer in layers
        for own_step in (0, step)
    ]
    return pd.DataFrame(rows)


def test_the_lowest_layers_share_of_the_top_ones_gradient_is_that_planted():
    last, mix, sizes = conclude_gradients(gradient_rows({"last_layer": 5.0, "scalar_mix": 1.0}))
    assert "a head on the last layer, the gradient at the embeddings is 0.01 times that at layer 3" in last
    assert "a head on the mix, the gradient at the embeddings is 1.00 times" in mix
    assert "2 tasks, after 200 steps" in mix
    assert "1.00 to 125.00 times that of the head on the last layer" in sizes


def test_without_gradients_or_depth_this_is_said():
    rows = gradient_rows({"last_layer": 2.0})
    assert conclude_gradients(rows.iloc[:0]) == ["This run measured no gradients: --gradients 16 does."]
    assert "no depth" in conclude_gradients(rows[rows["layer"] == 3])[0]
    assert len(conclude_gradients(rows)) == 1


def test_significant_differences_are_named_with_their_side():
    pairs = pd.DataFrame(
        {
            "contender": "last",
            "title": ["WC", "Tense", "SOMO", "SentLen"],
            "difference": [0.1, -0.05, 0.3, 0.001],
            "significant": [True, True, False, False],
            "equivalent": [False, True, False, True],
        }
    )
    [sentence] = conclude_pairs(pairs, "one", "two")
    assert "two is significantly better than one on 1 (WC +10.0) and significantly worse on 1 (Tense -5.0)" in sentence
    assert "of 4 tasks 1 are equivalent, and 1 inconclusive" in sentence


def test_the_depths_at_which_bermos_gradient_is_smaller_are_counted(build_training):
    bert, bermo = (build_training(model) for model in ("bert", "bermo"))
    assert re.search(r"smaller than that of bert at 0 of 3 depths", conclude_sizes(bert, bermo))
    lower = bermo.log.copy()
    lower.loc[(lower["quantity"] == "gradient_norm") & (lower["layer"] < 2), "value"] /= 2
    object.__setattr__(bermo, "log", lower)
    assert re.search(r"smaller than that of bert at 2 of 3 depths", conclude_sizes(bert, bermo))


def test_a_claim_is_a_sentence_with_its_verdict():
    row = {"Claim": "better scores", "Task": "SST-2", "Verdict": "holds", "Effect": "1.0 [0.5, 1.5]", "Seeds": "5"}
    [sentence] = conclude_claims(pd.DataFrame([row]))
    assert sentence == "Better scores on SST-2: holds (effect and 95 % interval 1.0 [0.5, 1.5], 5 seeds)."
