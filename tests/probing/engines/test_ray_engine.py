"""Claims about the engine over Ray by itself: time limits, lost workers and machines, clusters that work already."""

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.hosts import wait_for

ROOT = Path(__file__).parents[3]
SQUARES = [[number, number * number] for number in range(6)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="--engine ray: needs bermo-probing[cluster]"),
]


def start_trial(name, folder, before="", **variables):
    """What a trial finds; `before`: statements that its process begins with."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", f"{before}from tests import ray_trials; ray_trials.main()", name, str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path, **variables}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_unit_that_hangs_is_ended_and_computed_again_by_another_process(tmp_path):
    trial = start_trial("timeout", tmp_path)
    assert trial["found"] == SQUARES
    assert trial["gone"]
    assert len(set(trial["attempts"]["0"])) == 2
    assert all(len(attempts) == 1 for number, attempts in trial["attempts"].items() if number != "0")


def test_a_unit_that_always_hangs_is_lost_and_one_that_ends_in_an_error_is_tried_once(tmp_path):
    trial = start_trial("hopeless", tmp_path)
    assert trial["reason"] == "took longer than --unit-timeout 2"
    assert trial["attempts"] == 2
    spoilt, refused = trial["errors"]
    assert spoilt == "ValueError: spoilt 0"
    assert refused.startswith("InputError: host ")
    assert refused.endswith(": no such thing here")
    assert len(trial["tries"]["0"]) == 2  # one of either function


def test_runs_that_end_early_end_in_their_own_error_and_ray_goes_on(tmp_path):
    trial = start_trial("ends", tmp_path)
    assert trial["ended"] == trial["runs"]


def test_units_of_a_gpu_share_a_process_and_a_killed_one_costs_one_unit(tmp_path):
    trial = start_trial("actor", tmp_path)
    assert trial["found"] == SQUARES
    attempts = trial["attempts"]
    assert len(attempts["0"]) == 2
    killed, other = attempts.pop("0")
    assert {pid for pids in attempts.values() for pid in pids} == {other}
    assert killed != other
    assert trial["refused"] == "a unit takes 2 of a GPU, and Ray has 1; take --device cpu"


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """By the share of a card that a unit takes: card, begin, end of each unit, what a cell notes of it, and process."""
    return start_trial("shares", tmp_path_factory.mktemp("shares"))


def count_most(spans):
    """Most units that had one card at the same time."""
    return max(sum(begun <= moment < end for begun, end in spans) for moment, _ in spans)


@pytest.mark.parametrize(("share", "most"), [("1.0", 1), ("0.5", 2), ("0.4", 2)])
def test_no_more_units_have_a_card_than_it_has_shares_and_both_cards_are_used(shares, share, most):
    units = shares[share]
    assert len(units) == 10
    assert {card for card, *_ in units} == {"0", "1"}
    for number in "01":
        assert count_most([(begun, end) for card, begun, end, *_ in units if card == number]) <= most


def test_no_unit_waits_for_a_worker_that_no_card_has_room_for(shares):
    assert len({pid for *_, pid in shares["0.4"]}) <= 4  # two of each card, and a fifth of each would be left


def test_a_cell_notes_the_card_that_its_worker_was_given(shares):
    assert all(noted == f"card {card} as cuda" for units in shares.values() for card, *_, noted, _ in units)


def test_a_cluster_is_started_whatever_was_imported_and_set_before(tmp_path):
    """By a notebook that has imported Ray, by a user without a token, and with the address of one that has ended."""
    trial = start_trial("plain", tmp_path, "import ray; ", HOME=str(tmp_path), RAY_ADDRESS="127.0.0.1:1")
    assert trial == {"found": SQUARES}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a cluster that was started as users do, without the engine's settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ray, log = [sys.executable, "-m", "ray.scripts.scripts"], tmp_path_factory.mktemp("head") / "log"
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [
        *(*ray, "start", "--head", "--block", f"--port={address.partition(':')[2]}", "--node-ip-address=127.0.0.1"),
        *("--num-cpus=2", "--include-dashboard=false", "--object-store-memory=200000000", "--disable-usage-stats"),
    ]
    head = _start_head(command, environment, log)
    yield address
    head.terminate()
    head.wait(60)


def _start_head(command, environment, log):
    """The head of a cluster; Ray gives its parts 15 s to start, which a busy machine may exceed."""
    for _ in range(4):
        with log.open("w") as file:
            head = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        if _has_begun(head, log):
            return head
    raise AssertionError(log.read_text())


def _has_begun(head, log):
    wait_for(lambda: "will now block" in log.read_text() or head.poll() is not None, 200, "Ray's head starts")
    return head.poll() is None


def test_a_cluster_on_loopback_is_joined_by_its_address_and_left_as_it_was(tmp_path, cluster):
    trial = start_trial("address", tmp_path, TRIAL_ADDRESS=cluster, RAY_AUTH_MODE="disabled")
    assert trial == {"found": SQUARES, "workers": 2}


def test_a_unit_of_which_nothing_is_heard_for_long_is_computed_by_a_cluster_that_was_not_started_here(
    tmp_path, cluster
):
    trial = start_trial("quiet", tmp_path, TRIAL_ADDRESS=cluster, RAY_AUTH_MODE="disabled")
    assert all(trial["found"])
