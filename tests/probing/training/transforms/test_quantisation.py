"""Learned steps in a classifier: where they lie, what they learn, and that what is packed is what was trained."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers import AutoModel, AutoModelForSequenceClassification

import probing.encoders.architectures  # noqa: F401 - so that AutoModel knows ours
from probing.encoders.bermo_model import BermoForSequenceClassification, BermoModel
from probing.encoders.inner_states import read_inner
from probing.encoders.kdlsq_bert_model import KdlsqBertForSequenceClassification
from probing.encoders.packing import count_packed
from probing.records import InputError
from probing.training.contracts import Examples
from probing.training.optimiser import Rates, gradient_norms, make_optimiser
from probing.training.transforms.freezing import Freezing
from probing.training.transforms.learned_steps import LearnedStep, choose_weight_step
from probing.training.transforms.quantisation import Grid, Quantisation
from tests.helpers import N_LAYERS, build_config, build_model

INPUTS = torch.arange(5, 17).view(3, 4)
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]])
LABELS = torch.tensor([0, 1, 1])
RATES = Rates(learning_rate=1e-3, own={"mix": 1e-2})
MIXED = {0: 8, 1: 4, 2: 2, N_LAYERS + 1: 3}


class Rows:
    """A batch of the three sentences."""

    def __len__(self):
        return len(INPUTS)

    def collate(self, rows, device):
        return Examples({"input_ids": INPUTS[rows].to(device), "attention_mask": MASK[rows].to(device)}, LABELS[rows])


def build(model_name="bert"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if model_name == "bert":
            plain = AutoModelForSequenceClassification.from_config(build_config("bert", num_labels=2))
        else:
            body = BermoModel.from_backbone(build_model())
            body.config.num_labels = 2
            plain = BermoForSequenceClassification(body.config)
    return KdlsqBertForSequenceClassification.from_classifier(plain).eval()


def quantise(model, bits=MIXED, **options):
    quantisation = Quantisation(Grid(bits, **options), [Rows()])
    quantisation.apply(model)
    return quantisation


def train(model, quantisation, n_steps=5):
    optimiser = make_optimiser(model, RATES, quantisation.parameter_groups())
    for _ in range(n_steps):
        model(INPUTS, attention_mask=MASK, labels=LABELS).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def run(model):
    with torch.no_grad():
        return model(INPUTS, attention_mask=MASK, output_hidden_states=True)


def equal_bits(one, other):
    assert torch.equal(one.logits, other.logits)
    for mine, its in zip(one.hidden_states, other.hidden_states, strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("model_name", ["bert", "bermo"])
def test_packed_states_equal_those_of_the_fake_quantised_model_to_the_bit(model_name, per_row, tmp_path):
    model = build(model_name)
    quantisation = quantise(model, per_row=per_row)
    train(model, quantisation)
    fake = run(model)
    quantisation.finish(model)
    equal_bits(fake, run(model))
    model.save_pretrained(tmp_path)
    equal_bits(fake, run(AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()))
    bare = run(AutoModel.from_pretrained(tmp_path).eval())
    for mine, its in zip(fake.hidden_states, bare.hidden_states, strict=True):
        assert torch.equal(mine, its)


def test_the_file_is_as_small_as_the_bits_say(tmp_path):
    sizes = {}
    for bits in (2, 4, 8):
        model = build()
        plain = sum(one.numel() for one in model.parameters())
        quantisation = quantise(model, dict.fromkeys(range(N_LAYERS + 2), bits))
        weights = sum(part.weight.numel() for _, _, part in quantisation._places)
        quantisation.finish(model)
        assert sum(one.numel() for one in model.parameters()) + count_packed(model) == plain
        model.save_pretrained(tmp_path / str(bits))
        sizes[bits] = (tmp_path / str(bits) / "model.safetensors").stat().st_size
    # Names and biases are the same in all three: what differs is the codes alone (rows are filled up to a byte).
    assert sizes[8] - sizes[4] == pytest.approx(weights / 2, rel=0.02)
    assert sizes[4] - sizes[2] == pytest.approx(weights / 4, rel=0.02)


def test_steps_lie_on_matrices_inputs_and_attention_and_not_on_segments_or_the_classifier():
    model = build()
    quantisation = quantise(model)
    on_weights = [name for name, part in model.named_modules() if parametrize.is_parametrized(part)]
    assert len(on_weights) == 6 * N_LAYERS + 3  # and words, positions, pooler
    assert not any("token_type" in name or "classifier" in name or "Norm" in name for name in on_weights)
    names = [name for name, _ in model.named_parameters() if name.endswith(".log_step")]
    others = [name for name in names if "parametrizations" not in name]
    assert sum("input_step" in name for name in others) == 6 * N_LAYERS + 1
    assert sum("product_steps" in name for name in others) == 4 * N_LAYERS
    weights, activations = quantisation.parameter_groups()
    assert (len(weights["params"]), len(activations["params"])) == (len(on_weights), len(others))
    assert weights["weight_decay"] == activations["weight_decay"] == 0


def test_weights_are_those_of_numpy_and_two_bits_are_ternary():
    places = quantise(build())._places
    assert {layer for layer, *_ in places} == set(MIXED)
    for layer, _, part in places:
        weight, learned, n = (
            part.parametrizations.weight.original,
            part.parametrizations.weight[0],
            2 ** (MIXED[layer] - 1),
        )
        w, s = weight.detach().numpy(), learned.step.detach().numpy()
        found = part.weight.detach().numpy()
        np.testing.assert_array_equal(found, np.rint(np.clip(w / s, 1 - n, n - 1)) * s)
        if MIXED[layer] == 2:
            assert set(np.unique(np.rint(found / s))) == {-1, 0, 1}


def test_every_weight_and_step_gets_a_gradient_and_steps_stay_positive():
    model = build().train()
    quantisation = quantise(model, weight_rate=5.0, activation_rate=5.0)  # far too large: signs would turn
    model(INPUTS, attention_mask=MASK, labels=LABELS).loss.backward()
    used = [(name, one) for name, one in model.named_parameters() if "token_type" not in name]
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for name, one in used if "key.bias" not in name)
    train(model, quantisation, 3)
    steps = [one.exp() for group in quantisation.parameter_groups() for one in group["params"]]
    assert all((step > 0).all() and torch.isfinite(step).all() for step in steps)


def test_the_logarithms_gradient_is_the_steps_times_the_step_and_lsqs_scale():
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    ratio, gradient = weight.numpy() / 0.5, np.cos(np.arange(30)).reshape(6, 5)
    inside = np.abs(ratio) <= 1
    by_hand = (gradient * np.where(inside, np.rint(ratio) - ratio, np.sign(ratio))).sum()
    for n_values, scale in ((0, 1.0), (30, 30**-0.5)):
        learned = LearnedStep(torch.tensor([[0.5]]), 2, n_values=n_values)
        (learned(weight) * torch.tensor(gradient)).sum().backward()
        assert learned.log_step.grad.item() == pytest.approx(0.5 * scale * by_hand, rel=1e-5)


def test_parts_of_a_batch_add_up_where_nothing_falls_on_another_level():
    """In float64 sums in another order are the same to 1e-15, and no value moves over the border of a level."""
    grads = []
    for parts in ([[0, 1, 2]], [[0], [1, 2]]):
        model = build().double()
        quantise(model)
        for rows in parts:
            loss = model(INPUTS[rows], attention_mask=MASK[rows], labels=LABELS[rows]).loss
            (loss * len(rows) / 3).backward()
        grads.append([one.grad for one in model.parameters() if one.grad is not None])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_frozen_layers_are_neither_trained_nor_quantised():
    model = build()
    before = copy.deepcopy(model)
    Freezing(1).apply(model)
    quantisation = quantise(model)
    train(model, quantisation)
    quantisation.finish(model)
    assert all(".layer.1." in name or "pooler" in name for name in model.config.weight_bits)
    assert {name.split(".")[2] for name in model.config.attentions} == {"1"}
    frozen = {name: one for name, one in before.named_parameters() if "embeddings" in name or ".layer.0." in name}
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], one) for name, one in frozen.items())
    nothing_left = build().requires_grad_(False)
    with pytest.raises(InputError, match="no layer is left to quantise"):
        quantise(nothing_left)


def test_gradient_norms_do_not_count_steps():
    model = build()
    quantise(model)
    model(INPUTS, attention_mask=MASK, labels=LABELS).loss.backward()
    before = gradient_norms(model)
    for name, one in model.named_parameters():
        if name.endswith(".log_step"):
            one.grad.fill_(1e6)
    assert gradient_norms(model) == before


def test_attention_scores_of_a_quantised_model_are_of_its_rounded_queries_and_keys():
    model = build()
    quantise(model, dict.fromkeys(range(N_LAYERS + 2), 4))
    inputs = {"input_ids": INPUTS, "attention_mask": MASK}
    with torch.no_grad():
        found = read_inner(model, inputs, scored=range(1, N_LAYERS + 1))
        plain = run(model)
    for mine, its in zip(found.hidden, plain.hidden_states, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)  # the same attention, scores kept or not
    first = model.kdlsq_bert.backbone.encoder.layer[0].attention.self
    with torch.no_grad():
        states = found.hidden[0]
        heads = [
            getattr(first, name)(states).unflatten(2, (first.num_attention_heads, -1)) for name in ("query", "key")
        ]
        q, k = (
            first.product_steps[name](one.transpose(1, 2)) for name, one in zip(("query", "key"), heads, strict=True)
        )
    torch.testing.assert_close(found.scores[1], q @ k.mT / q.shape[-1] ** 0.5, rtol=1e-5, atol=1e-6)


def test_steps_of_activations_begin_at_what_training_batches_hold():
    model = build()
    seen = []
    query = model.kdlsq_bert.backbone.encoder.layer[0].attention.self.query
    query.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    quantise(model, rule="largest")
    assert query.input_step.step.item() == pytest.approx(seen[0].abs().max().item() / 127, rel=1e-6)


def test_rows_have_steps_of_their_own_by_option():
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7)[:, None]
    steps = choose_weight_step(weight, 4, "largest", per_row=True)
    np.testing.assert_allclose(steps, weight.abs().amax(1, keepdim=True) / 7, rtol=1e-6)
    assert choose_weight_step(weight, 4, "largest", per_row=False).shape == (1, 1)


def test_a_model_that_computes_in_a_way_of_its_own_is_refused():
    model = build()
    for layer in model.kdlsq_bert.backbone.encoder.layer:
        layer.attention.self.forward = lambda hidden_states, *_, **__: (hidden_states, None)
    with pytest.raises(InputError, match="in a way of its own"):
        quantise(model)


def test_other_heads_and_other_models_are_refused():
    roberta = AutoModelForSequenceClassification.from_config(build_config("roberta", num_labels=2))
    with pytest.raises(InputError, match="its head is not BERT's"):
        KdlsqBertForSequenceClassification.from_classifier(roberta)
    with pytest.raises(TypeError, match="expected a KdlsqBert"):
        Quantisation(Grid(MIXED), []).apply(nn.Linear(1, 1))
