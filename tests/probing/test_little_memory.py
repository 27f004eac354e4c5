"""With too little memory every command ends in one line before a library dies of it in its native code."""

import errno
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probing import memory
from probing.cells.room import check_room
from probing.encoders.checkpoint_files import check_weights
from probing.memory import HEAVY, LIGHT, find_free, find_shortage, lacks_memory
from probing.records import InputError, Split, Task, TaskSpec
from tests.helpers import build_task, write_task

ROOT = Path(__file__).parents[2]
GIB = 2**30
COMMANDS = [[f"probing/{name}.py"] for name in ("run_senteval", "train_encoder", "replicate_bermo", "build_tasks")]
COMMANDS += [["-m", f"analysis.{name}"] for name in ("report", "compare", "convergence", "tables")]
LINE = r"not enough memory here: [\d.]+ GiB are needed to begin, [\d.]+ GiB are left of ulimit -[vd]; raise it.*\n"


def run(arguments, limit, what=resource.RLIMIT_AS, **options):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        preexec_fn=lambda: resource.setrlimit(what, (limit, limit)), **options,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])
@pytest.mark.parametrize("megabytes", [60, 200, 700])
def test_below_what_a_command_needs_it_ends_in_one_line(command, megabytes):
    ended = run(command, megabytes * 2**20)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(LINE, ended.stderr)


def test_the_limit_of_data_counts_too():
    ended = run(COMMANDS[0], GIB, resource.RLIMIT_DATA)
    assert re.fullmatch(LINE, ended.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["", "1"])
def test_with_what_it_needs_a_small_run_ends_well(threads, tiny_folder, tmp_path, monkeypatch):
    write_task(tmp_path / "data", build_task("past_present"))
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    n_threads = HEAVY.threads_per_core * memory._count_threads() + HEAVY.threads
    limit = HEAVY.address_space + n_threads * memory._THREAD_BYTES + 2**26
    arguments = ["probing/run_senteval.py", "--checkpoint", tiny_folder, "--data", tmp_path / "data"]
    arguments += [
        "--tasks",
        "Tense",
        "--gradients",
        "4",
        "--output",
        tmp_path / "run",
        "--cache-dir",
        tmp_path / "cache",
    ]
    ended = run([str(part) for part in arguments], limit)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "run" / "report.html").is_file()


FILES = {
    "version 2": {
        "/proc/self/cgroup": "0::/job/step\n",
        "/sys/fs/cgroup/job/step/memory.max": "max\n",
        "/sys/fs/cgroup/job/step/memory.current": f"{GIB}\n",
        "/sys/fs/cgroup/job/memory.max": f"{3 * GIB}\n",
        "/sys/fs/cgroup/job/memory.current": f"{2 * GIB}\n",
        "/sys/fs/cgroup/job/memory.stat": f"anon {GIB}\ninactive_file {GIB // 2}\n",
    },
    "version 1": {
        "/proc/self/cgroup": "4:memory:/job\n0::/\n",
        "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{3 * GIB}\n",
        "/sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{2 * GIB}\n",
        "/sys/fs/cgroup/memory/job/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB // 2}\n",
    },
    "within a container": {
        "/proc/self/cgroup": "0::/outside/job\n",
        "/sys/fs/cgroup/memory.max": f"{3 * GIB}\n",
        "/sys/fs/cgroup/memory.current": f"{2 * GIB}\n",
        "/sys/fs/cgroup/memory.stat": f"inactive_file {GIB // 2}\n",
    },
}
MACHINE = {"/proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {8 * GIB // 1024} kB\nSwapFree: {GIB // 1024} kB\n"}


def show(monkeypatch, files):
    monkeypatch.setattr(memory, "_read", lambda path: files.get(str(path), ""))


@pytest.mark.parametrize("kind", FILES)
def test_a_control_group_that_is_nearest_to_full_counts(kind, monkeypatch):
    show(monkeypatch, MACHINE | FILES[kind])
    assert find_free() == 1.5 * GIB + GIB
    show(monkeypatch, MACHINE)
    assert find_free() == 9 * GIB


def test_a_system_that_says_nothing_has_room_for_all(monkeypatch):
    show(monkeypatch, {})
    assert find_shortage(HEAVY) == ""


def test_a_full_machine_is_refused(monkeypatch):
    show(monkeypatch, {"/proc/meminfo": "MemAvailable: 204800 kB\n"})
    assert "0.20 GiB are free; free some" in find_shortage(LIGHT)
    show(monkeypatch, {"/proc/meminfo": "MemAvailable: 512000 kB\n"})
    assert find_shortage(LIGHT) == ""
    assert find_shortage(HEAVY)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_what_says_so_comes_from_too_little_memory(error):
    assert lacks_memory(error)


@pytest.mark.parametrize("error", [SystemError("returned NULL"), RuntimeError("could not create a primitive")])
def test_what_does_not_say_so_does_near_a_limit_alone(error, monkeypatch):
    assert not lacks_memory(error)
    monkeypatch.setattr(memory, "is_near_limit", lambda: True)
    assert lacks_memory(error)
    assert not lacks_memory(ValueError("a bug"))
    assert not lacks_memory(FileNotFoundError(errno.ENOENT, "not there", "x"))


def build_large(n):
    labels = np.zeros(n, dtype=np.int64)
    splits = {name: Split((("a",),) * n, labels) for name in ("train", "dev", "test")}
    return Task(TaskSpec("large", "Large", "semantic"), ("0", "1"), splits)


def test_a_task_that_memory_cannot_hold_is_refused_before_it_is_encoded(monkeypatch):
    task = build_large(10_000)
    monkeypatch.setattr("probing.cells.room.find_room", lambda: GIB // 2)
    with pytest.raises(InputError, match=r"large needs 1.0 GiB for 13 layers of width 768, and 0.5 GiB are free"):
        check_room([task], 13, 768, ())
    check_room([task], 1, 768, ())
    monkeypatch.setattr("probing.cells.room.find_room", lambda: 2 * GIB)
    check_room([task], 13, 768, ("code_length",))
    check_room([task], 13, 768, ("concat",))
    monkeypatch.setattr("probing.cells.room.find_room", lambda: 1.8 * GIB)
    with pytest.raises(InputError, match=r"large needs 1.9 GiB"):
        check_room([task], 13, 768, ("concat",))


def test_weights_that_memory_cannot_hold_are_refused_before_they_are_read(tiny_folder, monkeypatch):
    check_weights(tiny_folder, "tiny")
    monkeypatch.setattr("probing.encoders.checkpoint_files.find_room", lambda: 100)
    with pytest.raises(InputError, match=r"checkpoint tiny: its weights take .* GiB, 0.0 GiB of memory are free"):
        check_weights(tiny_folder, "tiny")
