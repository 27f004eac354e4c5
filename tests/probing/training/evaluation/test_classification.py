import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from sklearn.metrics import log_loss

from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.encoders.classifiers import build_bert
from probing.encoders.inputs import ModelInputs
from probing.training.data.labelled import TokenisedSplit
from probing.training.evaluation.classification import has_diverged, predict, score_majority
from probing.training.objectives.supervised import compute_loss
from tests.helpers import LIMIT, build_task


def test_answers_are_what_the_model_predicts_of_each_sentence_alone(tiny_folder):
    found = find_checkpoint(str(tiny_folder))
    model = build_bert(found, 2, 0.5, torch.Generator().manual_seed(0)).train()
    with torch.no_grad():
        model.classifier.weight.mul_(100)
    tokenizer, split = load_tokenizer(found), build_task().splits["train"]
    AcceleratorState._reset_state(reset_partial_state=True)  # whoever made one before chose its precision for all
    tokenised = TokenisedSplit(ModelInputs(tokenizer, model.config, LIMIT), split)
    answers = predict(model, tokenised, compute_loss, Accelerator(cpu=True))
    assert model.training
    model.eval()
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for (text,) in split.texts]
    probabilities = torch.stack(logits).double().softmax(dim=1).numpy()
    np.testing.assert_array_equal(answers.predicted, probabilities.argmax(axis=1))
    assert answers.loss == pytest.approx(log_loss(split.labels, probabilities), rel=1e-4)


def test_the_majority_scores_the_share_of_trains_most_frequent_class():
    task = build_task()
    frequent = np.bincount(task.splits["train"].labels).argmax()
    assert score_majority(task, "test", "accuracy") == np.mean(task.splits["test"].labels == frequent)
    assert score_majority(task, "test", "matthews") == 0


@pytest.mark.parametrize(
    ("score", "expected"), [(0.50, True), (0.51, True), (0.52, False), (float("nan"), True), (0.3, True)]
)
def test_a_run_has_diverged_at_or_below_majority_and_a_point_or_without_a_number(score, expected):
    assert has_diverged(score, 0.5) is expected
