"""Arms with new sentences: differences by hand and by scipy, of made-up answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.report.augmentation_answer import answer_augmentation
from analysis.runs.augmented_run import AugmentedRun
from analysis.runs.training_run import TrainingRun
from analysis.stats.augmentation import compare_kept, compare_ways, summarise_ways
from analysis.tables.augmentation import tabulate_augmentation

N = 60
RUN = TrainingRun(Path("made-up"), pd.DataFrame(), pd.DataFrame(), {}, {})


def make_answers(right, seed=0, classifier="cnn", share=1.0):
    """Way -> which sentences of test are right, as a table of answers."""
    frames = [
        pd.DataFrame({
            "way": way, "share": share, "classifier": classifier, "seed": seed, "split": "test", "row": np.arange(N),
            "label": np.arange(N) % 3, "predicted": np.where(own, np.arange(N) % 3, 7),
        })
        for way, own in right.items()
    ]  # fmt: skip
    dev = frames[0].assign(split="dev", predicted=7)
    return pd.concat([dev, *frames], ignore_index=True)


def make_judged(kept, seed=0):
    """Way -> source -> whether each new sentence keeps its label."""
    rows = [
        {"seed": seed, "way": way, "row": row, "copy": copy, "label": 1, "predicted": int(one)}
        for way, sources in kept.items()
        for row, copies in sources.items()
        for copy, one in enumerate(copies)
    ]
    return pd.DataFrame(rows, columns=["seed", "way", "row", "copy", "label", "predicted"])


def make(answers=None, judged=None):
    answers = make_answers({"none": np.ones(N, bool)}) if answers is None else answers
    return AugmentedRun(RUN, answers, make_judged({}) if judged is None else judged)


def first(n):
    return np.arange(N) < n


def test_differences_are_paired_by_sentence_and_corrected_for_their_number():
    better = first(30) | (np.arange(N) >= 40)  # right where none is not, in 20 of 60
    found = compare_ways(make(make_answers({"none": first(30), "unconditional": first(30), "conditional": better})))
    assert found[["way", "other"]].values.tolist() == [
        ["unconditional", "none"], ["conditional", "none"], ["conditional", "unconditional"],
    ]  # fmt: skip
    assert found["difference"].tolist() == pytest.approx([0, 20 / N, 20 / N])
    p = binomtest(20, 20).pvalue
    assert found["p"].tolist() == pytest.approx([1, 3 * p, 3 * p])  # Holm: the smaller ones times three, in order
    assert found["significant"].tolist() == [False, True, True]
    assert (found["n"] == N).all()


def test_arms_of_one_classifier_and_share_are_never_held_against_those_of_another():
    tables = [
        make_answers({"none": first(n), "conditional": first(n + 6)}, classifier=classifier, share=share)
        for n, (classifier, share) in enumerate((one, two) for one in ("cnn", "lstm") for two in (1.0, 0.1))
    ]
    run = make(pd.concat(tables, ignore_index=True))
    assert len(compare_ways(run)) == 4
    assert compare_ways(run)["difference"].tolist() == pytest.approx([0.1] * 4)
    arms = summarise_ways(run)
    assert arms["value"].tolist() == pytest.approx([value / N for n in range(4) for value in (n, n + 6)])
    assert arms["spread"].isna().all()


def test_with_several_seeds_the_interval_is_over_seeds_too():
    seeds = [
        make_answers({"none": first(30), "conditional": first(30 + gain)}, seed) for seed, gain in enumerate((0, 6, 12))
    ]
    several = compare_ways(make(pd.concat(seeds, ignore_index=True))).iloc[0]
    alike = compare_ways(make(make_answers({"none": first(30), "conditional": first(36)}))).iloc[0]
    assert several["difference"] == pytest.approx(0.1)
    # Student's with two degrees of freedom over the seeds' 0, .1 and .2 alone would be .1 -+ 4.30 * .1 / sqrt(3).
    assert several["ci_high"] - several["ci_low"] > 2 * 4.30 * 0.1 / np.sqrt(3) * 0.95
    assert several["ci_high"] - several["ci_low"] > alike["ci_high"] - alike["ci_low"]
    assert summarise_ways(make(pd.concat(seeds)))["spread"].tolist() == pytest.approx([0, 0.1])


def test_labels_kept_are_compared_source_by_source_whatever_the_number_of_sentences():
    conditional = {0: [1, 1], 1: [1], 2: [0], 3: [1], 9: [0, 0, 0]}
    unconditional = {0: [0, 1], 1: [1], 2: [0], 3: [0], 8: [1]}
    found = compare_kept(make(judged=make_judged({"unconditional": unconditional, "conditional": conditional})))
    assert found["difference"].tolist() == pytest.approx([(0.5 + 0 + 0 + 1) / 4])
    assert found["n"].tolist() == [4]


def test_shares_are_compared_with_themselves_and_sources_of_one_alone_with_nothing():
    kept = {
        "unconditional": {0: [1], 1: [0]}, "conditional": {0: [1], 1: [1]},
        "unconditional-0.1": {5: [1]}, "conditional-0.1": {5: [0]}, "conditional-0.2": {5: [0]},
        "unconditional-0.3": {1: [1]}, "conditional-0.3": {2: [1]},
    }  # fmt: skip
    found = compare_kept(make(judged=make_judged(kept)))
    assert found["share"].tolist() == ["1", "0.1"]
    assert found["difference"].tolist() == [0.5, -1.0]


def test_with_several_seeds_only_sources_that_have_sentences_with_each_count():
    one = make_judged({"unconditional": {0: [0], 1: [0]}, "conditional": {0: [1], 1: [1]}}, 0)
    other = make_judged({"unconditional": {0: [0], 2: [0]}, "conditional": {0: [0], 2: [1]}}, 1)
    found = compare_kept(make(judged=pd.concat([one, other], ignore_index=True)))
    assert (found["n"].item(), found["difference"].item()) == (1, 0.5)


def test_nothing_is_compared_without_arms_and_without_a_judge():
    assert compare_kept(make()).empty
    assert compare_ways(make()).empty


def test_runs_of_other_recipes_have_no_such_table_and_no_such_answer(build_training):
    run = build_training("bert")
    assert tabulate_augmentation(run) == {}
    assert answer_augmentation(run) == []
