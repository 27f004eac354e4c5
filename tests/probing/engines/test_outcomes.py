"""Claims about runs whose engine gives outcomes in any order, twice, or not at all; and about what workers refuse."""

import json
import pickle
import time
from pathlib import Path
from random import Random
from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probing import pipeline
from probing.engines import worker
from probing.engines.feed import Feed, interleave
from probing.engines.worker import Parcel, Setup, compute_parcel, describe_kind
from probing.progress import Reporter
from probing.records import InputError
from probing.representations import shard_encoding
from probing.settings.run import RunSettings
from probing.store.shared_folders import SharedFolders, mark_folders
from probing.work import Done, Unit
from tests.helpers import build_task, read_cells, save_encoder, write_task
from tests.unsteady_engine import UnsteadyEngine

TASKS = ("past_present", "obj_number")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes")
    for seed, name in enumerate(TASKS):
        write_task(folder / "corpus", build_task(name, n=(30, 10, 10), seed=seed))
    save_encoder(folder / "encoder")
    return folder


@pytest.fixture
def start(place, tmp_path, monkeypatch):
    """Runs in small shards, so that a task has several; each with a folder and a cache of its own."""
    monkeypatch.setattr(shard_encoding, "_SHARD_BYTES", 4 * 3 * 8 * 7)  # 7 sentences
    monkeypatch.setattr(worker, "_SHARED", {})

    def run(name, engine=None):
        chosen = RunSettings(
            model="bermo",
            checkpoint=str(place / "encoder"),
            data=str(place / "corpus"),
            tasks=TASKS,
            controls=("control_task", "untrained"),
            gradients=0,
            threads=1,
            device="cpu",
            output=tmp_path / name,
            cache_dir=tmp_path / f"cache_{name}",
        )
        outcome = pipeline.run(chosen, Reporter(quiet=True), engine)
        shards = {
            path.relative_to(chosen.cache_dir): path.read_bytes() for path in chosen.cache_dir.rglob("*.safetensors")
        }
        return outcome, read_cells(tmp_path / name), shards

    return run


@pytest.mark.slow
def test_order_and_repetition_of_outcomes_move_no_cell_and_no_shard(start, tmp_path):
    _, cells, shards = start("local")
    assert len(shards) > 10

    @settings(max_examples=2, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32))
    def check(seed):
        engine, name = UnsteadyEngine(Random(seed)), uuid4().hex
        _, found, files = start(name, engine)
        assert files == shards
        assert found == cells
        assert any(unit.startswith("encode") for unit in engine.n_computed)
        one, other = (pd.read_csv(tmp_path / run / "scores.csv").drop(columns="seconds") for run in ("local", name))
        pd.testing.assert_frame_equal(one, other)

    check()


class FedEngine(UnsteadyEngine):
    """Has units ready as the engine over Ray has, asked for in a thread of their own, and computes one at a time."""

    def __init__(self):
        super().__init__(Random(0))
        self.sizes = []

    def run(self, function, units):
        feed = Feed(units)
        feed.start()
        while True:
            ended = feed.ended
            if item := feed.take():
                if item[0].name.startswith("encode"):
                    self.sizes.append(len(item[0].payload))
                yield Done(item[0], function(item[0].payload, pickle.loads(item[0].shared)))
            elif feed.error:
                raise feed.error
            elif ended:
                return
            else:
                time.sleep(0.001)


@pytest.mark.slow
def test_units_of_several_shards_follow_those_that_say_how_long_a_shard_takes(start):
    _, cells, shards = start("local")
    engine = FedEngine()
    _, found, files = start("fed", engine)
    assert files == shards
    assert found == cells
    assert sum(engine.sizes) == len(shards)
    # One shard for each of two workers, by either encoder; then half of a worker's share.
    assert engine.sizes.count(1) < len(engine.sizes)
    assert max(engine.sizes) > 1
    assert sorted(engine.sizes[:2]) == [1, 1]


@pytest.mark.slow
def test_a_lost_cell_is_a_failure_that_says_how_often_it_was_tried_and_costs_no_other(start, tmp_path):
    name = "past_present.layer.none.0"
    outcome, found, _ = start("run", UnsteadyEngine(Random(0), loses=lambda unit: unit.name == name))
    (failure,) = outcome.failures
    assert failure.error == "lost its worker: killed, perhaps for memory (4 attempts)"
    assert not any(path.startswith(name) for path in map(str, found))
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["failures"]
    again, _, _ = start("run")
    assert again.failures == ()


@pytest.mark.slow
def test_lost_encoding_ends_the_run_in_one_line_and_the_same_command_goes_on(start):
    lost = UnsteadyEngine(Random(0), loses=lambda unit: unit.name.startswith("encode") and unit.name.endswith(" 3"))
    with pytest.raises(InputError, match=r"\d sentences could not be encoded: lost its worker.* \(4 attempts\)"):
        start("run", lost)
    _, cells, _ = start("local")
    _, found, _ = start("run", UnsteadyEngine(Random(1)))
    assert found == cells


def test_a_worker_of_another_version_or_processor_says_so_in_one_line_with_its_host(monkeypatch):
    parcel = Parcel(Setup(1, (), str(Path.cwd()), "0.0.1"), pickle.dumps((None, None)), "name")
    with pytest.raises(InputError, match=r"^host \S+: has bermo-probing \S+, and the run 0\.0\.1; install the same$"):
        compute_parcel(parcel, pickle.dumps(None))
    kind = tuple((describe_kind() | {"processor": "abacus"}).items())
    with pytest.raises(InputError, match=r"^host \S+: processor .* where the run has abacus.*--mixed-hardware$"):
        compute_parcel(Parcel(Setup(1, kind, str(Path.cwd())), pickle.dumps((None, None)), "name"), pickle.dumps(None))


def test_folders_that_a_host_does_not_see_are_refused_even_where_it_has_others_of_that_name(tmp_path):
    with mark_folders([tmp_path]) as seen:
        pickle.loads(pickle.dumps(seen)).check()
    assert list(tmp_path.iterdir()) == []
    other = SharedFolders((tmp_path,), "another")
    with pytest.raises(InputError, match=r"not seen by host .* expected a folder that all hosts share"):
        other.check()


def test_a_chain_does_not_wait_for_another_and_its_error_is_raised():
    def endless():
        yield Unit("one", 1, None, None)
        raise ValueError("spoilt")

    with pytest.raises(ValueError, match="spoilt"):
        list(interleave([endless(), iter([Unit("two", 1, None, None)])]))
    units = interleave([iter([Unit("one", 1, None, None)]), iter([Unit("two", 1, None, None)])])
    assert {unit.name for unit in units} == {"one", "two"}
