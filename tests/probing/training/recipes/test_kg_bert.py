"""KG-BERT as it is run: what it writes, what it leaves for probing, and what it refuses."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from analysis.runs.training_run import load_training
from probing.build_tasks import main as check
from probing.encoders.tiny_checkpoints import write_bert
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import ENCODERS
from probing.run_senteval import main as probe
from probing.tables import TrainedModel, column_names
from probing.tasks.graphs.sources import load_graph
from probing.train_encoder import main
from probing.training.origins import find_origin
from probing.training.recipes import rank_budget
from probing.training.recipes.kg_bert import RECIPE, KgBertSettings, check_negatives
from probing.training.run import train
from tests.helpers import run_script


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def make(encoder, tmp_path):
    def make_settings(**changes):
        usual = {"checkpoint": encoder, "limit": 100, "limit_dev": 10, "max_steps": 6, "batch_size": 16}
        usual |= {"max_length": 0, "evaluate_every": 3, "log_every": 2, "baseline_steps": 5, "device": "cpu"}
        usual |= {"output": tmp_path / "run", "quiet": True}
        return KgBertSettings(**(usual | changes))

    return make_settings


def run(settings):
    """The folder, the scores of the models, and those of the baselines where there are any."""
    folder = train(settings, Reporter(quiet=True)).folder
    tables = [
        pd.read_parquet(path)
        for name in ("trained_models", "baselines")
        if (path := folder / f"{name}.parquet").exists()
    ]
    return folder, tables[0], tables[-1]


METRICS = {
    "classification": {"accuracy", "accuracy_relation_thresholds", "accuracy[near]"},
    "links": {"accuracy", "mrr", "mean_rank", "hits_at_1", "hits_at_3", "hits_at_10", "reverse_in_train"},
    "relations": {"accuracy", "mrr", "mean_rank", "hits_at_1", "hits_at_3", "hits_at_10"},
}


@pytest.mark.slow
@pytest.mark.parametrize("task", METRICS)
def test_a_run_scores_models_and_baselines_on_the_same_triples(make, task):
    folder, models, baselines = run(make(task=task, seeds=(0, 1)))
    assert METRICS[task] <= set(models["metric"])
    assert list(baselines) == column_names(TrainedModel)
    assert {name: set(own["seed"]) for name, own in baselines.groupby("model")} == {
        "frequency": {0}, "transe": {0, 1}, "distmult": {0, 1}, "rotate": {0, 1},
    }  # fmt: skip
    keys = ["split", "metric", "n"]
    one = models[models["seed"] == 0][keys].reset_index(drop=True)
    for _, own in baselines.groupby(["model", "seed"]):
        pd.testing.assert_frame_equal(own[keys].reset_index(drop=True), one)
    assert (baselines["majority"].fillna(-1).iloc[: len(one)] == models["majority"].fillna(-1).iloc[: len(one)]).all()
    assert set(models["task"]) == {f"made_{task}"}
    facts = json.loads((folder / "manifest.json").read_text())["tasks"][f"made_{task}"]
    assert facts["train"] == 100
    assert facts["check"]["n_reversed"][1] > 0


def test_baselines_that_are_there_are_not_made_again(make, monkeypatch):
    settings = make()
    _, _, first = run(settings)
    monkeypatch.setattr("probing.training.baselines.plan.train_embeddings", lambda *_: pytest.fail("trained again"))
    _, _, again = run(settings)
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.slow
def test_false_triples_of_dev_and_test_are_the_same_for_every_seed_and_limit_of_train(make, tmp_path):
    _, one, own = run(make())
    _, two, others = run(make(output=tmp_path / "two", seeds=(7,)))
    kept = ["split", "metric", "value"]
    frequency = [rows[rows["model"] == "frequency"][kept].reset_index(drop=True) for rows in (own, others)]
    pd.testing.assert_frame_equal(*frequency)
    assert one["n"].tolist() == two["n"].tolist()


def test_names_that_the_tokenizer_does_not_know_are_told(make, tmp_path):
    for split, triples in {"train": (" д near т", "т far д "), "dev": ("д far т",), "test": ("т near д",)}.items():
        lines = ("\t".join(triple.split()) for triple in triples)
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    for name in ("entities д т", "relations near far"):
        stem, *names = name.split()
        (tmp_path / f"{stem}.tsv").write_text("".join(f"{one}\t{one}\n" for one in names), "utf-8")
    settings, reporter = make(graph=str(tmp_path), task="relations"), Reporter(quiet=True)
    RECIPE.plan(settings, find_origin(settings), reporter)
    assert any("100% of its tokens are unknown to the tokenizer of" in line for line in reporter.warnings)


def test_bermo_reads_triples_too_and_its_mix_is_logged(make):
    folder, models, _ = run(make(model="bermo", baselines=()))
    log = pd.read_parquet(folder / "training_log.parquet")
    assert {"weight", "gamma"} <= set(log["quantity"])
    assert np.isfinite(models["value"]).all()


def test_the_kept_model_is_an_encoder_that_training_has_moved(make, encoder):
    folder, *_ = run(make(task="relations", baselines=()))
    texts = [("ab cd", "e", "f g"), ("ab",)]
    states = []
    for checkpoint in (encoder, str(folder / "models" / "seed-0")):
        built = ENCODERS.load("bert").build(checkpoint, dtype="float32", device="cpu", backend="torch")
        states.append(built.encode(built.tokenize(texts), np.arange(2)).layers[-1])
    assert states[0].shape == states[1].shape
    assert not torch.allclose(*states)


@pytest.mark.slow
def test_the_trained_encoder_is_probed_by_the_main_job(make, tmp_path, monkeypatch, capsys):
    folder, *_ = run(make(task="links", baselines=()))
    model = folder / "models" / "seed-0"
    assert AutoModelForSequenceClassification.from_pretrained(model).config.id2label == {0: "false", 1: "true"}
    flags = ["--checkpoint", str(model), "--model", "bert", "--tasks", "Tense", "--limit", "40", "--gradients", "0"]
    flags += ["--output", str(tmp_path / "probed"), "--cache-dir", str(tmp_path / "cache"), "--device", "cpu"]
    code, _, complaint = run_script(probe, "run_senteval.py", [*flags, "--quiet"], monkeypatch, capsys)
    assert code == 0, complaint
    scores = pd.read_parquet(tmp_path / "probed" / "scores.parquet")
    assert len(scores[scores["representation"] == "layer"]) > 0


@pytest.mark.slow
def test_links_of_a_model_are_ranked_by_its_own_logits(make):
    """The table's MRR from the kept model, triple by triple, without batches, queries or kernels."""
    folder, models, _ = run(make(task="links", limit_dev=3, baselines=(), dtype="float32", max_length=64))
    from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
    from probing.encoders.inputs import ModelInputs
    from probing.tasks.graphs.sources import load_graph

    path = folder / "models" / "seed-0"
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    whole, graph = load_graph("made"), load_graph("made").limit(100, 3)
    inputs = ModelInputs(load_tokenizer(find_checkpoint(str(path))), model.config, 16)

    def score(triple):
        text = tuple(names[n] for names, n in zip(
            (graph.entity_texts, graph.relation_texts, graph.entity_texts), triple, strict=True
        ))  # fmt: skip
        with torch.inference_mode():
            logits = model(**inputs.collate(inputs.tokenize([text]), np.arange(1), "cpu")).logits[0]
        return float(logits[1] - logits[0])

    reciprocal = []
    for triple in graph.true["test"].tolist():
        for column in (0, 2):
            others = np.array([[*triple[:column], n, *triple[column + 1 :]] for n in range(len(graph.entities))])
            false = others[~whole.known.contain(others)].tolist()
            own, rest = score(triple), np.array([score(other) for other in false])
            close = np.abs(rest - own) < 1e-6
            reciprocal.append(1 / (1 + ((rest > own) & ~close).sum() + close.sum() / 2))
    found = models.loc[models["metric"] == "mrr", "value"].iloc[0]
    assert found == pytest.approx(np.mean(reciprocal), rel=1e-3)


@pytest.mark.slow
def test_a_ranking_that_takes_days_is_refused_and_says_what_to_pass(make, monkeypatch):
    monkeypatch.setattr(rank_budget, "_FEW", 100)
    monkeypatch.setattr(rank_budget, "measure_rate", lambda *_: 0.01)
    settings = make(task="links")
    with pytest.raises(InputError, match=r"about \d+ h .* above --rank-budget 60 .* --candidates 50") as error:
        run(settings)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()
    run(make(task="links", rank_budget=1e6, baselines=()))


@pytest.mark.slow
def test_the_rate_is_measured_where_it_matters(make, monkeypatch):
    monkeypatch.setattr(rank_budget, "_FEW", 100)
    said = []
    monkeypatch.setattr(Reporter, "say", lambda self, line: said.append(line))
    run(make(task="links", baselines=()))
    assert any("triples to score, about" in line for line in said)


@pytest.mark.slow
def test_a_sampled_ranking_scores_fewer_and_says_so(make):
    _, models, baselines = run(make(task="links", candidates=5))
    for rows in (models, baselines):
        assert "mrr_sampled_5" in set(rows["metric"])
        assert "mrr" not in set(rows["metric"])
        worst = rows.loc[rows["metric"] == "mean_rank_sampled_5", "value"].max()
        assert worst <= 6


def test_rank_budget_moves_no_number(make):
    settings = make(baselines=())
    run(settings)
    run(dataclasses.replace(settings, rank_budget=1.0))


def write_graph(folder, **files):
    """A small sound graph, but for the files that are given; of None, that file is left out."""
    sound = {
        "entities": "a\tada\nb\tben\nc\tcleo\n",
        "relations": "r\tlikes\ns\tknows\n",
        "train": "a\tr\tb\nb\ts\tc\nc\ts\ta\n",
        "dev": "a\ts\tc\n",
        "test": "b\tr\ta\n",
    }
    for name, text in (sound | files).items():
        if text is not None:
            (folder / f"{name}.tsv").write_text(text)
    return folder


@pytest.mark.slow
def test_relations_of_one_text_have_rows_of_their_own(make, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    write_graph(folder, relations="r\tlikes\ns\tlikes\n", test="b\tr\ta\nb\ts\ta\n")
    out, models, baselines = run(make(graph=str(folder), baselines=("frequency",)))
    expected = ["accuracy[likes (r)]", "accuracy[likes (s)]"]
    for table in (models, baselines):
        assert [metric for metric in table["metric"] if "[" in metric] == expected
    assert len(load_training(out).models) == len(models), "rows of one name are refused where a run is shown"


def test_a_graph_in_which_everything_is_true_has_nothing_to_tell_apart(make, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    pairs = [f"{head}\t{relation}\t{tail}\n" for head in "ab" for relation in "rs" for tail in "ab"]
    write_graph(folder, entities="a\tada\nb\tben\n", train="".join(pairs), dev=pairs[0], test=pairs[5])
    with pytest.raises(InputError, match="graph graph: no triple of dev has a false neighbour"):
        train(make(graph=str(folder)), Reporter(quiet=True))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": "a\tr\n"}, "train.tsv:1: expected head, relation, tail, separated by tabs, got 2 column(s)"),
        ({"dev": "a\tr\tb\t0\n"}, "dev.tsv:1: expected 1 or -1 in the fourth column, got '0'"),
        ({"entities": "a\nb\tben\nc\tcleo\n"}, "entities.tsv:1: 'a' has no text"),
        ({"entities": "a\tada\nb\tben\n"}, "train.tsv:2: entity 'c' has no text: give it a row in entities.tsv"),
        ({"relations": "r\tlikes\n"}, "train.tsv:2: relation 's' has no text: give it a row in relations.tsv"),
        ({"train": "a\tr\tb\n"}, "dev.tsv: relation 's' is never in train"),
        ({"test": ""}, "test.tsv: holds no rows; expected head, relation, tail"),
        ({"test": "b\tr\ta\t-1\n"}, "test.tsv: holds no true triple"),
        ({"test": None}, "expected test.tsv or test.tsv.gz, got neither"),
    ],
)
def test_a_bad_graph_ends_in_one_line_and_exit_code_2(files, message, encoder, monkeypatch, capsys, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    write_graph(folder, **files)
    flags = ["--recipe", "kg_bert", "--checkpoint", encoder, "--graph", str(folder), "--output", str(tmp_path / "run")]
    training = run_script(main, "train_encoder.py", flags, monkeypatch, capsys)
    checking = run_script(check, "build_tasks.py", ["--check", str(folder)], monkeypatch, capsys)
    for code, _, complaint in (training, checking):
        assert code == 2
        assert message in complaint
        assert complaint.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_check_shows_a_graph_and_ends_with_1_where_test_stands_in_train(monkeypatch, capsys, tmp_path):
    report = tmp_path / "report.json"
    flags = ["--check", str(write_graph(tmp_path)), "--report", str(report)]
    code, shown, _ = run_script(check, "build_tasks.py", flags, monkeypatch, capsys)
    assert code == 0
    assert "3 entities, 2 relations" in shown
    assert "no faults" in shown
    write_graph(tmp_path, test="b\ts\tc\n")
    code, shown, _ = run_script(check, "build_tasks.py", flags, monkeypatch, capsys)
    assert code == 1
    assert "fault: 1 true triples of test stand in train too, such as b s c" in shown
    written = json.loads(report.read_text())
    assert written["graph"]["n_shown"] == [0, 1]
    assert len(written["faults"]) == 1


def test_more_false_triples_than_there_are_or_than_memory_holds_are_refused(make, monkeypatch):
    graph = load_graph("made")
    check_negatives(2 * 141, graph)  # of 142 entities, each other one as the head or the tail
    settings = make(negatives=2 * 141 + 1)
    with pytest.raises(InputError, match="--negatives 283: a triple of graph made has at most 282 false neighbours"):
        RECIPE.plan(settings, find_origin(settings), Reporter(quiet=True))
    monkeypatch.setattr("probing.training.recipes.kg_bert.find_room", lambda: 10**6)
    with pytest.raises(InputError, match=r"--negatives 4: 6,080 false triples .* expected at most 3$"):
        check_negatives(4, graph)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--graph", "no/such"], "--graph no/such: no such folder"),
        (["--graph", "umls"], "pip install 'bermo-probing[kg]'"),
        (["--graph", "~nouser/x"], "--graph ~nouser/x: no such"),
        (["--graph", "x" * 300], "xx: no such folder"),
        (["--candidates", "5"], "--candidates 5: entities are ranked with --task links alone"),
        (["--negatives", "-1"], "--negatives -1: expected 0 or more"),
        (["--task", "relations", "--negatives", "2"], "--negatives 2: --task relations has none"),
        (["--task", "link"], "--task"),
        (["--baselines", "transe", "transe"], "--baselines transe transe: transe is there twice; name it once"),
        (["--rank-budget", "0"], "--rank-budget 0.0: expected more than 0"),
        (["--max-length", "6"], "--max-length 6: the marks of 3 segments and a word of each take 7"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(flags, message, encoder, monkeypatch, capsys, tmp_path):
    if flags[-1] == "umls":
        monkeypatch.setattr("probing.tasks.graphs.sources.find_spec", lambda _: None)
    usual = ["--recipe", "kg_bert", "--checkpoint", encoder, "--device", "cpu", "--output", str(tmp_path / "run")]
    code, _, complaint = run_script(main, "train_encoder.py", [*usual, *flags], monkeypatch, capsys)
    assert code == 2
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "run").exists()
