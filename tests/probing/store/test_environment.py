"""What a manifest says of command, code, packages and machine; nothing about them can stop a run or move a number."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from probing.store import environment
from probing.store.environment import describe_code, describe_environment, describe_packages, hash_packages

ROOT = Path(__file__).parents[3]


def git(folder, *arguments):
    names = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "a.py").write_text("1\n")
    git(folder, "add", "a.py")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_a_checkout_gives_its_commit_and_whether_it_was_changed(checkout):
    commit = git(checkout, "rev-parse", "HEAD").strip()
    assert describe_code(checkout) == {"commit": commit, "changed": False}
    (checkout / "results.csv").write_text("not in git")
    assert describe_code(checkout)["changed"] is False
    (checkout / "a.py").write_text("2\n")
    assert describe_code(checkout) == {"commit": commit, "changed": True}


def test_a_package_installed_inside_somebodys_checkout_has_no_commit(checkout):
    (checkout / "site-packages").mkdir()
    assert describe_code(checkout / "site-packages") == {}


def test_no_commit_no_git_and_a_damaged_repository_are_no_errors(tmp_path, checkout, monkeypatch):
    assert describe_code(tmp_path) == {}
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    assert describe_code(empty) == {}
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert describe_code(tmp_path) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_code(checkout) == {}


def test_a_git_that_hangs_is_left(checkout, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    monkeypatch.setattr(environment, "_GIT_S", 0.2)
    assert describe_code(checkout) == {}


def test_the_command_is_what_was_typed_and_can_be_typed_again(monkeypatch):
    typed = ["probing/run_senteval.py", "--data", "my corpus", "--tasks", "Tense"]
    monkeypatch.setattr(sys, "argv", typed)
    assert shlex.split(describe_environment()["command"]) == typed


def test_the_processor_is_named_with_what_torch_computes_with():
    machine = describe_environment()["machine"]
    lines = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    assert machine["cpu"] in lines or not lines
    assert f"CPU capability usage: {machine['instruction_set']}" in torch.__config__.show()


def test_a_processor_that_no_file_names_may_be_nameless(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "nowhere")
    assert isinstance(environment.name_processor(), str)


def test_the_hash_of_packages_follows_their_versions_and_not_their_order():
    listed = subprocess.run(
        [sys.executable, "-c", "from importlib.metadata import distributions as d\nfor p in d(): print(p.name)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout.split()  # fmt: skip
    known = describe_packages()
    assert known["count"] >= len({name.lower() for name in listed})
    assert known == describe_packages.__wrapped__()  # pyright: ignore[reportFunctionMemberAccess] - of functools.cache
    assert hash_packages(["a==1", "b==2"]) == hash_packages(["b==2", "a==1"]) != hash_packages(["a==1", "b==3"])
