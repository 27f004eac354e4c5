"""Gradient norms by depth, for a head on the last layer and for one on the scalar mix (BERMo, arXiv 2110.15802).

Both heads are a linear classifier on one pooled vector z of a sentence, with cross-entropy L:

    z = pool(h_last)    or    z = gamma sum_l s_l pool(h_l),   s = softmax(w)

In the first, dL/dh_l reaches layer l through all blocks above it; in the second, gamma s_l dL/dz comes beside that by
the direct path. For each sentence of a sample: the norms of dL/dh_l, over its tokens and dimensions together, and of
dL/dtheta_l, theta_l being the parameters of block l. Both heads start from the same random classifier and the plain
average (step 0), and are then trained on the pooled vectors, the encoder staying frozen as in all probing.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import get_total_norm

from probing.catalogue.measures import MEASURES
from probing.cells.heads import Head, draw_classifier, encode_labels, train_head
from probing.cells.plan import choose_layers
from probing.contracts.encoder import DifferentiableEncoder, Encoder, HiddenStates
from probing.contracts.measure import Cell, Encoded, describe
from probing.encoders.blocks import find_blocks
from probing.folds import plan_folds
from probing.progress import Reporter
from probing.randomness import stream
from probing.records import InputError, Split
from probing.registry import POOLINGS
from probing.representations.pooling import choose_positions
from probing.scores.uncertainty import means_with_intervals
from probing.settings.run import RunSettings
from probing.tables import CellResult, GradientNorm

QUANTITIES = ("hidden", "parameters")


def can_measure(encoder: Encoder, reporter: Reporter) -> bool:
    """True where gradients flow through an encoder; what is in the way becomes a warning."""
    if not isinstance(encoder, DifferentiableEncoder):
        kind = type(encoder).__name__
        reporter.warn(f"gradient norms are left out: {kind} has no compute_states, which gives gradients")
        return False
    if getattr(encoder, "copies_states", False):
        kind = type(encoder.model).__name__
        reporter.warn(f"gradient norms are left out: states of {kind} are repeated for each character")
        return False
    try:
        n_blocks = len(find_blocks(encoder.model))
        obstacle = "" if n_blocks == len(encoder.layer_names) else f"{n_blocks} blocks make its layers, not one each"
    except InputError as error:
        obstacle = str(error)
    if obstacle:
        reporter.warn(f"gradient norms of parameters are left out: {obstacle}")
    return True


@describe(MEASURES["gradients"])
def measure_gradients(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Mean gradient norms by layer over a sample of test sentences, with 95 % bootstrap intervals.

    The mix reads the layers that the scalar-mix probe reads. In a cross-validation: the first fold.
    """
    task, chosen = cell.task, plan_folds(cell.task)[0]
    train = task.splits["train"].select(chosen["train"])
    heads = {}
    for name, head in build_heads(cell, encoded, settings).items():
        heads[name, 0] = deepcopy(head)
        order = stream(cell.seed, "gradients", task.name, "order")
        train_head(head, encoded.stack, encoded.rows["train"][chosen["train"]], train, settings.gradient_steps, order)
        heads[name, settings.gradient_steps] = head
    drawn = stream(0, "gradients", task.name, "sample").permutation(chosen["test"])[: settings.gradients]
    sample = task.splits["test"].select(np.sort(drawn))
    encoder = cast(DifferentiableEncoder, encoded.open_encoder())  # `can_measure` has seen to it
    norms = measure_sentences(encoder, sample, list(heads.values()), settings)
    facts = {"model": settings.model, "checkpoint": encoder.checkpoint, "task": task.name}
    return CellResult(gradients=list(list_norms(norms, list(heads), encoder.layer_names, facts)))


def build_heads(cell: Cell, encoded: Encoded, settings: RunSettings) -> dict[str, Head]:
    """Both heads as they are before training: one random classifier, the same for both, and the plain average."""
    encoder = encoded.encoder
    classifier = draw_classifier(encoder.hidden_size, len(cell.task.classes), "gradients", cell.task.name, cell.seed)
    mixed = choose_layers(Cell(cell.task, "scalar_mix"), encoded, settings)
    heads = {
        "last_layer": Head([len(encoder.layer_names) - 1], classifier),
        "scalar_mix": Head(mixed, classifier, norm=settings.mix_norm),
    }
    return {name: head.to(encoder.device) for name, head in heads.items()}


def measure_sentences(
    encoder: DifferentiableEncoder, split: Split, heads: Sequence[Head], settings: RunSettings
) -> Float[np.ndarray, "heads readouts sentences"]:
    """Gradient norms of every sentence, each on its own: no padding, and no other sentence's gradient.

    Readouts: dL/dh of every layer, then dL/dtheta of every block, if the encoder has blocks. In float32 (or float64),
    whatever the encoder computes in.
    """
    tensors = open_tensors(encoder.model)
    blocks = name_parameters(encoder.model, len(encoder.layer_names))
    tokens, labels = encoder.tokenize(split.texts), encode_labels(split, heads[0].linear.out_features)
    norms = []
    for row in range(len(split)):
        states = encoder.compute_states(tokens, np.array([row]), tensors)
        sources = [[state] for state in states.layers] + [[tensors[name] for name in block] for block in blocks]
        target = torch.from_numpy(labels[row : row + 1]).to(encoder.device)
        stack = pool_states(states, settings)
        losses = [F.cross_entropy(head(stack[head.layers]), target) for head in heads]
        norms.append([measure_norms(loss, sources) for loss in losses])
    return np.moveaxis(np.array(norms), 0, -1)


def pool_states(states: HiddenStates, settings: RunSettings) -> Float[Tensor, "layers batch hidden"]:
    """The pooled vectors of all layers, as the probes get them."""
    positions = choose_positions(states, special_tokens=settings.special_tokens)
    pool = POOLINGS.load(settings.pooling)
    return torch.stack([pool(layer, positions) for layer in states.layers])


def measure_norms(loss: Float[Tensor, ""], sources: Sequence[Sequence[Tensor]]) -> list[float]:
    """The length of the gradient of a loss by each group of tensors, all numbers of a group together."""
    flat = [tensor for group in sources for tensor in group]
    gradients = iter(torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True))
    # Nothing comes back for a tensor that the loss does not read: its gradient is 0.
    groups = [[next(gradients) for _ in group] for group in sources]
    return [float(get_total_norm([_read_numbers(one) for one in group if one is not None])) for group in groups]


def open_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a frozen model for `compute_states`: at least float32, parameters with a gradient."""
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            # Of the vocabulary's rows a sentence reads a few: without this, most of the time goes into writing zeros.
            module.sparse = True
    opened = {name: _widen(tensor) for name, tensor in model.named_buffers()}
    return opened | {name: _widen(tensor).requires_grad_() for name, tensor in model.named_parameters()}


def name_parameters(model: nn.Module, n_layers: int) -> list[list[str]]:
    """The names of the parameters that make each layer; none where layers share them, or a block makes several."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    try:
        blocks = find_blocks(model)
    except InputError:
        return []
    return [[names[id(one)] for one in block.parameters()] for block in blocks] if len(blocks) == n_layers else []


def list_norms(
    norms: Float[np.ndarray, "heads readouts sentences"],
    heads: Sequence[tuple[str, int]],
    names: Sequence[str],
    facts: Mapping[str, str],
) -> Iterator[GradientNorm]:
    """The mean of every readout over sentences, with its interval.

    `names` are those of the layers; `facts`, the columns model, checkpoint and task.
    """
    n_heads, n_readouts, n = norms.shape
    values = means_with_intervals(norms.reshape(-1, n)).reshape(n_heads, n_readouts, 3)
    for (head, step), means in zip(heads, values.tolist(), strict=True):
        for number, (value, low, high) in enumerate(means):
            layer = number % len(names)
            yield GradientNorm(
                **facts,
                head=head,
                step=step,
                layer=layer,
                layer_name=names[layer],
                quantity=QUANTITIES[number // len(names)],
                value=value,
                ci_low=low,
                ci_high=high,
                n=n,
            )


def _read_numbers(gradient: Tensor) -> Tensor:
    """The numbers of a gradient that may differ from 0, each once."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _widen(tensor: Tensor) -> Tensor:
    wide = tensor.is_floating_point() and torch.finfo(tensor.dtype).bits < 32
    return tensor.detach().to(torch.float32 if wide else tensor.dtype)
