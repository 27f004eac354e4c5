"""Quality of written sentences, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForMaskedLM

from probing.training.contracts import Written
from probing.training.evaluation.augmentation import Judge, list_changed, list_new_words, share_distinct
from probing.training.evaluation.likelihood import compute_losses, perplexity_with_interval
from tests.helpers import build_config


def row_of(row, text, label, old=("a",), new=("b",)):
    return Written(row, 0, (text,), label, (1,) * len(old), old, new)


class Splits:
    """Sentences of one length whose first letter the model takes for the label."""

    def __init__(self, rows):
        self.rows, self.labels, self.lengths = rows, np.array([row.label for row in rows]), np.ones(len(rows))

    def __len__(self):
        return len(self.rows)

    def list_batches(self, n_tokens):
        return [np.arange(len(self.rows))]

    def collate(self, rows, device):
        said = torch.tensor([int(self.rows[row].text[0][0]) for row in rows])
        return SimpleNamespace(inputs={"said": said}, labels=torch.from_numpy(self.labels[rows]))


class Answering(torch.nn.Module):
    def forward(self, said):
        return SimpleNamespace(logits=torch.nn.functional.one_hot(said, 2).float())


def judge(tables, pairs=()):
    task = SimpleNamespace(score=lambda *_: [], loss=torch.nn.functional.cross_entropy)
    one = Judge(task, tables, Splits, lambda *_: np.array([9.0, 8.0, 10.0]), 200, pairs, frozenset({"0", "1"}), 0)
    return one, {score.metric: score for score in one.score(Answering(), Accelerator(cpu=True))}


def test_a_label_is_kept_where_the_judge_still_gives_it_and_pairs_are_compared_over_common_sources():
    label_aware = [row_of(row, f"{row % 2} x", row % 2) for row in range(40)]
    blind = [row_of(row, f"{row % 2 if row % 4 else 1} x", row % 2) for row in range(20, 60)]
    one, scores = judge({"conditional": label_aware, "unconditional": blind}, [("conditional", "unconditional")])
    assert scores["label_kept/conditional"].value == 1
    assert scores["label_kept/unconditional"].value == 0.75  # every fourth is taken for the other class
    gain = scores["label_kept/conditional minus unconditional"]
    assert (gain.value, gain.n) == (0.25, 20)
    assert 0 < gain.ci_low < 0.25 < gain.ci_high < 0.6
    assert scores["perplexity/conditional"].value == 9
    answers = one.list_answers()
    assert answers["predicted"][answers["way"] == "unconditional"].tolist() == [
        row % 2 if row % 4 else 1 for row in range(20, 60)
    ]


def test_shares_are_those_counted_by_hand():
    rows = [row_of(0, "the cat The cat", 0, ("a", "b"), ("a", "c")), row_of(1, "a dog", 1)]
    assert list_changed(rows).tolist() == [0.5, 1.0]
    assert list_new_words(rows, frozenset({"the", "dog"})).tolist() == [0.5, 0.5]
    assert share_distinct(rows, 1) == 4 / 6
    assert share_distinct(rows, 2) == 3 / 4  # the cat, cat the, the cat, a dog


def test_the_perplexity_is_that_of_each_token_hidden_by_itself():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(build_config("bert")).eval()
    special = np.arange(model.config.vocab_size) < 5
    sentences = [np.array(ids) for ids in ([2, 7, 9, 3], [2, 11, 8, 6, 3], [2, 6, 7, 3])]
    expected = []
    for ids in sentences:
        for place in range(1, len(ids) - 1):
            shown = torch.from_numpy(ids.copy())[None]
            shown[0, place] = 4
            with torch.no_grad():
                expected.append(-model(shown).logits[0, place].log_softmax(dim=0)[ids[place]].item())
    found = compute_losses(model, sentences, special, 4, Accelerator(cpu=True))
    assert np.concatenate(found) == pytest.approx(expected, rel=1e-5)
    value, low, high = perplexity_with_interval(found, np.random.default_rng(0))
    assert value == pytest.approx(np.exp(np.mean(expected)), rel=1e-5)
    assert low <= value <= high
