"""Every subject of `make bench` runs, on a tiny encoder and a few sentences; how ratios are made."""

import json
import sys

import numpy as np
import pytest
import torch

from tests.benchmarks import __main__ as bench
from tests.benchmarks.screen import open_console, show_comparison
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.threads import find_threads, run_limited
from tests.benchmarks.timing import Comparison, Rounds, Way, compare
from tests.benchmarks.weighing import weigh_alone

pytestmark = pytest.mark.slow

FEW = {"train": 40, "dev": 20, "test": 20}
TINY = Sizes(
    rounds=Rounds(least=1, most=1), encoded=30, cached=30, tasks=("past_present",), probed=FEW, steps=1,
    job_tasks=("past_present",), job=FEW, growth=(20, 40), threaded=20, weigh=False,
)  # fmt: skip


@pytest.fixture(params=bench.SUBJECTS)
def comparisons(request, tiny_folder, monkeypatch):
    monkeypatch.setattr("probing.probes.senteval.STRENGTHS", (1e-3,))
    return bench.find_subject(request.param)(str(tiny_folder), TINY)


def test_a_subject_gives_finite_ratios_that_a_table_and_json_take(comparisons, capsys):
    assert comparisons
    for comparison in comparisons:
        summary = json.loads(json.dumps(comparison.summarise(), allow_nan=False))
        assert summary["ways"][comparison.reference]["ratio"]["median"] == 1
        assert all(way["ratio"]["median"] > 0 for way in summary["ways"].values())
        show_comparison(comparison, open_console())
        assert comparison.title in capsys.readouterr().out


def make_comparison():
    seconds = {"ours": [1.0, 2.0, 4.0], "usual": [6.0, 6.0, 8.0]}
    return Comparison("title", "sentences", "ours", {"ours": 10.0, "usual": 20.0}, seconds)


def test_a_ratio_is_taken_within_a_round_and_for_the_same_amount():
    comparison = make_comparison()
    np.testing.assert_allclose(comparison.ratios("usual"), [3.0, 1.5, 1.0])
    assert comparison.summarise()["ways"]["usual"]["ratio"] == pytest.approx({"median": 1.5, "low": 1.25, "high": 2.25})
    assert comparison.summarise()["ways"]["ours"]["rate"]["median"] == 5


def test_pieces_add_up_round_by_round():
    comparison = make_comparison()
    comparison.add_up("both", {"ours": 2, "usual": 1})
    # ours did 10 sentences in a round and the usual way 20, and the sum is for 10
    assert comparison.seconds["both"] == [5, 7, 12]


def test_a_dear_way_is_let_go_after_its_rounds_and_held_against_those():
    ways = [Way("a", lambda: 1.0, read_seconds=float), Way("b", lambda: 3.0, read_seconds=float, most=1)]
    comparison = compare("title", "calls", ways, Rounds(least=3, most=3))
    comparison.add_up("sum", {"a": 2, "b": 1})
    assert (len(comparison.seconds["a"]), comparison.seconds["b"]) == (3, [3])
    assert comparison.ratios("b").tolist() == [3]
    assert comparison.seconds["sum"] == [5]


def test_threads_are_set_for_the_work_and_set_back():
    usual = torch.get_num_threads()
    assert run_limited(1, torch.get_num_threads) == 1
    assert torch.get_num_threads() == usual
    assert find_threads(lambda: None) in (1, usual)


def test_every_way_warms_up_before_rounds_in_which_each_has_its_turn():
    calls = []
    ways = [
        Way("a", lambda: calls.append("a"), warm_up=lambda: calls.append("warm")),
        Way("b", lambda: calls.append("b"), read_seconds=lambda result: 3.0),
    ]
    comparison = compare("title", "calls", ways, Rounds(least=2, most=2))
    assert calls == ["warm", "b", "a", "b", "a", "b"]
    assert comparison.seconds["b"] == [3, 3]


def test_rounds_end_with_the_budget_but_not_before_the_least():
    rounds = Rounds(least=2, most=4, budget_s=10)
    assert rounds.go_on(0, 0)
    assert rounds.go_on(1, 100)
    assert not rounds.go_on(2, 8)
    assert rounds.go_on(2, 4)
    assert not rounds.go_on(4, 0.1)


def test_memory_is_that_of_the_work_alone():
    much, little = (weigh_alone(bytearray, size) for size in (2 * 10**8, 1))
    assert 1.9e8 < much - little < 2.1e8


def test_the_program_writes_what_the_numbers_depend_on(tiny_folder, tmp_path, monkeypatch, capsys):
    path = tmp_path / "bench.json"
    monkeypatch.setattr(bench, "QUICK", TINY)
    arguments = ["--quick", "--only", "cache", "--checkpoint", str(tiny_folder), "--output", str(path)]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    assert bench.main() == 0
    assert "cache" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert list(written["subjects"]) == ["cache"]
    assert {"versions", "machine", "threads", "dtype", "backend", "unit", "commit"} <= set(written["machine"])
    assert len(written["machine"]["machine"]["load_average"]) == 3
