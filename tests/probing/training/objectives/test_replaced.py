"""Replaced token detection, against transformers' ELECTRA; what teaches whom."""

import numpy as np
import pytest
import torch
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from probing.training.objectives.replaced import Replaced, detect, detection_loss, fill, share_embeddings
from probing.training.optimiser import Rates, make_optimiser
from tests.helpers import build_config
from tests.running_text import SIZE, draw_batch

WEIGHT = 50.0


def draw_pair(seed=0, shared=True):
    """A generator and a discriminator, which share their embeddings."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = ElectraForMaskedLM(build_config("electra", hidden_size=4, intermediate_size=8))
        model = ElectraForPreTraining(build_config("electra"))
    if shared:
        share_embeddings(generator, model)
    return generator.eval(), model.eval()


@pytest.fixture
def pair():
    return draw_pair()


@pytest.fixture
def batch():
    return draw_batch(n=16)


def compute(generator, model, batch):
    objective = Replaced(generator, WEIGHT)
    generator.eval()
    return objective.losses(model, batch.collate(np.arange(len(batch)), "cpu"), torch.Generator())


def test_both_losses_are_those_of_transformers_on_equal_weights(pair, batch):
    generator, model = pair
    found = compute(generator, model, batch)
    labels = torch.from_numpy(np.where(batch.hidden, batch.original, -100))
    read = generator(input_ids=torch.from_numpy(batch.shown), labels=labels)
    assert found["generator"].item() == pytest.approx(read.loss.item(), rel=1e-6)
    collated = batch.collate(np.arange(len(batch)), "cpu")
    filled = fill(read.logits[torch.from_numpy(batch.hidden)], collated)
    replaced = (filled != collated.original).long()
    expected = model(input_ids=filled, labels=replaced).loss
    assert found["discriminator"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_sampled_tokens_stand_at_hidden_places_alone_and_come_from_the_generator(batch):
    collated = batch.collate(np.arange(len(batch)), "cpu")
    certain = torch.full((len(collated.places), SIZE), -100.0)
    certain[:, 9] = 100.0
    filled = fill(certain, collated).numpy()
    np.testing.assert_array_equal(filled[~batch.hidden], batch.original[~batch.hidden])
    assert (filled[batch.hidden] == 9).all()


def test_a_sampled_original_counts_as_original(pair, batch):
    collated = batch.collate(np.arange(len(batch)), "cpu")
    certain = torch.full((len(collated.places), SIZE), -100.0)
    certain[torch.arange(len(collated.places)), collated.labels] = 100.0
    filled = fill(certain, collated)
    assert torch.equal(filled, collated.original)
    logits = detect(pair[1], filled)
    # Nothing was replaced: the loss is that of saying "original" everywhere.
    expected = np.log1p(np.exp(logits.detach().double().numpy())).mean()
    assert detection_loss(logits, filled != collated.original).item() == pytest.approx(expected, rel=1e-6)


def test_the_discriminators_loss_teaches_the_generator_nothing_but_the_shared_embeddings(pair, batch):
    generator, model = pair
    compute(generator, model, batch)["discriminator"].backward()
    table = model.get_input_embeddings().weight
    assert table.grad.abs().sum() > 0
    assert generator.get_input_embeddings().weight is table
    assert generator.get_output_embeddings().weight is table
    own = {name: one for name, one in generator.named_parameters() if one is not table}
    assert own
    assert all(one.grad is None for one in own.values())


def test_the_generators_loss_teaches_the_generator_and_of_the_discriminator_the_shared_embeddings(pair, batch):
    generator, model = pair
    compute(generator, model, batch)["generator"].backward()
    table = model.get_input_embeddings().weight
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in generator.parameters())
    assert all(one.grad is None for one in model.parameters() if one is not table)


def test_the_optimiser_has_every_parameter_of_both_once(pair):
    generator, model = pair
    optimiser = make_optimiser(model, Rates(weight_decay=0.3), Replaced(generator, WEIGHT, 0.3).parameter_groups())
    listed = [id(one) for group in optimiser.param_groups for one in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(one) for one in [*model.parameters(), *generator.parameters()]}
    for group in optimiser.param_groups:
        assert {one.ndim > 1 for one in group["params"]} == {group["weight_decay"] > 0}


def test_a_frozen_generator_has_no_loss_no_parameters_and_no_dropout(batch):
    generator, model = draw_pair(shared=False)
    generator.train().requires_grad_(False)
    objective = Replaced(generator, WEIGHT)
    assert not generator.training
    found = objective.losses(model, batch.collate(np.arange(len(batch)), "cpu"), torch.Generator())
    assert list(found) == ["discriminator"]
    assert objective.parameter_groups() == []


def test_embeddings_of_another_width_cannot_be_shared():
    generator, _ = draw_pair(shared=False)
    model = ElectraForPreTraining(build_config("electra", embedding_size=7))
    with pytest.raises(ValueError, match=r"is \(80, 6\), expected \(80, 7\)"):
        share_embeddings(generator, model)


def test_the_generator_is_kept_with_the_state_of_a_training(pair):
    kept = Replaced(pair[0], WEIGHT).state_dict()
    other, _ = draw_pair(seed=1)
    Replaced(other, WEIGHT).load_state_dict(kept)
    for name, tensor in pair[0].state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
