"""Each state at the index of its layer, also where transformers' states begin behind the first block."""

import numpy as np
import pytest
import torch
import transformers

from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.transformer import TransformerEncoder
from tests.helpers import build_word_tokenizer, save_tokenizer

SMALL = {"hidden_size": 32, "num_hidden_layers": 3}
BEHIND = {
    "mamba": ("MambaConfig", SMALL | {"state_size": 4}),
    "mamba2": (
        "Mamba2Config",
        SMALL | {"state_size": 4, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8},
    ),
}
IN_PLACE = {
    "bert": ("BertConfig", SMALL | {"num_attention_heads": 2, "intermediate_size": 32}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 3, "n_head": 2}),
}


def build(name, kind, sizes, folder):
    torch.manual_seed(0)
    config = getattr(transformers, kind)(vocab_size=build_word_tokenizer()[0].get_vocab_size(), pad_token_id=0, **sizes)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    save_tokenizer(folder, "bert")
    model = transformers.AutoModel.from_pretrained(folder)
    return TransformerEncoder(model, find_checkpoint(str(folder)), dtype="float32", device="cpu", backend="torch")


def encode(encoder, text):
    tokens = encoder.tokenize([(text,)])
    return encoder.encode(tokens, np.array([0])).layers, torch.tensor(np.array(tokens.ids[0]))[None]


@pytest.mark.parametrize("name", BEHIND)
def test_layer_0_is_the_embeddings_and_each_further_one_what_its_block_makes(name, tmp_path):
    encoder = build(name, *BEHIND[name], tmp_path)
    states, ids = encode(encoder, "ada sees the dog .")
    model = encoder.model
    with torch.inference_mode():
        expected = [model.embeddings(ids)]
        for block in model.layers:
            expected.append(block(expected[-1]))
        expected[-1] = model.norm_f(expected[-1])
    assert len(states) == len(encoder.layer_names) == len(expected)
    for found, wanted in zip(states, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    findings = check_encoder(encoder)
    assert not any("embeddings reads neighbouring words" in line for line in findings.warnings)


@pytest.mark.parametrize("name", IN_PLACE)
def test_states_that_stand_in_their_places_stay_there(name, tmp_path):
    encoder = build(name, *IN_PLACE[name], tmp_path)
    states, ids = encode(encoder, "ada sees the dog .")
    assert encoder._first_state is None
    with torch.inference_mode():
        expected = encoder.model(input_ids=ids, output_hidden_states=True).hidden_states
    for found, wanted in zip(states, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_an_encoder_without_blocks_is_refused_or_built_and_no_bug(tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 0, "num_attention_heads": 2, "intermediate_size": 32}
    assert build("none", "BertConfig", sizes, tmp_path)._first_state is None


def test_gradients_reach_the_embeddings_of_such_an_encoder(tmp_path):
    encoder = build("mamba", *BEHIND["mamba"], tmp_path)
    table = encoder.model.embeddings.weight.detach().clone().requires_grad_()
    tokens = encoder.tokenize([("ada sees the dog .",)])
    states = encoder.compute_states(tokens, np.array([0]), {"embeddings.weight": table}).layers
    gradients = torch.autograd.grad(states[-1].sum(), states)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
