"""Differences of arms: by hand and by scipy, of made-up answers in files."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm, t

from analysis.report.arms_answer import answer_arms
from analysis.runs.training_run import TrainingRun
from analysis.stats.arms import compare_arms
from analysis.tables.arms import tabulate_arms

N = 60


def first(n):
    return np.arange(N) < n


def make(folder, recipe, models):
    """A run of models, each of facts, a seed, a stage, the name of its file, and what was right or lost on test."""
    (folder / "answers").mkdir()
    rows = []
    for facts, seed, stage, name, answers in models:
        found = np.asarray(answers)
        table = {"split": ["test"] * len(found), "row": np.arange(len(found))}
        if found.dtype == bool:
            table |= {"label": np.ones(len(found), int), "predicted": found.astype(int)}
        else:
            table |= {"loss": found}
        dev = pd.DataFrame(table).assign(split="dev")
        pd.concat([dev, pd.DataFrame(table)]).to_parquet(folder / "answers" / f"{name}.parquet")
        same = {"recipe": recipe, "metric": "accuracy" if found.dtype == bool else "distillation_loss"}
        rows += [
            same | {"variant": json.dumps(facts), "seed": seed, "stage": stage, "split": s} for s in ("dev", "test")
        ]
    return TrainingRun(folder, pd.DataFrame(), pd.DataFrame(rows), {}, {})


def few_bits(arm, bits, seed, right):
    return {"arm": arm, "bits": bits}, seed, "few_bits", f"{arm}-{bits}-seed-{seed}", right


def teacher(right):
    return {"arm": "teacher"}, 0, "teacher", "teacher", right


def test_arms_of_the_same_bits_are_paired_and_the_teacher_stands_beside_all(tmp_path):
    models = [teacher(first(50)), few_bits("lsq", 8, 0, first(50)), few_bits("kdlsq", 8, 0, first(50))]
    models += [few_bits("lsq", 2, 0, first(20)), few_bits("kdlsq", 2, 0, first(40))]
    found = compare_arms(make(tmp_path, "kdlsq_bert", models)).set_index(["group", "arm", "other"])
    assert len(found) == 6
    assert found["difference"].round(6).to_dict() == {
        ("8 bits", "kdlsq", "lsq"): 0.0, ("8 bits", "kdlsq", "teacher"): 0.0, ("8 bits", "lsq", "teacher"): 0.0,
        ("2 bits", "kdlsq", "lsq"): round(20 / N, 6), ("2 bits", "kdlsq", "teacher"): round(-10 / N, 6),
        ("2 bits", "lsq", "teacher"): -0.5,
    }  # fmt: skip
    raw = {20: binomtest(20, 20).pvalue, 10: binomtest(10, 10).pvalue, 30: binomtest(30, 30).pvalue}
    two = found.loc["2 bits"]["p"]
    # Holm over six rows, the smallest first.
    assert two.tolist() == pytest.approx([5 * raw[20], 4 * raw[10], 6 * raw[30]])
    assert found["significant"].tolist() == [False] * 3 + [True] * 3
    assert not found["equivalent"].loc["2 bits"].any()


def test_arms_that_hardly_ever_differ_are_equivalent_and_a_few_that_differ_are_not(tmp_path):
    right = np.arange(4000) < 3400
    rarely = right.copy()
    rarely[[0, 3500]] = [False, True]
    models = [teacher(right), few_bits("lsq", 8, 0, rarely), few_bits("minmax", 8, 0, np.roll(right, 60))]
    found = compare_arms(make(tmp_path, "kdlsq_bert", models)).set_index("arm")
    assert found["difference"].tolist() == [0.0, 0.0]
    assert found["equivalent"].to_dict() == {"lsq": True, "minmax": True}
    (tmp_path / "fewer").mkdir()
    few = [(*rest, right[::40]) for *rest, right in models]
    assert not compare_arms(make(tmp_path / "fewer", "kdlsq_bert", few))["equivalent"].any()


def test_the_interval_is_wider_where_seeds_differ(tmp_path):
    rng = np.random.default_rng(0)
    widths = {}
    for name, spread in (("alike", 0), ("apart", 12)):
        models = []
        for seed in range(3):
            models.append(({"arm": "labels"}, seed, "prediction", f"labels-seed-{seed}", first(30)))
            right = first(40 + spread * (seed - 1))
            models.append(({"arm": "both"}, seed, "prediction", f"both-seed-{seed}.prediction", right))
        rng.shuffle(models)
        (tmp_path / name).mkdir()
        [row] = compare_arms(make(tmp_path / name, "tiny_bert", models)).to_dict("records")
        assert (row["arm"], row["other"], row["n_seeds"]) == ("both", "labels", 3)
        assert row["difference"] == pytest.approx(10 / N)
        widths[name] = row["ci_high"] - row["ci_low"]
    assert widths["apart"] > 2 * widths["alike"]


def test_losses_are_paired_by_block_with_hand_made_models_beside_what_was_searched_of_their_size(tmp_path):
    rng = np.random.default_rng(1)
    base, gain, offsets = rng.normal(5, 1, 30), rng.normal(0.2, 0.1, 30), np.array([-0.1, 0.0, 0.1])
    models = []
    for seed, offset in enumerate(offsets):
        models.append(({"arm": "hand_made", "budget": "2x128"}, seed, "distil", f"hand_made-2x128-seed-{seed}", base))
        searched = base - gain + offset
        models.append(({"arm": "searched", "budget": "0.40M"}, seed, "distil", f"searched-0.40M-seed-{seed}", searched))
        models.append(({"arm": "searched", "budget": "1.33M"}, seed, "distil", f"searched-1.33M-seed-{seed}", base))
    [row] = compare_arms(make(tmp_path, "nas_bert", models)).to_dict("records")
    assert (row["group"], row["arm"], row["other"], row["n"]) == ("0.40M", "searched", "hand_made", 30)
    assert row["difference"] == pytest.approx(-gain.mean())
    half = np.sqrt(t.isf(0.025, 2) ** 2 * offsets.var(ddof=1) / 3 + norm.isf(0.025) ** 2 * gain.var(ddof=1) / 30)
    assert row["ci_high"] - row["ci_low"] == pytest.approx(2 * half)
    assert not row["equivalent"]


def test_tables_and_sentences_say_what_came_out(tmp_path):
    models = [teacher(first(50)), few_bits("lsq", 2, 0, first(20)), few_bits("kdlsq", 2, 0, first(40))]
    run = make(tmp_path, "kdlsq_bert", models)
    table = tabulate_arms(run)["arms"]
    assert [row[:3] for row in table.rows] == [
        ["2 bits", "kdlsq - lsq", "+33.3*"],
        ["2 bits", "kdlsq - teacher", "-16.7*"],
        ["2 bits", "lsq - teacher", "-50.0*"],
    ]
    [sentence] = answer_arms(run)
    assert sentence.startswith("Of 3 differences of test accuracy between arms")
    assert "kdlsq - lsq (2 bits) +33.3 [" in sentence


def test_runs_without_answers_or_of_other_recipes_have_no_such_table(tmp_path):
    run = make(tmp_path, "finetune", [({"arm": "both"}, 0, "train", "both-seed-0", first(3))])
    assert compare_arms(run).empty
    assert tabulate_arms(run) == {}
    assert answer_arms(run) == []
    (tmp_path / "old").mkdir()
    old = make(
        tmp_path / "old",
        "tiny_bert",
        [({"arm": a}, 0, "prediction", "elsewhere", first(9)) for a in ("both", "labels")],
    )
    assert tabulate_arms(old) == {}
