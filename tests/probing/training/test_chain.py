"""A chain of two stages: fine-tuned, then pruned from there, as no recipe of ours does."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from probing.progress import Reporter
from probing.registry import Registry
from probing.training import loop, run
from probing.training.chain import KINDS
from probing.training.data.labelled import load_labelled
from probing.training.plan import ModelPlan, Recipe, RunPlan
from probing.training.recipes import finetune
from probing.training.recipes.finetune import TrainSettings, plan_stage
from probing.training.run import train
from probing.training.transforms.pruning import Aim, Course, Pruning, count_zeros, find_linear_layers
from tests.helpers import build_task, write_task


def plan_two(settings, origin, reporter):
    labelled = load_labelled(settings, origin, reporter)
    models = []
    for seed in settings.seeds:
        first = plan_stage("first", settings, labelled, seed)
        second = replace(
            plan_stage("second", settings, labelled, seed),
            start="first",
            transforms=lambda start: (Pruning(Aim("magnitude", 0.5), Course()),),
        )
        models.append(ModelPlan(f"two-{seed}", seed, (first, second), {"method": "magnitude", "amount": [1, 2]}))
    return RunPlan(models, labelled.source)


TWO = Recipe(TrainSettings, plan_two, finetune.RANGES)
CHANGING = ["seconds", "tokens_per_s", "peak_rss_bytes"]


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The recipe `two`, as if a package had brought it."""
    rows = {"two": f"{__name__}:TWO"}
    monkeypatch.setattr(run, "RECIPES", Registry("recipes", "probing.contracts.recipe:Recipe", rows))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_task(folder, build_task("past_present", n=(96, 40, 40)))
    return folder


@pytest.fixture
def settings(data, tiny_folder, tmp_path):
    return TrainSettings(
        recipe="two", model="bert", checkpoint=str(tiny_folder), task="past_present", data=str(data), max_steps=8,
        batch_size=16, learning_rate=1e-2, log_every=2, evaluate_every=4, checkpoint_every=3, device="cpu",
        dtype="float32", output=tmp_path / "whole",
    )  # fmt: skip


def read(settings):
    tables = [pd.read_parquet(settings.output / f"{name}.parquet") for name in ("training_log", "trained_models")]
    return [table.drop(columns=CHANGING, errors="ignore") for table in tables]


def make(settings, **changes):
    reporter = Reporter(quiet=True)
    train(replace(settings, **changes), reporter)
    return reporter.warnings


def assert_same(one, other):
    for expected, found in zip(read(one), read(other), strict=True):
        pd.testing.assert_frame_equal(expected, found, check_exact=True)
    expected, found = (
        AutoModelForSequenceClassification.from_pretrained(path.output / "models" / "two-0").state_dict()
        for path in (one, other)
    )
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_each_stage_has_its_rows_and_starts_from_what_the_one_before_it_left(settings):
    make(settings)
    log, models = read(settings)
    assert models["stage"].tolist() == ["first", "first", "second", "second"]
    assert {json.dumps({"amount": [1, 2], "method": "magnitude"})} == set(models["variant"]) == set(log["variant"])
    assert set(models["method"]) == {"magnitude"}
    assert models["folder"].unique().tolist() == ["stages/two-0/first", "models/two-0"]
    # The second stage's first loss on dev is the first one's last, of the same model on the same sentences.
    dev = log[log["quantity"] == "dev_loss"]
    losses = {name: own["value"].to_numpy() for name, own in dev.groupby("stage")}
    assert losses["second"][0] == losses["first"][-1]
    assert len(set(losses["first"])) > 1
    pruned = AutoModelForSequenceClassification.from_pretrained(settings.output / "models" / "two-0")
    assert count_zeros(find_linear_layers(pruned))[-1] == pytest.approx(0.5, abs=0.01)
    dense = AutoModelForSequenceClassification.from_pretrained(settings.output / "stages" / "two-0" / "first")
    assert count_zeros(find_linear_layers(dense))[-1] == 0


class KilledError(Exception):
    pass


def kill_at(monkeypatch, deaths):
    """Die after the state has been saved for the n-th time, for each n of `deaths`."""
    usual, saved = loop.save_state, []

    def save_and_die(*arguments):
        usual(*arguments)
        saved.append(arguments)
        if len(saved) in deaths:
            raise KilledError

    monkeypatch.setattr(loop, "save_state", save_and_die)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("deaths", [{1}, {2}, {3}, {4}, {1, 3, 4}])
def test_a_chain_killed_in_any_stage_gives_what_one_never_stopped_gives(deaths, keep, settings, monkeypatch):
    make(settings, keep_models=keep)
    killed = replace(settings, output=settings.output.with_name("killed"), keep_models=keep)
    kill_at(monkeypatch, deaths)
    for _ in deaths:
        with pytest.raises(KilledError):
            make(killed)
    monkeypatch.setattr("probing.training.train.make_job", _count(jobs := [], "probing.training.train"))
    make(killed)
    monkeypatch.undo()
    assert jobs == (["second"] if max(deaths) > 2 else ["first", "second"])  # two states in a stage of eight steps
    if keep:
        assert_same(settings, killed)
    for expected, found in zip(read(settings), read(killed), strict=True):
        pd.testing.assert_frame_equal(expected, found, check_exact=True)
    assert (killed.output / "stages" / "two-0").exists() == keep
    assert not list(killed.output.rglob("*.pt"))


def _count(jobs, module):
    from importlib import import_module

    usual = import_module(module).make_job

    def make_job(bench, place):
        jobs.append(place.stage.name)
        return usual(bench, place)

    return make_job


@pytest.mark.slow
def test_what_a_finished_stage_was_warned_of_is_told_when_a_run_goes_on_from_it(settings, monkeypatch):
    usual = KINDS["train"]

    def warn(bench, place):
        bench.reporter.warn(f"{place.name}: careful")
        return usual(bench, place)

    monkeypatch.setattr("probing.training.chain.KINDS", {"train": warn})
    train(settings, Reporter(quiet=True))
    again = Reporter(quiet=True)
    train(settings, again)
    assert again.warnings == ["two-0.first: careful", "two-0.second: careful"]


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["stages/two-0/first", "models/two-0", "models/two-0/model.safetensors"])
def test_what_is_gone_or_changed_is_made_again_and_told(lost, settings, monkeypatch):
    make(settings)
    other = replace(settings, output=settings.output.with_name("other"))
    shutil.copytree(settings.output, other.output)
    path = other.output / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    jobs = []
    monkeypatch.setattr("probing.training.train.make_job", _count(jobs, "probing.training.train"))
    [warning] = make(other)
    assert "gone, or no longer as it was left" in warning
    assert jobs == (["first", "second"] if lost.startswith("stages") else ["second"])
    assert_same(settings, other)


def test_the_stages_of_a_chain_draw_other_numbers(settings):
    """Both have dropout and an order of sentences: the same numbers would tie the second one's to the first one's."""
    seeds = []

    def note(bench, place):
        seeds.append(place.seed)
        return usual(bench, place)

    from probing.training import train as module

    usual = module.make_job
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_job", note)
        make(settings)
    assert seeds[0] == 0
    assert seeds[1] != 0
