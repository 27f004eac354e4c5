"""The recipe's search: models within their budgets, killed and resumed the same, bad input refused in one line."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModel

from analysis.runs.training_run import load_training
from analysis.stats.arms import compare_arms
from probing.encoders.nas_bert_supernet import NasBertSupernet
from probing.encoders.operations import count_body, read_blocks
from probing.progress import Reporter
from probing.records import InputError
from probing.training import search
from probing.training.evaluation.block_losses import BlockLosses
from probing.training.recipes import nas_bert_stages
from probing.training.recipes.nas_bert import ARMS, RECIPE, NasBertSettings
from probing.training.run import train
from probing.training.transforms.block_space import list_choices, list_entries
from tests.probing.encoders.odd_checkpoints import write

SIZES, LATENCY, HAND_MADE = (600.0, 1200.0), 4.0, ("1x8", "2x4")
BUDGETS = ("600", "1200", "4ms")


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Settings of a short run on a little text."""
    small = {"max_steps": 2, "batch_size": 8, "log_every": 1, "evaluate_every": 2, "dtype": "float32", "limit_dev": 6}
    small |= {"device": "cpu", "quiet": True, "learning_rate": 1e-2}
    return small | dict(RECIPE.tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def make(usual, tmp_path):
    """Function: the settings, in a folder of the test's own, changed as asked."""
    return lambda folder="run", **changes: NasBertSettings(**(usual | {"output": tmp_path / folder} | changes))


@pytest.fixture(scope="module")
def whole(usual, tmp_path_factory):
    """The folder of a run of all arms, for two sizes and a latency."""
    own = {"arms": ARMS, "sizes": SIZES, "latencies": (LATENCY,), "hand_made": HAND_MADE}
    return run(NasBertSettings(**(usual | own | {"output": tmp_path_factory.mktemp("whole") / "run"})))


def run(settings):
    return train(settings, Reporter(quiet=True)).folder


def read_search(folder, supernet="shrunk", stage="select"):
    found = folder / "stages" / supernet / stage
    return json.loads((found / "architecture.json").read_text()), pd.read_csv(found / "candidates.csv")


def add_up(blocks, table):
    """Milliseconds of a model, from the names that its configuration has."""
    names = [name for block in blocks for name in block]
    widths = [block[0].rpartition("-")[2] for block in blocks]
    maps = [f"map-{one}-{other}" for one, other in pairwise(widths) if one != other]
    return sum(table[name] for name in names + maps)


@pytest.mark.slow
def test_one_search_leaves_a_model_for_every_budget_and_arm_within_it(whole, usual):
    table = json.loads(Path(usual["latency_table"]).read_text())
    models = {path.name: AutoModel.from_pretrained(path) for path in (whole / "models").iterdir()}
    assert set(models) == {
        *(f"{arm}-{budget}-seed-0" for arm in ARMS[:3] for budget in BUDGETS),
        *(f"hand_made-{name}-seed-0" for name in HAND_MADE),
    }
    for name, model in models.items():
        size = sum(parameter.numel() for parameter in model.operations.parameters())
        budget = name.split("-")[1]
        if name.startswith("hand_made"):
            continue
        if budget.endswith("ms"):
            assert add_up(model.config.blocks, table) <= LATENCY
        else:
            assert size <= float(budget)
    made = models["hand_made-1x8-seed-0"]
    assert made.config.blocks == [["attention-8", "feed_forward-8"]]
    assert sum(parameter.numel() for parameter in made.operations.parameters()) == 12 * 64 + 13 * 8


@pytest.mark.slow
def test_what_is_trained_is_what_was_selected_and_its_costs_are_its_own(whole, usual):
    table = json.loads(Path(usual["latency_table"]).read_text())
    for arm, supernet, key in (("searched", "shrunk", "searched"), ("unshrunk", "whole", "searched"),
                               ("random", "whole", "random")):  # fmt: skip
        findings, _ = read_search(whole, supernet)
        for budget, found in findings[key].items():
            config = json.loads((whole / "models" / f"{arm}-{budget}-seed-0" / "config.json").read_text())
            assert config["blocks"] == found["blocks"]
            assert found["parameters"] == count_body(read_blocks(found["blocks"]))
            assert found["latency_ms"] == pytest.approx(add_up(found["blocks"], table))


@pytest.mark.slow
def test_losses_of_every_block_of_text_are_kept_so_that_arms_are_paired_by_it(whole):
    run = load_training(whole)
    pairs = compare_arms(run).set_index(["group", "arm", "other"])
    assert {(group, other) for group, _, other in pairs.index} == {
        (budget, other) for budget in BUDGETS for other in ("random", "unshrunk")
    }
    test = run.scores[run.scores["split"] == "test"].set_index("variant")["value"]
    for group, one, other in pairs.index:
        values = [test[json.dumps({"arm": arm, "budget": group}, sort_keys=True)] for arm in (one, other)]
        assert pairs.loc[(group, one, other), "difference"] == pytest.approx(values[0] - values[1])


@pytest.mark.slow
def test_the_random_search_costs_what_the_other_does_and_its_best_is_taken(whole):
    findings, table = read_search(whole, "whole")
    blocks = table["arm"].str.startswith("block").sum()
    for budget in BUDGETS:
        own = table[table["arm"] == f"random {budget}"]
        assert len(own) <= blocks // (2 * len(BUDGETS)) + 2, "two blocks a path, and two paths evaluated as a whole"
        assert findings["random"][budget]["path_loss"] == pytest.approx(-own["score"].max())


@pytest.mark.slow
def test_shrinking_leaves_fewer_from_round_to_round_and_what_was_dropped_is_sampled_no_more(whole):
    first, second = (read_search(whole, stage=stage)[0]["pools"] for stage in ("shrink-1", "select"))
    every = len(list_choices((4, 8), 2))
    for one, other in zip(first, second, strict=True):
        assert every > len(one) > len(other) > 0
        assert {tuple(choice) for choice in other} <= {tuple(choice) for choice in one}
    _, scored = read_search(whole, stage="select")
    known = {" ".join(map(str, choice)) for choice in first[0]}
    assert set(scored.loc[scored["arm"] == "block 1", "candidate"]) <= known


@pytest.mark.slow
def test_every_model_is_scored_on_dev_and_test_by_its_distance_to_the_teacher(whole):
    table = pd.read_parquet(whole / "trained_models.parquet")
    own = table[table["stage"] == "distil"]
    assert set(own["metric"]) == {"distillation_loss"}
    assert own.groupby("variant").size().tolist() == [2] * 11
    assert (own["parameters"] > 0).all()
    assert (own["flops"] > 0).all()
    assert set(table["stage"]) == {"supernet-1", "supernet-2", "distil"}


class KilledError(Exception):
    pass


@pytest.mark.slow
def test_killed_between_two_blocks_the_search_goes_on_to_the_same_end(make, monkeypatch):
    whole, table = read_search(run(make("whole", rounds=1)))
    usual, scored = search.write_state, []

    def write_and_die(place, found):
        usual(place, found)
        if place.stage.name == "select" and found[-1].arm == "block 1":
            raise KilledError

    monkeypatch.setattr(search, "write_state", write_and_die)
    with pytest.raises(KilledError):
        run(make("killed", rounds=1))
    monkeypatch.undo()

    class Counted(BlockLosses):
        def score_block(self, number, choices):
            scored.append(number)
            return super().score_block(number, choices)

    monkeypatch.setattr(nas_bert_stages, "BlockLosses", Counted)
    monkeypatch.setattr(nas_bert_stages, "measure_table", lambda *_: pytest.fail("measured again"))
    again, resumed = read_search(run(make("killed", rounds=1)))
    assert again == whole
    pd.testing.assert_frame_equal(resumed, table, check_exact=True)
    assert scored == [1]


@pytest.mark.slow
def test_a_measured_table_is_kept_and_read_again(make, monkeypatch):
    monkeypatch.setattr(nas_bert_stages, "measure_table", lambda config, entries, shape, device: {
        name: float(shape[0]) for name in entries
    })  # fmt: skip
    found, _ = read_search(run(make(latency_table="", rounds=1, latency_batch=3)), stage="latency")
    settings = make()
    facts = {"texts": 3, "tokens": settings.max_length, "head_size": settings.head_size}
    assert found == dict.fromkeys(list_entries((4, 8)), 3.0) | facts


@pytest.mark.slow
def test_the_supernet_goes_on_from_round_to_round(whole):
    first, second = (NasBertSupernet.from_pretrained(whole / "stages" / "shrunk" / f"supernet-{n}") for n in (1, 2))
    same = [torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True)]
    assert any(same), "two steps of one path each reach only some"
    assert not all(same)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": (100.0,)}, r"--sizes 100: no candidate has so few parameters; the nearest has 176"),
        ({"sizes": (1e9,)}, "--sizes 1e.09: no candidate has so many parameters; the nearest has"),
        ({"arms": ("hand_made",)}, "expected searched, and some of"),
        ({"arms": ("searched", "zigzag")}, "--arms searched zigzag: expected"),
        ({"arms": ("searched", "searched")}, "one is there twice"),
        ({"arms": ("searched", "hand_made")}, "--hand-made: expected one or more"),
        ({"sizes": ()}, "--hand-made: expected one or more; without it, --sizes"),
        ({"hand_made": ("3by4",)}, "--hand-made 3by4: expected layers and width, such as 3x192"),
        ({"widths": (4, 9)}, "--widths: 9 is no multiple of --head-size 4"),
        ({"blocks": 3}, "--blocks 3: the teacher has 2 layers"),
        ({"kept": 0}, "--kept 0: expected more than 0"),
        ({"checkpoint": "all-MiniLM-L6-v2"}, "--checkpoint all-MiniLM-L6-v2: the models of nas_bert are drawn"),
        ({"teacher": "no/such/folder"}, "neither a local folder"),
        ({"latency_table": "no_such.json"}, "--latency-table no_such.json: cannot be read"),
        ({"places": 12}, r"--places 12: a block of 2 widths has 6.1e\+08 architectures; expected at most 1,000,000"),
        ({"widths": (4, 12)}, "has no milliseconds of attention-12"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_written(make, changes, message):
    settings = make(**changes)
    with pytest.raises(InputError, match=message) as error:
        run(settings)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


def test_a_teacher_that_reads_from_left_to_right_is_refused(make, tmp_path):
    settings = make(teacher=str(write(tmp_path / "gpt2", "gpt2")))
    with pytest.raises(InputError, match=r"GPT2Model reads from left to right, so that its states.*use an encoder"):
        run(settings)
    assert not settings.output.exists()


def test_a_latency_that_nothing_meets_is_refused_before_a_supernet_is_trained(make, monkeypatch):
    monkeypatch.setattr("probing.training.train.train_model", lambda *_: pytest.fail("trained"))
    with pytest.raises(InputError, match=r"--latencies 0.1: no candidate is so fast; the nearest takes 2 ms"):
        run(make(latencies=(0.1,)))
