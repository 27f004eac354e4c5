"""Masked language models of every architecture: logits at hidden tokens alone, sampling, and where one is found."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from probing.encoders import masked_lm
from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.masked_lm import find_masked_lm, load_masked_lm, predict_at, sample_tokens
from probing.records import InputError
from tests.helpers import ARCHITECTURES, build_config, save_encoder, save_tokenizer

PLACES = torch.tensor([0, 4, 13, 29])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_at_some_tokens_are_those_of_the_whole_model(architecture):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(build_config(architecture)).eval()
        inputs = {"input_ids": torch.randint(5, 20, (3, 10))}
    with torch.no_grad():
        whole = model(**inputs).logits
        some = predict_at(model, inputs, PLACES)
        again = model(**inputs).logits
    torch.testing.assert_close(some, whole.flatten(0, 1)[PLACES], rtol=0, atol=1e-6)  # other shapes, other sums
    assert torch.equal(again, whole)


def test_no_other_token_reaches_the_vocabularys_head():
    model = AutoModelForMaskedLM.from_config(build_config("bert")).eval()
    seen = []
    model.cls.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[:-1].numel()))
    predict_at(model, {"input_ids": torch.ones(3, 10, dtype=torch.long)}, PLACES)
    assert seen == [len(PLACES)]


def test_tokens_are_sampled_as_often_as_they_are_probable():
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0, float("-inf")]])
    n = 200_000
    noise = torch.from_numpy(np.random.default_rng(0).random(n, dtype=np.float32))
    drawn = sample_tokens(logits.expand(n, -1), noise).numpy()
    expected = logits[0].softmax(0).numpy()
    shares = np.bincount(drawn, minlength=5) / n
    np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / np.sqrt(n))
    assert shares[4] == 0


@pytest.mark.parametrize("noise", [0.0, 0.5, 1 - 2**-24])
def test_a_sampled_token_is_never_an_impossible_one(noise):
    logits = torch.full((1, 30_000), float("-inf"))
    logits[0, [7, 11]] = 0.0
    assert sample_tokens(logits, torch.tensor([noise])).item() == (7 if noise < 0.5 else 11)


def test_a_head_that_was_not_stored_is_drawn_and_tied_and_the_encoder_is_what_was_stored(tiny_folder):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model, report = load_masked_lm(find_checkpoint(str(tiny_folder)))
    assert all(name.startswith("cls.") for name in report["missing_keys"])
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.cls.predictions.transform.dense.weight.std().item() == pytest.approx(0.02, rel=0.4)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(masked_lm, "MASKED_LM_RUNS", tmp_path / "results")
    save_encoder(tmp_path / "encoder")
    return tmp_path


def make_masked_lm(folder, make_tokenizer=None):
    AutoModelForMaskedLM.from_config(build_config("bert")).save_pretrained(folder)
    save_tokenizer(folder, make_tokenizer=make_tokenizer)


def test_an_encoder_with_a_head_is_its_own_masked_language_model(runs):
    make_masked_lm(runs / "own")
    assert find_masked_lm(str(runs / "own")).folder == runs / "own"


def test_that_of_an_encoder_without_a_head_stands_in_the_run_folder_named_after_it(runs):
    place = runs / "results" / "masked-lm-encoder" / "models" / "seed-0"
    make_masked_lm(place)
    assert find_masked_lm(str(runs / "encoder")).folder == place


def test_where_there_is_none_the_command_that_makes_it_is_named(runs):
    with pytest.raises(InputError, match=r"--recipe pretrain --checkpoint .*encoder --text FOLDER --output .*encoder$"):
        find_masked_lm(str(runs / "encoder"))


def test_one_that_has_no_head_or_another_vocabulary_is_refused(runs):
    place = runs / "results" / "masked-lm-encoder"
    save_encoder(place)
    with pytest.raises(InputError, match="no masked language model"):
        find_masked_lm(str(runs / "encoder"))
    make_masked_lm(place, ARCHITECTURES["roberta"][2])
    with pytest.raises(InputError, match="has another vocabulary than checkpoint"):
        find_masked_lm(str(runs / "encoder"))
