"""Scores of a discriminator, against scikit-learn; beside always saying "original"."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from sklearn.metrics import roc_auc_score
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from probing.training.evaluation.replaced import ReplacedTokens, TokenAnswers, compute_auc, rank
from probing.training.objectives.replaced import detect, fill
from tests.helpers import build_config
from tests.running_text import draw_batch


@pytest.fixture
def accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)  # whoever made one before chose its precision for all
    return Accelerator(cpu=True)


def draw_answers(n=30, length=12, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    replaced = rng.random((n, length)) < 0.2
    logits = rng.normal(size=(n, length)) + replaced
    return (np.round(logits) if ties else logits), replaced


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_under_the_curve_is_scikit_learns_also_where_blocks_count_more_than_once(ties):
    logits, replaced = draw_answers(ties=ties)
    counts = np.random.default_rng(1).integers(0, 4, len(logits)).astype(float)
    weights = np.broadcast_to(counts[:, None], logits.shape)
    expected = roc_auc_score(replaced.ravel(), logits.ravel(), sample_weight=weights.ravel())
    assert compute_auc(rank(logits), replaced, counts) == pytest.approx(expected)


def test_one_kind_alone_has_no_area():
    logits, _ = draw_answers()
    assert np.isnan(compute_auc(rank(logits), np.zeros(logits.shape, dtype=bool), np.ones(len(logits))))


def evaluate(model, generator, batch, accelerator):
    evaluation = ReplacedTokens({"dev": batch}, lambda: generator, fill, detect, 0)
    return evaluation, evaluation.answer(model, batch, accelerator)


@pytest.fixture
def pair():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = build_config("electra", hidden_dropout_prob=0.5)
        return ElectraForMaskedLM(config).train(), ElectraForPreTraining(config).train()


def test_answers_are_the_discriminators_in_eval_mode_and_do_not_depend_on_batches(pair, accelerator, monkeypatch):
    generator, model = pair
    batch = draw_batch(n=12)
    _, whole = evaluate(model, generator, batch, accelerator)
    monkeypatch.setattr("probing.training.evaluation.by_block.TOKENS", 30)
    _, parts = evaluate(model, generator, batch, accelerator)
    assert model.training
    assert generator.training
    np.testing.assert_array_equal(whole.replaced, parts.replaced)
    np.testing.assert_allclose(whole.logits, parts.logits, atol=1e-6)
    assert not whole.replaced[~batch.hidden].any()
    assert whole.n_hidden == batch.hidden.sum()


def score(logits, replaced):
    evaluation = ReplacedTokens({}, lambda: None, fill, detect, 0)
    rows = evaluation._score_answers(TokenAnswers(logits, replaced, int(replaced.sum())), "dev")
    return {row.metric: row for row in rows}


def test_always_original_is_what_accuracies_are_held_against():
    logits, replaced = draw_answers()
    rows = score(np.full(logits.shape, -1.0), replaced)
    assert rows["detection_accuracy"].value == rows["detection_accuracy"].majority == pytest.approx(1 - replaced.mean())
    assert rows["replaced_accuracy"].value == rows["replaced_accuracy"].majority == 0
    assert rows["replaced_auc"].value == rows["replaced_auc"].majority == 0.5
    assert all(row.diverged for row in rows.values())


def test_a_discriminator_that_knows_is_right_everywhere():
    _, replaced = draw_answers()
    rows = score(np.where(replaced, 1.0, -1.0), replaced)
    assert [row.value for row in rows.values()] == [1, 1, 1]
    assert rows["replaced_accuracy"].n == replaced.sum()
    assert not any(row.diverged for row in rows.values())


def test_intervals_hold_the_score():
    logits, replaced = draw_answers(n=100)
    for row in score(logits, replaced).values():
        assert row.ci_low < row.value < row.ci_high


def test_dev_is_measured_by_the_loss_that_is_learned(pair, accelerator):
    generator, model = pair
    batch = draw_batch(n=12)
    evaluation, answers = evaluate(model, generator, batch, accelerator)
    measured = evaluation.measure(model, accelerator)
    logits, replaced = torch.from_numpy(answers.logits).double(), torch.from_numpy(answers.replaced).double()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, replaced).item()
    assert measured["dev_loss"] == pytest.approx(expected)
    assert measured["dev_score"] == pytest.approx(roc_auc_score(answers.replaced.ravel(), answers.logits.ravel()))
    assert measured["dev_generator_accuracy"] == pytest.approx(1 - answers.replaced.sum() / batch.hidden.sum())
