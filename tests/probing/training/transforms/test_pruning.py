import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers import AutoModel, AutoModelForSequenceClassification

from probing.encoders.bermo_model import BermoForSequenceClassification, BermoModel
from probing.records import InputError
from probing.training.optimiser import Rates, make_optimiser
from probing.training.transforms.freezing import Freezing
from probing.training.transforms.masks import LEAST_KEPT
from probing.training.transforms.pruning import MASKS, Aim, Course, Pruning, find_linear_layers
from tests.helpers import N_LAYERS, build_config, build_model

COURSE = Course(threshold=0.4, score_rate=0.3)
RATES = Rates(learning_rate=1e-2, weight_decay=0.0, own={"mix": 1e-2})
AIMS = [Aim("magnitude", 0.7), Aim("movement", 0.7), Aim("soft_movement", penalty=0.002)]
N_STEPS = 10
INPUTS = torch.arange(5, 17).view(3, 4)
LABELS = torch.tensor([0, 1, 1])


def build_classifier(model_name="bert"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if model_name == "bert":
            model = AutoModelForSequenceClassification.from_config(build_config("bert", num_labels=2))
        else:
            body = BermoModel.from_backbone(build_model())
            body.config.num_labels = 2
            model = BermoForSequenceClassification(body.config)
    return model.eval()


def train(model, pruning, n_steps=N_STEPS):
    """The steps of a training without its loop; the losses, penalties not counted."""
    pruning.apply(model)
    optimiser = make_optimiser(model, RATES, pruning.parameter_groups())
    losses = []
    for step in range(n_steps):
        pruning.before_step(step, n_steps)
        loss, penalty = model(INPUTS, labels=LABELS).loss, pruning.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    pruning.before_step(n_steps, n_steps)
    return losses


def count_kept(model):
    """Of each matrix in the blocks, by numpy."""
    weights = [linear.weight.detach().numpy() for _, linear in find_linear_layers(model)]
    return [(int((weight != 0).sum()), weight.size) for weight in weights]


@pytest.mark.parametrize("model_name", ["bert", "bermo"])
def test_masks_lie_on_the_linear_layers_of_the_blocks_and_nowhere_else(model_name):
    model = build_classifier(model_name)
    Pruning(AIMS[1], COURSE).apply(model)
    masked = [name for name, part in model.named_modules() if parametrize.is_parametrized(part)]
    assert len(masked) == 6 * N_LAYERS
    assert all(".layer." in name for name in masked)
    assert not any("pooler" in name or "classifier" in name or "embeddings" in name for name in masked)


@pytest.mark.parametrize("aim", AIMS[:2], ids=lambda aim: aim.method)
def test_at_the_end_each_matrix_keeps_its_share(aim):
    model, pruning = build_classifier(), Pruning(aim, COURSE)
    train(model, pruning)
    assert all(kept == round(0.3 * size) for kept, size in count_kept(model))


def test_soft_movement_keeps_what_the_scores_leave_above_the_threshold():
    model, pruning = build_classifier(), Pruning(AIMS[2], COURSE)
    train(model, pruning)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items() if name.endswith(".scores")}
    above = [int((1 / (1 + np.exp(-scores.astype(float))) > 0.4).sum()) for scores in state.values()]
    assert sorted(kept for kept, _ in count_kept(model)) == sorted(
        max(kept, int(np.ceil(LEAST_KEPT * scores.size))) for kept, scores in zip(above, state.values(), strict=True)
    )
    assert 0 < sum(above) < sum(size for _, size in count_kept(model))


def test_without_a_penalty_soft_movement_prunes_less():
    kept = []
    for penalty in (0.0, 50.0):
        model = build_classifier()
        train(model, Pruning(Aim("soft_movement", penalty=penalty), COURSE))
        kept.append(sum(kept for kept, _ in count_kept(model)))
    assert kept[1] < kept[0]


def test_scores_that_move_too_little_prune_nothing():
    model, course = build_classifier(), Course(threshold=0.1, score_rate=0.01)
    train(model, Pruning(AIMS[2], course))
    assert all(kept == size for kept, size in count_kept(model))


def test_the_penalty_is_the_mean_over_matrices_and_grows_with_the_threshold():
    model, pruning = build_classifier(), Pruning(AIMS[2], COURSE)
    pruning.apply(model)
    generator, means = np.random.default_rng(0), []
    for name, parameter in model.named_parameters():
        if name.endswith(".scores"):
            scores = generator.normal(size=tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(scores))
            means.append((1 / (1 + np.exp(-scores))).mean())
    # Warm-up to step 1, cool-down from step 8: halfway the threshold has 7/8 of its height.
    for step, share in ((0, 0.0), (1, 0.0), (4.5, 7 / 8), (8, 1.0), (10, 1.0)):
        pruning.before_step(step, 10)
        assert pruning.penalty().item() == pytest.approx(share * 0.002 * np.mean(means), rel=1e-5)  # float32


@pytest.mark.parametrize("aim", AIMS[:2], ids=lambda aim: aim.method)
def test_other_methods_have_no_penalty(aim):
    pruning = Pruning(aim, COURSE)
    pruning.apply(build_classifier())
    assert pruning.penalty() is None


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.method)
def test_every_parameter_is_in_the_optimiser_once_and_scores_at_their_own_rate(aim):
    model, pruning = build_classifier(), Pruning(aim, COURSE)
    pruning.apply(model)
    optimiser = make_optimiser(model, RATES, pruning.parameter_groups())
    listed = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    assert sorted(map(id, listed)) == sorted(map(id, model.parameters()))
    rates = {
        id(one): (group["lr"], group["weight_decay"]) for group in optimiser.param_groups for one in group["params"]
    }
    scores = [parameter for name, parameter in model.named_parameters() if name.endswith(".scores")]
    assert len(scores) == (0 if aim.method == "magnitude" else 6 * N_LAYERS)
    assert all(rates[id(one)] == (0.3, 0.0) for one in scores)


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.method)
def test_the_loss_falls_while_pruning(aim):
    losses = train(build_classifier(), Pruning(aim, COURSE), n_steps=20)
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("model_name", ["bert", "bermo"])
@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.method)
def test_a_finished_model_is_a_plain_one_that_answers_as_the_masked_one(aim, model_name, tmp_path):
    model, pruning = build_classifier(model_name), Pruning(aim, COURSE)
    names = set(model.state_dict())
    train(model, pruning)
    expected, kept = model(INPUTS).logits, count_kept(model)
    pruning.finish(model)
    achieved = pruning.facts()["achieved_sparsity"]
    assert set(model.state_dict()) == names
    assert not any(parametrize.is_parametrized(part) for part in model.modules())
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(INPUTS).logits, expected)
    assert count_kept(loaded) == kept
    assert achieved == 1 - sum(kept for kept, _ in kept) / sum(size for _, size in kept)
    bare = [linear.weight for _, linear in find_linear_layers(AutoModel.from_pretrained(tmp_path))]
    assert sum(int(weight.count_nonzero()) for weight in bare) == sum(kept for kept, _ in kept)


def test_the_sparsity_measured_is_that_of_each_block_and_of_all():
    model, pruning = build_classifier(), Pruning(AIMS[2], COURSE)
    train(model, pruning)
    measured = {layer: value for quantity, layer, value in pruning.measure() if quantity == "sparsity"}
    kept = count_kept(model)
    blocks = {-1: kept} | {layer: kept[6 * (layer - 1) : 6 * layer] for layer in range(1, N_LAYERS + 1)}
    for layer, pairs in blocks.items():
        assert measured[layer] == pytest.approx(1 - sum(one for one, _ in pairs) / sum(size for _, size in pairs))


def test_before_pruning_begins_the_model_is_as_it_was():
    model = build_classifier()
    expected = model(INPUTS).logits
    for aim in AIMS:
        pruned, pruning = copy.deepcopy(model), Pruning(aim, COURSE)
        pruning.apply(pruned)
        pruning.before_step(1, N_STEPS)
        assert torch.equal(pruned(INPUTS).logits, expected)
        assert pruning.measure()[0] == ("sparsity", -1, 0.0)


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.method)
def test_state_and_step_alone_say_what_is_masked(aim):
    model, pruning = build_classifier(), Pruning(aim, COURSE)
    train(model, pruning)
    again, resumed = build_classifier(), Pruning(aim, COURSE)
    resumed.apply(again)
    again.load_state_dict(model.state_dict())
    resumed.before_step(N_STEPS, N_STEPS)
    assert torch.equal(again(INPUTS).logits, model(INPUTS).logits)


def test_frozen_blocks_keep_their_weights_and_count_as_dense():
    model, pruning = build_classifier(), Pruning(AIMS[1], COURSE)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if ".layer.0." in name}
    Freezing(1).apply(model)
    train(model, pruning)
    pruning.finish(model)
    achieved = pruning.facts()["achieved_sparsity"]
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())
    assert achieved == pytest.approx(0.7 / 2, abs=0.005)  # each of two equal blocks; shares of 64 and 128 weights


def test_a_model_whose_blocks_are_all_frozen_is_refused():
    model = build_classifier()
    Freezing(N_LAYERS).apply(model)
    with pytest.raises(InputError, match=r"no layer is left to prune.*expected --freeze-up-to to be less than 2"):
        Pruning(AIMS[0], COURSE).apply(model)


def test_movement_keeps_a_small_weight_that_grows_and_magnitude_a_large_one_that_shrinks():
    kept = {}
    for method in ("magnitude", "movement"):
        linear = nn.Linear(2, 1, bias=False)
        linear.weight.data.copy_(torch.tensor([[1.0, 0.1]]))
        mask = MASKS[method](linear.weight)
        parametrize.register_parametrization(linear, "weight", mask)
        optimiser = torch.optim.SGD(linear.parameters(), lr=0.1)
        for _ in range(4):  # towards (0, 1): the first weight shrinks, and is still the larger one
            loss = ((linear.weight - torch.tensor([[0.0, 1.0]])) ** 2).sum() / 2
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        mask.update(linear.parametrizations.weight.original, 0.5)
        kept[method] = mask.kept.tolist()
    assert kept == {"magnitude": [[True, False]], "movement": [[False, True]]}
