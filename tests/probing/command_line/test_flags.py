"""`--help` in groups, and settings that come out as they went in."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import tyro

from probing.command_line.docstrings import list_shown
from probing.command_line.flags import read_flags
from probing.settings.run import RunSettings
from probing.settings.training import TrainSettings
from probing.training.recipes.pretrain import PretrainSettings
from probing.training.recipes.prune import PruneSettings

KINDS = [RunSettings, TrainSettings, PruneSettings, PretrainSettings]
EXAMPLES = """What it does.

python a.py --one 1
python a.py --two 2 --output ~/somewhere
"""


@dataclass(frozen=True)
class Parent:
    GROUPS: ClassVar = {"second": ("two",)}

    one: int = 1
    """Number one,
    on two lines."""
    two: tuple[str, ...] = ("a", "b")
    """Number two."""


@dataclass(frozen=True)
class Child(Parent):
    path: Annotated[Path, tyro.conf.Positional] = Path("here")
    """The place."""
    own: bool = False
    """Of the child."""


def read(monkeypatch, kind, *arguments):
    monkeypatch.setattr(sys, "argv", ["a.py", *arguments])
    return read_flags(kind, sys.argv[1:], description=EXAMPLES)


@pytest.mark.parametrize("kind", KINDS)
def test_each_flag_is_in_one_group_and_nothing_else_is(kind):
    grouped = [name for names in kind.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(list_shown(kind))


def test_a_setting_that_programs_set_is_no_flag_of_the_help_and_can_be_given(monkeypatch, capsys):
    assert "part" not in list_shown(RunSettings)
    assert read(monkeypatch, RunSettings, "--part", "cells:1/2").part == "cells:1/2"
    with pytest.raises(SystemExit):
        read(monkeypatch, RunSettings, "--help")
    assert "--part " not in capsys.readouterr().out


@pytest.mark.parametrize("kind", [*KINDS, Child])
def test_without_flags_settings_are_the_defaults(kind, monkeypatch):
    given = read(monkeypatch, kind)
    assert type(given) is kind
    assert given == kind()


def test_flags_reach_their_fields_grouped_inherited_or_not(monkeypatch):
    given = read(monkeypatch, Child, "there", "--one", "7", "--two", "x", "--own")
    assert given == Child(7, ("x",), Path("there"), True)


def test_the_help_has_a_box_a_group_and_examples_that_can_be_copied(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        read(monkeypatch, Child, "--help")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in EXAMPLES.splitlines() if line.startswith("python")] == [
        line for line in lines if line.startswith("python")
    ]
    shown = "\n".join(lines[lines.index(EXAMPLES.splitlines()[-1]) :])
    assert "Number one, on two lines. (default: 1)" in shown
    assert shown.index("--own") < shown.index("second options") < shown.rindex("--two")


@pytest.mark.parametrize("kind", KINDS)
def test_the_help_names_every_flag_with_its_text(kind, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        read(monkeypatch, kind, "--help")
    shown = capsys.readouterr().out
    for name in list_shown(kind):
        assert f"--{name.replace('_', '-')}" in shown
    for title in kind.GROUPS:
        assert f" {title} options " in shown
