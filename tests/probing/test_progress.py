import io
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from probing import progress
from probing.progress import Reporter, format_duration, format_fact


def make_reporter(terminal=False, **options):
    """A reporter that has told of one stage, and what it wrote."""
    reporter = Reporter(**options)
    reporter.console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    with reporter.stage("encoding", 4, "sentences") as advance:
        for _ in range(4):
            time.sleep(0.01)
            advance(1)
    reporter.note("encoding", sentences=4, **{"tokens_per_s": 1234.5, "share_of_matrix_rate": 0.304})
    return reporter, reporter.console.file.getvalue()


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
    assert format_fact(name, value) == said


def test_a_terminal_sees_a_bar_with_rate_and_time_left():
    _, text = make_reporter(terminal=True)
    assert "4/4" in text
    assert re.search(r"\d/s", text)
    assert "left" in text


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def ticking():
    """A reporter without a terminal, its clock, and a stage of 40,000 sentences."""
    clock = Clock()
    reporter = Reporter(clock=clock)
    reporter.console = Console(file=io.StringIO(), width=200)
    return reporter, clock, reporter.plan_stage("encoding", 40_000, "sentences")


def test_without_a_terminal_a_line_appears_at_least_every_half_minute():
    reporter, clock, stage = ticking()
    spoken = []
    with reporter.visit(stage):
        for _ in range(180):
            clock.now += 1
            stage.advance(100)
            before = len(reporter.console.file.getvalue())
            reporter.tick()
            if len(reporter.console.file.getvalue()) > before:
                spoken.append(clock.now)
    assert max(late - early for early, late in zip([0.0, *spoken], [*spoken, 180.0], strict=True)) <= 30
    assert len(spoken) == 6
    first = reporter.console.file.getvalue().splitlines()[0]
    # 2,900 sentences in 29 s; 37,100 at 100/s.
    assert first == "encoding: 2,900/40,000 sentences, 100/s, 6 min 11 s left"


def test_another_line_puts_the_next_one_off_and_outside_of_a_stage_there_is_none():
    reporter, clock, stage = ticking()
    with reporter.visit(stage):
        clock.now = 20
        reporter.say("a score")
        clock.now = 40
        reporter.tick()
        assert reporter.console.file.getvalue() == "a score\n"
        clock.now = 50
        reporter.tick()
        assert len(reporter.console.file.getvalue().splitlines()) == 2
    clock.now = 500
    reporter.tick()
    assert len(reporter.console.file.getvalue().splitlines()) == 2


def test_a_long_step_is_told_of_while_it_lasts(monkeypatch):
    """By itself: nothing calls `tick` but the reporter's own thread."""
    monkeypatch.setattr(progress, "_LOOK_S", 0.005)
    monkeypatch.setattr(progress, "_SILENCE_S", 0.05)
    reporter = Reporter()
    reporter.console = Console(file=io.StringIO(), width=200)
    stage = reporter.plan_stage("probing", 3, "cells")
    stage.doing = "TreeDepth, scalar mix"
    with reporter.visit(stage):
        time.sleep(0.5)
    lines = reporter.console.file.getvalue().splitlines()
    assert 2 <= len(lines) <= 10
    assert set(lines) == {"probing: 0/3 cells, TreeDepth, scalar mix"}


def test_a_stage_that_is_left_and_entered_again_has_the_seconds_of_its_visits_alone():
    reporter, clock, encoding = ticking()
    probing = reporter.plan_stage("probing", 2, "cells")
    for seconds in (3, 5):
        for stage, spent in ((encoding, seconds), (probing, 10 * seconds)):
            with reporter.visit(stage):
                clock.now += spent
                stage.advance(1)
    assert (reporter.stages["encoding"]["seconds"], reporter.stages["probing"]["seconds"]) == (8, 80)
    assert probing.per_s == pytest.approx(2 / 80)


def test_time_left_follows_the_work_and_what_was_found_costs_nothing():
    reporter, clock, _ = ticking()
    stage = reporter.plan_stage("probing", 4, "cells", work=100)
    with reporter.visit(stage):
        stage.advance(1, 40, found=True)
        assert stage.left_s is None
        clock.now += 6
        stage.advance(1, 20)
        assert stage.left_s == pytest.approx(12)  # 40 of 60 are left, at 20 in 6 s
        assert stage.per_s == pytest.approx(1 / 6)


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (7500, "2 h 5 min")])
def test_a_duration_is_said_in_at_most_two_units(seconds, said):
    assert format_duration(seconds) == said


def test_where_there_is_no_terminal_one_line_tells_of_the_stage():
    reporter, text = make_reporter()
    (line,) = text.splitlines()
    assert line.startswith("encoding: 4 sentences, 1,234 tokens/s, 30% of the matrix rate in 0.")
    assert reporter.stages["encoding"]["seconds"] >= 0.04
    assert reporter.stages["encoding"]["share_of_matrix_rate"] == 0.304


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_and_keeps_everything(terminal):
    reporter, text = make_reporter(terminal, quiet=True)
    assert text == ""
    assert reporter.stages["encoding"]["tokens_per_s"] == 1234.5


def test_warnings_are_told_once_even_when_quiet():
    reporter, _ = make_reporter(quiet=True)
    reporter.warn("mind the gap")
    reporter.warn("mind the gap")
    assert reporter.warnings == ["mind the gap"]
    assert reporter.console.file.getvalue().count("mind the gap") == 1


def test_the_rate_of_a_stage_is_its_sentences_by_its_seconds():
    reporter, _ = make_reporter(quiet=True)
    seconds = reporter.stages["encoding"]["seconds"]
    assert reporter.rate("encoding", 10) == {"sentences": 10, "sentences_per_s": 10 / seconds}
    assert reporter.rate("encoding", 0) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("module", "loaded"), [("probing.pipeline", False), ("probing.encoders.bert", True)])
def test_a_run_reads_its_tasks_before_it_loads_transformers(module, loaded):
    code = f"import sys, {module}; print('transformers' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(loaded)
