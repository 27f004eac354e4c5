"""Held-out losses of a student: whole, over batches, against their mean by hand."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from probing.training.evaluation.teacher_states import HeldOut, TeacherStates

LOSSES = np.array([3.0, 1.0, 4.0, 1.0, 5.0])


class Mode(nn.Module):
    """A model of which only its mode is looked at."""


def compare(model, examples):
    assert not model.training
    assert not torch.is_grad_enabled()
    return {"hidden": torch.from_numpy(LOSSES[examples]), "attention": torch.from_numpy(2 * LOSSES[examples])}


@pytest.fixture
def evaluation():
    held = HeldOut([np.array([3, 0]), np.array([1, 2, 4])], lambda rows, device: rows)
    return TeacherStates({"dev": held, "test": held}, compare, 0)


def test_the_headline_is_the_opposite_of_the_mean_sum_of_all_losses(evaluation):
    model = Mode().train()
    found = evaluation.measure(model, Accelerator(cpu=True))
    assert found == pytest.approx(
        {"dev_loss": 8.4, "dev_score": -8.4, "dev_loss_hidden": 2.8, "dev_loss_attention": 5.6}
    )
    assert model.training


def test_each_split_has_one_score_with_an_interval_around_it(evaluation):
    dev, test = evaluation.score(Mode(), Accelerator(cpu=True))
    assert (dev.split, test.split, dev.metric, dev.n) == ("dev", "test", "distillation_loss", 5)
    assert dev.value == pytest.approx(8.4)
    assert 3.0 <= dev.ci_low < dev.value < dev.ci_high <= 15.0
    assert not dev.diverged
