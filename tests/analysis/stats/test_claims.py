"""A claim counts as borne only where its numbers are there, on every task."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.report.answer import answer, answer_claims, count_claims
from analysis.stats.claims import Borne, judge_claims, list_ran
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all
from analysis.tables.claims import tabulate_claims
from probing.catalogue.claims import CLAIMS


def add(run, tasks, control="none", metric="gain", representation="layer"):
    """The run with a row more for some tasks."""
    rows = run.scores[(run.scores["representation"] == "layer") & (run.scores["split"] == "test")]
    rows = rows.drop_duplicates("task")
    rows = rows[rows["task"].isin(tasks)].assign(control=control, metric=metric, representation=representation)
    return replace(run, scores=pd.concat([run.scores, rows], ignore_index=True))


def borne(run):
    keys = [key for key, claim in CLAIMS.items() if claim in [one.claim for one in judge_claims(run)]]
    return {key: one.missing for key, one in zip(keys, judge_claims(run), strict=True)}


@pytest.fixture
def tasks(run):
    return list(dict.fromkeys(run.scores["task"]))


def test_a_plain_run_bears_what_asks_for_nothing(run):
    assert [key for key, missing in borne(run).items() if not missing] == ["told", "nothing"]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"control": "control_task", "metric": "selectivity"}, "not_memorised"),
        ({"control": "untrained"}, "learned"),
        ({"metric": "conditional_information_bits"}, "added"),
        ({"metric": "erasure"}, "its_own"),
    ],
)
def test_a_claim_is_borne_where_every_task_has_the_numbers(run, tasks, row, key):
    assert borne(add(run, tasks, **row))[key] == ()
    assert borne(add(run, tasks[1:], **row))[key] != ()


def test_a_claim_that_asks_for_several_says_which_is_lacking(run, tasks):
    run = add(run, tasks, control="word_count")
    assert borne(run)["beyond_surface"] == ("bag_of_words", "characters")


def test_a_measure_without_rows_of_its_own_counts_where_the_settings_name_it(run):
    assert "of_a_package" in list_ran(replace(run, settings={"measures": ["of_a_package", "code_length"]}))
    assert "code_length" not in list_ran(replace(run, settings={"measures": ["code_length"]}))


def test_where_the_mix_takes_it_from_asks_for_three_measures(run, tasks):
    run = add(run, tasks, metric="mix_weight", representation="scalar_mix")
    assert borne(run)["located"] == ("similarity", "knockouts")


def test_seeds_are_those_of_the_mix(build_run):
    run = build_run(tasks=["obj_number"], seeds=(0, 1, 2))
    assert borne(run)["any_start"] == ()
    assert borne(build_run(tasks=["obj_number"], seeds=(0, 1)))["any_start"] == ("3 seeds",)


def test_a_run_without_a_mix_is_not_asked_for_its_seeds(plain_run):
    assert not {"any_start", "located"} & set(borne(plain_run))


def test_the_answer_ends_with_what_is_not_shown_and_how_to_show_it(run, tasks):
    sentences = answer(summarise(run), compare_all(run), (), judge_claims(run))
    lacking, beyond = sentences[-2:]
    assert "that the probe does not know it by having memorised words (lacks control_task)" in lacking
    assert lacking.endswith("Run it with --reviewer for these.")
    assert "would hold it too (takes several encoders" in beyond
    held = answer_claims(judge_claims(add(run, tasks, control="control_task", metric="selectivity")))
    assert not any("memorised" in sentence for sentence in held)
    assert answer_claims([Borne(CLAIMS["told"], ())]) == []


def test_the_line_of_a_terminal_counts_the_claims_and_names_the_flag_that_bears_more(run):
    claims = judge_claims(run)
    assert count_claims(claims).startswith(f"This run bears 2 of {len(claims)} claims")
    assert "--reviewer" in count_claims(claims)
    beyond = [one for one in claims if one.claim.beyond]
    assert "--reviewer" not in count_claims(beyond)
    assert count_claims([Borne(CLAIMS["told"], ())]) == ""


def test_the_table_has_every_claim_and_what_the_run_lacks(run):
    rows = tabulate_claims(judge_claims(run)).rows
    assert [row[0] for row in rows] == [claim.says for claim in CLAIMS.values()]
    assert [rows[2][1], rows[0][1]] == ["lacks control_task", "was run"]
