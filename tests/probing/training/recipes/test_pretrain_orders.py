"""Orders of sub-layers trained from scratch, each until one loss on held-out text; what is refused of both."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from transformers import AutoModel, AutoModelForMaskedLM

from analysis.runs.training_run import load_training
from analysis.tables.training import seeds_table
from probing.progress import Reporter
from probing.records import InputError
from probing.training import loop
from probing.training.recipes.lv_bert import LvBertSettings
from probing.training.recipes.pretrain import PretrainSettings, try_out
from probing.training.run import train

N_STEPS = 12


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Settings of a short training of a new lv_bert, evaluated at every second step."""
    tiny = dict(try_out(tmp_path_factory.mktemp("tiny")))
    sizes = {"checkpoint": "none", "tokenizer": tiny["checkpoint"], "hidden_size": 16, "heads": 2, "model": "lv_bert"}
    pace = {"max_steps": N_STEPS, "batch_size": 8, "log_every": 1, "evaluate_every": 2, "learning_rate": 1e-2}
    return tiny | sizes | pace | {"device": "cpu", "quiet": True, "dtype": "float32"}


@pytest.fixture
def make(usual, tmp_path):
    """Function: the settings, in a folder of the test's own, changed as asked."""
    return lambda folder="run", **changes: PretrainSettings(**(usual | {"output": tmp_path / folder} | changes))


@pytest.fixture(scope="module")
def curve(usual, tmp_path_factory):
    """Loss on dev at each evaluation of a training to its last step, and its folder."""
    settings = PretrainSettings(**usual, output=tmp_path_factory.mktemp("whole") / "run", layer_pattern=("0122",))
    folder = train(settings, Reporter(quiet=True)).folder
    log = pd.read_parquet(folder / "training_log.parquet")
    return log[log["quantity"] == "dev_loss"].set_index("step")["value"]


def run(settings):
    reporter = Reporter(quiet=True)
    folder = train(settings, reporter).folder
    return folder, pd.read_parquet(folder / "training_log.parquet"), reporter.warnings


@pytest.mark.slow
def test_every_order_is_a_model_of_its_own_with_the_firsts_number_of_weights(make):
    orders = ("12121212", "00012122", "varied")
    folder, _, _ = run(make(layer_pattern=orders, hidden_size=64, layers=8, max_steps=1))
    found = {path.name: AutoModelForMaskedLM.from_pretrained(path) for path in (folder / "models").iterdir()}
    assert set(found) == {f"{order}-seed-0" for order in orders}
    assert found["00012122-seed-0"].config.layer_pattern == [0, 0, 0, 1, 2, 1, 2, 2]
    assert found["varied-seed-0"].config.layer_pattern == [0, 2, 1, 2, 0, 2, 1, 2]
    counts = {name: sum(p.numel() for p in model.lv_bert.sublayers.parameters()) for name, model in found.items()}
    # Half a step of the inner width, 4 x 2 x 64 for each of four, and biases and norms, 64 each.
    assert all(abs(count - counts["12121212-seed-0"]) < 4 * (4 * 2 * 64 + 8 * 64) for count in counts.values())
    assert set(seeds_table(load_training(folder))["Variant"]) == set(orders)


def test_one_order_has_the_names_of_its_sublayers_and_the_inner_width_that_was_asked_for(make):
    folder, log, _ = run(make(layer_pattern=("0212",), intermediate_size=24, max_steps=1))
    config = AutoModel.from_pretrained(folder / "models" / "0212-seed-0").config
    assert config.layer_names == ("embeddings", "1:conv", "2:ffn", "3:att", "4:ffn")
    assert config.intermediate_size == 24
    assert set(log.loc[log["quantity"] == "gradient_norm", "layer_name"]) == set(config.layer_names)


def test_training_ends_at_the_first_evaluation_at_or_below_the_loss_and_says_so(make, curve):
    aim = float(curve.iloc[2:4].mean())
    expected = next(step for step, loss in curve.items() if loss <= aim)
    assert 0 < expected < N_STEPS  # else nothing is tried here
    folder, log, warnings = run(make(layer_pattern=("0122",), until_dev_loss=aim))
    dev = log[log["quantity"] == "dev_loss"].set_index("step")["value"]
    pd.testing.assert_series_equal(dev, curve[curve.index <= expected], check_exact=True)
    assert log.loc[log["quantity"] == "reached", ["step", "value"]].to_numpy().tolist() == [[expected, 1.0]]
    models = pd.read_parquet(folder / "trained_models.parquet")
    assert set(models["steps"]) == {expected}
    # The model that is kept is the one of that evaluation: its score was measured anew.
    bits = models.query("metric == 'bits_per_token' and split == 'dev'")["value"].item()
    assert bits * math.log(2) == pytest.approx(curve[expected], rel=1e-5)
    assert set(models["dev_loss"]) == {curve[expected]}
    assert seeds_table(load_training(folder))["Dev loss"].tolist() == [f"{curve[expected]:.3f}, {aim:g} reached"]
    assert not warnings


def test_a_loss_at_an_evaluation_itself_counts_as_reached(make, curve):
    folder, _, _ = run(make(layer_pattern=("0122",), until_dev_loss=float(curve[4])))
    assert set(pd.read_parquet(folder / "trained_models.parquet")["steps"]) == {4}


def test_a_loss_that_is_never_reached_is_said_aloud(make, curve):
    folder, log, warnings = run(make(layer_pattern=("0122",), until_dev_loss=0.01))
    assert log.loc[log["quantity"] == "reached", ["step", "value"]].to_numpy().tolist() == [[N_STEPS, 0.0]]
    assert seeds_table(load_training(folder))["Dev loss"].tolist() == [f"{curve[N_STEPS]:.3f}, 0.01 NOT REACHED"]
    assert len(warnings) == 1
    assert warnings[0].startswith("0122-seed-0: dev_loss 0.01 was NOT reached in 12 steps")


@pytest.mark.slow
@pytest.mark.parametrize("every", [3, 4])  # a state before the end, and one at it
def test_killed_on_the_way_to_a_loss_it_goes_on_to_the_same_numbers(make, curve, every, monkeypatch):
    aim = float(curve[4])
    settings = make("killed", layer_pattern=("0122",), until_dev_loss=aim, checkpoint_every=every)
    usual = loop.save_state

    def save_and_die(*arguments):
        usual(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            run(settings)
    resumed, whole = (run(one)[0] for one in (settings, replace(settings, output=settings.output.with_name("whole"))))
    for name in ("training_log", "trained_models"):
        one, other = (pd.read_parquet(folder / f"{name}.parquet") for folder in (whole, resumed))
        timed = ["seconds", "tokens_per_s", "peak_rss_bytes"]
        pd.testing.assert_frame_equal(*(table.drop(columns=timed, errors="ignore") for table in (one, other)))


@pytest.mark.slow
def test_models_of_the_search_end_at_the_loss_and_the_supernet_at_its_last_step(usual, curve, tmp_path):
    small = {"population": 2, "generations": 1, "parents": 2, "supernet_share": 1.0, "search_blocks": 8, "layers": 4}
    small |= {"orders": ("searched", "interleaved"), "random_orders": 0, "until_dev_loss": float(curve[0])}
    folder, log, _ = run(LvBertSettings(**(usual | small | {"output": tmp_path / "run", "embedding_size": 4})))
    steps = pd.read_parquet(folder / "trained_models.parquet").groupby("stage")["steps"].agg(set)
    assert steps["supernet"] == {N_STEPS}
    assert steps["pretrain"] < set(range(N_STEPS))
    assert set(log.loc[log["quantity"] == "reached", "stage"]) == {"pretrain"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_pattern": ("0132",)}, "--layer-pattern 0132: expected codes of sub-layers, 0 .conv., 1 .att., 2 .ffn"),
        ({"layer_pattern": ("zigzag",)}, "--layer-pattern zigzag: expected codes"),
        ({"layer_pattern": ("012",), "layers": 4}, "--layer-pattern 012: has 3 sub-layers; expected 4"),
        ({"layer_pattern": ("0122", "012")}, "--layer-pattern 012: has 3 sub-layers; expected 4"),
        ({"layer_pattern": ("sandwich",), "layers": 3}, "--layer-pattern sandwich: .* 3 sub-layers; expected an even"),
        ({"layer_pattern": ("interleaved", "1212")}, "--layer-pattern 1212: is the same order as interleaved"),
        ({"layer_pattern": ("1212", "1212")}, "--layer-pattern 1212 1212: 1212 is there twice"),
        ({"layer_pattern": ("1212", "0101")}, "--layer-pattern: .*no inner width gives it the weights"),
        ({"layer_pattern": ("1212",), "model": "bert"}, "--layer-pattern: bert has no kinds of sub-layers"),
        ({"layer_pattern": ("1212",), "checkpoint": "x", "tokenizer": "", "hidden_size": 0, "heads": 0},
         "--layer-pattern: is that of --checkpoint x; only with --checkpoint none"),
        ({"until_dev_loss": -1.0}, "--until-dev-loss -1.0: expected 0 or more"),
        ({"until_dev_loss": 1.0, "early_stopping": 2}, "--early-stopping and --until-dev-loss: expected one of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_written(make, changes, message):
    settings = make(**changes)
    with pytest.raises(InputError, match=message) as error:
        run(settings)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


def test_an_order_is_not_named_where_it_is_searched(usual, tmp_path):
    settings = LvBertSettings(**(usual | {"output": tmp_path / "run", "layer_pattern": ("1212",), "layers": 4}))
    with pytest.raises(InputError, match="--layer-pattern: the recipe lv_bert searches one"):
        run(settings)
