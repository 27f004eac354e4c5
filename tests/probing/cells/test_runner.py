"""Claims about running cells through an engine, whatever order it answers in, and whatever it loses."""

import json
import pickle
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probing import pipeline
from probing.cells import work
from probing.cells.encoding import TaskEncoder
from probing.encoders.opening import EncoderOpener, build_encoder
from probing.engines.local import LocalEngine
from probing.progress import Reporter
from probing.records import InputError, Task
from probing.settings.run import RunSettings
from probing.tables import Failure
from probing.work import Done, Lost
from tests.helpers import build_task, read_cells, save_encoder, write_task

NAMES = ("past_present", "obj_number")
pytestmark = pytest.mark.usefixtures("one_thread")


class Shuffled:
    """An engine that sends units away by pickling them, answers in another order, twice, or not at all."""

    workers = 3

    def __init__(self, order=0, lost=(), doubled=False, silent=()):
        self.order, self.lost, self.doubled, self.silent = order, lost, doubled, silent
        self.asked, self.known = [], {}

    def share(self, value):
        return pickle.dumps(value)

    def run(self, function, units):
        units = list(units)
        self.asked += [unit.name for unit in units]
        for unit in sorted(units, key=lambda unit: hash((unit.name, self.order))):
            place = units.index(unit)
            if place in self.silent:
                continue
            if place in self.lost:
                yield Lost(unit, "worker killed", 4)
                continue
            key = (unit.name, unit.payload.key)
            if key not in self.known:
                self.known[key] = function(*map(pickle.loads, (pickle.dumps(unit.payload), unit.shared)))
            for _ in range(1 + self.doubled):
                yield Done(unit, self.known[key], elsewhere_s=1.0)

    def close(self):
        pass


def tell(run_settings, engine):
    reporter = Reporter(quiet=True)
    return pipeline.run(run_settings, reporter, engine), reporter


def read(outcome):
    names = ("scores", "layer_weights", "predictions")
    frames = {name: pd.read_parquet(outcome.folder / f"{name}.parquet") for name in names}
    return {name: frame.drop(columns="seconds", errors="ignore") for name, frame in frames.items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Settings of a run on two tiny tasks with gradients and two controls, of which one has an encoder of its own."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(NAMES):
        write_task(folder / "corpus", build_task(name, seed=seed))
    checkpoint = save_encoder(folder / "encoder")
    return RunSettings(
        model="bermo", checkpoint=str(checkpoint), data=str(folder / "corpus"), tasks=NAMES, threads=1,
        controls=("control_task", "untrained"), device="cpu", output=folder / "local", cache_dir=folder / "cache",
        quiet=True, gradients=2, gradient_steps=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(base):
    """That run, by this process."""
    outcome, _ = tell(base, LocalEngine())
    assert outcome.failures == ()
    return outcome


@pytest.fixture(scope="module")
def engine(base, whole):
    """An engine that has computed every cell in the way of a worker: each unit unpickled before."""
    engine = Shuffled()
    outcome, _ = tell(replace(base, output=base.output.with_name("sent")), engine)
    assert outcome.failures == ()
    return engine


def test_cells_of_units_that_were_sent_away_are_equal_in_bytes_to_those_of_one_process(base, whole, engine):
    expected, found = read_cells(whole.folder), read_cells(base.output.with_name("sent"))
    assert len(expected) == 2 * (1 + 1 + 1 + 1 + 2)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(order=st.integers(1), doubled=st.booleans())
def test_tables_are_those_of_one_process_in_whatever_order_units_come_and_though_they_come_twice(
    base, whole, engine, order, doubled
):
    engine.order, engine.doubled = order, doubled
    outcome, _ = tell(replace(base, output=base.output.with_name("shuffled"), overwrite=True), engine)
    found = read(outcome)
    for name, frame in read(whole).items():
        pd.testing.assert_frame_equal(found[name], frame)


@pytest.mark.slow
def test_a_unit_that_is_lost_or_never_answered_costs_its_cell_alone(base, whole, engine):
    away = base.output.with_name("lost")
    engine.order, engine.lost, engine.silent, engine.asked = 3, (1,), (2,), []
    try:
        outcome, reporter = tell(replace(base, output=away), engine)
    finally:
        engine.lost = engine.silent = ()
    assert [failure.error for failure in outcome.failures] == [
        "worker killed (4 attempts)",
        "the engine gave no answer",
    ]
    assert all(isinstance(failure, Failure) for failure in outcome.failures)
    assert [line for line in reporter.warnings if "worker killed" in line]
    assert len(engine.asked) == 12
    # The same command goes on, to the same tables.
    again, _ = tell(replace(base, output=away), LocalEngine())
    assert again.failures == ()
    pd.testing.assert_frame_equal(read(again)["scores"], read(whole)["scores"])


def test_what_the_system_refuses_costs_one_cell_and_an_error_of_torch_as_much(base, monkeypatch):
    usual = work.write_cell

    def refuse(path, *arguments):
        if path.name.startswith("obj_number.scalar_mix"):
            raise OSError(28, "No space left on device", str(path))
        usual(path, *arguments)

    monkeypatch.setattr(work, "write_cell", refuse)
    plain = replace(base, output=base.output.with_name("full"), controls=(), gradients=0)
    [failure] = tell(plain, LocalEngine())[0].failures
    assert (failure.task, failure.representation) == ("obj_number", "scalar_mix")
    assert "No space left on device" in failure.error
    monkeypatch.undo()
    outcome, _ = tell(plain, LocalEngine())
    assert outcome.failures == ()


def test_any_other_error_is_a_bug_and_ends_the_run(base, monkeypatch):
    monkeypatch.setattr(work, "write_cell", lambda *arguments: {}["no such key"])
    with pytest.raises(KeyError):
        tell(replace(base, output=base.output.with_name("bug")), LocalEngine())


def test_every_cell_and_the_manifest_note_the_machine(whole):
    manifest = json.loads((whole.folder / "manifest.json").read_text())
    [machine] = manifest["machines"]
    assert machine.keys() == {"host", "processor", "instruction_set", "gpu", "cells"}
    assert machine["cells"] == 12


@pytest.mark.slow
def test_sentences_of_a_task_are_digested_once_for_all_its_cells(base, monkeypatch):
    counted = []
    usual = Task.digest.func
    replaced = type(Task.digest)(lambda task: counted.append(task.name) or usual(task))
    replaced.__set_name__(Task, "digest")
    monkeypatch.setattr(Task, "digest", replaced)
    tell(replace(base, output=base.output.with_name("digested"), control_mix=True, gradients=0), LocalEngine())
    # Each task, and each as control_task has labelled it anew, for its layers and its mix.
    assert sorted(counted) == sorted(2 * NAMES)


def test_a_measure_gets_facts_and_the_encoder_itself_when_it_asks(base, monkeypatch):
    seen = []
    usual = TaskEncoder.take

    def look(self, task):
        encoded = usual(self, task)
        seen.append(encoded)
        return encoded

    monkeypatch.setattr(TaskEncoder, "take", look)
    tell(replace(base, output=base.output.with_name("facts"), controls=()), LocalEngine())
    encoder = seen[0].open_encoder()
    assert not hasattr(seen[0].encoder, "encode")
    assert seen[0].encoder.digest == encoder.digest
    again = pickle.loads(pickle.dumps(seen[0])).open_encoder()
    assert again is not encoder
    assert (again.digest, again.dtype, again.backend) == (encoder.digest, encoder.dtype, encoder.backend)


def test_another_process_that_finds_other_weights_says_so(base, tmp_path):
    folder = save_encoder(tmp_path / "encoder")
    chosen = replace(base, checkpoint=str(folder))
    sent = pickle.dumps(EncoderOpener("bermo", chosen, build_encoder("bermo", chosen)))
    save_encoder(folder, seed=1)
    with pytest.raises(InputError, match="other weights"):
        pickle.loads(sent)()


def test_the_first_score_comes_before_the_second_task_is_encoded(base, monkeypatch):
    events = []
    usual = TaskEncoder.extend

    def note(self, task):
        events.append(f"encode {task.name}")
        return usual(self, task)

    def compute(function, order, subject):
        events.append(f"compute {subject.task.name}")
        return function(order, subject)

    monkeypatch.setattr(TaskEncoder, "extend", note)
    monkeypatch.setattr("probing.cells.runner.compute_cell", partial(compute, work.compute_cell))
    tell(replace(base, output=base.output.with_name("first"), controls=(), gradients=0), LocalEngine())
    assert events == [
        *("encode past_present", *3 * ["compute past_present"]),
        *("encode obj_number", *3 * ["compute obj_number"]),
    ]
