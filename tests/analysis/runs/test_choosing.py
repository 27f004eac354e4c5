from dataclasses import replace
from pathlib import Path

import pytest

from analysis.runs.choosing import choose_run, list_choices, list_groups, name_models
from probing.records import InputError


@pytest.fixture(scope="module")
def runs(build_run):
    mean = build_run(tasks=["past_present", "tree_depth"])
    plain = build_run(tasks=["past_present", "word_content"], mix=False)
    return [
        mean,
        replace(mean, folder=Path("cls"), scores=mean.scores.assign(pooling="cls")),
        replace(plain, folder=Path("plain"), scores=plain.scores.assign(model="bert")),
    ]


def test_the_choices_are_those_of_all_runs_and_the_first_run_comes_first(runs):
    choices = list_choices(runs)
    assert choices["task"] == [("TreeDepth", "tree_depth"), ("Tense", "past_present"), ("WC", "word_content")]
    assert choices["model"] == ["bermo on made-up", "bert on made-up"]
    assert choices["pooling"] == ["mean", "cls"]
    assert list(list_choices(runs, "pooling", "model")) == ["pooling", "model"]


def test_a_choice_is_the_run_of_that_model_and_pooling(runs):
    assert choose_run(runs, "bermo on made-up", "cls") is runs[1]
    assert choose_run(runs, "bert on made-up", "mean") is runs[2]


def test_a_run_that_is_not_open_is_refused_with_the_flags_that_make_it(runs):
    with pytest.raises(InputError, match=r"only with mean: run_senteval.py --model bert --pooling cls makes one"):
        choose_run(runs, "bert on made-up", "cls")


def test_two_runs_of_one_model_and_pooling_are_named_by_their_folders(runs):
    twice = [runs[0], replace(runs[0], folder=Path("again")), runs[2]]
    assert name_models(twice) == ["bermo on made-up, made-up", "bermo on made-up, again", "bert on made-up"]
    assert choose_run(twice, "bermo on made-up, again", "mean") is twice[1]


def test_groups_are_all_then_each(runs):
    assert list_groups(runs) == [
        ("all", ("surface", "syntactic", "semantic")),
        *((group, (group,)) for group in ("surface", "syntactic", "semantic")),
    ]
