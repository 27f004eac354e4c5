"""Gradient norms by depth: against closed forms, finite differences and padded batches."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from probing.cells.gradients import measure_norms, measure_sentences, open_tensors
from probing.cells.heads import Head, draw_classifier, train_head
from probing.encoders.bert import build
from probing.encoders.blocks import find_blocks
from probing.pipeline import run
from probing.progress import Reporter
from probing.records import InputError, LayerStack, Split
from probing.registry import POOLINGS
from probing.settings.run import RunSettings
from probing.tables import GradientNorm, column_names
from tests.helpers import ARCHITECTURES, HIDDEN, N_LAYERS, build_task, save_encoder, write_task

TEXTS = (("ada sees the dog .",), ("ben knew a tree often today .",), ("cleo likes the cats here now often .",))
LABELS = np.array([0, 1, 1])
SPLIT = Split(TEXTS, LABELS)


def pool_in_double(states, positions):
    """The mean, without going through float32."""
    return (states * positions.unsqueeze(-1)).sum(1) / positions.sum(1, keepdim=True)


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setitem(POOLINGS.rows, "double", f"{__name__}:pool_in_double")
    return RunSettings(pooling="double")


@pytest.fixture(params=["bert", "roberta", "deberta_v2", "modernbert"])
def encoder(request, tiny_folders):
    """In float64; it has encoded already, without gradients."""
    encoder = build(str(tiny_folders(request.param)), dtype="float32", device="cpu")
    encoder.model.double()
    encoder.encode(encoder.tokenize(TEXTS), np.arange(len(TEXTS)))
    return encoder


def build_heads(hidden=HIDDEN):
    classifier = draw_classifier(hidden, 2, "test")
    heads = [Head([N_LAYERS], classifier), Head(range(1, N_LAYERS + 1), classifier)]
    with torch.no_grad():
        heads[1].mix.logits.copy_(torch.tensor([0.7, -0.4]))
        heads[1].mix.gamma.fill_(1.7)
    return [head.double() for head in heads]


def by_logits(head, pooled, label):
    """dL/dz by hand, for the vector z that the classifier reads, and its mix weights."""
    logits, weights = head.mix.logits.detach().numpy(), head.linear.weight.detach().numpy()
    shares = np.exp(logits) / np.exp(logits).sum()
    mixed = head.mix.gamma.detach().item() * np.tensordot(shares, pooled, axes=1)
    given = np.exp(weights @ mixed + head.linear.bias.detach().numpy())
    return weights.T @ (given / given.sum() - np.eye(len(given))[label]), shares


def test_gradient_by_a_mix_weight_is_its_closed_form():
    head, rng = build_heads()[1], np.random.default_rng(0)
    pooled = rng.normal(size=(N_LAYERS, HIDDEN))
    loss = nn.functional.cross_entropy(head(torch.from_numpy(pooled)[:, None]), torch.tensor([1]))
    (found,) = torch.autograd.grad(loss, head.mix.logits)
    by_mixed, shares = by_logits(head, pooled, 1)
    expected = head.mix.gamma.detach().item() * shares * ((pooled - shares @ pooled) @ by_mixed)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_on_the_direct_path_a_layer_gets_its_weight_times_gamma_of_the_mixs_gradient():
    head, rng, n_tokens = build_heads()[1], np.random.default_rng(0), 5
    # States without a graph between them: no deeper path.
    states = [torch.from_numpy(rng.normal(size=(1, n_tokens, HIDDEN))).requires_grad_() for _ in range(N_LAYERS)]
    loss = nn.functional.cross_entropy(head(torch.stack([state.mean(1) for state in states])), torch.tensor([0]))
    found = measure_norms(loss, [[state] for state in states])
    pooled = np.stack([state.detach().numpy().mean(axis=(0, 1)) for state in states])
    by_mixed, shares = by_logits(head, pooled, 0)
    # The mean hands every token its n-th part: n parts of length 1/n are 1/sqrt(n) long together.
    expected = head.mix.gamma.detach().item() * shares * np.linalg.norm(by_mixed) / np.sqrt(n_tokens)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.slow
def test_hidden_norms_are_those_of_finite_differences(encoder, settings):
    heads, eps = build_heads(), 1e-4
    found = measure_sentences(encoder, SPLIT, heads, settings)[:, : N_LAYERS + 1, 0]
    tokens, blocks = encoder.tokenize(TEXTS[:1]), find_blocks(encoder.model)
    shape = (len(tokens.ids[0]), HIDDEN)
    unmoved = encoder.encode(tokens, np.array([0])).layers

    def find_losses(layer, change):
        def move(module, inputs, output):
            return (output[0] + change, *output[1:]) if isinstance(output, tuple) else output + change

        hook = blocks[layer].register_forward_hook(move)
        states = encoder.encode(tokens, np.array([0])).layers
        hook.remove()
        # Some models keep a block's output before the hook has moved it.
        moved = [*states[:layer], unmoved[layer] + change, *states[layer + 1 :]]
        pooled = torch.stack([state.mean(1) for state in moved])
        target = torch.from_numpy(LABELS[:1])
        return torch.stack([nn.functional.cross_entropy(head(pooled[head.layers]), target) for head in heads])

    # ModernBERT turns queries and keys in float32, and has a norm between its last block and its last state.
    modern = encoder.model.config.model_type == "modernbert"
    for layer in range(N_LAYERS if modern else N_LAYERS + 1):
        slopes = []
        with torch.no_grad():
            for place in np.ndindex(shape):
                change = torch.zeros(1, *shape, dtype=torch.float64)
                change[0][place] = eps
                slopes.append((find_losses(layer, change) - find_losses(layer, -change)) / (2 * eps))
        expected = torch.stack(slopes).norm(dim=0).numpy()
        np.testing.assert_allclose(found[:, layer], expected, rtol=1e-4 if modern else 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [0, 1])
def test_parameter_norms_are_those_of_finite_differences(layer, tmp_path, settings):
    folder = save_encoder(tmp_path, hidden_size=4, num_attention_heads=1, intermediate_size=3)
    encoder = build(str(folder), dtype="float32", device="cpu")
    encoder.model.double()
    heads, eps = build_heads(hidden=4), 1e-5
    found = measure_sentences(encoder, SPLIT, heads, settings)[:, N_LAYERS + 1 + layer, 0]
    tokens = encoder.tokenize(TEXTS[:1])
    target = torch.from_numpy(LABELS[:1])

    @torch.no_grad()
    def find_losses():
        pooled = torch.stack([state.mean(1) for state in encoder.encode(tokens, np.array([0])).layers])
        return torch.stack([nn.functional.cross_entropy(head(pooled[head.layers]), target) for head in heads])

    squares = torch.zeros(2, dtype=torch.float64)
    for name, parameter in find_blocks(encoder.model)[layer].named_parameters():
        rows = sorted(set(tokens.ids[0].tolist())) if name == "word_embeddings.weight" else range(len(parameter))
        for place in np.ndindex(parameter.shape):
            if place[0] not in rows:
                continue  # a word that the sentence lacks
            number = parameter.data[place].item()
            parameter.data[place] = number + eps
            slope = find_losses()
            parameter.data[place] = number - eps
            slope = (slope - find_losses()) / (2 * eps)
            parameter.data[place] = number
            squares += slope.square()
    np.testing.assert_allclose(found, squares.sqrt().numpy(), rtol=1e-6)


def test_a_sentence_has_the_gradient_that_it_has_in_a_padded_batch(encoder, settings):
    heads = build_heads()
    found = measure_sentences(encoder, SPLIT, heads, settings)[:, : N_LAYERS + 1]
    states = encoder.compute_states(encoder.tokenize(TEXTS), np.arange(3), open_tensors(encoder.model))
    assert not bool(states.mask.all())
    pooled = torch.stack([pool_in_double(layer, states.mask) for layer in states.layers])
    for head, expected in zip(heads, found, strict=True):
        # The sum of the losses leaves each sentence its own gradient.
        loss = nn.functional.cross_entropy(head(pooled[head.layers]), torch.from_numpy(LABELS), reduction="sum")
        for grad, norms in zip(torch.autograd.grad(loss, states.layers, retain_graph=True), expected, strict=True):
            assert not bool(grad[~states.mask].any())
            np.testing.assert_allclose(grad.flatten(1).norm(dim=1).numpy(), norms, rtol=1e-8)


@pytest.mark.parametrize("labels", list(product([0, 1], repeat=3)))
def test_whatever_the_labels_and_untrained_the_mix_gives_the_first_block_the_larger_share(encoder, settings, labels):
    """So that "better gradient flow" is no finding: it is there before anything was learned, of any labels."""
    classifier = draw_classifier(HIDDEN, 2, "test")
    last, mix = (Head(layers, classifier).double() for layers in ([N_LAYERS], range(1, N_LAYERS + 1)))
    norms = measure_sentences(encoder, Split(TEXTS, np.array(labels)), [last, mix], settings)
    blocks = np.log(norms[:, N_LAYERS + 2 :])
    reach = (blocks[:, 0] - blocks[:, -1]).mean(axis=1)
    assert reach[1] > reach[0]


def test_batch_mates_and_order_change_nothing(encoder, settings):
    whole = measure_sentences(encoder, SPLIT, build_heads(), settings)
    some = measure_sentences(encoder, SPLIT.select(np.array([2, 0])), build_heads(), settings)
    np.testing.assert_array_equal(some, whole[..., [2, 0]])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_heads_reach_every_layer_and_the_encoder_stays_frozen(architecture, tiny_folders):
    encoder = build(str(tiny_folders(architecture)), dtype="float32", device="cpu")
    tokens = encoder.tokenize(TEXTS)
    before = encoder.encode(tokens, np.arange(3)).layers
    norms = measure_sentences(encoder, SPLIT, [head.float() for head in build_heads()], RunSettings())
    assert norms.shape[1] == (1 if architecture == "albert" else 2) * (N_LAYERS + 1)
    assert (norms > 0).all()
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())
    after = encoder.encode(tokens, np.arange(3)).layers
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_above_the_layer_that_a_head_reads_there_is_no_gradient(encoder, settings):
    norms = measure_sentences(encoder, SPLIT, [Head([1], draw_classifier(HIDDEN, 2, "x")).double()], settings)
    norms = norms.reshape(2, N_LAYERS + 1, len(TEXTS))
    assert (norms[:, :2] > 0).all()
    assert not norms[:, 2:].any()


def test_a_mix_of_the_last_layer_alone_is_the_last_layer(encoder, settings):
    last, mixed = build_heads()
    with torch.no_grad():
        mixed.mix.logits.copy_(torch.tensor([-80.0, 0.0]))
        mixed.mix.gamma.fill_(1.0)
    one, other = measure_sentences(encoder, SPLIT, [last, mixed], settings)
    np.testing.assert_allclose(one, other, rtol=1e-8)


def test_a_bfloat16_encoder_is_measured_in_float32(tiny_folder):
    rough, fine = (build(str(tiny_folder), dtype=dtype, device="cpu") for dtype in ("bfloat16", "float32"))
    with torch.no_grad():
        for one, other in zip(fine.model.parameters(), rough.model.parameters(), strict=True):
            one.copy_(other)
    heads = [head.float() for head in build_heads()]
    one, other = (measure_sentences(encoder, SPLIT, heads, RunSettings()) for encoder in (rough, fine))
    np.testing.assert_array_equal(one, other)


def test_training_lowers_the_loss_and_moves_the_weight_to_the_layer_that_holds_the_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=300)
    values = rng.normal(size=(3, 300, HIDDEN)).astype(np.float32)
    values[1] += 2 * labels[:, None]
    stack, split = LayerStack(values, ("0", "1", "2"), "mean"), Split(((("a",),) * 300), labels)

    @torch.no_grad()
    def find_loss(head):
        logits = head(torch.from_numpy(values[head.layers]))
        return float(nn.functional.cross_entropy(logits, torch.from_numpy(labels)))

    def train(layers, steps):
        head = Head(layers, draw_classifier(HIDDEN, 2, "x"))
        train_head(head, stack, np.arange(300), split, steps, np.random.default_rng(1))
        return head

    trained = train([0, 1, 2], 200)
    assert find_loss(trained) < 0.5 * find_loss(train([0, 1, 2], 0))
    assert float(trained.mix.weights[1].detach()) > 0.6
    assert find_loss(train([0], 200)) > 0.6  # a layer that holds nothing: ln 2 = 0.69
    assert all(
        torch.equal(*pair) for pair in zip(trained.parameters(), train([0, 1, 2], 200).parameters(), strict=True)
    )


@pytest.fixture
def small_run(tmp_path, tiny_folder):
    """A run on two tiny tasks that measures five sentences of each."""
    for name in ("past_present", "obj_number"):
        write_task(tmp_path / "corpus", build_task(name))
    return RunSettings(
        model="bert", checkpoint=str(tiny_folder), data=str(tmp_path / "corpus"), tasks=("past_present", "obj_number"),
        controls=(), dtype="float32", device="cpu", output=tmp_path / "run", cache_dir=tmp_path / "cache", quiet=True,
        gradients=5, gradient_steps=3,
    )  # fmt: skip


def tell(settings):
    reporter = Reporter(quiet=True)
    return run(settings, reporter), reporter


def test_a_run_leaves_a_row_for_every_task_head_step_quantity_and_layer(small_run):
    tell(small_run)
    table = pd.read_parquet(small_run.output / "gradient_norms.parquet")
    assert list(table.columns) == column_names(GradientNorm)
    keys = [table[name].unique().tolist() for name in ("task", "head", "step", "quantity", "layer")]
    assert [sorted(key) for key in keys] == [
        ["obj_number", "past_present"], ["last_layer", "scalar_mix"], [0, 3], ["hidden", "parameters"], [0, 1, 2],
    ]  # fmt: skip
    assert len(table) == 2 * 2 * 2 * 2 * 3
    assert (table["n"] == 5).all()
    assert (table["ci_low"] > 0).all()
    assert ((table["ci_low"] <= table["value"]) & (table["value"] <= table["ci_high"])).all()
    assert set(table.loc[table["layer"] == 0, "layer_name"]) == {"embeddings"}


def test_without_sentences_nothing_is_measured(small_run):
    _, reporter = tell(replace(small_run, gradients=0))
    assert "gradients" not in reporter.stages
    assert not (small_run.output / "gradient_norms.parquet").exists()


def test_without_steps_there_is_the_start_alone(small_run):
    tell(replace(small_run, gradient_steps=0))
    assert set(pd.read_parquet(small_run.output / "gradient_norms.parquet")["step"]) == {0}


@pytest.mark.slow
def test_a_resumed_run_measures_what_is_missing_alone_and_gives_the_same_numbers(small_run):
    tell(small_run)
    whole = pd.read_parquet(small_run.output / "gradient_norms.parquet")
    (small_run.output / "cells" / "past_present.layer.none.0.gradients.safetensors").unlink()
    _, reporter = tell(small_run)
    assert reporter.stages["gradients"]["resumed"] == 1
    pd.testing.assert_frame_equal(pd.read_parquet(small_run.output / "gradient_norms.parquet"), whole)


@pytest.mark.slow
def test_an_encoder_whose_layers_share_weights_has_hidden_norms_alone(small_run, tiny_folders):
    _, reporter = tell(replace(small_run, checkpoint=str(tiny_folders("albert"))))
    assert set(pd.read_parquet(small_run.output / "gradient_norms.parquet")["quantity"]) == {"hidden"}
    assert ["parameters are left out" in warning for warning in reporter.warnings].count(True) == 1


def test_an_encoder_that_gives_no_gradients_is_probed_all_the_same(small_run, monkeypatch, tiny_folder):
    class Foreign:
        def __init__(self, inner):
            self.__dict__.update(vars(inner))
            self.tokenize, self.encode = inner.tokenize, inner.encode

    def build_foreign(checkpoint, **options):
        return Foreign(build(checkpoint, **options))

    monkeypatch.setattr("probing.encoders.bert.build", build_foreign)
    outcome, reporter = tell(small_run)
    assert outcome.n_scores
    assert not outcome.failures
    assert not (small_run.output / "gradient_norms.parquet").exists()
    assert any("Foreign has no compute_states" in warning for warning in reporter.warnings)


def test_fewer_than_no_sentences_are_refused(small_run):
    with pytest.raises(InputError, match="--gradients -1: expected 0 or more"):
        tell(replace(small_run, gradients=-1))
