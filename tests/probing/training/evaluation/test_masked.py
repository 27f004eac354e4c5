"""Scores on hidden tokens, against numpy; what knows nothing of the input; the interval's cover."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import AutoModelForMaskedLM

from probing.training.evaluation.by_block import mean_with_interval
from probing.training.evaluation.masked import HiddenAnswers, MaskedTokens, predict_hidden
from tests.helpers import build_config
from tests.running_text import SIZE, draw_batch


@pytest.fixture
def accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)  # whoever made one before chose its precision for all
    return Accelerator(cpu=True)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForMaskedLM.from_config(build_config("bert", hidden_dropout_prob=0.5)).train()


def test_answers_are_those_of_the_whole_model_in_eval_mode_in_the_order_of_the_text(model, accelerator, monkeypatch):
    monkeypatch.setattr("probing.training.evaluation.by_block.TOKENS", 40)
    batch = draw_batch(n=10)
    answers = predict_hidden(model, batch, accelerator)
    assert model.training
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.from_numpy(batch.shown)).logits.double()
    chosen, labels = logits.numpy()[batch.hidden], batch.original[batch.hidden]
    np.testing.assert_array_equal(answers.labels, labels)
    np.testing.assert_array_equal(answers.right, chosen.argmax(axis=1) == labels)
    np.testing.assert_array_equal(answers.blocks, np.nonzero(batch.hidden)[0])
    expected = np.log(np.exp(chosen).sum(axis=1)) - chosen[np.arange(len(labels)), labels]
    np.testing.assert_allclose(answers.losses, expected, rtol=1e-5)


def answer(right, losses=None, labels=None, per_block=4):
    right = np.asarray(right)
    losses = np.ones(len(right)) if losses is None else losses
    labels = np.full(len(right), 9) if labels is None else labels
    return HiddenAnswers(losses, right, labels, np.arange(len(right)) // per_block)


def test_scores_are_means_over_tokens_and_bits_are_nats_over_ln_2():
    counts = np.zeros(SIZE, dtype=int)
    counts[[9, 10]] = [30, 10]
    right = np.arange(40) % 4 == 0
    labels = np.where(np.arange(40) % 5 == 0, 9, 10)
    losses = np.linspace(0.1, 2, 40)
    accuracy, bits = MaskedTokens({}, counts, 0).score_answers(answer(right, losses, labels), "dev")
    assert (accuracy.metric, accuracy.value, accuracy.n, accuracy.majority) == ("masked_accuracy", 0.25, 40, 0.2)
    assert not accuracy.diverged
    probabilities = np.array([31, 11]) / (40 + SIZE)
    expected = -(np.log2(probabilities[0]) * 0.2 + np.log2(probabilities[1]) * 0.8)
    assert (bits.metric, bits.majority) == ("bits_per_token", pytest.approx(expected))
    assert bits.value == pytest.approx(losses.mean() / np.log(2))
    assert bits.ci_low < bits.value < bits.ci_high


def test_a_model_that_knows_no_more_than_frequencies_has_failed():
    counts = np.zeros(SIZE, dtype=int)
    counts[[9, 10]] = [30, 10]
    labels = np.where(np.arange(40) % 5 == 0, 9, 10)
    coded = -np.log((counts + 1) / (counts + 1).sum())[labels]
    accuracy, bits = MaskedTokens({}, counts, 0).score_answers(answer(labels == 9, coded, labels), "dev")
    assert accuracy.diverged
    assert bits.diverged
    assert bits.value == pytest.approx(bits.majority)


@pytest.mark.slow
def test_the_interval_over_blocks_covers_where_one_over_tokens_does_not():
    rng = np.random.default_rng(0)
    n_blocks, per_block, covered = 60, 20, {"blocks": 0, "tokens": 0}
    blocks = np.repeat(np.arange(n_blocks), per_block)
    for trial in range(100):
        rates = rng.beta(1, 1, n_blocks)
        values = (rng.random(len(blocks)) < rates[blocks]).astype(float)
        for kind, units in (("blocks", blocks), ("tokens", np.arange(len(blocks)))):
            _, low, high = mean_with_interval(values, units, np.random.default_rng(trial))
            covered[kind] += low <= 0.5 <= high
    # Of 100 trials at 95 %: three standard deviations below.
    assert covered["blocks"] >= 88
    assert covered["tokens"] < 70
