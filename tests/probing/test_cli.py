import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from probing import __version__, cli
from probing.command_line.entry_points import COMMANDS, PROGRAM, name_examples, name_program

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/bermo-probing", *arguments])
        try:
            code = cli.main()
        except SystemExit as stop:  # as tyro ends a help
            code = stop.code or 0
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_command_and_no_other(arguments, call):
    code, out, _ = call(*arguments)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if re.match(r"  [a-z]+  ", line)] == list(COMMANDS)


def test_the_version_is_the_packages(call):
    assert call("--version") == (0, f"{PROGRAM} {__version__}\n", "")


def test_an_unknown_command_is_answered_with_the_nearest(call):
    code, out, err = call("compair", "a", "b")
    assert (code, out) == (2, "")
    assert "did you mean compare" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_shows_its_own_help_under_its_own_name(name, call):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert out.startswith(f"usage: {PROGRAM} {name} ")
    # An example, and none that is typed in another way.
    assert re.search(rf"^ *{PROGRAM} {name}", out, re.MULTILINE)
    assert "python probing/" not in out
    assert "python -m" not in out


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_loads_nothing_that_is_slow(name):
    slow = "{'torch', 'pandas', 'transformers', 'sklearn', 'matplotlib', 'altair', 'scipy'}"
    code = (
        f"import sys; sys.argv = ['x', '{name}', '--help']\nfrom probing import cli\n"
        f"try: cli.main()\nexcept SystemExit: pass\nprint('slow:', *{slow} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "slow:"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_the_main_that_it_names(name):
    assert callable(import_module(COMMANDS[name].module).main)


def test_a_mistake_ends_in_a_line_and_exit_code_2(call):
    code, out, err = call("run", "--limit", "-1")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--limit" in err


def test_examples_are_as_one_types_them(monkeypatch):
    text = "Do.\n\npython probing/build_tasks.py --conllu x\npython -m analysis.report RUN"
    monkeypatch.setattr(sys, "argv", ["probing/build_tasks.py"])
    assert (name_examples(text), name_program("python -m x")) == (text, "python -m x")
    monkeypatch.setattr(sys, "argv", [f"{PROGRAM} build"])
    assert name_examples(text) == f"Do.\n\n{PROGRAM} build --conllu x\n{PROGRAM} report RUN"
    assert name_program() == f"{PROGRAM} build"


def test_tasks_lists_the_names_and_a_corpus_with_its_chance_level(call, tmp_path):
    code, out, _ = call("tasks")
    assert code == 0
    assert "tree_depth" in out
    assert "arXiv 1805.01070" in out
    rows = [("tr", "a", "one two"), ("tr", "a", "three"), ("tr", "b", "four"), ("va", "a", "five"), ("va", "b", "six")]
    rows += [("te", "a", "seven"), ("te", "b", "eight"), ("te", "b", "nine"), ("te", "b", "ten")]
    (tmp_path / "mine.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    code, out, _ = call("tasks", str(tmp_path))
    assert code == 0
    # a is the most frequent class of train, and one in four of test.
    assert next(line for line in out.splitlines() if "mine" in line).split()[:8] == [
        *("mine", "own", "accuracy", "3", "2", "4", "2", "25.0")
    ]


def test_tasks_of_no_folder_are_refused(call):
    code, _, err = call("tasks", "nowhere")
    assert code == 2
    assert "nowhere" in err
