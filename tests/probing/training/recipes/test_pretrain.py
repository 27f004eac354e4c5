"""Pre-training: encoders of any architecture and size, that load as any other; both objectives; what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.progress import Reporter
from probing.run_senteval import main as probe
from probing.train_encoder import main
from probing.training import loop
from probing.training.data.masking import Masking
from probing.training.evaluation.masked import predict_hidden
from probing.training.plan import Start
from probing.training.recipes.pretrain import PretrainSettings, find_origin, prepare_text, try_out
from probing.training.recipes.pretrain_stages import build_discriminator, build_generator, choose_pace
from probing.training.run import train
from tests.helpers import build_task, run_script, save_encoder, write_task

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return try_out(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def make(tiny, tmp_path):
    """Function: settings of a short training, changed as asked."""

    def make_settings(folder="run", **changes):
        usual = {"max_steps": 4, "batch_size": 8, "log_every": 1, "evaluate_every": 2, "learning_rate": 1e-2}
        usual |= {"output": tmp_path / folder, "device": "cpu", "quiet": True, "dtype": "float32"}
        return PretrainSettings(**(tiny | usual | changes))

    return make_settings


@pytest.fixture
def make_new(make, tiny):
    """Function: the same for a new encoder, with the tiny one's tokenizer."""
    sizes = {"checkpoint": "none", "tokenizer": tiny["checkpoint"], "hidden_size": 12, "layers": 2, "heads": 3}
    return lambda folder="run", **changes: make(folder, **(sizes | changes))


def run(settings):
    return train(settings, QUIET).folder


def read_tables(folder):
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("training_log", "trained_models")]
    return [table.drop(columns=["seconds", "tokens_per_s", "peak_rss_bytes"], errors="ignore") for table in tables]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bert", "electra", "roberta", "distilbert", "deberta-v2", "modernbert", "lv_bert"])
def test_a_new_encoder_of_any_architecture_has_the_sizes_asked_for_and_loads_with_and_without_its_head(make_new, model):
    settings = make_new(model=model, intermediate_size=20)
    folder = run(settings) / "models" / "seed-0"
    whole, bare = AutoModelForMaskedLM.from_pretrained(folder), AutoModel.from_pretrained(folder)
    config = bare.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (12, 2, 3)
    assert 20 in (getattr(config, "intermediate_size", 0), getattr(config, "hidden_dim", 0))
    assert whole.get_output_embeddings().weight is whole.get_input_embeddings().weight
    ids = torch.tensor([[2, *range(5, 16), 3]])
    states = whole.base_model.eval()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(bare.eval()(input_ids=ids).last_hidden_state, states)
    assert AutoTokenizer.from_pretrained(folder)("a b").input_ids[0] == 2


def test_the_kept_model_scores_as_the_table_says(make, tiny):
    settings = make(limit_dev=5)
    folder = run(settings)
    model = AutoModelForMaskedLM.from_pretrained(folder / "models" / "seed-0")
    held = prepare_text(settings, find_origin(settings, print), QUIET).hold("dev", Masking(), 5)
    answers = predict_hidden(model, held, Accelerator(cpu=True))
    _, models = read_tables(folder)
    dev = models[models["split"] == "dev"].set_index("metric")["value"]
    assert dev["masked_accuracy"] == pytest.approx(answers.right.mean())
    assert dev["bits_per_token"] == pytest.approx(answers.losses.mean() / np.log(2), rel=1e-5)
    assert (models["task"] == "text").all()


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["masked", pytest.param("replaced", marks=pytest.mark.slow)])
def test_its_layers_can_be_probed(make, objective, monkeypatch, capsys, tmp_path):
    folder = run(make(objective=objective))
    arguments = ["--model", "bert", "--checkpoint", folder, "--data", tmp_path / "data"]
    write_task(tmp_path / "data", build_task())
    arguments += ["--gradients", "0", "--no-report", "--quiet", "--device", "cpu"]
    arguments += ["--output", tmp_path / "probed", "--cache-dir", tmp_path / "cache"]
    code, _, complaint = run_script(probe, "run_senteval.py", list(map(str, arguments)), monkeypatch, capsys)
    assert code == 0, complaint
    scores = pd.read_parquet(tmp_path / "probed" / "scores.parquet")
    assert {0, 1, 2} <= set(scores["layer"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "auto"),
    [
        ("bert", AutoModelForTokenClassification),
        ("electra", AutoModelForPreTraining),
        ("lv_bert", AutoModelForPreTraining),
    ],
)
def test_a_discriminator_loads_as_what_its_readme_says(make_new, model, auto):
    folder = run(make_new(model=model, objective="replaced")) / "models" / "seed-0"
    loaded, report = auto.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    readme = (folder / "README.md").read_text()
    assert f"{auto.__name__}.from_pretrained" in readme
    assert f"run_senteval.py --model {'lv_bert' if model == 'lv_bert' else 'bert'}" in readme
    logits = loaded(input_ids=torch.tensor([[2, 5, 6, 3]])).logits
    assert logits.numel() == 4


def kill(settings, monkeypatch):
    class KilledError(Exception):
        pass

    def save_and_die(*arguments):
        usual(*arguments)
        raise KilledError

    usual = loop.save_state
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KilledError):
            run(settings)


@pytest.mark.slow
@pytest.mark.parametrize("new", [False, True])
def test_replaced_tokens_killed_go_on_to_the_same_numbers(make, make_new, new, monkeypatch):
    settings = (make_new if new else make)("killed", objective="replaced", max_steps=6, checkpoint_every=3)
    kill(settings, monkeypatch)
    resumed = read_tables(run(settings))
    whole = read_tables(run(replace(settings, output=settings.output.with_name("whole"))))
    for one, other in zip(whole, resumed, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.slow
def test_a_vocabulary_of_ones_own_is_the_same_when_a_killed_run_goes_on(make, monkeypatch):
    settings = make("killed", checkpoint="none", vocabulary=12, max_steps=6, checkpoint_every=3)
    kill(settings, monkeypatch)
    resumed = read_tables(run(settings))
    whole = read_tables(run(replace(settings, output=settings.output.with_name("whole"))))
    for one, other in zip(whole, resumed, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert len(load_tokenizer(find_checkpoint(str(settings.output)))) == 11  # five marks, six letters


@pytest.mark.slow
def test_parts_of_a_batch_of_replaced_tokens_add_up_to_the_batch(make):
    steps = {"objective": "replaced", "max_steps": 3, "dropout": 0.0, "learning_rate": 1e-3}
    whole, _ = read_tables(run(make("whole", **steps)))
    parts, _ = read_tables(run(make("parts", accumulation_steps=3, **steps)))
    for quantity in ("loss", "loss_generator", "loss_discriminator", "gradient_norm"):
        one, other = (log.loc[log["quantity"] == quantity, "value"] for log in (whole, parts))
        np.testing.assert_allclose(one, other, rtol=5e-4)  # float32 sums in another order, through three steps


@pytest.mark.slow
def test_a_discriminator_learns_to_beat_always_original(make_new):
    settings = make_new(model="electra", objective="replaced", max_steps=300, dropout=0.0, evaluate_every=150)
    settings = replace(settings, hidden_size=32, heads=2, learning_rate=3e-3, batch_size=16)
    _, models = read_tables(run(settings))
    test = models[models["split"] == "test"].set_index("metric")
    assert test.loc["replaced_auc", "ci_low"] > 0.9
    assert test.loc["detection_accuracy", "value"] > test.loc["detection_accuracy", "majority"]


def test_a_head_alone_is_learned_where_all_layers_are_frozen(make, tiny):
    folder = run(make(freeze_up_to=2)) / "models" / "seed-0"
    trained, start = AutoModelForMaskedLM.from_pretrained(folder), AutoModel.from_pretrained(tiny["checkpoint"])
    ids = torch.tensor([[2, 5, 6, 3]])
    same = [model.eval()(input_ids=ids).last_hidden_state for model in (trained.base_model, start)]
    torch.testing.assert_close(*same)


def test_tokens_are_a_budget_in_whole_steps(make):
    assert choose_pace(make(tokens=1000, max_steps=0), 16).max_steps == 8  # 1000 / (8 x 16), rounded up
    assert choose_pace(make(tokens=1000, max_steps=3), 16).max_steps == 3


def test_of_a_dataset_of_the_hub_no_more_is_taken_than_the_steps_need(make, tiny, tmp_path):
    hub = tmp_path / "hub"
    for split in ("train", "test"):
        (hub / split).parent.mkdir(exist_ok=True)
        lines = (Path(tiny["text"][0]) / f"{split}.txt").read_text().splitlines()
        (hub / f"{split}.txt").write_text("\n".join(lines))
    (hub / "validation.txt").write_text((hub / "test.txt").read_text())
    settings = make(text=(f"hub:{hub}",), max_steps=2)
    text = prepare_text(settings, find_origin(settings, print), QUIET)
    assert len(text.splits["train"]) == 2 * 8
    run(settings)


def test_blocks_are_no_longer_than_the_encoder_takes_which_is_told(make):
    told = []
    assert find_origin(make(max_length=64), told.append).limit == 16
    assert "no more than 16 tokens" in told[0]


@pytest.mark.parametrize("model", ["bert", "electra"])
def test_a_generator_is_narrower_and_shares_the_discriminators_table(make_new, model):
    settings = make_new(model=model, hidden_size=16, heads=4)
    origin = find_origin(settings, print)
    discriminator = build_discriminator(settings, origin, Start(origin.checkpoint, {}), torch.Generator())
    generator = build_generator(discriminator.config, 0.25, discriminator, 0)
    assert (generator.config.hidden_size, generator.config.num_attention_heads) == (4, 1)
    assert generator.get_output_embeddings().weight is discriminator.get_input_embeddings().weight
    again = build_generator(discriminator.config, 0.25, discriminator, 0)
    for one, other in zip(generator.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_seeds_draw_other_weights_and_masks(make_new):
    log, _ = read_tables(run(make_new(seeds=(0, 1), max_steps=1)))
    losses = log[log["quantity"] == "loss"].set_index("seed")["value"]
    assert losses[0] != losses[1]


BAD = {
    "other architecture": (["--model", "electra"], "encoder: a bert, but --model electra; use --model bert"),
    "no architecture": (["--model", "brt"], "no architecture with a head for masked tokens: did you mean bert"),
    "a decoder": (["--model", "gpt2"], "--model gpt2: no architecture with a head for masked tokens"),
    "sizes of a checkpoint": (["--hidden-size", "32"], "--hidden-size: is that of --checkpoint"),
    "no divisor": (["--checkpoint", "none", "--hidden-size", "20", "--heads", "3"], "3: does not divide --hidden"),
    "no embeddings": (["--checkpoint", "none", "--embedding-size", "8"], "--embedding-size: bert has none"),
    "frozen noise": (["--checkpoint", "none", "--freeze-up-to", "1"], "--freeze-up-to 1: keeps weights that are drawn"),
    "two vocabularies": (
        ["--checkpoint", "none", "--vocabulary", "30", "--tokenizer", "x"], "and --tokenizer: expected one",
    ),
    "a small vocabulary": (["--checkpoint", "none", "--vocabulary", "7"], "--vocabulary 7: too small for the letters"),
    "no text": (["--text", "nowhere.txt"], "--text nowhere.txt: no such file or folder"),
    "short blocks": (["--max-length", "4"], "--max-length 4: expected 8 or more"),
    "a share": (["--mask-share", "1.5"], "--mask-share 1.5: expected more than 0 and at most 1"),
    "objective": (["--objective", "next"], "invalid choice 'next'"),
    "no mask token": (["--checkpoint", "{roberta}", "--model", "roberta"], "its tokenizer has no mask token"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_ends_in_one_line_and_exit_code_2_and_overwrites_nothing(
    case, tiny, tmp_path, monkeypatch, capsys
):
    flags, message = BAD[case]
    if "{roberta}" in flags:
        save_encoder(tmp_path / "roberta", "roberta")
    given = [flag.format(roberta=tmp_path / "roberta") for flag in flags]
    usual = {"--text": tiny["text"][0], "--checkpoint": tiny["checkpoint"], "--output": tmp_path / "run"}
    usual |= {"--cache-dir": tmp_path / "cache", "--max-length": 16}
    rest = [str(part) for pair in usual.items() if pair[0] not in given for part in pair]
    (tmp_path / "run").mkdir()
    code, _, complaint = run_script(
        main, "train_encoder.py", ["--recipe", "pretrain", *given, *rest], monkeypatch, capsys
    )
    assert code == 2
    assert message in complaint
    assert complaint.count("\n") == 1
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_with_other_settings_in_the_folder_is_refused(make, tiny, tmp_path, monkeypatch, capsys):
    folder = run(make())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    arguments = ["--recipe", "pretrain", "--text", tiny["text"][0], "--checkpoint", tiny["checkpoint"]]
    arguments += ["--max-steps", "3", "--output", str(folder)]
    code, _, complaint = run_script(main, "train_encoder.py", arguments, monkeypatch, capsys)
    assert code == 2
    assert "holds a run with other settings" in complaint
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_positions_are_as_many_as_a_block_has_tokens(make_new):
    for model in ("bert", "roberta"):
        folder = run(make_new(model, model=model, max_steps=1)) / "models" / "seed-0"
        config = AutoConfig.from_pretrained(folder)
        assert config.max_position_embeddings - (config.pad_token_id + 1) * (model == "roberta") == 16
