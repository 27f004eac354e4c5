"""The command that holds two encoders' layers against each other, on tiny encoders."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel

from probing.cells.two_encoders import measure_changes
from probing.commands.compare_layers import main
from probing.commands.encoder_pairs import check_start
from probing.encoders.bert import build
from probing.records import InputError
from probing.settings.training import TrainSettings
from probing.training.origins import find_origin
from tests.helpers import build_task, run_script, save_encoder, write_task

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder, the same with its second block changed by hand, another one, and a task."""
    place = tmp_path_factory.mktemp("encoders")
    save_encoder(place / "start")
    save_encoder(place / "changed")
    model = AutoModel.from_pretrained(place / "changed")
    with torch.no_grad():
        for parameter in model.encoder.layer[1].parameters():
            parameter.mul_(1.5)
    model.save_pretrained(place / "changed")
    save_encoder(place / "wider", hidden_size=12, num_hidden_layers=3)
    write_task(place / "tasks", build_task(n=(20, 20, 20)))
    return place


def compare(folder, other, monkeypatch, capsys, *more):
    arguments = [str(folder / "start"), str(folder / other), "--data", str(folder / "tasks")]
    arguments += ["--cache-dir", str(folder / "cache"), "--output", str(folder / f"out-{other}"), *more]
    return run_script(main, "layers", arguments, monkeypatch, capsys)


@pytest.mark.slow
def test_layers_below_a_change_are_the_same_and_those_above_it_are_not(folder, monkeypatch, capsys):
    code, out, _ = compare(folder, "changed", monkeypatch, capsys)
    assert code == 0
    assert "start and changed on Tense" in out
    table = pd.read_parquet(folder / "out-changed" / "layer_similarity.parquet")
    same = table[table["layer"] == table["other_layer"]].set_index("layer")["value"]
    assert same[[0, 1]].tolist() == pytest.approx([1, 1], abs=1e-5)
    assert same[2] < 0.999
    assert (table["other_checkpoint"].str.endswith("changed")).all()
    assert (folder / "out-changed" / "layers_alike.pdf").is_file()


@pytest.mark.slow
def test_encoders_of_unlike_depth_and_width_have_all_pairs(folder, monkeypatch, capsys):
    assert compare(folder, "wider", monkeypatch, capsys)[0] == 0
    table = pd.read_parquet(folder / "out-wider" / "layer_similarity.parquet")
    assert len(table) == 3 * 4
    assert table["n"].unique().tolist() == [20]


def test_the_change_of_weights_is_that_by_hand_and_of_other_blocks_none(folder):
    before, after = (build(str(folder / name), dtype="float32", device="cpu") for name in ("start", "changed"))
    values = [row.value for row in measure_changes(before, after, before.layer_names)]
    assert values == pytest.approx([0, 0, 0.5], abs=1e-6)
    wider = build(str(folder / "wider"), dtype="float32", device="cpu")
    with pytest.raises(InputError, match="3 and 4 blocks"):
        measure_changes(before, wider, before.layer_names)
    assert np.isfinite(values).all()


def test_a_start_that_has_changed_since_the_training_is_refused(folder):
    origin = find_origin(TrainSettings(checkpoint=str(folder / "start")))
    check_start(str(folder / "start"), origin.digest)
    check_start(str(folder / "changed"), "")  # of before it was noted
    with pytest.raises(InputError, match=r"changed: not what the training began with: its weights, .* have changed"):
        check_start(str(folder / "changed"), origin.digest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-run"], "no-such-run"),
        (["a", "b", "--pooling", "median"], "median"),
        (["a", "b", "--limit", "-1"], "-1"),
    ],
)
def test_a_mistake_ends_in_one_line_and_2(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_script(main, "layers", arguments, monkeypatch, capsys)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
