"""How commands end: what the system refuses in one line, a bug with its traceback, and no terminal costs a result."""

import errno
import io
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probing.command_line.entry_points import COMMANDS
from probing.command_line.terminals import forgive_terminals
from probing.exit_codes import end_in_one_line, explain
from probing.records import InputError
from tests.helpers import build_task, write_task

ROOT = Path(__file__).parents[2]
SCRIPTS = ("run_senteval.py", "build_tasks.py", "train_encoder.py", "replicate_bermo.py")


def end(error, capsys):
    def fail():
        raise error

    return end_in_one_line(fail), capsys.readouterr().err


@pytest.mark.parametrize("code", ["ENAMETOOLONG", "ENOSPC", "EROFS", "EACCES", "EPERM", "EISDIR", "ENOTDIR", "EEXIST"])
def test_what_the_system_refuses_is_said_in_a_line_with_the_path(code, capsys):
    number = getattr(errno, code)
    returned, said = end(OSError(number, os.strerror(number), "/some/where"), capsys)
    assert returned == 2
    assert said.startswith("/some/where: ")
    assert said.count("\n") == 1


def test_a_full_disk_needs_no_path(capsys):
    returned, said = end(OSError(errno.ENOSPC, "No space left on device"), capsys)
    assert (returned, said.count("\n")) == (2, 1)
    assert said.startswith("no room")


@pytest.mark.parametrize(
    "bug",
    [
        OSError("no number"),
        OSError(errno.EINVAL, "Invalid argument", "/some/where"),
        OSError(errno.ENOENT, "No such file"),
        FileNotFoundError(errno.ENOENT, "No such file", str(ROOT / "analysis" / "style.mplstyle")),
        ValueError("a bug"),
    ],
)
def test_a_bug_is_raised(bug, capsys):
    with pytest.raises(type(bug)):
        end(bug, capsys)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory:\n 9 bytes"),
        RuntimeError("can't start new thread"),
    ],
)
def test_too_little_memory_is_no_bug(error, capsys):
    code, said = end(error, capsys)
    assert code == 2
    assert said.startswith("not enough memory here; free some")
    assert len(said.strip().splitlines()) == 1


def test_a_real_error_of_the_system_names_its_path(tmp_path):
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("x" * 300)).is_file()
    assert "xxx: a name is too long" in explain(caught.value)


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def say(text="said"):
    sys.stdout.write(f"{text}\n") if sys.stdout else None
    return 7


def test_broken_full_and_closed_streams_cost_nothing(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed, None):
        monkeypatch.setattr(sys, "stdout", stream)
        assert end_in_one_line(say) == 7
        assert sys.stdout is stream


def test_letters_that_a_terminal_lacks_are_written_plainly(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with forgive_terminals():
        say("81.2 ± 0.3 é 情 …")
    assert raw.getvalue() == b"81.2 +- 0.3 e ? ...\n"


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_at_work_is_told_in_a_line(capsys):
    before = signal.getsignal(signal.SIGINT)

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError

    assert end_in_one_line(work) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("command", [[str(ROOT / "probing" / "run_senteval.py")], ["-m", "analysis.compare"]])
def test_ctrl_c_while_the_imports_are_read_is_told_in_a_line(command):
    """The signal comes from the first import after the guard that the program itself makes."""
    code = (
        "import builtins, os, runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "usual = builtins.__import__\n"
        "def load(name, *rest, **more):\n"
        "    if name == 'tyro': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return usual(name, *rest, **more)\n"
        "builtins.__import__ = load\n"
        f"runpy.{'run_module' if '-m' in command else 'run_path'}({command[-1]!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was begun\n")


@pytest.mark.parametrize(
    "command",
    ["-m probing.cli", "-c 'import probing.cli'"]  # the installed command begins by importing it
    + [row.script.removeprefix("python ") or f"-m {row.module}" for row in COMMANDS.values()],
)
def test_a_python_without_the_packages_is_told_what_to_switch_on(command):
    """Without `site` the interpreter has the standard library alone."""
    done = subprocess.run(
        [sys.executable, "-S", *shlex.split(command), "--help"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "source .venv/bin/activate" in done.stderr
    assert "make setup" in done.stderr
    assert "conda activate" in done.stderr


@pytest.mark.slow
def test_a_working_directory_that_is_gone_is_told_in_a_line(tmp_path):
    command = f"mkdir here && cd here && rmdir ../here && exec {sys.executable} {ROOT}/probing/run_senteval.py --help"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == "the working directory is gone; change to one that is there"


def test_mistakes_still_end_in_their_own_line(capsys):
    assert end(InputError("so not"), capsys) == (2, "so not\n")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["| head -n 1", "> /dev/full", "2> /dev/full", ">&- 2>&-", "| cat"])
def test_a_run_leaves_its_figures_and_report_whatever_becomes_of_its_output(where, tmp_path, tiny_folder):
    write_task(tmp_path / "corpus", build_task("past_present"))
    command = f"{sys.executable} {ROOT}/probing/run_senteval.py --checkpoint {tiny_folder} --data corpus --tasks tense"
    command += " --gradients 0 --controls --dtype float32 --device cpu --output run --cache-dir cache"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} {where}; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
    assert len(list((tmp_path / "run" / "figures").iterdir())) >= 10
    if where == "| cat":
        assert "+-" in done.stdout
        assert done.stdout.isascii()
