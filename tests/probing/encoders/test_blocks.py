"""The blocks of an encoder are those that make its hidden states."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from probing.encoders.bermo_model import BermoConfig, BermoForSequenceClassification, BermoModel
from probing.encoders.blocks import find_blocks
from probing.records import InputError
from tests.helpers import ARCHITECTURES, N_LAYERS, build_config, build_model

WITH_BLOCKS = sorted(set(ARCHITECTURES) - {"albert"})
IDS = torch.tensor([[2, 7, 9, 3]])


def give_states(model):
    with torch.no_grad():
        return model(IDS, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("architecture", WITH_BLOCKS)
@pytest.mark.parametrize("layer", range(N_LAYERS + 1))
def test_a_change_of_block_l_is_first_seen_in_layer_l(architecture, layer):
    model = build_model(architecture)
    before = give_states(model)
    blocks = find_blocks(model)
    assert len(blocks) == len(before)
    with torch.no_grad():
        for parameter in blocks[layer].parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    same = [torch.equal(old, new) for old, new in zip(before, give_states(model), strict=True)]
    assert same == [number < layer for number in range(N_LAYERS + 1)]


@pytest.mark.parametrize("architecture", WITH_BLOCKS)
def test_every_parameter_is_in_one_block_but_for_what_is_shared_or_follows(architecture):
    model = build_model(architecture)
    counts = [len(list(block.parameters())) for block in find_blocks(model)]
    inside = {id(parameter) for block in find_blocks(model) for parameter in block.parameters()}
    assert len(inside) == sum(counts)
    outside = {name.split(".")[-2] for name, parameter in model.named_parameters() if id(parameter) not in inside}
    follows = {"bert": {"dense"}, "roberta": {"dense"}, "xlm_roberta": {"dense"}, "modernbert": {"final_norm"}}
    follows |= {"deberta_v2": {"rel_embeddings"}, "mpnet": {"dense", "relative_attention_bias"}}
    assert outside == follows.get(architecture, set())


@pytest.mark.parametrize("architecture", WITH_BLOCKS)
def test_a_head_changes_nothing(architecture):
    model = AutoModelForSequenceClassification.from_config(build_config(architecture))
    found = find_blocks(model)
    assert [[id(p) for p in block.parameters()] for block in found] == [
        [id(p) for p in block.parameters()] for block in find_blocks(model.base_model)
    ]


@pytest.mark.parametrize("architecture", WITH_BLOCKS)
def test_bermo_has_the_blocks_of_its_backbone(architecture):
    plain = BermoModel(BermoConfig(build_config(architecture)))
    classifier = BermoForSequenceClassification(BermoConfig(build_config(architecture)))
    for model, backbone in ((plain, plain.backbone), (classifier, classifier.bermo.backbone)):
        assert find_blocks(model)[1:] == find_blocks(backbone)[1:]
        assert len(find_blocks(model)) == N_LAYERS + 1


def test_layers_that_share_their_weights_are_refused_by_name():
    with pytest.raises(InputError, match="AlbertModel: no list of 2 blocks"):
        find_blocks(build_model("albert"))
