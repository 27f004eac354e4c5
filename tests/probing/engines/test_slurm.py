"""Claims about `--engine slurm`, with a real Slurm that is started here: munge, a controller and one node."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import build_task, install_parts, read_cells, run_script, save_encoder, write_task
from tests.probing.engines.test_ray import TASKS

ROOT = Path(__file__).parents[3]
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
needs_slurm = pytest.mark.skipif(
    find_spec("submitit") is None or not all(map(shutil.which, DAEMONS)) or os.getuid() != 0,
    reason="--engine slurm: needs bermo-probing[cluster], and slurm-wlm and munge to start a cluster as root",
)
CONF = """
ClusterName=small
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=2000
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of one node: the environment that its commands need."""
    folder = Path("/tmp") / f"slurm-{os.getpid()}"  # sockets have short paths
    (folder / "spool").mkdir(parents=True)
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, port=ports[0], other=ports[1]))
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o400)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = [
        "--force",
        f"--key-file={folder}/key",
        f"--socket={folder}/munge.socket",
        f"--pid-file={folder}/munged.pid",
    ]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/seed"]
    for command in (["munged", *munge], ["slurmctld"], ["slurmd"]):
        subprocess.run(command, env=environment, check=True, timeout=60)
    try:
        wait_for(lambda: "idle" in ask(environment, "sinfo", "--noheader", "--format=%t"), 60)
        yield environment
    finally:
        ask(environment, "scancel", "--user=root")
        for name in ("slurmd", "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def ask(environment, *command):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stdout


def wait_for(condition, seconds, complain=lambda: ""):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, complain()
        time.sleep(0.2)
    return found


@pytest.fixture
def place(tmp_path):
    """A corpus, an encoder, and a package with a probe that may be made to wait, installed as pip would."""
    for seed, name in enumerate(TASKS):
        write_task(tmp_path / "corpus", build_task(name, seed=seed))
    save_encoder(tmp_path / "encoder")
    install_parts(tmp_path / "installed")
    return tmp_path


def run(place, environment, output, *flags):
    command = [
        *(sys.executable, ROOT / "probing" / "run_senteval.py", "--model", "bermo", "--probe", "waiting"),
        *("--checkpoint", place / "encoder", "--data", place / "corpus", "--tasks", *TASKS, "--threads", "1"),
        *("--cache-dir", place / f"{output}_cache", "--output", place / output, "--controls", "control_task"),
        *("--gradients", "0", "--device", "cpu", "--no-report", "--quiet", *flags),
    ]
    path = os.pathsep.join([str(ROOT), str(place / "installed"), *filter(None, sys.path)])
    done = subprocess.run(
        list(map(str, command)), env={**environment, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_log(place):
    return "".join(path.read_text() for path in sorted((place / "by_slurm" / "queue").glob("*.out")))


@pytest.mark.slow
@needs_slurm
def test_a_part_that_is_queued_again_and_one_that_is_killed_end_in_the_cells_of_one_process(place, cluster):
    run(place, cluster, "alone")
    armed, fits = place / "installed" / "armed.fit", place / "installed" / "fits"
    once = fits.read_text().splitlines()
    fits.unlink()
    armed.touch()
    printed = run(place, cluster, "by_slurm", "--engine", "slurm", "--workers", "2", "--slurm-time", "30", "--detach")
    assert "scancel" in printed
    waiting = wait_for(lambda: list(armed.parent.glob("waits.fit.*")), 120, lambda: read_log(place))[0]
    pid = int(waiting.suffix[1:])
    # What Slurm sends before a job's time is up, and when it is preempted.
    facts = dict(
        line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if line.startswith("SLURM_")
    )
    job = f"{facts['SLURM_ARRAY_JOB_ID']}_{facts['SLURM_ARRAY_TASK_ID']}"
    armed.touch()
    ask(cluster, "scancel", "--signal=USR2", job)
    waiting.unlink()
    wait_for(lambda: "Requeued job" in read_log(place), 60, lambda: read_log(place))
    # Slurm would begin a job that was queued again after two minutes.
    wait_for(lambda: "PENDING" in ask(cluster, "squeue", "--noheader", "--format=%T", f"--jobs={job}"), 60)
    ask(cluster, "scontrol", "update", f"JobId={job}", "StartTime=now")
    waiting = wait_for(lambda: list(armed.parent.glob("waits.fit.*")), 120, lambda: read_log(place))[0]
    assert int(waiting.suffix[1:]) != pid
    os.kill(int(waiting.suffix[1:]), signal.SIGKILL)
    state = place / "by_slurm" / "manifest.json"
    wait_for(state.is_file, 120, lambda: read_log(place))
    assert "exit code -9" in read_log(place)
    parts = {path.stem: json.loads(path.read_text()) for path in (place / "by_slurm" / "parts").glob("*-of-*.json")}
    assert len(parts) == 5
    assert sum("ended" not in part for name, part in parts.items() if name.startswith("cells")) == 1
    # What was broken off was begun again, and nothing else.
    begun = [line.split(" ", 2)[2] for line in fits.read_text().splitlines()]
    assert sorted(set(begun)) == sorted({line.split(" ", 2)[2] for line in once})
    assert len(begun) == len(once) + 2
    expected, found = read_cells(place / "alone"), read_cells(place / "by_slurm")
    assert found == expected
    for table in ("scores", "layer_weights", "predictions"):
        one, other = (pd.read_parquet(place / run / f"{table}.parquet") for run in ("alone", "by_slurm"))
        pd.testing.assert_frame_equal(
            one.drop(columns="seconds", errors="ignore"), other.drop(columns="seconds", errors="ignore")
        )


@pytest.mark.slow
@needs_slurm
def test_what_sbatch_refuses_is_one_line(place, cluster, monkeypatch, capsys):
    from probing import run_senteval

    monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
    flags = ["--engine", "slurm", "--workers", "1", "--slurm-partition", "nowhere", "--detach", "--quiet"]
    flags += [
        "--checkpoint",
        str(place / "encoder"),
        "--data",
        str(place / "corpus"),
        "--output",
        str(place / "refused"),
    ]
    flags += ["--cache-dir", str(place / "cache"), "--device", "cpu"]
    code, _, error = run_script(run_senteval.main, "run", flags, monkeypatch, capsys)
    assert code == 2
    assert "invalid partition" in error.splitlines()[-1]


def test_without_submitit_one_line_says_what_to_install(monkeypatch, capsys, tmp_path):
    from probing import run_senteval

    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.delitem(sys.modules, "probing.engines.slurm", raising=False)
    flags = ["--engine", "slurm", "--workers", "2", "--output", str(tmp_path / "run")]
    code, _, error = run_script(run_senteval.main, "run", flags, monkeypatch, capsys)
    assert code == 2
    assert error == "--engine slurm: needs submitit; pip install 'bermo-probing[cluster]'\n"
    assert not (tmp_path / "run").exists()
