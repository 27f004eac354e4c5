"""Arms of TinyBERT: what each starts from and learns, at what cost; the teacher first; bad input is refused."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from analysis.runs.training_run import load_training
from analysis.stats.arms import compare_arms
from probing.encoders.checkpoints import find_checkpoint, load_classifier, load_tokenizer
from probing.progress import Reporter
from probing.records import InputError
from probing.training import loop
from probing.training.recipes.tiny_bert import RECIPE
from probing.training.recipes.tiny_bert_settings import USUAL as ARMS
from probing.training.recipes.tiny_bert_settings import TinyBertSettings
from probing.training.run import check_training, train
from tests.helpers import save_encoder
from tests.probing.encoders.odd_checkpoints import write

BOTH = '{"arm": "both"}'


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Settings of a short run of all arms, whose teacher learns its task."""
    small = {"max_steps": 4, "batch_size": 16, "log_every": 2, "evaluate_every": 4, "dropout": 0.0, "dtype": "float32"}
    small |= {"device": "cpu", "quiet": True, "learning_rate": 1e-2} | dict(RECIPE.gentle)
    return small | dict(RECIPE.tiny(tmp_path_factory.mktemp("tiny"))) | {"arms": ARMS, "teacher_steps": 30}


@pytest.fixture(scope="module")
def finished(usual, tmp_path_factory):
    """Settings of a run of all arms that has ended."""
    settings = TinyBertSettings(**usual, output=tmp_path_factory.mktemp("finished") / "run")
    train(settings, Reporter(quiet=True))
    return settings


@pytest.fixture
def make(usual, tmp_path):
    """Function: the settings, in a folder of the test's own, changed as asked."""
    return lambda **changes: TinyBertSettings(**(usual | {"output": tmp_path / "run"} | changes))


def read(settings):
    return [pd.read_parquet(settings.output / f"{name}.parquet") for name in ("training_log", "trained_models")]


def plan(settings):
    recipe, reporter = check_training(settings), Reporter(quiet=True)
    return recipe.plan(settings, recipe.origin(settings, reporter.warn), reporter)


@pytest.mark.slow
def test_the_teacher_and_the_student_of_running_text_are_made_once_and_before_the_arms(finished):
    _, models = read(finished)
    dev = models[models["split"] == "dev"]
    arms = dev["variant"].str.extract(r'"arm": "(\w+)"')[0]
    assert list(zip(arms, dev["stage"], strict=True)) == [
        ("teacher", "teacher"), ("text", "general"), ("labels", "prediction"), ("general", "prediction"),
        ("task", "intermediate"), ("task", "prediction"), ("both", "intermediate"), ("both", "prediction"),
    ]  # fmt: skip
    assert dev["metric"].tolist() == [
        *("accuracy", "distillation_loss", "accuracy", "accuracy"), *2 * ("distillation_loss", "accuracy")
    ]  # fmt: skip
    assert dev["value"].iloc[0] > dev["majority"].iloc[0] + 0.2
    assert {path.name for path in (finished.output / "models").iterdir()} == {f"{arm}-seed-0" for arm in ARMS}


@pytest.mark.slow
def test_what_every_student_answered_is_kept_so_that_arms_are_paired_by_sentence(finished):
    pairs = compare_arms(load_training(finished.output)).set_index(["arm", "other"])
    assert list(pairs.index) == [
        ("both", "labels"), ("task", "labels"), ("general", "labels"), ("both", "task"), ("both", "teacher"),
    ]  # fmt: skip
    _, models = read(finished)
    test = models[(models["split"] == "test") & (models["metric"] == "accuracy")]
    scores = dict(zip(test["variant"].str.extract(r'"arm": "(\w+)"')[0], test["value"], strict=True))
    for one, other in pairs.index:
        assert pairs.loc[(one, other), "difference"] == pytest.approx(scores[one] - scores[other])


@pytest.mark.slow
def test_arms_on_labels_have_as_many_steps_on_the_task_as_both_stages_of_the_others(finished):
    _, models = read(finished)
    task = models[(models["split"] == "dev") & ~models["stage"].isin(["teacher", "general"])]
    assert set(task.groupby("variant")["steps"].sum()) == {4 + 3}


@pytest.mark.parametrize("changes", [{"max_steps": 0}, {"intermediate_steps": 0}, {"epochs": 1.3, "max_steps": 0}])
def test_arms_on_labels_have_as_many_steps_however_these_are_given(changes, make):
    settings = make(**({"epochs": 3.0, "intermediate_epochs": 2.3, "arms": ("labels", "task")} | changes))
    _, labels, task = plan(settings).models
    assert labels.stages[0].pace.max_steps == sum(stage.pace.max_steps for stage in task.stages)


@pytest.mark.parametrize(("arm", "start"), [("general", "prediction"), ("both", "intermediate")])
def test_an_arm_of_running_text_begins_with_the_student_that_learned_it(arm, start, make):
    planned = {model.name: model for model in plan(make()).models}[f"{arm}-seed-0"]
    assert (planned.stages[0].name, planned.stages[0].start) == (start, "general")
    assert ("text-seed-0", "general") in planned.needs


@pytest.mark.slow
def test_no_two_models_share_a_name_and_what_is_finished_is_not_made_again(finished, monkeypatch):
    names = [model.name for model in plan(finished).models]
    assert len(set(names)) == len(names) == 2 + len(ARMS)
    monkeypatch.setattr("probing.training.train.train_model", lambda *_: pytest.fail("trained again"))
    first = read(finished)
    train(finished, Reporter(quiet=True))
    for one, other in zip(first, read(finished), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.slow
def test_the_losses_that_are_on_are_logged_and_no_other(finished, make):
    log, _ = read(finished)
    found = {stage: set(own["quantity"]) for stage, own in log.groupby("stage")}
    losses = {f"loss_{name}" for name in ("embedding", "hidden", "attention")}
    assert losses <= found["general"]
    assert losses <= found["intermediate"]
    settings = make(arms=("task",), attention_weight=0.0, heads=1, prediction_weight=1.0, label_weight=0.5)
    train(settings, Reporter(quiet=True))
    log, _ = read(settings)
    found = {
        stage: {name for name in own["quantity"] if name.startswith("loss_")} for stage, own in log.groupby("stage")
    }
    assert found["intermediate"] == {"loss_embedding", "loss_hidden"}
    assert found["prediction"] == {"loss_logits", "loss_labels"}


@pytest.mark.slow
def test_costs_are_those_of_the_file_and_of_the_formula(finished):
    _, models = read(finished)
    row = models[models["folder"] == "models/both-seed-0"].iloc[0]
    tensors = load_file(finished.output / row["folder"] / "model.safetensors").values()
    assert row["parameters"] == sum(tensor.numel() for tensor in tensors)
    assert row["weight_bytes"] == 4 * row["parameters"]
    width, inner, tokens, classes = 4, 16, 16, 2
    maps = 4 * tokens * width**2 + 2 * tokens * width * inner
    attention = 2 * tokens**2 * width
    assert row["flops"] == 2 * (maps + attention + width**2 + width * classes)
    assert (models.loc[models["stage"] == "prediction", "sentences_per_s"] > 0).all()
    assert (models.loc[models["stage"] == "intermediate", "parameters"] == 0).all()


@pytest.mark.slow
def test_a_teacher_that_is_given_is_scored_first_and_left_as_it_is(finished, make):
    given = finished.output / "stages" / "teacher" / "teacher"
    settings = make(distill_from=str(given), arms=("task",))
    heard = []
    reporter = Reporter(quiet=True)
    reporter.say = heard.append
    train(settings, reporter)
    first = next(line for line in heard if "teacher" in line)
    assert first.startswith("teacher: accuracy")
    _, models = read(settings)
    assert models["stage"].iloc[0] == "teacher"
    assert models["steps"].iloc[0] == 0
    _, expected = read(finished)
    assert models["value"].iloc[0] == expected["value"].iloc[0]
    own, its = (
        AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
        for folder in (settings.output / "stages" / "teacher" / "teacher", given)
    )
    assert all(torch.equal(tensor, its[name]) for name, tensor in own.items())


class KilledError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["text-seed-0", "both-seed-0.intermediate"])
def test_killed_while_layers_are_learned_a_run_goes_on_to_the_same_numbers(stage, finished, make, monkeypatch):
    usual = loop.save_state

    def save_and_die(path, key, trained):
        usual(path, key, trained)
        if path.name.startswith(stage):
            assert trained.objective.state_dict().keys() == {"weight", "bias"}
            raise KilledError

    settings = make(arms=("both",), checkpoint_every=2)
    monkeypatch.setattr(loop, "save_state", save_and_die)
    with pytest.raises(KilledError):
        train(settings, Reporter(quiet=True))
    monkeypatch.undo()
    train(settings, Reporter(quiet=True))
    changing = ["seconds", "tokens_per_s", "peak_rss_bytes", "sentences_per_s"]
    for one, other in zip(read(finished), read(settings), strict=True):
        arm = one["variant"].isin(set(other["variant"])) & ~((one["stage"] == "prediction") & (one["variant"] != BOTH))
        expected, found = (table.drop(columns=changing, errors="ignore") for table in (one[arm], other))
        pd.testing.assert_frame_equal(expected.reset_index(drop=True), found, check_exact=True)


@pytest.mark.slow
def test_without_models_kept_nothing_stays_of_teacher_and_stages(finished, make):
    settings = make(arms=("labels", "both"), keep_models=False)
    train(settings, Reporter(quiet=True))
    assert not list(settings.output.glob("stages/*/*/model.safetensors"))
    again, expected = read(settings)[1], read(finished)[1]
    names = ["split", "value"]
    of = [
        table[(table["variant"] == '{"arm": "both"}') & (table["stage"] == "prediction")] for table in (again, expected)
    ]
    pd.testing.assert_frame_equal(*(table[names].reset_index(drop=True) for table in of))


@pytest.mark.slow
def test_sentences_written_anew_are_learned_in_as_many_steps(make, tmp_path, usual):
    encoder = tmp_path / "masked"
    tokenizer = load_tokenizer(find_checkpoint(usual["teacher"]))
    tokenizer.save_pretrained(encoder)
    AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(usual["teacher"])).save_pretrained(encoder)
    settings = make(teacher=str(encoder), arms=("both", "augmented"), copies=2)
    train(settings, Reporter(quiet=True))
    written = pd.read_parquet(settings.output / "stages" / "augmented-seed-0" / "augment" / "sentences.parquet")
    assert set(written["copy"]) == {0, 1}
    assert written["row"].between(0, 47).all()
    _, models = read(settings)
    dev = models[(models["split"] == "dev") & models["stage"].isin(["intermediate", "prediction"])]
    arms = dict(list(dev.groupby("variant")))
    both, augmented = arms['{"arm": "both"}'], arms['{"arm": "augmented"}']
    assert augmented["steps"].tolist() == both["steps"].tolist()
    assert set(both["n_train"]) == {48}
    assert set(augmented["n_train"]) == {48 + len(written)}


def test_without_a_masked_language_model_nothing_can_be_written_anew(make):
    refuse(make(arms=("augmented",)), "has no head for masked tokens.* make it by python")


def refuse(settings, message):
    with pytest.raises(InputError, match=message) as error:
        train(settings, Reporter(quiet=True))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 4}, "--teacher .*: has 2 heads and the student 4; expected as many"),
        ({"layers": 10**7}, "--layers 10000000: expected 0 or more, and at most 1000"),
        ({"layers": 3}, "--layers 3: the teacher has 2; expected no more"),
        ({"layer_map": (3,)}, "--layer-map 3: expected 1 rising layers of the teacher's 1 to 2"),
        ({"model": "electra"}, "--model electra: the student of tiny_bert is drawn as bert alone"),
        ({"checkpoint": "here"}, "--checkpoint here: the student of tiny_bert is drawn as none alone"),
        ({"arms": ("labels", "some")}, "--arms some: expected some of labels, general, task, both, augmented"),
        ({"arms": ("both", "both")}, "both is there twice"),
        ({"freeze_up_to": 0}, "--freeze-up-to 0: expected -1"),
        (
            {"embedding_weight": 0.0, "hidden_weight": 0.0, "attention_weight": 0.0},
            "--arms general: with --embedding-weight, --hidden-weight and --attention-weight all 0",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(make, changes, message):
    refuse(make(**changes), message)


@pytest.mark.slow
def test_a_teacher_of_another_vocabulary_is_refused(finished, make, tmp_path):
    other = save_encoder(tmp_path / "other", "roberta")
    given = finished.output / "stages" / "teacher" / "teacher"
    refuse(
        make(teacher=str(other), distill_from=str(given), attention_weight=0.0),
        "--distill-from .*: has another vocabulary than --teacher .*other; expected the same",
    )


def test_a_teacher_whose_first_token_reads_nothing_is_refused_before_anything_is_written(make, tmp_path):
    settings = make(teacher=str(write(tmp_path / "gpt2", "gpt2")), arms=("task",))
    refuse(settings, "GPT2Model reads from left to right, so that its first token.*use an encoder")
    refuse(replace(settings, arms=("general",)), "GPT2Model reads from left to right, so that its states")
    assert not settings.output.exists()


def test_a_teacher_without_a_head_is_refused(make, usual):
    refuse(make(distill_from=usual["teacher"]), r"its weights lack classifier\.bias; expected a fine-tuned classifier")


@pytest.mark.slow
def test_a_teacher_that_knows_nothing_of_the_task_is_refused_before_it_teaches(finished, make, tmp_path):
    given = tmp_path / "given"
    shutil.copytree(finished.output / "stages" / "teacher" / "teacher", given)
    model, _ = load_classifier(find_checkpoint(str(given)))
    with torch.no_grad():
        model.classifier.weight.zero_()
    model.save_pretrained(given)
    refuse(make(distill_from=str(given), arms=("task",)), "expected a classifier fine-tuned on letters")
