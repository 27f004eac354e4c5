"""The masked language model's loss, against numpy and transformers."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from probing.training.objectives.masked import Masked
from tests.helpers import build_config
from tests.running_text import draw_batch


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForMaskedLM.from_config(build_config("bert")).eval()


def compute(model, batch, rows=None):
    rows = np.arange(len(batch)) if rows is None else rows
    return Masked().losses(model, batch.collate(rows, "cpu"), torch.Generator())["masked"]


def test_the_loss_is_the_mean_cross_entropy_of_the_hidden_tokens(model):
    batch = draw_batch()
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(batch.shown)).logits.double().numpy()
    chosen, labels = logits[batch.hidden], batch.original[batch.hidden]
    expected = np.mean([np.log(np.exp(row - row[label]).sum()) for row, label in zip(chosen, labels, strict=True)])
    assert compute(model, batch).item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_is_that_of_transformers(model):
    batch = draw_batch()
    labels = torch.from_numpy(np.where(batch.hidden, batch.original, -100))
    expected = model(input_ids=torch.from_numpy(batch.shown), labels=labels).loss
    assert compute(model, batch).item() == pytest.approx(expected.item(), rel=1e-6)


def test_gradients_are_those_of_transformers(model):
    batch = draw_batch()
    compute(model, batch).backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    labels = torch.from_numpy(np.where(batch.hidden, batch.original, -100))
    model(input_ids=torch.from_numpy(batch.shown), labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_parts_that_hide_unequally_many_tokens_add_up_to_the_batch(model):
    batch = draw_batch()
    parts = [np.array([0, 1]), np.array([2, 3, 4, 5])]
    counts = [batch.hidden[part].sum() / len(part) for part in parts]
    assert counts[0] != counts[1]
    total = sum(compute(model, batch, part).item() * len(part) / len(batch) for part in parts)
    assert total == pytest.approx(compute(model, batch).item(), rel=1e-6)
