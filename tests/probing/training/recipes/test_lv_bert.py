"""The recipe's search: killed and resumed it is the same, its orders have equal weights, bad input is refused."""

import dataclasses
import json

import pandas as pd
import pytest
from transformers import AutoModelForMaskedLM

from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.progress import Reporter
from probing.records import InputError
from probing.training import search
from probing.training.evaluation.paths import PathAccuracy
from probing.training.recipes import lv_bert_stages
from probing.training.recipes.lv_bert import RECIPE, LvBertSettings
from probing.training.run import train


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Settings of a short run on a little text."""
    small = {"max_steps": 4, "batch_size": 16, "log_every": 2, "evaluate_every": 4, "dropout": 0.1, "dtype": "float32"}
    small |= {"device": "cpu", "quiet": True, "learning_rate": 1e-2}
    return small | dict(RECIPE.tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def make(usual, tmp_path):
    """Function: the settings, in a folder of the test's own, changed as asked."""
    return lambda folder="run", **changes: LvBertSettings(**(usual | {"output": tmp_path / folder} | changes))


def run(settings):
    return train(settings, Reporter(quiet=True)).folder


def read_search(folder):
    found = next(folder.glob("stages/*/search"))
    return json.loads((found / "architecture.json").read_text()), pd.read_csv(found / "candidates.csv")


class KilledError(Exception):
    pass


@pytest.mark.slow
def test_killed_in_its_second_generation_the_search_goes_on_to_the_same_end(make, monkeypatch):
    orders = {"orders": ("searched", "best_random"), "generations": 3}
    whole, table = read_search(run(make("whole", **orders)))
    usual, scored = search.write_state, []

    def write_and_die(place, found):
        usual(place, found)
        if found[-1].generation == 1:
            raise KilledError

    monkeypatch.setattr(search, "write_state", write_and_die)
    with pytest.raises(KilledError):
        run(make("killed", **orders))
    monkeypatch.undo()

    class Counted(PathAccuracy):
        def __call__(self, path):
            scored.append(tuple(path))
            return super().__call__(path)

    monkeypatch.setattr(lv_bert_stages, "PathAccuracy", Counted)
    again, resumed = read_search(run(make("killed", **orders)))
    assert again == whole
    pd.testing.assert_frame_equal(resumed, table, check_exact=True)
    early = {tuple(map(int, one.split())) for one in table.loc[table["generation"] < 2, "candidate"]}
    assert not early & set(scored)


@pytest.mark.slow
def test_every_order_has_the_interleaved_orders_weights_and_answers_the_same_tokens(make):
    orders = ("searched", "best_random", "interleaved", "sandwich", "convolution_first", "varied")
    sizes = {"layers": 8, "hidden_size": 64, "heads": 2}
    folder = run(make(orders=orders, random_orders=1, extra_orders=1, generations=1, max_steps=1, **sizes))
    models = {path.name: AutoModelForMaskedLM.from_pretrained(path) for path in (folder / "models").iterdir()}
    assert len(models) == 8
    counts = {name: sum(p.numel() for p in model.lv_bert.sublayers.parameters()) for name, model in models.items()}
    aim = counts["interleaved-seed-0"]
    # Half a step of the inner width, 4 x 2 x 64 for each of four, and biases and norms, 64 each.
    assert all(abs(count - aim) < 4 * (4 * 2 * 64 + 8 * 64) for count in counts.values())
    answers = [pd.read_parquet(path) for path in (folder / "answers").iterdir()]
    assert len(answers) == len(models)
    for one in answers:
        pd.testing.assert_frame_equal(one[["split", "block", "n"]], answers[0][["split", "block", "n"]])
    table = pd.read_parquet(folder / "trained_models.parquet")
    own = table[(table["stage"] == "pretrain") & (table["metric"] == "masked_accuracy") & (table["split"] == "test")]
    for variant, seed, value in own[["variant", "seed", "value"]].itertuples(index=False, name=None):
        name = f"{json.loads(variant)['order']}-seed-{seed}"
        found = next(folder.glob(f"answers/{name}.*"), None)
        frame = pd.read_parquet(found).query("split == 'test'")
        assert frame["right"].sum() / frame["n"].sum() == pytest.approx(value)


@pytest.mark.slow
def test_what_was_searched_is_the_best_path_and_is_what_is_trained(make):
    folder = run(make(random_orders=2))
    best, table = read_search(folder)
    for name, arm in (("searched", "evolution"), ("best_random", "random")):
        own = table[table["arm"] == arm]
        assert best[name]["score"] == own["score"].max()
        assert " ".join(map(str, best[name]["pattern"])) in set(
            own.loc[own["score"] == own["score"].max(), "candidate"]
        )
    assert {"random-1", "random-2"} <= set(best)
    model = load_model(find_checkpoint(str(folder / "models" / "searched-seed-0")))
    assert model.config.layer_pattern == best["searched"]["pattern"]


@pytest.mark.slow
def test_without_kept_models_nothing_is_left_of_the_stages_and_nothing_is_made_again(make, monkeypatch):
    settings = make(orders=("searched", "best_random"), keep_models=False)
    folder = run(settings)
    assert not list((folder / "stages").glob("*"))
    monkeypatch.setattr("probing.training.train.train_model", lambda *_: pytest.fail("trained again"))
    run(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"orders": ("searched", "zigzag")}, "--orders zigzag: expected some of searched"),
        ({"orders": ("interleaved",)}, "expected searched among them"),
        ({"orders": ("searched", "searched")}, "searched is there twice"),
        ({"layers": 10**7}, "--layers 10000000: expected 2 or more, and at most 1000"),
        ({"random_orders": 10**7}, "--random-orders 10000000: expected 0 or more, and at most 1000"),
        ({"layers": 5}, "--layers 5: expected an even number"),
        ({"layers": 4, "constraint": "counts"}, "a third of each"),
        ({"heads": 3}, "does not divide --hidden-size 8"),
        ({"population": 0}, "--population 0: expected more than 0"),
        ({"mutation": 1.5}, "--mutation 1.5: expected a share"),
        ({"checkpoint": "all-MiniLM-L6-v2"}, "expected|only with --checkpoint none"),
        ({"model": "bert"}, "--model bert: the recipe lv_bert has lv_bert alone"),
        ({"objective": "replaced"}, "--objective replaced: the recipe lv_bert has masked alone"),
        ({"random_orders": 10**3}, "ask for fewer"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_written(make, changes, message):
    settings = make(**changes)
    with pytest.raises(InputError, match=message) as error:
        run(settings)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


@pytest.mark.slow
def test_a_search_is_not_resumed_with_other_settings(make):
    run(make(random_orders=0))
    with pytest.raises(InputError, match="other settings"):
        run(dataclasses.replace(make(random_orders=0), population=3))
