import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from analysis.replication import COLUMNS, claims_table, judge_claims, load_pairs, show_replication, verdict_of
from probing.records import InputError


def pair(build_training, **changes):
    return build_training("bert", rate=0.05), build_training("bermo", **({"rate": 0.05} | changes))


def at(claims, claim):
    return claims[claims["claim"] == claim].iloc[0]


def test_a_faster_model_converges_faster_and_its_twin_does_not(build_training):
    fast = at(judge_claims([pair(build_training, rate=0.1)]), "faster convergence")
    twin = at(judge_claims([pair(build_training)]), "faster convergence")
    assert verdict_of(fast) == "holds"
    assert verdict_of(twin) == "inconclusive"
    assert twin["effect"] == pytest.approx(1)


def test_the_difference_of_scores_is_that_of_the_means_and_a_worse_model_reverses_the_claim(build_training):
    runs = pair(build_training, top=0.8)
    row = at(judge_claims([runs]), "better scores")
    finals = [run.scores[run.scores["split"] == "dev"].sort_values("seed")["value"].to_numpy() for run in runs]
    assert row["effect"] == pytest.approx(100 * (finals[1] - finals[0]).mean())
    assert verdict_of(row) == "reversed"


def without_sentences(run):
    return replace(run, models=run.models.assign(ci_low=run.models["value"], ci_high=run.models["value"]))


def test_where_sentences_add_nothing_the_interval_is_that_of_a_paired_t_test(build_training):
    bert, bermo = map(without_sentences, pair(build_training))
    noise = np.array([0.01, -0.02, 0.03])
    scores = bermo.models["value"] + noise[bermo.models["seed"].to_numpy()]
    moved = type(bermo)(bermo.folder, bermo.log, bermo.models.assign(value=scores), bermo.settings, bermo.manifest)
    row = at(judge_claims([(bert, moved)]), "better scores")
    finals = [run.scores[run.scores["split"] == "dev"].sort_values("seed")["value"] for run in (bert, moved)]
    test = ttest_rel(finals[1].to_numpy(), finals[0].to_numpy())
    interval = test.confidence_interval()
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((100 * interval.low, 100 * interval.high))
    assert row["p"] == pytest.approx(test.pvalue)


def test_sentences_widen_the_interval_of_a_difference_by_as_much_as_two_samples_would(build_training):
    bert, bermo = pair(build_training)
    noise = np.array([0.01, -0.02, 0.03])[bermo.models["seed"].to_numpy()]
    moved = bermo.models.assign(**{name: bermo.models[name] + noise for name in ("value", "ci_low", "ci_high")})
    bermo = replace(bermo, models=moved)
    narrow = at(judge_claims([(without_sentences(bert), without_sentences(bermo))]), "better scores")
    wide = at(judge_claims([(bert, bermo)]), "better scores")
    halves = [(row["ci_high"] - row["ci_low"]) / 2 for row in (narrow, wide)]
    dev = [run.scores[run.scores["split"] == "dev"] for run in (bert, bermo)]
    of_sentences = [100 * (rows["ci_high"] - rows["ci_low"]).mean() / 2 for rows in dev]
    assert halves[1] == pytest.approx(math.hypot(halves[0], *of_sentences))


def test_verdicts_are_by_p_corrected_over_the_table(build_training):
    claims = judge_claims([pair(build_training, top=0.8)])
    p = claims["p"].dropna().sort_values()
    by_hand = np.minimum(1, np.maximum.accumulate(p * np.arange(len(p), 0, -1)))
    assert claims.loc[p.index, "p_holm"].to_numpy() == pytest.approx(by_hand.to_numpy())
    row = {"claim": "better scores", "effect": 1.0, "neutral": 0.0, "ci_low": 0.1, "ci_high": 1.9, "p": 0.03}
    row["equivalent"] = False
    assert verdict_of(row | {"p_holm": 0.28}) == "inconclusive"
    assert verdict_of(row | {"p_holm": 0.04}) == "holds"
    assert verdict_of(row | {"p_holm": 0.04, "effect": -1.0}) == "reversed"
    assert verdict_of(row | {"p_holm": math.nan}) == "inconclusive"
    assert verdict_of(row | {"p_holm": 0.28, "equivalent": True}) == "equivalent"
    assert verdict_of(row | {"p_holm": 0.04, "equivalent": True}) == "holds"


def test_gradients_that_reach_the_first_block_twice_as_strong_have_the_ratio_two(build_training):
    bert, bermo = pair(build_training)
    first = (bermo.log["quantity"] == "gradient_norm") & (bermo.log["layer"] == 1)
    log = bermo.log.assign(value=bermo.log["value"].where(~first, 2 * bermo.log["value"]))
    moved = type(bermo)(bermo.folder, log, bermo.models, bermo.settings, bermo.manifest)
    found = at(judge_claims([(bert, moved)]), "better gradient flow")
    assert found["effect"] == pytest.approx(2)
    assert (verdict_of(found), math.isnan(found["p"])) == ("by construction", True)
    assert at(judge_claims([(bert, bermo)]), "better gradient flow")["effect"] == pytest.approx(1)


def test_a_training_too_short_for_gradient_norms_is_named(build_training):
    bert, bermo = pair(build_training)
    log = bermo.log[bermo.log["quantity"] != "gradient_norm"]
    short = type(bermo)(bermo.folder, log, bermo.models, bermo.settings, bermo.manifest)
    with pytest.raises(InputError, match="expected gradient norms in its log, got none; train for more steps"):
        judge_claims([(bert, short)])


def flag(run, seeds):
    models = run.models.assign(diverged=run.models["seed"].isin(seeds))
    return type(run)(run.folder, run.log, models, run.settings, run.manifest)


def test_pruning_is_more_stable_where_fewer_seeds_diverge(build_training):
    options = {"methods": ("magnitude",), "sparsities": (0.9,), "seeds": tuple(range(5))}
    bert, bermo = (build_training(model, **options) for model in ("bert", "bermo"))
    row = at(judge_claims([(flag(bert, range(5)), flag(bermo, []))]), "stable pruning")
    assert (row["bert"], row["bermo"], row["effect"]) == (100, 0, 100)
    assert verdict_of(row) == "holds"
    # Newcombe's example in closed form: Wilson's bounds of 5 of 5 and 0 of 5 with z = 1.96 are 0.5655 and 0.4345.
    z = 1.959964
    bound = 5 / (5 + z**2)
    assert row["ci_low"] == pytest.approx(100 * (1 - math.hypot(1 - bound, 1 - bound)), abs=1e-3)
    same = at(judge_claims([(flag(bert, [0]), flag(bermo, [1]))]), "stable pruning")
    assert same["effect"] == 0
    assert verdict_of(same) == "inconclusive"


@pytest.mark.slow
def test_a_folder_of_pairs_is_judged_and_leaves_table_and_figures(build_training, write_training, tmp_path, capsys):
    for model in ("bert", "bermo"):
        write_training(build_training(model, rate=0.05), tmp_path / f"finetune-x-{model}")
    show_replication(tmp_path)
    assert "faster convergence" in capsys.readouterr().out
    assert list(pd.read_csv(tmp_path / "claims.csv")) == [*COLUMNS, "p_holm"]
    table = claims_table(judge_claims(load_pairs(tmp_path).values()))
    assert (tmp_path / "claims.md").read_text().count("\n| ") >= len(table)
    assert (tmp_path / "figures" / "finetune-x.png").is_file()


def test_a_folder_without_pairs_is_refused(tmp_path):
    (tmp_path / "finetune-x-bermo").mkdir()
    with pytest.raises(InputError, match="found no pair"):
        load_pairs(tmp_path)
