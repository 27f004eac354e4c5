import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from probing.command_line.arguments import expand_paths, read_settings, share_values
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


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--outputs", "x"], ["--outputs", "perhaps you meant --output", "--help"]),
        (["stray"], ["stray", "--help"]),
        (["--seed", "x" * 200], ["--seed", "expected --seed INT"]),
        (["--seed", "1.5"], ["--seed", "1.5", "expected --seed INT"]),
        (["--name"], ["--name", "Missing value"]),
        (["--seed", "1", "--seed=y", "--nope"], ["--"]),
    ],
)
@pytest.mark.parametrize("colour", ["0", "1"])
def test_flags_and_values_that_are_not_there_are_refused_in_one_line(
    colour, arguments, parts, read, monkeypatch, capsys
):
    monkeypatch.setenv("FORCE_COLOR", colour)
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(InputError) as refused:
        read(*arguments)
    said = str(refused.value)
    assert [part for part in parts if part not in said] == []
    assert not set(said) & set("\n\x1b│╭─╰")
    assert capsys.readouterr().err == ""


def test_boxes_drawn_in_unicode_are_one_line_too(read, monkeypatch):
    def refuse(*_, **__):
        sys.stderr.write("╭─ Value error ─╮\n│ Error parsing --seed: │\n│ no 'x' │\n│ ───── │\n")
        sys.stderr.write("│ Argument helptext: │\n│   --seed INT │\n│   (default: 0) │\n╰──────╯\n")
        raise SystemExit(2)

    monkeypatch.setattr("tyro.cli", refuse)
    with pytest.raises(InputError, match=r"^Error parsing --seed: no 'x'; expected --seed INT; --help lists [a-z ]+$"):
        read("--seed", "x")


def test_help_is_shown_and_ends_well(read, capsys):
    with pytest.raises(SystemExit) as end:
        read("--help")
    assert not end.value.code
    assert "--many-paths" in capsys.readouterr().out


def test_an_empty_name_is_the_business_of_others(read):
    assert read("--name", "", "--data=") == Given(name="", data="")


def test_a_negative_seed_is_refused(read):
    with pytest.raises(InputError, match="--seed -1: expected 0 or more"):
        read("--seed", "-1")


def test_settings_made_in_python_have_their_home_written_out_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_paths(Given(output=Path("~/x"))).output == tmp_path / "x"


@pytest.mark.parametrize(
    ("arguments", "shared"),
    [
        (["--name", "a", "b", "c", "--data", "d"], ["--name", "a", "--others", "b", "c", "--data", "d"]),
        (["--data", "d", "--name", "a"], ["--data", "d", "--name", "a"]),
        (["--tasks", "a", "b"], ["--tasks", "a", "b"]),
        (["--name=a", "--tasks", "b", "c"], ["--name=a", "--tasks", "b", "c"]),
        (["x", "y", "--name", "a", "b"], ["x", "y", "--name", "a", "--others", "b"]),
    ],
)
def test_further_values_of_a_flag_of_one_value_are_another_flags(arguments, shared):
    assert share_values(arguments, {"name": "others"}) == shared
