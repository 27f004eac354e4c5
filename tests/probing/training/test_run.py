"""A training run in its folder: locked, cleaned up, checked against what it was begun with."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from analysis.runs.training_run import load_training
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.training import TrainSettings
from probing.store.folder_lock import hold_folder
from probing.training import loop
from probing.training.origins import find_origin
from probing.training.run import train
from tests.helpers import build_task, save_encoder, write_task
from tests.unsteady_engine import UnsteadyEngine

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path):
    write_task(tmp_path / "data", build_task("past_present", n=(96, 40, 40)))
    return TrainSettings(
        checkpoint=str(save_encoder(tmp_path / "encoder")), task="past_present", data=str(tmp_path / "data"),
        max_steps=8, batch_size=16, learning_rate=1e-2, log_every=2, evaluate_every=4, checkpoint_every=3,
        device="cpu", dtype="float32", output=tmp_path / "run",
    )  # fmt: skip


def make(settings, **changes):
    reporter = Reporter(quiet=True)
    train(replace(settings, **changes), reporter)
    return reporter.warnings


def read(folder):
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("training_log", "trained_models")]
    return [table.drop(columns=["seconds", "tokens_per_s", "peak_rss_bytes"], errors="ignore") for table in tables]


def assert_same_tables(one, other):
    for expected, found in zip(read(one), read(other), strict=True):
        pd.testing.assert_frame_equal(expected, found, check_exact=True)


class KilledError(Exception):
    pass


def kill(settings, monkeypatch):
    """A run that dies after it has saved its state."""

    def save_and_die(*arguments):
        usual(*arguments)
        raise KilledError

    usual = loop.save_state
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KilledError):
            make(settings)


def swap_labels(settings):
    path = Path(settings.data) / "past_present.txt"
    text = path.read_text().replace("\tPAST\t", "\tX\t").replace("\tPRES\t", "\tPAST\t").replace("\tX\t", "\tPRES\t")
    path.write_text(text)


def change_weights(settings):
    save_encoder(Path(settings.checkpoint), seed=9)


@pytest.mark.slow
@pytest.mark.parametrize("change", [swap_labels, change_weights])
def test_a_killed_run_whose_data_or_encoder_has_changed_begins_anew_and_says_so(change, settings, monkeypatch):
    kill(settings, monkeypatch)
    change(settings)
    [warning] = make(settings)
    assert "begins anew" in warning
    fresh = settings.output.with_name("fresh")
    assert make(settings, output=fresh) == []
    assert_same_tables(settings.output, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["bert.pooler.dense.weight", "classifier.weight"])
def test_a_finished_run_whose_start_has_another_pooler_or_head_begins_anew(part, settings):
    classes = {"id2label": {0: "PAST", 1: "PRES"}, "label2id": {"PAST": 0, "PRES": 1}}
    model = AutoModelForSequenceClassification.from_pretrained(settings.checkpoint, **classes)
    model.save_pretrained(settings.checkpoint)
    make(settings)
    before = find_origin(settings).digest
    assert make(settings) == []
    with torch.no_grad():
        model.get_parameter(part).neg_()
    model.save_pretrained(settings.checkpoint)
    assert find_origin(settings).digest == before
    [warning] = make(settings)
    assert "another encoder; this model is trained again" in warning
    fresh = settings.output.with_name("fresh")
    make(settings, output=fresh)
    assert_same_tables(settings.output, fresh)


@pytest.mark.slow
def test_a_killed_run_goes_on_without_a_word_where_nothing_has_changed(settings, monkeypatch):
    kill(settings, monkeypatch)
    assert make(settings) == []
    fresh = settings.output.with_name("fresh")
    make(settings, output=fresh)
    assert_same_tables(settings.output, fresh)


def damage_digit(text):
    place = text.index('"value": 0.') + len('"value": 0.')
    return text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]


DAMAGES = {
    "a digit": damage_digit,
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "key alone": lambda text: json.dumps({"key": json.loads(text)["key"]}),
    "another column": lambda text: text.replace('"metric"', '"matric"'),
    "deep": lambda text: "[" * 100_000,
    "short": lambda text: text[:100],
    "no text": lambda text: "\x00\x01",
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_rows_of_a_finished_model_are_named_and_not_believed(damage, settings, capsys):
    make(settings)
    assert "warning" not in capsys.readouterr().err
    whole = read(settings.output)
    path = settings.output / "cells" / "seed-0.json"
    path.write_text(DAMAGES[damage](path.read_text()))
    make(settings)
    assert f"warning: {path}: damaged" in capsys.readouterr().err
    for expected, found in zip(whole, read(settings.output), strict=True):
        pd.testing.assert_frame_equal(expected, found, check_exact=True)


def notice(settings):
    """What is said of a run folder by whoever reads its tables, or else by the command that made it, given again."""
    try:
        load_training(settings.output)
        return make(settings)
    except InputError as error:
        return [str(error)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["settings.json", "manifest.json", "trained_models.parquet", "training_log.parquet", "cells/seed-0.json"]
    + [f"models/seed-0/{name}" for name in ("model.safetensors", "config.json", "tokenizer.json", "README.md")],
)
def test_a_flipped_bit_anywhere_in_a_training_folder_is_named(name, settings):
    make(settings)
    assert notice(settings) == []
    path = settings.output / name
    content = path.read_bytes()
    for place in (0, len(content) // 2, len(content) - 3):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        [line] = notice(settings)
        assert str(path) in line or str(path.parent) in line
        path.write_bytes(content)


def test_what_kills_left_half_written_is_removed_and_nothing_else(settings):
    make(settings)
    rest = [settings.output / "cells" / f".seed-0.pt.{'a' * 32}", settings.output / "models" / f".seed-0.{'b' * 32}"]
    mine = settings.output / "models" / ".mine"
    rest[0].write_bytes(b"half")
    rest[1].mkdir()
    (rest[1] / "config.json").write_text("{}")
    mine.write_text("mine")
    make(settings)
    assert not any(path.exists() for path in rest)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("changes", [{}, {"overwrite": True, "learning_rate": 1e-3}])
def test_a_second_run_in_the_same_folder_is_refused_while_the_first_works(changes, settings):
    make(settings)
    before = read(settings.output)
    hold = f"from pathlib import Path\nfrom probing.store.folder_lock import hold_folder\n\
with hold_folder(Path({str(settings.output)!r})):\n    print('held', flush=True)\n    input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="a run is working in it"):
            make(settings, **changes)
        first.communicate("\n")
    for expected, found in zip(before, read(settings.output), strict=True):
        pd.testing.assert_frame_equal(expected, found, check_exact=True)
    make(settings, **changes)  # and not any more afterwards


def test_while_a_run_works_its_folder_is_held_after_overwriting_too(settings, monkeypatch):
    make(settings)
    seen = []

    def try_it(*arguments):
        with pytest.raises(InputError), hold_folder(settings.output):
            pass
        seen.append(arguments)
        return usual(*arguments)

    from probing.training import run

    usual = run.make_models
    monkeypatch.setattr(run, "make_models", try_it)
    make(settings, overwrite=True)
    assert len(seen) == 1


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is such a device")
@pytest.mark.parametrize("device", ["mps", "meta", "xpu"])
def test_a_device_that_training_does_not_run_on_is_refused_and_not_replaced(device, settings):
    with pytest.raises(InputError, match=f"--device {device}: .*use"):
        make(settings, device=device)
    assert not settings.output.exists()


@pytest.mark.slow
def test_each_model_has_a_readme_whose_code_loads_it_in_a_fresh_program(settings):
    make(settings)
    folder = settings.output / "models" / "seed-0"
    readme = (folder / "README.md").read_text()
    assert "recipe finetune, model bermo" in readme
    [code] = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    code += "\nprint(type(model).__name__, type(tokenizer).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.parent, env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BermoForSequenceClassification ")


@pytest.mark.slow
def test_a_users_file_in_a_models_folder_stays_when_the_model_is_made_again(settings):
    make(settings)
    mine = settings.output / "models" / "seed-0" / "notes" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    make(settings, overwrite=True, learning_rate=1e-3)
    assert mine.read_text() == "mine"
    assert (mine.parents[1] / "config.json").exists()
    mine.write_text("more")  # the folder is not as it was left: its model is made again
    make(settings, learning_rate=1e-3)
    assert mine.read_text() == "more"


def test_models_that_workers_make_are_those_of_one_process(settings, tmp_path):
    several = replace(settings, seeds=(0, 1, 2))
    make(several)
    folder, engine = tmp_path / "by_workers", UnsteadyEngine(Random(0))
    train(replace(several, output=folder), Reporter(quiet=True), engine)
    assert_same_tables(settings.output, folder)
    assert set(engine.n_computed) == {"seed-0", "seed-1", "seed-2"}
    assert not list(folder.glob(".seen*"))
    again = UnsteadyEngine(Random(0))
    train(replace(several, output=folder), Reporter(quiet=True), again)
    assert again.n_computed == {}


def test_a_model_whose_worker_is_lost_ends_the_run_in_one_line_and_keeps_the_others(settings):
    several = replace(settings, seeds=(0, 1))
    with pytest.raises(InputError, match=r"^seed-1 could not be trained: lost its worker.* \(4 attempts\);"):
        train(several, Reporter(quiet=True), UnsteadyEngine(Random(1), loses=lambda unit: unit.name == "seed-1"))
    again = UnsteadyEngine(Random(1))
    train(several, Reporter(quiet=True), again)
    assert "seed-1" in again.n_computed


def test_an_engine_and_several_processes_of_one_model_do_not_go_together(settings, monkeypatch):
    from probing.training import run as module

    class Several:
        num_processes = 2

    monkeypatch.setattr(module, "make_accelerator", lambda settings: Several())
    monkeypatch.setattr(module, "check_engine", lambda settings: None)
    with pytest.raises(InputError, match="--engine ray: each model has a worker"):
        make(settings, engine="ray")
