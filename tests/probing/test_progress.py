import io
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from probing.progress import Narrator, tell_fact


def narrate(terminal=False, **options):
    """A narrator that has told of one stage, and what it wrote."""
    narrator = Narrator(**options)
    narrator.console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    with narrator.stage("encoding", 4, "sentences") as advance:
        for _ in range(4):
            time.sleep(0.01)
            advance(1)
    narrator.note("encoding", sentences=4, **{"tokens_per_s": 1234.5, "share_of_matrix_rate": 0.304})
    return narrator, narrator.console.file.getvalue()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sentences", 12345, "12,345 sentences"),
        ("peak_things", 3, "3 peak things"),
        ("sentences_per_s", 1234.5, "1,234 sentences/s"),
        ("gflop_per_s", 99.9, "100 GFLOP/s"),
        ("share_of_matrix_rate", 0.304, "30% of the matrix rate"),
    ],
)
def test_facts_are_said_with_their_units(name, value, said):
    assert tell_fact(name, value) == said


def test_a_terminal_sees_a_bar_with_rate_and_time_left():
    _, text = narrate(terminal=True)
    assert "4/4" in text
    assert re.search(r"\d/s", text)
    assert "left" in text


def test_where_there_is_no_terminal_one_line_tells_of_the_stage():
    narrator, text = narrate()
    (line,) = text.splitlines()
    assert line.startswith("encoding: 4 sentences, 1,234 tokens/s, 30% of the matrix rate in 0.")
    assert narrator.stages["encoding"]["seconds"] >= 0.04
    assert narrator.stages["encoding"]["share_of_matrix_rate"] == 0.304


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_and_keeps_everything(terminal):
    narrator, text = narrate(terminal, quiet=True)
    assert text == ""
    assert narrator.stages["encoding"]["tokens_per_s"] == 1234.5


def test_warnings_are_told_once_even_when_quiet():
    narrator, _ = narrate(quiet=True)
    narrator.warn("mind the gap")
    narrator.warn("mind the gap")
    assert narrator.warnings == ["mind the gap"]
    assert narrator.console.file.getvalue().count("mind the gap") == 1


def test_the_rate_of_a_stage_is_its_sentences_by_its_seconds():
    narrator, _ = narrate(quiet=True)
    seconds = narrator.stages["encoding"]["seconds"]
    assert narrator.rate("encoding", 10) == {"sentences": 10, "sentences_per_s": 10 / seconds}
    assert narrator.rate("encoding", 0) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("module", "loaded"), [("probing.pipeline", False), ("probing.encoders.bert", True)])
def test_a_run_reads_its_tasks_before_it_loads_transformers(module, loaded):
    code = f"import sys, {module}; print('transformers' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(loaded)
