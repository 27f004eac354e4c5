"""A chain of two stages: sentences are written, then a classifier learns from them beside those of train."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from probing.progress import Reporter
from probing.records import InputError, Split, Task, TaskSpec
from probing.registry import Registry
from probing.training import run
from probing.training.contracts import Written
from probing.training.data.generated import TABLE, add_to_train, drop_known, list_known, read_table
from probing.training.data.labelled import load_labelled, make_labelled
from probing.training.plan import ModelPlan, Recipe, RunPlan, Writing, plan_writing
from probing.training.recipes import finetune
from probing.training.recipes.finetune import TrainSettings, plan_stage
from probing.training.run import train
from tests.helpers import build_task, write_task

N_PARTS = 4
CALLS = []
DEATHS = set()


class KilledError(Exception):
    pass


def write_reversed(train):
    """Each sentence backwards, those of a part being every fourth; the first of each part also unchanged."""

    def write(number):
        CALLS.append(number)
        if len(CALLS) in DEATHS:
            raise KilledError
        rows = [
            Written(row, 0, (" ".join(reversed(train.texts[row][0].split())),), int(train.labels[row]), (), (), ())
            for row in range(number, len(train), N_PARTS)
        ]
        return [*rows, Written(number, 1, train.texts[number], int(train.labels[number]), (0,), ("a",), ("a",))]

    return write


def plan_two(settings, origin, reporter):
    labelled = load_labelled(settings, origin, reporter)
    train = labelled.task.splits["train"]
    writing = Writing(N_PARTS, lambda start, accelerator: write_reversed(train), set(train.texts))

    def learn(start):
        more = make_labelled(add_to_train(labelled.task, read_table(start.artifacts["write"])), origin)
        return plan_stage("learn", settings, more, 0).data(start)

    stages = (plan_writing("write", writing), replace(plan_stage("learn", settings, labelled, 0), data=learn))
    return RunPlan([ModelPlan("one", 0, stages)], labelled.source)


TWO = Recipe(TrainSettings, plan_two, finetune.RANGES)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The recipe `two`, as if a package had brought it."""
    rows = {"two": f"{__name__}:TWO"}
    monkeypatch.setattr(run, "RECIPES", Registry("recipes", "probing.contracts.recipe:Recipe", rows))
    CALLS.clear()
    DEATHS.clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_task(folder, build_task("past_present", n=(40, 20, 20)))
    return folder


@pytest.fixture
def settings(data, tiny_folder, tmp_path):
    return TrainSettings(
        recipe="two", model="bert", checkpoint=str(tiny_folder), task="past_present", data=str(data), max_steps=2,
        batch_size=16, device="cpu", dtype="float32", output=tmp_path / "whole", quiet=True,
    )  # fmt: skip


def make(settings):
    reporter = Reporter(quiet=True)
    train(settings, reporter)
    return reporter.warnings


def read_log(settings):
    log = pd.read_parquet(settings.output / "training_log.parquet")
    return log[~log["quantity"].isin(["tokens_per_s"])].reset_index(drop=True)


def test_a_later_stage_learns_from_the_table_and_the_log_counts_what_was_dropped(settings):
    make(settings)
    rows = read_table(settings.output / "stages" / "one" / "write")
    models = pd.read_parquet(settings.output / "trained_models.parquet")
    assert set(models["n_train"]) == {40 + len(rows)}
    log = read_log(settings)
    counted = log[log["stage"] == "write"].set_index("quantity")["value"]
    # Backwards, some are like others; the four that are unchanged stand in train already.
    assert counted["written"] == len(rows)
    assert counted["written"] + counted["duplicates"] == 40 + N_PARTS
    assert counted["duplicates"] >= N_PARTS


@pytest.mark.slow
def test_killed_in_any_part_it_goes_on_to_the_same_table_and_repeats_no_part(settings):
    make(settings)
    killed = replace(settings, output=settings.output.with_name("killed"))
    CALLS.clear()
    DEATHS.update({1, 4})
    for _ in (1, 4):
        with pytest.raises(KilledError):
            make(killed)
    make(killed)
    assert [number for number, n in Counter(CALLS).items() if n == 2] == [0, 2]  # those that the deaths cut off
    one, other = (pd.read_parquet(path.output / "stages" / "one" / "write" / TABLE) for path in (settings, killed))
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(read_log(settings), read_log(killed))
    assert not list(killed.output.rglob("*.parts"))


@pytest.mark.slow
def test_a_table_that_is_no_longer_as_it_was_left_is_written_again(settings):
    make(settings)
    table = settings.output / "stages" / "one" / "write" / TABLE
    whole = table.read_bytes()
    table.write_bytes(whole[:-1])
    [warning] = make(settings)
    assert "no longer as it was left" in warning
    assert table.read_bytes() == whole


def test_a_folder_without_a_table_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"sentences\.parquet: no table of written sentences"):
        read_table(tmp_path)


def test_of_texts_that_are_alike_the_first_is_kept_unless_it_was_there_before():
    rows = [Written(row, 0, (text,), 0, (), (), ()) for row, text in enumerate("abAc")]
    kept, n_dropped = drop_known(rows, {("C",)})
    assert [row.text for row in kept] == [("a",), ("b",)]
    assert n_dropped == 2


def test_no_sentence_of_dev_or_test_comes_into_train_by_being_written():
    splits = {name: Split(((f"{name} sentence",),), np.array([0])) for name in ("train", "dev", "test")}
    task = Task(TaskSpec("some", "some", "own"), ("a", "b"), splits)
    texts = ["test sentence", "Dev Sentence", "train sentence", "a new one"]
    kept, n_dropped = drop_known([Written(0, 0, (text,), 0, (), (), ()) for text in texts], list_known(task))
    assert [row.text for row in kept] == [("a new one",)]
    assert n_dropped == 3
