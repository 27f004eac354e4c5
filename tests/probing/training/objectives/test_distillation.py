from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from probing.records import InputError
from probing.settings.training import TrainSettings
from probing.training.contracts import Examples
from probing.training.objectives.distillation import Distillation, distillation_loss, load_teacher
from probing.training.run import find_origin
from tests.helpers import build_task, save_encoder, save_tokenizer
from tests.probing.training.transforms.test_pruning import build_classifier

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(2, 6, 3))
LABELS = np.array([0, 1, 2, 0, 1, 1])


def divergence(student, teacher, temperature):
    taught, learned = (log_softmax(logits / temperature, axis=1) for logits in (teacher, student))
    return temperature**2 * (np.exp(taught) * (taught - learned)).sum(axis=1).mean()


class Fixed(nn.Module):
    """Answers with the same logits whatever it is asked."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.from_numpy(logits))

    def forward(self, **inputs):
        return SimpleNamespace(logits=1 * self.logits)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_distillation_is_the_divergence_of_softened_probabilities_times_the_temperature_squared(temperature):
    found = distillation_loss(torch.from_numpy(STUDENT), torch.from_numpy(TEACHER), temperature)
    assert found.item() == pytest.approx(divergence(STUDENT, TEACHER, temperature), rel=1e-5)  # float32


def test_nothing_is_left_to_learn_from_a_teacher_that_answers_alike():
    shifted = torch.from_numpy(STUDENT + 3.0)  # the same probabilities
    assert distillation_loss(torch.from_numpy(STUDENT), shifted, 2.0).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_is_shared_between_labels_and_teacher(share):
    student, teacher = Fixed(STUDENT), Fixed(TEACHER)
    objective = Distillation(teacher, share, 2.0)
    losses = objective.losses(student, Examples({}, torch.from_numpy(LABELS)), torch.Generator())
    assert losses.keys() == objective.weights.keys()
    loss = sum(objective.weights[name] * one for name, one in losses.items())
    own = -log_softmax(STUDENT, axis=1)[np.arange(6), LABELS].mean()
    assert loss.item() == pytest.approx((1 - share) * own + share * divergence(STUDENT, TEACHER, 2.0), rel=1e-5)
    loss.backward()
    assert teacher.logits.grad is None
    assert student.logits.grad.norm() > 0


@pytest.fixture
def task():
    return build_task()


def save_classifier(folder, task, classes=None, model_name="bert"):
    model = build_classifier(model_name)
    model.config.id2label = dict(enumerate(classes or task.classes))
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return model


def load(teacher, student, task):
    return load_teacher(str(teacher), task, find_origin(TrainSettings(checkpoint=str(student))))


@pytest.mark.parametrize("model_name", ["bert", "bermo"])
def test_a_teacher_is_the_classifier_in_its_folder_frozen_and_in_eval_mode(model_name, task, tiny_folder, tmp_path):
    saved = save_classifier(tmp_path, task, model_name=model_name)
    teacher = load(tmp_path, tiny_folder, task)
    inputs = torch.arange(5, 17).view(3, 4)
    assert torch.equal(teacher(inputs).logits, saved(inputs).logits)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_teacher_of_other_classes_is_refused(task, tiny_folder, tmp_path):
    save_classifier(tmp_path, task, classes=task.classes[::-1])
    with pytest.raises(InputError, match="knows the classes PRES, PAST; expected those of past_present: PAST, PRES"):
        load(tmp_path, tiny_folder, task)


def test_a_teacher_that_was_not_fine_tuned_is_refused(task, tiny_folder):
    with pytest.raises(InputError, match=r"its weights lack classifier\.bias; expected a fine-tuned classifier"):
        load(tiny_folder, tiny_folder, task)


def test_a_teacher_of_another_vocabulary_is_refused(task, tmp_path):
    save_classifier(tmp_path / "teacher", task)
    student = save_encoder(tmp_path / "student", "roberta")
    with pytest.raises(InputError, match="has another vocabulary than --checkpoint"):
        load(tmp_path / "teacher", student, task)
