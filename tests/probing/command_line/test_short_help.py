"""`--help` of a command of many flags fits one screen; `--help-all` has the whole text."""

import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from probing.command_line.arguments import read_settings
from probing.command_line.docstrings import list_shown
from probing.command_line.short_help import MANY
from probing.settings.run import RunSettings
from probing.settings.training import TrainSettings

ABOUT = "Do it.\n\nMore of it.\n\npython do.py --one 1\n"
SCREEN = 60
"""Lines of a terminal that fills a laptop's screen."""


@dataclass(frozen=True)
class Few:
    """Too few flags to shorten anything."""

    one: int = 1
    """Number of things. It has a second sentence."""


@pytest.fixture
def shown(monkeypatch, capsys):
    """What a command prints when it is asked for help."""

    def show(kind, *arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["do.py", *arguments])
        with pytest.raises(SystemExit) as stop:
            read_settings(kind, config=True, description=ABOUT)
        assert not stop.value.code
        return capsys.readouterr().out

    return show


@pytest.mark.parametrize("kind", [RunSettings, TrainSettings])
@pytest.mark.parametrize("columns", [80, 200])
def test_every_flag_has_one_line_that_the_terminal_is_wide_enough_for(kind, columns, shown):
    lines = shown(kind, "--help", columns=columns).splitlines()
    names = [match[1] for line in lines if (match := re.match(r"  --([a-z-]+) (?! *--[a-z])", line))]
    folded = {name.replace("_", "-") for title in getattr(kind, "FOLDED", ()) for name in kind.GROUPS[title]}
    assert sorted(names) == sorted({"config", *(name.replace("_", "-") for name in list_shown(kind))} - folded)
    assert all(f"--{name}" in " ".join(lines).split() for name in folded)
    assert max(map(len, lines)) < columns
    assert len(lines) <= SCREEN
    assert lines.count("  python do.py --one 1") == 1


def test_a_default_is_shown_as_one_types_it(shown):
    text = shown(RunSettings, "-h")
    for flag in ("--pooling mean", "--special-tokens on", "--mix-norm off", "--limit 0", "--output PATH", "--seeds 0"):
        assert re.search(rf"^  {flag} ", text, re.MULTILINE), flag


def test_the_whole_text_is_there_when_asked_for(shown):
    short, whole = shown(RunSettings, "--help"), shown(RunSettings, "--help-all")
    assert "BERMo's text speaks of one scalar per layer" not in " ".join(short.split())
    assert "BERMo's text speaks of one scalar per layer" in " ".join(whole.replace("│", " ").split())


def test_few_flags_are_explained_at_once(shown):
    assert len(fields(Few)) < MANY <= len(fields(RunSettings))
    assert "It has a second sentence." in shown(Few, "--help")
    assert shown(Few, "--help") == shown(Few, "--help-all")


def test_a_flag_after_help_is_not_read(shown):
    assert "--pooling" in shown(RunSettings, "--help", "--output", str(Path("nowhere")))
