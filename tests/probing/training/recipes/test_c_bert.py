"""The recipe as a whole: arms, judge, what is left for others, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from analysis.report.training import build_training_report
from analysis.runs.training_run import load_training
from analysis.tables.augmentation import tabulate_augmentation
from analysis.tables.training import seeds_table, tabulate_training
from analysis.tables.writing import write_tables
from probing.encoders import c_bert
from probing.progress import Reporter
from probing.records import SPLITS, InputError, Split, Task, TaskSpec
from probing.store.own_files import list_own
from probing.tasks.files.senteval import format_rows, write_tasks
from probing.tasks.sources import load_tasks
from probing.train_encoder import main
from probing.training import generate
from probing.training.data.generated import read_table
from probing.training.origins import find_origin
from probing.training.recipes.c_bert import RECIPE, CBertSettings, try_out
from probing.training.recipes.c_bert_task import drop_known, take_share
from probing.training.run import train
from tests.helpers import build_byte_tokenizer, run_script

STAGE = "stages/{}-1-encoder-seed-0/augment"
CHANGING = ["seconds", "tokens_per_s", "peak_rss_bytes"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return try_out(tmp_path_factory.mktemp("own"))


def make(own, output, **changes):
    usual = {"max_steps": 4, "batch_size": 16, "evaluate_every": 4, "device": "cpu", "dtype": "float32", "quiet": True}
    return CBertSettings(**(usual | dict(own) | {"output": output} | changes))


@pytest.fixture(scope="module")
def finished(own, tmp_path_factory):
    settings = make(
        own, tmp_path_factory.mktemp("finished") / "run", arms=("none", "synonyms", "unconditional", "conditional"),
        classifiers=("encoder", "cnn"), judged=True, max_steps=2,
    )  # fmt: skip
    train(settings, Reporter(quiet=True))
    return settings.output


@pytest.fixture(scope="module")
def models(finished):
    found = pd.read_parquet(finished / "trained_models.parquet")
    variants = pd.DataFrame([json.loads(one) for one in found["variant"]])
    return found.join(variants[["arm", "way", "classifier"]])


@pytest.mark.slow
def test_each_arm_and_classifier_has_a_score_and_all_had_as_many_steps(models, finished):
    classified = models[(models["stage"] == "classify") & (models["split"] == "test") & (models["arm"] != "judge")]
    assert len(classified) == len(classified.drop_duplicates("arm")) == 4 * 2
    assert set(classified["steps"]) == {2}
    # All classifiers of an arm learn from the same sentences.
    for arm, n_train in classified.groupby("way")["n_train"]:
        n_written = 0 if arm == "none" else len(read_table(finished / STAGE.format(arm)))
        assert set(n_train) == {96 + n_written}
        assert (n_written > 50) == (arm != "none")


@pytest.mark.slow
def test_the_judge_reads_every_way_and_compares_conditional_with_unconditional(models):
    judged = set(models.loc[models["arm"] == "judge", "metric"])
    for arm in ("synonyms", "unconditional", "conditional"):
        assert {
            f"{metric}/{arm}" for metric in ("label_kept", "changed", "new_words", "distinct_2", "perplexity")
        } < judged
    assert "label_kept/conditional minus unconditional" in judged
    kept = models[models["metric"].str.startswith("label_kept/")]
    assert ((kept["ci_low"] <= kept["value"]) & (kept["value"] <= kept["ci_high"])).all()


@pytest.mark.slow
def test_both_masked_language_models_hide_the_same_tokens_and_one_alone_has_labels(finished):
    stages = [finished / f"stages/{arm}-1-encoder-seed-0/masked_lm" for arm in ("conditional", "unconditional")]
    conditional, plain = (AutoModelForMaskedLM.from_pretrained(stage) for stage in stages)
    assert (conditional.config.model_type, plain.config.model_type) == ("c_bert", "bert")
    assert conditional.config.label_names == ["early", "late"]
    tables = [read_table(finished / STAGE.format(arm)) for arm in ("conditional", "unconditional")]
    places = [{(row.row, row.copy): row.places for row in table} for table in tables]
    assert all(places[0][key] == places[1][key] for key in places[0].keys() & places[1].keys())


@pytest.mark.slow
def test_the_augmented_task_is_read_by_every_program_here(finished, own):
    folder = finished / STAGE.format("conditional")
    [task], _ = load_tasks(str(folder / "task"), ("halves_augmented",))
    [before], _ = load_tasks(own["data"], ("halves",))
    rows = read_table(folder)
    assert task.splits["train"].texts == (*before.splits["train"].texts, *(row.text for row in rows))
    assert task.splits["train"].labels[96:].tolist() == [row.label for row in rows]
    for split in ("dev", "test"):
        assert task.splits[split].texts == before.splits[split].texts
    assert not {row.text for row in rows} & set(before.splits["train"].texts)


@pytest.mark.slow
def test_the_answers_on_every_sentence_are_kept_and_their_share_right_is_the_score(models, finished):
    for model, stage in (("conditional-1-encoder-seed-0", ".classify"), ("none-1-cnn-seed-0", "")):
        answers = pd.read_parquet(finished / "answers" / f"{model}{stage}.parquet")
        rows = models[models["folder"] == f"models/{model}"].set_index("split")
        for split, own in answers.groupby("split"):
            assert own["row"].tolist() == list(range(32))
            assert (own["label"] == own["predicted"]).mean() == pytest.approx(rows.loc[split, "value"])


@pytest.mark.slow
def test_the_readme_of_each_model_says_how_to_probe_it_if_it_can_be(finished):
    stage = finished / "stages" / "conditional-1-encoder-seed-0" / "masked_lm"
    assert "--model c_bert --checkpoint" in (stage / "README.md").read_text()
    models = finished / "models"
    assert "--model bert --checkpoint" in (models / "conditional-1-encoder-seed-0" / "README.md").read_text()
    assert "--checkpoint" not in (models / "conditional-1-cnn-seed-0" / "README.md").read_text()


@pytest.mark.slow
def test_all_that_a_run_leaves_goes_when_it_is_overwritten(finished):
    write_tables(finished, form="csv")
    left = {path for path in finished.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert left - set(list_own(finished)) == {finished / "settings.json"}


def test_sentences_stay_where_models_are_not_kept(own, tmp_path):
    settings = make(own, tmp_path / "run", arms=("synonyms",), classifiers=("cnn",), max_steps=1, keep_models=False)
    train(settings, Reporter(quiet=True))
    assert len(read_table(tmp_path / "run" / STAGE.format("synonyms").replace("encoder", "cnn"))) > 50
    assert not list((tmp_path / "run").rglob("*.safetensors"))


@pytest.mark.slow
def test_the_table_of_a_run_shows_every_model(finished):
    shown = seeds_table(load_training(finished))["Variant"].tolist()
    arms = ("none", "synonyms", "unconditional", "conditional")
    assert set(shown) == {"judge", *(f"{arm} {classifier}" for arm in arms for classifier in ("encoder", "cnn"))}


@pytest.mark.slow
def test_tables_and_page_hold_the_arms_against_each_other_and_show_sentences(finished, models):
    run = load_training(finished)
    tables = tabulate_augmentation(run)
    classified = models[(models["arm"] != "judge") & (models["split"] == "test") & (models["stage"] == "classify")]
    shown = {(row[2], row[0]): row[4] for row in tables["augmentation"].rows}
    assert shown == {
        (row["way"], row["classifier"]): f"{100 * row['value']:.1f}" for row in classified.to_dict("records")
    }
    kept = models[models["metric"] == "label_kept/conditional"].iloc[0]
    row = next(row for row in tables["new_sentences"].rows if row[0] == "conditional")
    assert row[2].startswith(f"{100 * kept['value']:.1f} [{100 * kept['ci_low']:.1f}, ")
    pair = models[models["metric"] == "label_kept/conditional minus unconditional"].iloc[0]
    assert tables["new_sentences"].rows[-1][2].split()[0] == f"{100 * pair['value']:+z.1f}"
    written = {row.text[0] for row in read_table(finished / STAGE.format("conditional"))}
    assert {row[1] for row in tables["examples"].rows if row[0] == "conditional"} <= written
    assert set(tabulate_training(run)) == {"models", *tables}
    page = build_training_report([run])
    assert "in 9 ways" in page
    assert all(f">{row[1]}<" in page for row in tables["examples"].rows)
    assert "1812.06705" in page


@pytest.mark.slow
def test_answers_that_are_gone_are_named(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "answers" / "none-1-cnn-seed-0.parquet").unlink()
    with pytest.raises(InputError, match=r"none-1-cnn-seed-0.parquet: is not there; start the run again"):
        tabulate_augmentation(load_training(tmp_path / "run"))


@pytest.mark.slow
def test_what_was_not_kept_is_counted(finished):
    log = pd.read_parquet(finished / "training_log.parquet")
    log = log[log["stage"] == "augment"]
    sums = log.pivot_table(index="variant", columns="quantity", values="value")
    assert (sums.sum(axis=1) == 96).all()  # written, duplicates and left out


@pytest.mark.slow
def test_killed_while_it_writes_it_goes_on_to_the_same_numbers(own, tmp_path, monkeypatch):
    monkeypatch.setattr("probing.training.recipes.c_bert_stages._SHARE", 30)
    whole, killed = make(own, tmp_path / "whole"), make(own, tmp_path / "killed")
    train(whole, Reporter(quiet=True))
    usual, n_written = generate.write_part, []

    def write_and_die(*arguments):
        usual(*arguments)
        n_written.append(1)
        if len(n_written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(generate, "write_part", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(killed, Reporter(quiet=True))
    train(killed, Reporter(quiet=True))
    assert len(n_written) == 4  # parts of 96 sentences, each once
    assert read_table(whole.output / STAGE.format("conditional")) == read_table(
        killed.output / STAGE.format("conditional")
    )
    one, other = (
        pd.read_parquet(path.output / "trained_models.parquet").drop(columns=CHANGING) for path in (whole, killed)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_sentences_that_stand_in_test_are_left_out_of_train_and_dev():
    splits = {
        "train": Split((("A -  b!",), ("c",), ("!",)), np.array([0, 1, 0])),
        "dev": Split((("e",), ("f",)), np.array([0, 1])),
        "test": Split((("a b",), ("f",), ("?",)), np.array([0, 1, 0])),
    }
    found = drop_known(Task(TaskSpec("some", "some", "own"), ("a", "b"), splits)).splits
    assert found["train"].texts == (("c",), ("!",))
    assert found["train"].labels.tolist() == [1, 0]
    assert found["dev"].texts == (("e",),)
    assert found["test"] is splits["test"]
    for known, what in ((("c", "x", "y"), "class 'b' in train"), (("e", "f", "y"), "sentence in dev")):
        test = replace(splits["test"], texts=tuple((one,) for one in known))
        with pytest.raises(InputError, match=f"--drop-known: leaves no {what} of task some"):
            drop_known(Task(TaskSpec("some", "some", "own"), ("a", "b"), splits | {"test": test}))


def test_a_share_of_train_keeps_the_classes_and_the_other_splits():
    rows = Split(tuple((str(row),) for row in range(100)), np.arange(100) % 4 // 3)
    task = Task(TaskSpec("some", "some", "own"), ("a", "b"), {"train": rows, "dev": rows, "test": rows})
    few = take_share(task, 0.2).splits
    assert np.bincount(few["train"].labels).tolist() == [15, 5]
    assert few["dev"] is rows


def write_table(folder, header, rows):
    folder.mkdir()
    (folder / "some.tsv").write_text("\n".join(["\t".join(header), *("\t".join(row) for row in rows)]) + "\n")
    return str(folder)


@pytest.fixture
def mistakes(tmp_path):
    """Name -> flags that cannot be."""
    pairs = [(f"a {row}", f"b {row}", "xy"[row % 2]) for row in range(40)]
    scores = [(f"a {row}", str(row % 5 + 0.5)) for row in range(40)]
    labels = [(("tr", "va", "te")[row % 3], "xyz"[row // 3 % 3], f"a {row}") for row in range(45)]
    three, other = tmp_path / "three", tmp_path / "other"
    three.mkdir()
    other.mkdir()
    marks = {"tr": "train", "va": "dev", "te": "test"}
    (three / "some.txt").write_text(format_rows([(marks[split], label, text) for split, label, text in labels]))
    c_bert.tiny(other)
    config = json.loads((other / "config.json").read_text()) | {"architectures": ["CBertForMaskedLM"]}
    (other / "config.json").write_text(json.dumps(config))
    return {
        "pairs": ["--data", write_table(tmp_path / "pairs", ("text_a", "text_b", "label"), pairs), "--task", "some"],
        "scores": ["--data", write_table(tmp_path / "scores", ("text", "label"), scores), "--task", "some"],
        "labels": ["--checkpoint", str(other)],
        "segments": ["--data", str(three), "--task", "some", "--label-table", "segments"],
        "arm": ["--arms", "conditionnal"],
        "share": ["--shares", "1.5"],
        "splits": ["--splits", str(tmp_path / "none.tsv")],
        "temperature": ["--temperature", "0"],
        "nothing hidden": ["--mask-share", "0"],
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pairs", "--task some: has sentence pairs; expected single sentences"),
        ("scores", "--task some: its labels are scores; expected classes"),
        ("labels", "the C-BERT knows 3 labels, and the task has 2; expected as many"),
        ("segments", "--label-table segments: the model has 2 segments, and the task 3 labels"),
        ("arm", "--arms conditionnal: expected some of none, synonyms, pretrained, unconditional, conditional"),
        ("share", "--shares 1.5: expected shares of train, above 0 and at most 1"),
        ("splits", "none.tsv: no such file; expected a table with the columns split, file and row"),
        ("temperature", "--temperature 0.0: expected more than 0"),
        ("nothing hidden", "--mask-share 0.0: expected more than 0 and at most 1"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(name, message, own, mistakes, monkeypatch, capsys, tmp_path):
    output = tmp_path / "run"
    arguments = ["--recipe", "c_bert", "--output", str(output), "--quiet", "--device", "cpu"]
    arguments += ["--checkpoint", own["checkpoint"], "--data", own["data"], "--task", own["task"]]
    code, _, complaint = run_script(main, "train_encoder.py", [*arguments, *mistakes[name]], monkeypatch, capsys)
    assert code == 2
    assert message in complaint
    assert len([line for line in complaint.splitlines() if not line.startswith("warning: ")]) == 1
    assert not output.exists()


def test_a_vocabulary_that_marks_the_beginnings_of_words_is_refused(own, tmp_path):
    backend, marks = build_byte_tokenizer()
    backend.add_special_tokens(["<mask>"])
    folder = tmp_path / "roberta"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=32, mask_token="<mask>", **marks)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=40, pad_token_id=1, **sizes)
    RobertaForMaskedLM(config).save_pretrained(folder)
    settings = make(own, tmp_path / "run", checkpoint=str(folder), arms=("none", "pretrained"))
    with pytest.raises(InputError, match="no word of its tokenizer stands in a text as in its vocabulary"):
        train(settings, Reporter(quiet=True))
    assert not settings.output.exists()


def test_words_that_the_tokenizer_does_not_know_are_told(own, tmp_path):
    rows = [(split, label, f"{word} {row}") for split in SPLITS for row in range(12) for label, word in ("aд", "bт")]
    write_tasks(tmp_path, {"other": rows})
    settings, reporter = make(own, tmp_path / "run", data=str(tmp_path), task="other"), Reporter(quiet=True)
    RECIPE.plan(settings, find_origin(settings), reporter)
    assert any("task other: 100% of its tokens are unknown to the tokenizer of" in line for line in reporter.warnings)


def test_an_encoder_without_a_masked_language_model_is_refused_and_the_way_to_one_is_said(own, tiny_folder, tmp_path):
    settings = replace(make(own, tmp_path / "run"), checkpoint=str(tiny_folder))
    with pytest.raises(InputError, match=r"has no head for masked tokens, .* --recipe pretrain"):
        train(settings, Reporter(quiet=True))
