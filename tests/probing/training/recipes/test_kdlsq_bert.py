"""The recipe kdlsq_bert: its arms, its sweep, the models that it leaves, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from analysis.runs.training_run import load_training
from analysis.stats.arms import compare_arms
from probing.encoders.checkpoints import find_checkpoint, load_classifier, load_tokenizer
from probing.encoders.kdlsq_bert_model import KdlsqBertForSequenceClassification
from probing.progress import Reporter
from probing.records import InputError
from probing.training.recipes.kdlsq_bert import RECIPE, KdlsqBertSettings
from probing.training.run import train
from tests.helpers import save_encoder


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Settings of a short run on letters."""
    small = {"max_steps": 3, "batch_size": 16, "log_every": 1, "evaluate_every": 3, "dtype": "float32"}
    small |= {"device": "cpu", "quiet": True, "learning_rate": 1e-2}
    return small | dict(RECIPE.tiny(tmp_path_factory.mktemp("tiny"))) | {"label_weight": 0.0}


@pytest.fixture
def make(usual, tmp_path):
    """Function: the settings, in a folder of the test's own, changed as asked."""
    return lambda folder="run", **changes: KdlsqBertSettings(**(usual | {"output": tmp_path / folder} | changes))


def run(settings):
    return train(settings, Reporter(quiet=True)).folder


@pytest.fixture(scope="module")
def whole(usual, tmp_path_factory):
    """Folder and scores of a run of all arms at 8 and 2 bits, and of a sweep."""
    arms = {"arms": ("minmax", "initial", "lsq", "kdlsq"), "bits": (8, 2), "sweep_bits": 3}
    folder = run(KdlsqBertSettings(**(usual | arms | {"output": tmp_path_factory.mktemp("whole") / "run"})))
    table = pd.read_parquet(folder / "trained_models.parquet")
    return folder, table.assign(**pd.DataFrame([json.loads(row) for row in table["variant"]]))


@pytest.mark.slow
def test_every_arm_has_a_model_at_each_number_of_bits_beside_the_teacher(whole):
    folder, table = whole
    plain = table[table["in_few_bits"].isna() & (table["arm"] != "teacher") & (table["split"] == "dev")]
    assert sorted(zip(plain["arm"], plain["bits"], strict=True)) == sorted(
        (arm, bits) for arm in ("minmax", "initial", "lsq", "kdlsq") for bits in (8.0, 2.0)
    )
    assert (table["arm"] == "teacher").sum() == 2  # dev and test
    assert (folder / "stages" / "teacher" / "teacher" / "model.safetensors").is_file()
    assert set(table.loc[table["steps"] == 0, "arm"]) == {"minmax", "initial"}


@pytest.mark.slow
def test_every_arm_stands_in_the_tables_that_are_shown(whole):
    folder, _ = whole
    shown = load_training(folder).models
    assert {(arm["arm"], arm["bits"]) for arm in map(json.loads, shown["variant"]) if "in_few_bits" not in arm} == {
        (arm, bits) for arm in ("minmax", "initial", "lsq", "kdlsq") for bits in (8, 2)
    }


@pytest.mark.slow
def test_what_every_model_answered_is_kept_so_that_arms_are_paired_by_sentence(whole):
    folder, table = whole
    run = load_training(folder)
    pairs = compare_arms(run).set_index(["group", "arm", "other"])
    values = table[table["split"] == "test"].set_index("arm")
    eight = values[(values["bits"] == 8) & values["in_few_bits"].isna()]["value"]
    assert pairs.loc[("8 bits", "kdlsq", "lsq"), "difference"] == pytest.approx(eight["kdlsq"] - eight["lsq"])
    teacher = values.loc["teacher", "value"]
    assert pairs.loc[("8 bits", "minmax", "teacher"), "difference"] == pytest.approx(eight["minmax"] - teacher)
    assert {group for group, *_ in pairs.index} >= {"8 bits", "2 bits", "embeddings in 3 bits"}


@pytest.mark.slow
def test_the_table_has_bytes_and_the_teachers_parameters(whole):
    folder, table = whole
    sizes = table[table["split"] == "dev"].set_index("stage")
    assert table["parameters"].nunique() == 1
    for row in table[(table["split"] == "dev") & (table["arm"] != "teacher")].itertuples():
        tensors = (folder / row.folder / "model.safetensors").stat().st_size
        # The file has a header of names and shapes before the numbers.
        assert 0 < tensors - row.weight_bytes < 200 * 100
    teacher = sizes.loc["teacher", "weight_bytes"]
    eight, two = (
        table.loc[(table["arm"] == "minmax") & (table["bits"] == bits), "weight_bytes"].iloc[0] for bits in (8, 2)
    )
    assert two < eight < teacher


@pytest.mark.slow
def test_a_sweep_gives_each_layer_few_bits_alone(whole):
    folder, table = whole
    swept = table[table["in_few_bits"].notna() & (table["split"] == "dev")]
    assert list(swept["in_few_bits"]) == ["embeddings", "1", "2"]
    assert set(swept["arm"]) == {"kdlsq"}
    for row in swept.itertuples():
        bits = json.loads((folder / row.folder / "config.json").read_text())["weight_bits"]
        few = {name for name, value in bits.items() if value == 3}
        assert {value for name, value in bits.items() if name not in few} == {8}
        inside = "embeddings" if row.in_few_bits == "embeddings" else f"encoder.layer.{int(row.in_few_bits) - 1}."
        assert few == {name for name in bits if name.startswith(inside)}


@pytest.mark.slow
def test_arms_without_training_keep_the_teachers_weights_but_for_rounding(whole):
    folder, _ = whole
    teacher = AutoModelForSequenceClassification.from_pretrained(folder / "stages" / "teacher" / "teacher")
    for arm in ("minmax", "initial"):
        packed = AutoModelForSequenceClassification.from_pretrained(folder / "models" / f"{arm}-8-seed-0")
        query = packed.kdlsq_bert.backbone.encoder.layer[0].attention.self.query
        plain = teacher.bert.encoder.layer[0].attention.self.query
        assert torch.equal(packed.classifier.weight, teacher.classifier.weight)
        error = (query.weight - plain.weight).abs().max().item()
        # Of the arm that clips nothing, no weight is farther off than half a step.
        assert error <= query.packed.step.item() / 2 * (1 + 1e-5) or arm == "initial"
    lsq = AutoModelForSequenceClassification.from_pretrained(folder / "models" / "lsq-8-seed-0")
    assert not torch.equal(lsq.classifier.weight, teacher.classifier.weight)


@pytest.mark.slow
def test_the_kept_model_answers_as_the_table_says(whole, usual):
    folder, table = whole
    kept = folder / "models" / "kdlsq-2-seed-0"
    model = AutoModelForSequenceClassification.from_pretrained(kept).eval()
    tokenizer = load_tokenizer(find_checkpoint(str(kept)))
    text = (Path(usual["data"]) / "letters" / "test.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines()[1:]]
    with torch.inference_mode():
        answers = [model(**tokenizer(text, return_tensors="pt")).logits.argmax().item() for text, _ in lines]
    share = np.mean([model.config.id2label[one] == label for one, (_, label) in zip(answers, lines, strict=True)])
    rows = table[(table["arm"] == "kdlsq") & (table["bits"] == 2) & table["in_few_bits"].isna()]
    assert rows.loc[rows["split"] == "test", "value"].item() == pytest.approx(share)


@pytest.mark.slow
@pytest.mark.parametrize("per_row", [False, True])
def test_a_bermo_is_quantised_too_and_keeps_its_mix(make, per_row):
    folder = run(make(model="bermo", bits=(4,), per_row=per_row))
    model, _ = load_classifier(find_checkpoint(str(folder)))
    assert isinstance(model, KdlsqBertForSequenceClassification)
    assert {name for name, _ in model.named_parameters() if ".mix." in name}
    assert {"weight", "gamma", "weight_error"} <= set(pd.read_parquet(folder / "training_log.parquet")["quantity"])


@pytest.mark.slow
def test_a_given_teacher_is_scored_and_not_trained(make, whole):
    folder, table = whole
    given = run(make(distill_from=str(folder / "stages" / "teacher" / "teacher"), arms=("minmax",), bits=(2,)))
    found = pd.read_parquet(given / "trained_models.parquet")
    found = found.assign(**pd.DataFrame([json.loads(row) for row in found["variant"]]))
    for arm in ("teacher", "minmax"):
        of_arm, before = (one[one["arm"] == arm] for one in (found, table))
        if arm == "minmax":
            before = before[before["bits"] == 2]
        assert list(of_arm["value"]) == list(before["value"])
        assert set(of_arm["steps"]) == {0}


def refuse(settings, message):
    with pytest.raises(InputError, match=message) as error:
        run(settings)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": (1,)}, "--bits 1: expected 2 to 8 bits"),
        ({"bits": (8, 9)}, "--bits 9: expected 2 to 8 bits"),
        ({"bits": ()}, "--bits: expected some of 2, 3"),
        ({"bits": (4, 4)}, "--bits 4 4: expected different ones"),
        ({"activation_bits": 16}, "--activation-bits 16: expected 2 to 8 bits"),
        ({"sweep_bits": 1}, "--sweep-bits 1: expected 2 to 8 bits, or 0"),
        ({"arms": ("ptq",)}, "--arms ptq: expected some of minmax"),
        ({"arms": ("lsq", "lsq")}, "--arms lsq lsq: lsq is there twice"),
        ({"logits_weight": 0.0, "hidden_weight": 0.0, "attention_weight": 0.0}, "weights are all 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(make, changes, message):
    refuse(make(**changes), message)


def test_a_teacher_that_was_never_fine_tuned_is_refused(make, usual):
    refuse(make(distill_from=usual["checkpoint"]), "its weights lack classifier.bias; expected a fine-tuned classifier")


@pytest.mark.slow
def test_a_teacher_of_another_vocabulary_is_refused(make, whole, tmp_path):
    folder, _ = whole
    other = save_encoder(tmp_path / "other")
    refuse(
        make(checkpoint=str(other), distill_from=str(folder / "stages" / "teacher" / "teacher")),
        "has another vocabulary than --checkpoint",
    )


@pytest.mark.slow
def test_a_teacher_that_knows_no_more_than_the_most_frequent_class_is_refused(make, whole, tmp_path):
    folder, _ = whole
    name = folder / "stages" / "teacher" / "teacher"
    model, _ = load_classifier(find_checkpoint(str(name)))
    torch.nn.init.zeros_(model.classifier.weight)
    model.save_pretrained(tmp_path / "dull")
    load_tokenizer(find_checkpoint(str(name))).save_pretrained(tmp_path / "dull")
    with pytest.raises(InputError, match="expected a classifier fine-tuned on letters"):
        run(make(distill_from=str(tmp_path / "dull")))


@pytest.mark.slow
def test_a_teacher_of_other_sizes_or_another_head_than_the_run_names_is_refused(make, whole, tmp_path):
    """Its further blocks would keep all their bits, and a BERMo stand in the tables as a BERT."""
    folder, _ = whole
    name = folder / "stages" / "teacher" / "teacher"
    model, _ = load_classifier(find_checkpoint(str(name)))
    config = model.config
    config.num_hidden_layers += 1
    type(model)(config).save_pretrained(tmp_path / "deep")
    load_tokenizer(find_checkpoint(str(name))).save_pretrained(tmp_path / "deep")
    refuse(make(distill_from=str(tmp_path / "deep")), "deep: has 3 layers of width 8, and --checkpoint .* 2 of width 8")
    refuse(make(distill_from=str(name), model="bermo"), "is what --model bert makes; use --model bert")
