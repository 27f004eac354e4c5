"""Every subject of `make bench` runs, on a tiny encoder and a few sentences; how ratios are made."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import ModernBertConfig

from probing.kernels import load_kernels
from probing.tasks.controlled.corpus import load
from tests.benchmarks import __main__ as bench
from tests.benchmarks import architectures
from tests.benchmarks.budgets import BUDGETS, CLOSING_S, RATE_S, TOTAL_S, choose_sizes, list_omissions, predict_seconds
from tests.benchmarks.cluster_times import Work, predict, schedule
from tests.benchmarks.default_job import FULL_SENTENCES, FULL_TRAIN, compute_full, describe_part
from tests.benchmarks.distillation import compare_distillation
from tests.benchmarks.guard import OutOfTimeError, run_within
from tests.benchmarks.probes import judge_gap
from tests.benchmarks.screen import open_console, show_comparison
from tests.benchmarks.sizes import ALL_TASKS, Rate, Sizes
from tests.benchmarks.subjects import SUBJECTS, find_subject
from tests.benchmarks.threads import find_threads, run_limited
from tests.benchmarks.timing import Comparison, Rounds, Way, compare
from tests.benchmarks.training import MANNERS
from tests.benchmarks.weighing import weigh_alone

slow = pytest.mark.slow
RATES = [Rate(speed, fit_s) for speed in (30, 60, 106, 200, 299, 600, 1500, 5000) for fit_s in (0.01, 0.04, 0.12, 0.4)]
"""From a laptop of ten years ago, or one core of a busy machine, to more than any processor reaches today."""

FEW = {"train": 40, "dev": 20, "test": 20}
TINY = Sizes(
    rounds=Rounds(least=1, most=1), encoded=30, cached=30, tasks=("past_present",), probed=FEW, steps=1,
    job_tasks=("past_present",), job=FEW, limit=20, batch=8, growth=(20, 40), threaded=20, weigh=False,
)  # fmt: skip


@pytest.fixture(params=SUBJECTS)
def comparisons(request, tiny_folder, monkeypatch):
    monkeypatch.setattr("probing.probes.senteval.STRENGTHS", (1e-3,))
    return find_subject(request.param)(str(tiny_folder), TINY)


@slow
def test_a_subject_gives_finite_ratios_that_a_table_and_json_take(comparisons, capsys):
    assert comparisons
    for comparison in comparisons:
        summary = json.loads(json.dumps(comparison.summarise(), allow_nan=False))
        assert summary["ways"][comparison.reference]["ratio"]["median"] == 1
        assert all(way["ratio"]["median"] > 0 for way in summary["ways"].values())
        show_comparison(comparison, open_console())
        assert comparison.title in capsys.readouterr().out


@slow
def test_distillation_is_compared_with_padded_float32(tiny_folder):
    comparison = compare_distillation(str(tiny_folder), 1, 8, Rounds(least=1, most=1))
    assert list(comparison.summarise()["ways"]) == [manner.name for manner in MANNERS]


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


def test_a_gap_of_two_sentences_of_few_says_nothing():
    assert ": equal" in judge_gap(-1.67, 30)
    assert "ours is worse" in judge_gap(-1.67, 1000)
    assert ": equal" in judge_gap(0.19, 1000)
    assert "ours is better" in judge_gap(13.3, 30)


@slow
def test_memory_is_that_of_the_work_alone():
    much, little = (weigh_alone(bytearray, size) for size in (2 * 10**8, 1))
    assert 1.9e8 < much - little < 2.1e8


@slow
def test_the_program_writes_what_the_numbers_depend_on(tiny_folder, tmp_path, monkeypatch, capsys):
    path = tmp_path / "bench.json"
    monkeypatch.setattr(bench, "QUICK", TINY)
    arguments = ["--quick", "--only", "cache", "--checkpoint", str(tiny_folder), "--output", str(path)]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    assert bench.main() == 0
    assert "cache" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["rate"]["sentences_per_s"] > 0
    assert written["total_s"] > written["seconds"]["cache"]
    assert list(written["subjects"]) == ["cache"]
    named = {"versions", "machine", "threads", "dtype", "backend", "unit", "probe_unit", "commit"}
    assert named <= set(written["machine"])
    assert len(written["machine"]["machine"]["load_average"]) == 3


def test_a_subject_that_fails_or_is_cut_short_costs_itself_alone_and_the_exit_code_tells(monkeypatch, tmp_path, capsys):
    machine = dict.fromkeys(("threads", "dtype", "backend", "unit", "probe_unit"), 1)
    machine |= {"versions": {"torch": "2"}, "commit": "abc", "machine": {"cpu": "x", "cores": 2, "load_average": [0.0]}}
    done = Comparison("whole", "jobs", "ours", {"ours": 1.0}, {"ours": [1.0]})
    part = Comparison("part", "jobs", "ours", {"ours": 1.0}, {"ours": [1.0]}, cut_short=True)
    outcomes = {"cache": [done], "job": RuntimeError("compare_subject ended [without] a result"), "default": [part]}

    def run(limit_s, work, name, *others):
        outcome = outcomes.get(name, (machine, Rate(1500, 0.02)))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_bench(*subjects):
        monkeypatch.setattr(sys, "argv", ["bench", "--only", *subjects, "--output", str(tmp_path / "bench.json")])
        return bench.main(), json.loads((tmp_path / "bench.json").read_text())

    monkeypatch.setattr(bench, "run_within", run)
    assert run_bench("cache")[0] == 0
    code, written = run_bench("job", "default", "cache")
    assert code == 1
    assert sorted(written["left_out"]) == ["default", "job"]
    assert [len(written["subjects"][name]) for name in ("job", "default", "cache")] == [0, 1, 1]
    assert "ended [without] a result" in capsys.readouterr().out


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_sizes_fit_the_ten_minutes_at_any_rate(rate):
    predicted = predict_seconds(choose_sizes(rate), rate)
    assert set(predicted) == set(BUDGETS) == set(SUBJECTS)
    assert RATE_S + CLOSING_S + sum(predicted.values()) <= TOTAL_S
    # Each within its own budget; the last one may take what the others leave.
    *others, last = SUBJECTS
    assert all(predicted[name] <= BUDGETS[name] for name in others), predicted
    assert last == "default"


def test_sizes_made_for_a_fast_machine_do_not_fit_a_slow_one():
    fast, slow = Rate(1500, 0.03), Rate(30, 0.4)
    assert sum(predict_seconds(choose_sizes(fast), slow).values()) > TOTAL_S


def test_budgets_add_up_to_ten_minutes():
    assert sum(BUDGETS.values()) + RATE_S + CLOSING_S <= TOTAL_S


@pytest.mark.parametrize("fit_s", [0.02, 0.1])
def test_a_faster_machine_gets_no_smaller_sizes(fit_s):
    chosen = [choose_sizes(Rate(speed, fit_s)) for speed in (30, 106, 299, 1500)]
    for name in ("encoded", "cached", "steps", "batch", "threaded", "growth"):
        values = [getattr(sizes, name) for sizes in chosen]
        assert values == sorted(values)
        assert values[0] < values[-1]


def test_what_a_slow_machine_leaves_out_is_told_and_a_fast_one_leaves_out_nothing():
    told = " ".join(list_omissions(choose_sizes(Rate(60, 0.2))))
    assert all(word in told for word in ("word_content", f"of {len(ALL_TASKS)}", "memory"))
    assert list_omissions(choose_sizes(Rate(1500, 0.02))) == []


@pytest.mark.slow
def test_work_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    start = time.perf_counter()
    with pytest.raises(OutOfTimeError, match="ended after 5 s"):
        # A function of a light module: the fresh process need not load what this one has.
        run_within(5, subprocess.run, ["sh", "-c", f"while true; do echo alive >> {tmp_path}/alive; sleep 0.1; done"])
    assert time.perf_counter() - start < 40
    size = (tmp_path / "alive").stat().st_size
    assert size > 0
    time.sleep(0.5)
    assert (tmp_path / "alive").stat().st_size == size


def test_work_that_ends_in_time_gives_its_result():
    assert run_within(60, divmod, 7, 2) == (3, 1)


def test_the_full_job_is_computed_from_the_stages():
    stages = {"tasks": 5.0, "encoding": 10.0, "probing": 20.0, "control_task": 10.0, "gradients": 7.0}
    # 10 s encode 4,000 of 39,957; 30 s are for 1,000 of 10,000 training sentences; the other 20 s of 60 stay.
    assert compute_full(stages, n_encoded=4000, seconds=60, limit=1000) == pytest.approx(10 * 39_957 / 4000 + 300 + 20)


@slow
def test_the_full_job_has_as_many_sentences_as_the_corpus_now():
    tasks = load(ALL_TASKS)
    assert {len(task.splits["train"].labels) for task in tasks.values()} == {FULL_TRAIN}
    texts = {text for task in tasks.values() for split in task.splits.values() for text in split.texts}
    assert len(texts) == FULL_SENTENCES


def test_a_default_job_that_was_ended_tells_what_it_had_done(tmp_path):
    (tmp_path / "run" / "cells").mkdir(parents=True)
    for after, name in ((1.0, "a.none.none.0"), (7.0, "a.layer.none.0"), (9.0, "a.scalar_mix.none.0")):
        file = tmp_path / "run" / "cells" / f"{name}.safetensors"
        file.touch()
        os.utime(file, (1000 + after, 1000 + after))
    comparison = describe_part("title", tmp_path, 1000.0, 60.0)
    facts = comparison.facts
    assert (facts["finished cells"], facts["s to the first task's scores, by the file's time"]) == (3, 7)
    assert facts["s to the last finished cell"].startswith("9 ")
    assert "before it was done" in comparison.reference


@slow
@pytest.mark.skipif(load_kernels() is None, reason="the kernels are not compiled")
def test_an_architecture_is_timed_in_every_way_on_sentences_from_all_of_a_treebank(tmp_path):
    folder = tmp_path / "x.conllu"
    folder.write_text("".join(f"# text = sentence number {number}\n1\tx\n\n" for number in range(1000)))
    texts = architectures.draw_sentences(folder)
    assert (len(texts), texts[0], texts[-1]) == (200, ("sentence number 0",), ("sentence number 999",))
    sizes = {"hidden_size": 32, "num_attention_heads": 1, "intermediate_size": 32, "num_hidden_layers": 2}
    seconds = architectures.compare(ModernBertConfig(**sizes), texts[:3])
    assert {"fused float32", "torch float32", "usual loop float32"} <= set(seconds)
    assert all(len(taken) == 3 and min(taken) > 0 for taken in seconds.values())


def test_a_list_schedule_gives_the_longest_first_to_whoever_is_free():
    assert schedule([3.0, 3.0, 2.0, 2.0, 2.0], 2) == 7.0  # the best is 6
    assert schedule([5.0, 1.0, 1.0], 8) == 5.0
    assert schedule([1.0] * 10, 1) == 10.0


@given(costs=st.lists(st.floats(0.01, 10), min_size=1, max_size=40), workers=st.integers(1, 8))
def test_a_list_schedule_is_within_its_bound_of_what_no_schedule_can_beat(costs, workers):
    even, longest = sum(costs) / workers, max(costs)
    assert max(even, longest) - 1e-9 <= schedule(costs, workers) <= even + longest + 1e-9


def test_predicted_times_fall_to_the_longest_cell_and_rise_to_the_drivers():
    work = Work([4.0, 1.0, 1.0], 6.0, 3, 1e9, 1)
    assert predict(work, 1, start_s=2.0, unit_s=0.0) == pytest.approx(2 + 6 + 6)
    assert predict(work, 100, start_s=2.0, unit_s=0.0) == pytest.approx(2 + 2 + 4)
    assert predict(work.times(10), 1000, start_s=2.0, unit_s=1.0) == pytest.approx(2 + 60)
