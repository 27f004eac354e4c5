"""The published probe against its rules applied to one network at a time, and against the original where installed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from probing.probes.networks import Adam, start_networks
from probing.probes.senteval import SEED, STRENGTHS, SentEvalProbe
from tests.helpers import draw_stack

SIZES = (150, 60, 60)


pytestmark = pytest.mark.usefixtures("one_thread")


def draw(seed=0, signal=1.0):
    stack, labels = draw_stack(2, sum(SIZES), hidden=6, n_classes=3, seed=seed, signal=signal)
    borders = np.cumsum(SIZES)[:-1]
    return np.split(stack, borders, axis=1), np.split(labels, borders)


def train_alone(X, y, n_hidden, strength, *, faults, tenacity, epoch_size, max_epochs):
    """One network, as SentEval's classifier reads: torch's own layers, optimiser and global generators."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        layers = [nn.Linear(6, n_hidden), nn.Sigmoid(), nn.Linear(n_hidden, 3)] if n_hidden else [nn.Linear(6, 3)]
        model = nn.Sequential(*layers)
    optimiser = torch.optim.Adam(model.parameters(), weight_decay=strength)
    generator = np.random.RandomState(SEED)
    (train, dev), (labels, dev_labels) = (map(torch.from_numpy, pair) for pair in (X[:2], y[:2]))
    best, best_score, idle, epochs = None, -1.0, 0, 0
    while epochs <= max_epochs:
        for _ in range(epoch_size):
            order = torch.from_numpy(generator.permutation(len(train)))
            for rows in order.split(64):
                loss = nn.functional.cross_entropy(model(train[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        epochs += epoch_size
        score = (model(dev).argmax(dim=1) == dev_labels).double().mean().item()
        if score > best_score:
            best, best_score = copy.deepcopy(model), score
            idle = idle if faults else 0
        else:
            if faults and idle >= tenacity:
                break
            idle += 1
            if not faults and idle >= tenacity:
                break
    return best, best_score


@pytest.mark.parametrize("n_hidden", [0, 5])
@pytest.mark.parametrize("faults", [False, True])
def test_networks_trained_together_are_those_trained_one_by_one(n_hidden, faults):
    X, y = draw()
    options = {"tenacity": 2, "epoch_size": 2, "max_epochs": 30}
    probe = SentEvalProbe(n_hidden, faults=faults, **options).fit(X[0], y[0], X[1], y[1])
    for layer in range(2):
        vectors = [part[layer] for part in X]
        alone = [train_alone(vectors, y, n_hidden, one, faults=faults, **options) for one in STRENGTHS]
        scores = np.array([score for _, score in alone])
        assert probe.dev_scores_[layer] == pytest.approx(scores, abs=1e-6)
        chosen = int(np.argmax(scores.round(4))) if faults else len(scores) - 1 - int(np.argmax(scores[::-1]))
        assert probe.strength_[layer] == STRENGTHS[chosen]
        expected = alone[chosen][0](torch.from_numpy(vectors[2])).softmax(dim=1).detach().numpy()
        # A hundred steps in float32, added up in another order.
        assert probe.predict_proba(X[2])[layer] == pytest.approx(expected, abs=1e-4)


def test_the_start_is_that_of_torchs_linear_layers():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        inner, outer = nn.Linear(7, 4), nn.Linear(4, 3)
    found = start_networks(2, 7, 4, 3, SEED)
    for name, expected in {
        "weight0": inner.weight.T, "bias0": inner.bias[None], "weight1": outer.weight.T, "bias1": outer.bias[None],
    }.items():  # fmt: skip
        assert torch.equal(found[name][1], expected.detach())


def test_the_optimiser_is_torchs_with_a_strength_for_each_problem():
    start = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    slopes = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    ours = {"weight0": start.clone()}
    optimiser = Adam(torch.tensor([0.0, 0.1]))
    theirs = [start[number].clone().requires_grad_(True) for number in range(2)]
    reference = [torch.optim.Adam([value], weight_decay=decay) for value, decay in zip(theirs, [0.0, 0.1], strict=True)]
    for slope in slopes:
        ours["weight0"].grad = slope.clone()
        optimiser.update(ours)
        for number, (value, one) in enumerate(zip(theirs, reference, strict=True)):
            value.grad = slope[number].clone()
            one.step()
    for number, value in enumerate(theirs):
        assert torch.allclose(ours["weight0"][number], value, atol=1e-6)


def test_the_original_counts_idle_rounds_in_all_and_the_mended_one_in_a_row():
    idle = torch.zeros(1, dtype=torch.long)
    rounds = [False, True] * 4 + [False]
    for faults, lasts in ((True, False), (False, True)):
        probe, counted = SentEvalProbe(faults=faults, tenacity=3), idle.clone()
        going = [bool(probe._go_on(counted, torch.tensor([0]), torch.tensor([better]))) for better in rounds]
        assert all(going) == lasts


def test_the_original_rounds_dev_scores_and_takes_the_weakest_of_equals():
    scores = np.array([0.80001, 0.80003, 0.7, 0.7])
    assert SentEvalProbe(faults=True)._choose(scores) == 0
    assert SentEvalProbe()._choose(scores) == 1
    assert SentEvalProbe()._choose(np.array([0.8, 0.8, 0.7, 0.7])) == 1


def test_a_mix_learns_where_the_signal_is():
    X, y = draw(signal=0.0)
    for part, labels in zip(X, y, strict=True):
        part[1, :, 0] += 4.0 * (labels - 1)
    probe = SentEvalProbe(mixes=True, epoch_size=10).fit(X[0], y[0], X[1], y[1])
    assert probe.weights_[1] > 0.55
    assert probe.weights_.sum() == pytest.approx(1)
    dropped = SentEvalProbe(mixes=True, dropout=0.5, norm=True, epoch_size=10).fit(X[0], y[0], X[1], y[1])
    assert (dropped.predict(X[2])[0] == y[2]).mean() > 0.7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the original engine computes on a GPU alone")
def test_the_original_engine_gives_the_same_accuracy():
    validation = pytest.importorskip("senteval.tools.validation")
    X, y = draw()
    names = ("train", "valid", "test")
    config = {"nclasses": 3, "seed": SEED, "usepytorch": True, "classifier": {"nhid": 0}}
    vectors = dict(zip(names, (part[0] for part in X), strict=True))
    original = validation.SplitClassifier(vectors, dict(zip(names, y, strict=True)), config).run()[1]
    probe = SentEvalProbe(faults=True).fit(X[0][:1], y[0], X[1][:1], y[1])
    # One of the 60 sentences may tip over.
    assert 100 * (probe.predict(X[2][:1])[0] == y[2]).mean() == pytest.approx(original, abs=2)
