import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from probing.command_line import expand_paths, read_settings
from probing.records import InputError


@dataclass(frozen=True)
class Given:
    data: str = "controlled"
    output: Path | None = None
    many_paths: tuple[Path, ...] = ()
    name: str = "~"
    seed: int = 0


@pytest.fixture
def read(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    def given(*arguments):
        monkeypatch.setattr(sys, "argv", ["script", *arguments])
        return read_settings(Given)

    return given


def test_the_home_is_written_out_in_every_path_and_in_no_name(read, tmp_path):
    settings = read("--output=~/x", "--many-paths", "~/y", "z", "--data=~/corpus")
    assert settings == Given("~/corpus", tmp_path / "x", (tmp_path / "y", Path("z")), "~")


@pytest.mark.parametrize("arguments", [["--output=~nouser/x"], ["--data", "~nouser/x"], ["--many_paths", "~nouser"]])
def test_the_home_of_nobody_is_refused(arguments, read):
    with pytest.raises(InputError, match="no such user"):
        read(*arguments)


@pytest.mark.parametrize("flag", ["--output", "--data", "--many-paths"])
def test_a_name_that_is_no_text_is_refused(flag, read):
    with pytest.raises(InputError, match=f"{flag} .*not in UTF-8"):
        read(flag, os.fsdecode(b"caf\xe9"))


@pytest.mark.parametrize(
    "arguments", [["--output", ""], ["--output="], ["--many-paths", "a", ""], ["--many_paths", "", "a"]]
)
def test_an_empty_path_is_refused(arguments, read):
    with pytest.raises(InputError, match="expected a path, got an empty one"):
        read(*arguments)


def test_an_empty_name_is_the_business_of_others(read):
    assert read("--name", "", "--data=") == Given(name="", data="")


def test_a_negative_seed_is_refused(read):
    with pytest.raises(InputError, match="--seed -1: expected 0 or more"):
        read("--seed", "-1")


def test_settings_made_in_python_have_their_home_written_out_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_paths(Given(output=Path("~/x"))).output == tmp_path / "x"
