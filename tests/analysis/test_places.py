"""Where the commands are told to write is looked at before anything is computed, and refused in one line."""

import sys

import pytest

from analysis import compare, convergence
from analysis.report import __main__ as report
from analysis.tables import __main__ as tables


@pytest.fixture
def told(monkeypatch, capsys):
    """Function: what a command says on stderr when it is refused."""

    def start(command, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        assert command.main() == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        return said.err

    return start


@pytest.mark.parametrize("command", [compare, convergence, tables])
@pytest.mark.parametrize("output", ["file", "file/folder", "link"])
def test_a_folder_of_results_that_cannot_be_made_is_refused_at_once(command, output, told, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nothing")
    runs = ["run"] if command is tables else ["run", "other"]
    assert "choose another --output" in told(command, *runs, "--output", tmp_path / output)


def test_a_report_in_the_place_of_a_folder_or_within_a_file_is_refused_at_once(told, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "a folder" in told(report, "run", "--output", tmp_path)
    assert "a file" in told(report, "run", "--output", tmp_path / "file" / "page.html")


def test_a_negative_seed_is_refused(told):
    assert "--seed -1: expected 0 or more" in told(tables, "run", "--seed", "-1")


@pytest.mark.parametrize("command", [compare, convergence, tables, report])
def test_a_name_that_is_too_long_is_told_in_a_line(command, told):
    runs = ["x" * 300] * (1 if command in (tables, report) else 2)
    assert "a name is too long" in told(command, *runs)
