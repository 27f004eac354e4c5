import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import probing
from probing import api
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.run import RunSettings
from tests.helpers import build_task, write_task

SMALL = {"tasks": ("Tense", "ObjNum"), "limit": 60, "gradients": 2, "gradient_steps": 2, "controls": (), "quiet": True}


@pytest.fixture(scope="module")
def run(tiny_folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    for name in ("past_present", "obj_number"):
        write_task(folder / "corpus", build_task(name))
    places = {"data": str(folder / "corpus"), "output": folder / "run", "cache_dir": folder / "cache"}
    return probing.run(checkpoint=str(tiny_folders("bert")), **places, **SMALL)


@pytest.mark.slow
def test_examples_of_docstrings_give_what_they_say(tiny_folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(api, extraglobs={"tiny": str(tiny_folders("bert")), "folder": tmp_path / "run"})
    assert found.attempted > 6
    assert found.failed == 0


@pytest.mark.slow
def test_a_run_gives_frames_and_figures(run):
    assert set(run.scores["task"]) == {"past_present", "obj_number"}
    assert run.scores["value"].between(0, 1).all() or (run.scores["metric"] != "accuracy").any()
    np.testing.assert_allclose(run.layer_weights.groupby(["task", "seed"])["weight"].sum(), 1, atol=1e-6)
    assert set(run.gradient_norms["quantity"]) == {"hidden", "parameters"}
    assert len(run.predictions)
    assert all(isinstance(figure, Figure) for figure in run.figures().values())
    assert isinstance(run.table(), pd.DataFrame)
    assert run.failures == ()
    assert run.report() == run.folder / "report.html"
    assert run.report().stat().st_size > 10_000


def test_it_is_the_run_that_the_script_would_have_made(run):
    saved = pd.read_parquet(run.folder / "scores.parquet")
    pd.testing.assert_frame_equal(saved[["task", "value"]], run.scores[["task", "value"]])
    checkpoint, data = (run._run.settings[name] for name in ("checkpoint", "data"))
    again = probing.run(checkpoint=checkpoint, data=data, output=run.folder, **SMALL)
    assert again.scores.equals(run.scores)


def test_vectors_are_those_that_probes_saw_in_the_order_of_the_sentences(tiny_folders):
    sentences = ["a b c d e f", "a", ("b", "c d"), "a b c d e f"]
    stack = probing.encode(sentences, str(tiny_folders("bert")), dtype="float32")
    assert stack.values.shape[:2] == (len(stack.layer_names), 4)
    np.testing.assert_array_equal(stack.values[:, 0], stack.values[:, 3])
    alone = probing.encode(sentences[1:2], str(tiny_folders("bert")), dtype="float32")
    np.testing.assert_allclose(alone.values[:, 0], stack.values[:, 1], atol=1e-6)
    assert not np.allclose(stack.values[:, 0], stack.values[:, 1])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"limmit": 5}, "there is no setting limmit; did you mean limit"),
        ({"limit": "5"}, "limit='5': expected int"),
        ({"limit": True}, "limit=True: expected int"),
        ({"mix": "maybe"}, "mix='maybe': expected auto or on or off"),
        ({"seeds": ["a"]}, "seeds='a': expected int"),
        ({"report": 1}, "report=1: expected bool"),
        ({"output": 3}, "output=3: expected"),
    ],
)
def test_settings_that_cannot_be_are_refused(named, message):
    with pytest.raises(InputError, match=message):
        probing.run(**named)


def test_single_values_may_stand_for_lists():
    made = api.make_settings({"tasks": "Tense", "layers": range(2), "seeds": [0, 1], "mix_dropout": 0, "output": "x"})
    assert made == RunSettings(tasks=("Tense",), layers=(0, 1), seeds=(0, 1), mix_dropout=0, output=Path("x"))


@pytest.mark.parametrize("sentences", [[], "a sentence", [3], [("a", 3)], [()]])
def test_what_is_no_list_of_sentences_is_refused(sentences, tiny_folders):
    with pytest.raises(InputError, match="sentences: expected"):
        probing.encode(sentences, str(tiny_folders("bert")))


def test_progress_is_live_in_a_notebook():
    reporter = Reporter()
    reporter.console.is_jupyter = True
    assert reporter.is_live


def test_a_sentence_that_is_cut_is_told(tiny_folders, capsys):
    reporter = Reporter(quiet=True)
    probing.encode(["the dog " * 40, "the dog"], str(tiny_folders("bert")), reporter=reporter)
    assert reporter.warnings == ["1 sentences were longer than 16 tokens and were cut"]


def test_half_a_character_is_refused_and_an_empty_sentence_told(tiny_folders):
    reporter, checkpoint = Reporter(quiet=True), str(tiny_folders("bert"))
    with pytest.raises(InputError, match=r"sentences: number 1, counted from 0, has half a character \(U\+D83D\)"):
        probing.encode(["the dog", ("the dog", "a\ud83d")], checkpoint)
    probing.encode(["the dog", " ", ("", "\u200b"), ("", "the dog")], checkpoint, reporter=reporter)
    assert reporter.warnings == ["2 sentences are empty: their vectors are of the tokenizer's marks alone"]


def test_sentences_of_words_that_the_tokenizer_does_not_know_are_told(tiny_folders):
    reporter, checkpoint = Reporter(quiet=True), str(tiny_folders("bert"))
    probing.encode(["ada saw the dog ."], checkpoint, reporter=reporter)
    assert reporter.warnings == []
    probing.encode(["ada слово the dog ."], checkpoint, reporter=reporter)
    [line] = reporter.warnings
    assert line.startswith("list of 1 sentences: 20% of its tokens are unknown to the tokenizer of")


def test_vectors_that_are_not_finite_are_refused(tiny_folders, monkeypatch):
    usual = api.encode_in_shards

    def spoil(*arguments):
        for rows, part in usual(*arguments):
            part[1, 0] = np.nan
            yield rows, part

    monkeypatch.setattr(api, "encode_in_shards", spoil)
    with pytest.raises(InputError, match="gives NaN or infinity"):
        probing.encode(["the dog"], str(tiny_folders("bert")))
