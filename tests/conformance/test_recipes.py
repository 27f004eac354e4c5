"""What every recipe of `probing/train_encoder.py` obeys: it learns, resumes exactly, and freezes what it is told to."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel, AutoModelForSequenceClassification

from probing.encoders.blocks import find_blocks
from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import CLASSIFIERS, RECIPES
from probing.sealed_json import unseal_json
from probing.tables import TrainedModel, TrainingRow, column_names
from probing.training import loop
from probing.training.recipes.pretrain import SCRATCH
from probing.training.run import train
from tests.helpers import build_task, write_task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_task(folder, build_task("past_present", n=(96, 40, 40)))
    return folder


WITHOUT_LABELS = [name for name in RECIPES.names() if RECIPES.load(name).tiny]
"""Recipes that bring data of their own."""
PAIRS = [(recipe, model) for recipe in RECIPES.names() if recipe not in WITHOUT_LABELS for model in CLASSIFIERS.names()]
PAIRS += [(recipe, "own") for recipe in WITHOUT_LABELS]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def make(request, data, tiny_folder, tmp_path_factory):
    """Function: settings of a short training of one recipe and model, changed as asked."""
    name, model = request.param
    recipe = RECIPES.load(name)
    if recipe.tiny:
        tiny = recipe.tiny(tmp_path_factory.mktemp("own"))
    else:
        tiny = {"task": "past_present", "data": str(data), "checkpoint": str(tiny_folder), "model": model}

    def make_settings(output, **changes):
        usual = {"max_steps": 12, "batch_size": 16, "learning_rate": 1e-2, "log_every": 2, "evaluate_every": 4}
        usual |= {"output": output, "device": "cpu", "quiet": True, "dropout": 0.1}
        return recipe.settings(**(usual | tiny | changes))

    return make_settings


@pytest.fixture
def make_settings(make, tmp_path):
    """Function: the same, in a folder of the test's own."""
    return lambda folder="run", **changes: make(tmp_path / folder, **changes)


@pytest.fixture(scope="module")
def finished(make, tmp_path_factory):
    """The settings of a training that has ended, whose folder no test changes."""
    settings = make(tmp_path_factory.mktemp("finished") / "run", trackers=("tensorboard",))
    run(settings)
    return settings


def need_labels(settings):
    if settings.recipe in WITHOUT_LABELS:
        pytest.skip("of recipes that learn labels")


def need_encoder(settings):
    if settings.checkpoint == SCRATCH:
        pytest.skip("of recipes that start from an encoder")


def run(settings):
    return train(settings, Reporter(quiet=True)).folder


def read_tables(folder):
    return [pd.read_parquet(folder / f"{name}.parquet") for name in ("training_log", "trained_models")]


def find_model(folder):
    return next(path for path in (folder / "models").iterdir())


def test_the_tables_have_the_columns_of_their_records(finished):
    log, models = read_tables(finished.output)
    assert list(log) == column_names(TrainingRow)
    assert list(models) == column_names(TrainedModel)
    assert set(models["split"]) == {"dev", "test"}
    quantities = {"loss", "dev_loss", "dev_score", "gradient_norm", "learning_rate"}
    assert quantities <= set(log["quantity"])


def test_mix_weights_in_the_log_sum_to_1(finished):
    log, _ = read_tables(finished.output)
    sums = log[log["quantity"] == "weight"].groupby(["stage", "step"])["value"].sum()
    assert len(sums) > 0 or finished.model != "bermo"
    np.testing.assert_allclose(sums, 1, rtol=1e-6)


@pytest.mark.slow
def test_the_loss_falls(make_settings):
    changes = RECIPES.load(make_settings().recipe).gentle
    log, models = read_tables(run(make_settings(max_steps=120, dropout=0.0, evaluate_every=60, **changes)))
    losses = log.loc[log["quantity"] == "loss", "value"].to_numpy()
    assert losses[-3:].mean() < 0.5 * losses[:3].mean()
    assert not models["diverged"].any()


def test_a_killed_run_goes_on_to_the_same_numbers(finished, make_settings, monkeypatch):
    whole = read_tables(finished.output)

    class KilledError(Exception):
        pass

    usual = loop.save_state

    def save_and_die(*args):
        usual(*args)
        raise KilledError

    monkeypatch.setattr(loop, "save_state", save_and_die)
    with pytest.raises(KilledError):
        run(make_settings("killed", checkpoint_every=5))
    monkeypatch.undo()
    resumed = read_tables(run(make_settings("killed", checkpoint_every=5)))
    for one, other in zip(whole, resumed, strict=True):
        changing = ["seconds", "tokens_per_s", "peak_rss_bytes", "sentences_per_s"]
        pd.testing.assert_frame_equal(
            one.drop(columns=changing, errors="ignore"), other.drop(columns=changing, errors="ignore"), check_exact=True
        )


def test_a_finished_model_is_not_trained_again(finished, monkeypatch):
    first = read_tables(finished.output)
    monkeypatch.setattr("probing.training.train.train_model", lambda *_: pytest.fail("trained again"))
    again = read_tables(run(finished))
    pd.testing.assert_frame_equal(first[1], again[1], check_exact=True)


def test_other_settings_in_the_same_folder_are_refused(finished):
    with pytest.raises(InputError, match="other settings"):
        run(dataclasses.replace(finished, max_steps=3))


def test_frozen_layers_keep_every_bit_and_the_others_move(make_settings):
    settings = make_settings(freeze_up_to=1)
    need_encoder(settings)
    trained = AutoModel.from_pretrained(find_model(run(settings)))
    start = AutoModel.from_pretrained(settings.checkpoint)
    same = [
        # What is not there any more, such as a weight that was packed in few bits, has not stayed as it was.
        [name in new and torch.equal(new[name], old) for name, old in block.named_parameters()]
        for one, block in zip(find_blocks(trained), find_blocks(start), strict=True)
        for new in (dict(one.named_parameters()),)
    ]
    assert all(same[0])
    assert all(same[1])
    assert not any(same[2])


def test_the_kept_model_loads_as_any_other_and_scores_as_the_table_says(finished, data):
    need_labels(finished)
    folder = finished.output
    model = AutoModelForSequenceClassification.from_pretrained(find_model(folder)).eval()
    _, models = read_tables(folder)
    lines = [line.split("\t") for line in (data / "past_present.txt").read_text().splitlines()]
    rows = [(label, text) for mark, label, text in lines if mark == "te"]
    tokenizer = load_tokenizer(find_checkpoint(str(find_model(folder))))
    with torch.inference_mode():
        answers = [model(**tokenizer(text, return_tensors="pt")).logits.argmax().item() for _, text in rows]
    share = np.mean([model.config.id2label[answer] == label for answer, (label, _) in zip(answers, rows, strict=True)])
    assert models.loc[models["split"] == "test", "value"].iloc[-1] == pytest.approx(share)


@pytest.mark.slow
def test_seeds_differ_and_a_seed_repeats_itself(make_settings):
    if RECIPES.load(make_settings().recipe).seeds_depend:
        pytest.skip("what the first seed finds, the others train")
    _, both = read_tables(run(make_settings("both", seeds=(0, 1), keep_models=False)))
    log, _ = read_tables(run(make_settings("one", seeds=(1,), keep_models=False)))
    pair, _ = read_tables(run(make_settings("again", seeds=(0, 1), keep_models=False)))
    losses = pair[pair["quantity"] == "loss"]
    assert set(both["seed"]) == {0, 1}
    first, second = (losses.loc[losses["seed"] == seed, "value"].to_numpy() for seed in (0, 1))
    assert not np.array_equal(first, second)
    log = log[log["seed"] == 1]  # a teacher has a seed of its own, whichever are asked for
    np.testing.assert_array_equal(second, log.loc[log["quantity"] == "loss", "value"])


def test_parts_of_a_batch_add_up_to_the_batch(make_settings):
    steps = {"max_steps": 3, "dropout": 0.0, "log_every": 1, "learning_rate": 1e-3, "dtype": "float32"}
    whole, _ = read_tables(run(make_settings("whole", **steps)))
    parts, _ = read_tables(run(make_settings("parts", accumulation_steps=4, **steps)))
    # float32 sums in another order, through three steps. Where values are rounded to 8 bits, one that falls on another
    # level is 1 % of the range of a tiny model, of which the optimiser makes more in each step: the first one counts.
    rounds = RECIPES.load(make_settings().recipe).rounds
    for quantity in ("loss", "gradient_norm"):
        rows = [one[(one["quantity"] == quantity) & ((one["step"] == 1) | (not rounds))] for one in (whole, parts)]
        np.testing.assert_allclose(*(one["value"] for one in rows), rtol=5e-2 if rounds else 2e-4)


def test_tensorboard_gets_what_the_log_gets(finished):
    log, models = read_tables(finished.output)
    stage = log["stage"].iloc[-1]
    found = [path for path in (finished.output / "events").iterdir() if path.is_dir()]
    assert len(found) == log.loc[log["quantity"] == "dev_score", "stage"].nunique()
    # A cell is called after its model and, in a chain of several, after its stage; a model of one may be called so too.
    cells = [path for path in found if path.name.endswith(f".{stage}") or path.name.startswith(f"{stage}-")]
    cells = cells or [path for path in found if path.name == find_model(finished.output).name]
    [events] = found if len(found) == 1 else cells
    reader = EventAccumulator(str(events)).Reload()
    rows = log[(log["quantity"] == "dev_score") & (log["stage"] == stage)].set_index("step")["value"]
    assert {event.step: event.value for event in reader.Scalars("dev_score")} == pytest.approx(rows.to_dict())
    assert "gradient_norm/1" in reader.Tags()["scalars"]
    trained = models[models["steps"] > 0]  # baselines are not trained by the loop
    assert trained.groupby(["stage", "split"]).ngroups == 2 * len(found)


def test_settings_are_kept_and_are_enough_to_run_it_again(finished):
    kept = unseal_json((finished.output / "settings.json").read_bytes())
    usual = {field.name for field in dataclasses.fields(finished)}
    assert set(kept) <= usual
    assert kept["learning_rate"] == finished.learning_rate


def refuse(settings, message):
    with pytest.raises(InputError, match=message) as error:
        run(settings)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": (0, 0)}, "--seeds 0 0: expected"),
        ({"epochs": 0.0}, "--epochs 0.0: expected more than 0"),
        ({"dropout": 1.0}, "--dropout 1.0: expected"),
        ({"learning_rate": float("nan")}, "--learning-rate nan: expected more than 0"),
        ({"weight_decay": float("inf")}, "--weight-decay inf: expected 0 or more"),
        ({"device": "meta"}, "--device meta: not a device that is computed on"),
        ({"freeze_up_to": 7}, "the encoder has blocks 1 to 2"),
        ({"checkpoint": "no/such/folder"}, "neither a local folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_written(make_settings, changes, message):
    if changes.keys() & {"freeze_up_to", "checkpoint"}:
        need_encoder(make_settings())
    refuse(make_settings(**changes), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "brt"}, "unknown classifier 'brt': did you mean bert"),
        ({"limit": 1}, "--limit 1: leaves one class of past_present in train"),
        ({"task": "MNLI"}, "MNLI"),
    ],
)
def test_a_task_that_cannot_be_learned_is_refused_as_early(make_settings, changes, message):
    need_labels(make_settings())
    refuse(make_settings(**changes), message)
