"""Logits are the model's own, whichever way they are computed, and are not rounded to ties."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertModel

from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.classifiers import build_bermo, build_bert
from probing.encoders.inputs import ModelInputs
from probing.kernels import why_not
from probing.tasks.graphs.sources import load_graph
from probing.training.data.triples import TripleExamples, TripleTokens
from probing.training.evaluation.fused_logits import can_fuse
from probing.training.evaluation.logits import compute_logits
from tests.helpers import build_word_tokenizer, save_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small BERT of the sizes that the kernels take."""
    folder = tmp_path_factory.mktemp("wide")
    size = build_word_tokenizer()[0].get_vocab_size()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=size, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=32,
        )  # fmt: skip
        BertModel(config).save_pretrained(folder)
    save_tokenizer(folder, limit=32)
    return folder


@pytest.fixture(params=[build_bert, build_bermo])
def model(request, folder):
    model = request.param(find_checkpoint(str(folder)), 2, 0.5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.classifier.weight.normal_(0, 1, generator=torch.Generator().manual_seed(1))
    return model.train()


@pytest.fixture(scope="module")
def examples(folder):
    graph = load_graph("made").limit(60, 0)
    inputs = ModelInputs(AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder), 32)
    triples = graph.true["train"]
    return TripleExamples(TripleTokens(inputs, graph, 32), triples, np.ones(len(triples), dtype=np.int64))


@pytest.fixture(params=["no", "bf16"])
def accelerator(request):
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True, mixed_precision=request.param)
    AcceleratorState._reset_state(reset_partial_state=True)


def plain(model, examples):
    """One text after the other, in float32."""
    model.eval()
    with torch.inference_mode():
        rows = [model(**examples.collate(np.array([row]), "cpu").inputs).logits[0] for row in range(len(examples))]
    model.train()
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("way", ["torch", "kernels"])
def test_logits_are_the_models_own(model, examples, accelerator, way, monkeypatch):
    if way == "torch":
        monkeypatch.setattr("probing.training.evaluation.logits.can_fuse", lambda *_: False)
    elif not can_fuse(model, accelerator):
        pytest.skip(why_not("bfloat16" if accelerator.mixed_precision == "bf16" else "float32"))
    found, expected = compute_logits(model, examples, accelerator), plain(model, examples)
    # Products of float32, or of bfloat16 (8 bits) through two blocks and a head of 64 numbers.
    tolerance = 1e-4 if accelerator.mixed_precision == "no" else 0.05
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    assert model.training
    assert found.dtype == np.float32


def test_no_ties_are_made_by_rounding(model, examples, accelerator, monkeypatch):
    monkeypatch.setattr("probing.training.evaluation.logits.can_fuse", lambda *_: False)
    logits = compute_logits(model, examples, accelerator)[:, 1]
    n_texts = len(np.unique(plain(model, examples)[:, 1]))
    assert len(np.unique(logits)) >= 0.95 * n_texts
    rounded = torch.from_numpy(logits).bfloat16().unique()
    assert len(rounded) < n_texts  # as they would be in bfloat16
