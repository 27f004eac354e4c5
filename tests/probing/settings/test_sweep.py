"""Claims about the file of a sweep: which runs it stands for, and what is refused in one line."""

import pytest

from probing.records import InputError
from probing.settings.sweep import read_sweep


@pytest.fixture
def read(tmp_path):
    def read(text, **overriding):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return read_sweep(path, tmp_path / "out", **overriding)

    return read


def test_lists_make_every_combination_and_other_values_are_common_to_all(read, tmp_path):
    runs = read("checkpoint: [a/one, b/two]\npooling: [mean, cls]\nlimit: 60\nmix: on\n")
    assert [run.name for run in runs] == ["one-mean", "one-cls", "two-mean", "two-cls"]
    assert [(run.settings.checkpoint, run.settings.pooling) for run in runs] == [
        ("a/one", "mean"), ("a/one", "cls"), ("b/two", "mean"), ("b/two", "cls"),
    ]  # fmt: skip
    assert {(run.settings.limit, run.settings.mix) for run in runs} == {(60, "on")}
    assert runs[1].varied == {"checkpoint": "a/one", "pooling": "cls"}
    assert runs[1].settings.output == tmp_path / "out" / "one-cls"


def test_a_list_is_one_value_of_a_setting_that_takes_several_and_a_list_of_lists_makes_runs(read):
    [run] = read("seeds: [0, 1]\ntasks: [Tense, TreeDepth]\n")
    assert (run.name, run.settings.seeds, run.settings.tasks) == ("run", (0, 1), ("Tense", "TreeDepth"))
    runs = read("seeds: [[0], [1]]\ncontrols: [[], [control_task]]\n")
    assert [(run.settings.seeds, run.settings.controls) for run in runs] == [
        ((0,), ()), ((0,), ("control_task",)), ((1,), ()), ((1,), ("control_task",)),
    ]  # fmt: skip
    assert len({run.name for run in runs}) == 4


def test_runs_that_would_have_one_name_are_numbered(read):
    assert [run.name for run in read("checkpoint: [a/same, b/same]\n")] == ["same-1", "same-2"]


def test_numbers_and_switches_bear_their_setting_in_a_runs_name(read):
    runs = read("mix_norm: [false, true]\nmix_dropout: [0.1]\nseeds: [[0], [0, 1]]\n")
    assert [run.name for run in runs] == [
        "no_mix_norm-seeds_0",
        "no_mix_norm-seeds_0+seeds_1",
        "mix_norm-seeds_0",
        "mix_norm-seeds_0+seeds_1",
    ]


def test_the_command_line_counts_more_than_the_file(read, tmp_path):
    [run] = read("engine: local\noutput: elsewhere\n", engine="ray", output=tmp_path / "mine")
    assert (run.settings.engine, run.settings.output) == ("ray", tmp_path / "mine" / "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checkpoints: [a, b]\n", "there is no setting checkpoints; did you mean checkpoint"),
        ("checkpoint: []\n", r"checkpoint: \[\] makes no run"),
        ("pooling: [mean, mean]\n", "has a value twice"),
        ("limit: [10, many]\n", "limit='many': expected int"),
        ("mix: [maybe]\n", "expected auto or on or off"),
        ("engine: [local, ray]\n", "expected one, which all runs of a sweep have in common"),
        ("- a\n- b\n", "expected names and values"),
        ("a: [\n", "no YAML or JSON"),
    ],
)
def test_a_file_that_stands_for_no_sweep_is_refused_in_a_line_that_names_it(text, message, read, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        read(text)
    assert str(caught.value).startswith(str(tmp_path / "sweep.yaml"))
    assert "\n" not in str(caught.value)
