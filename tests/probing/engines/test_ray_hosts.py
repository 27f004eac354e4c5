"""Claims about `--engine ray` over three hosts that share a folder: slow links, cut ones, stopped hosts, no folder."""

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from probing.store.cell_files import pack_cell, unpack_cell
from tests.benchmarks.kills import TASKS, Place
from tests.helpers import read_cells
from tests.hosts import Hosts, find_obstacle, wait_for

ROOT = Path(__file__).parents[3]
OBSTACLE = "--engine ray: needs bermo-probing[cluster]" if find_spec("ray") is None else find_obstacle()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE or "none")]
PATIENCE_S = 200


@pytest.fixture(scope="module")
def place():
    """A folder below /tmp that all hosts see, with a corpus, an encoder, and a package that waits."""
    folder = Path(tempfile.mkdtemp(prefix="shared-", dir="/tmp"))
    found = Place(folder)
    found.build()
    yield found
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def hosts(place, tmp_path_factory):
    """A head and two workers, over which Ray works; the first worker's link is slow and loses packets."""
    path = [str(ROOT), str(place.installed), *filter(None, sys.path)]
    variables = {"PYTHONPATH": os.pathsep.join(path), "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
    made = Hosts(tmp_path_factory.mktemp("hosts"), ROOT, variables | {"HF_HUB_OFFLINE": "1"})
    # What is imported from below /tmp must be seen there too.
    below = {Path(one) for one in path if one.startswith("/tmp/") and Path(one).is_dir()} - {place.installed}
    try:
        made.start([place.folder, *sorted(below)], delay_s=0.05, loss=0.01)
        yield made
    finally:
        made.end()


def begin(place, hosts, name, *flags):
    """Start a run by the hosts, from the head."""
    command = [
        *(sys.executable, ROOT / "probing" / "run_senteval.py", "--model", "bermo", "--probe", "waiting"),
        *("--pooling", "waiting", "--checkpoint", place.folder / "encoder", "--data", place.folder / "corpus"),
        *("--tasks", *TASKS, "--threads", "1", "--cache-dir", place.folder / name / "cache", "--gradients", "0"),
        *("--output", place.folder / name / "run", "--controls", "control_task", "--device", "cpu", "--no-report"),
        *("--quiet", *flags),
    ]
    return hosts.head.begin(command, place.folder / f"{name}.log")


def begin_by_ray(place, hosts, name):
    return begin(place, hosts, name, "--engine", "ray", "--engine-address", hosts.address, "--workers", "2")


def check(place, run, name, code=0):
    """The words of a run that has ended as it should."""
    found = run.wait(PATIENCE_S)
    said = (place.folder / f"{name}.log").read_text()
    assert found == code, said
    return said


def count_hosts(place, name):
    """Cells that each host has computed."""
    cells = (read_cells_with_hosts(place.folder / name / "run")).values()
    return Counter(host for host, _ in cells)


def read_cells_with_hosts(folder):
    """Host and content of every cell, the host taken out of the content."""
    found = {}
    for name, content in read_cells(folder).items():
        key = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["key"]
        cell = unpack_cell(content, key)
        found[name] = cell.machine["host"], pack_cell(key, replace(cell, machine={**cell.machine, "host": ""}))
    return found


def read_all(place, name):
    """Cells but for their hosts, and vectors, of a run."""
    folder = place.folder / name
    shards = {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "cache").rglob("*.safetensors")}
    assert shards
    return {cell: content for cell, (_, content) in read_cells_with_hosts(folder / "run").items()} | shards


@pytest.fixture(scope="module")
def expected(place, hosts):
    """What one process on the head leaves."""
    check(place, begin(place, hosts, "alone"), "alone")
    return read_all(place, "alone")


def lose_host(place, hosts, name, lose):
    """A run during which the host is lost that has a unit waiting: that host."""
    (place.installed / "armed.fit").touch()
    run = begin_by_ray(place, hosts, name)
    pid = place.wait_for_victim("fit")
    (victim,) = [host for host in hosts.workers if host.holds(pid)]
    before = victim.starts
    lose(victim)
    check(place, run, name)
    return victim, before


def test_hosts_behind_a_slow_link_that_loses_packets_leave_the_bytes_of_one_process(place, hosts, expected):
    check(place, begin_by_ray(place, hosts, "slow"), "slow")
    assert read_all(place, "slow") == expected
    assert set(count_hosts(place, "slow")) == {host.name for host in hosts.workers}


def test_work_of_a_host_whose_link_is_cut_is_done_by_the_other_and_the_host_comes_back(place, hosts, expected):
    victim, before = lose_host(place, hosts, "cut", lambda host: host.set_link("down"))
    assert read_all(place, "cut") == expected
    victim.set_link("up")
    wait_for(lambda: victim.starts > before, PATIENCE_S, "the host comes back")
    check(place, begin_by_ray(place, hosts, "whole"), "whole")
    assert set(count_hosts(place, "whole")) == {host.name for host in hosts.workers}


def test_work_of_a_host_that_stands_still_is_done_by_the_other(place, hosts, expected):
    victim, before = lose_host(place, hosts, "still", lambda host: host.signal(signal.SIGSTOP))
    assert read_all(place, "still") == expected
    victim.signal(signal.SIGCONT)
    wait_for(lambda: victim.starts > before, PATIENCE_S, "the host comes back")


def test_a_host_that_does_not_see_the_folder_ends_the_run_in_one_line_with_its_name(place, hosts):
    blind = hosts.workers[1]
    blind.hide(place.folder)
    said = check(place, begin_by_ray(place, hosts, "blind"), "blind", code=2)
    (line,) = [line for line in said.splitlines() if "not seen" in line]
    assert line.startswith(f"host {blind.name}: {place.folder}")
    assert "Traceback" not in said
