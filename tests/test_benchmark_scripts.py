"""Benchmarks that are scripts run to their end, on few sentences; and what is computed from what they measure."""

import pytest
import torch
from transformers import BertConfig

from probing.encoders import placement
from probing.kernels import load_kernels
from probing.probes import fused
from tests.benchmarks import engines, gpu, official

TINY = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
CELLS = [
    {"task": "past_present", "representation": "layer", "classes": 2, "seconds": 1.0},
    {"task": "past_present", "representation": "scalar_mix", "classes": 2, "seconds": 2.0},
    {"task": "sentence_length", "representation": "layer", "classes": 6, "seconds": 10.0},
]


@pytest.fixture
def tiny_parts(monkeypatch):
    monkeypatch.setattr(gpu, "SHAPES", {"tiny": TINY})
    monkeypatch.setattr(gpu, "_CLASSES", (2,))
    return ["--device", "cpu", "--shapes", "tiny", "--sentences", "70", "--probed", "60"]


@pytest.mark.slow
def test_the_script_for_gpus_runs_to_its_end_on_a_cpu_and_says_that_it_is_one(tiny_parts, capsys):
    assert gpu.main(tiny_parts) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert "no accelerator here" in first
    assert [line.partition(":")[0] for line in lines] == ["encoding, tiny", "probes, 2 classes", "mix, 6 classes"]
    assert all("apart by 0.0000" in line for line in lines[1:])


def test_the_script_for_gpus_names_what_time_left_out(tiny_parts, capsys):
    assert gpu.main([*tiny_parts, "--limit-s", "0"]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "left out, for want of time: encoding, tiny, probes, 2 classes, mix, 6 classes"
    ]


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [("past_present", 2, 3.0), ("bigram_shift", 2, 3.0), ("sentence_length", 6, 10.0), ("top_constituents", 21, 40.0)],
)
def test_fits_that_were_not_run_are_in_proportion_to_those_of_the_nearest_task(name, classes, expected):
    assert official.estimate_fits(classes, name, CELLS) == pytest.approx(expected)


def test_all_ten_tasks_are_computed_from_rates(tmp_path):
    manifest = {"stages": {"encoding": {"seconds": 60.0, "sentences_per_s": 10.0}}}
    counts = {"past_present": (2, 600), "sentence_length": (6, 600), "bigram_shift": (2, 1200)}
    line = official.describe_rest(manifest, CELLS, 60 + 13 + 17.0, counts)
    # 2,400 sentences at ten a second; 3, 10 and 3 seconds of fits; 17 of the rest.
    assert line.startswith("all ten tasks, computed: 5 min (encoding 4.0, fits 0.3, start, tables and report 0.3)")
    assert line.endswith("not run: bigram_shift")


@pytest.mark.slow
def test_official_sizes_are_made_probed_and_weighed(tmp_path, capsys):
    assert official.main([str(tmp_path), "--tasks", "past_present", "--sizes", "60", "20", "20"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{stage}: " in out for stage in ("files", "tasks", "encoding", "probing", "whole command"))
    assert "past_present, 2 classes, scalar_mix: " in out
    assert "not run: sentence_length, word_content" in out
    assert official.main([str(tmp_path), "--tasks", "nothing"]) == 2


@pytest.mark.skipif(load_kernels() is None, reason="the kernels are not compiled")
def test_an_engine_is_taken_by_encoders_and_probes_while_it_is_forced(capsys):
    before = fused.choose_engine()
    threads = torch.get_num_threads()
    with engines.force("scalar"):
        assert (placement.find_engine("float32"), fused.choose_engine()) == ("scalar", "scalar")
    assert (fused.choose_engine(), torch.get_num_threads()) == (before, threads)
    engines.print_ratios("x", engines.compare({"ours": lambda: sum(range(1000)), "other": lambda: sum(range(9000))}))
    assert "other: " in capsys.readouterr().out
