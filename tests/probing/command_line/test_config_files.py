import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from probing.command_line.arguments import read_settings
from probing.records import InputError


@dataclass(frozen=True)
class Given:
    data: str = "controlled"
    limit: int = 0
    rate: float = 0.1
    layers: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ("all",)
    report: bool = True
    form: Literal["a", "b"] = "a"
    output: Path | None = None


@pytest.fixture
def read(monkeypatch, tmp_path):
    def read(text, *arguments):
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["script", "--config", str(path), *arguments])
        return read_settings(Given, config=True)

    return read


def test_a_file_gives_settings_of_every_form(read):
    text = "data: x=y z\nlimit: 5\nrate: 1.0e-3\nlayers: [-1, 0]\ntasks: [Tense]\nreport: false\nform: b\noutput: ~/x"
    assert read(text) == Given("x=y z", 5, 1e-3, (-1, 0), ("Tense",), False, "b", Path("~/x").expanduser())


def test_flags_override_the_file_and_what_neither_names_keeps_its_default(read):
    assert read("limit: 5\ntasks: [a, b]\nreport: false", "--limit", "7", "--tasks", "c", "--report") == Given(
        limit=7, tasks=("c",)
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "output: null", "layers: []"])
def test_what_says_nothing_changes_nothing(read, text):
    assert read(text) == Given()


def test_names_may_be_written_as_flags_are(monkeypatch, tmp_path):
    @dataclass(frozen=True)
    class Long:
        most_words: int = 0

    path = tmp_path / "x.json"
    path.write_text(json.dumps({"most-words": 3}))
    monkeypatch.setattr(sys, "argv", ["script", f"--config={path}"])
    assert read_settings(Long, config=True) == Long(3)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("limmit: 5", ["there is no setting limmit", "limit"]),
        ("help: true", ["there is no setting help"]),
        ("config: x", ["there is no setting config"]),
        ("limit: many", ["settings.yaml: ", "--limit", "many"]),
        ("form: c", ["settings.yaml: ", "--form"]),
        ("data: {a: 1}", ["data holds", "expected text"]),
        ("tasks: [[a]]", ["tasks holds", "expected text"]),
        ("output: ''", ["--output", "empty"]),
        ("- a\n- b", ["expected names and values", "list"]),
        ("a: [", ["no YAML or JSON"]),
        ("limit: !!python/object/apply:os.getcwd []", ["no YAML or JSON"]),
    ],
)
def test_a_faulty_file_is_refused_in_a_line_that_names_it(read, text, parts):
    with pytest.raises(InputError) as error:
        read(text)
    assert "settings.yaml" in str(error.value)
    assert all(part in str(error.value) for part in parts)


@pytest.mark.parametrize("arguments", [["--config"], ["--config", "--limit"], ["--config", "a", "--config=b"]])
def test_one_file_is_expected(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    with pytest.raises(InputError, match="expected one file"):
        read_settings(Given, config=True)


def test_a_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script", "--config", "nowhere.yaml"])
    with pytest.raises(InputError, match=r"nowhere.yaml: cannot be read"):
        read_settings(Given, config=True)
