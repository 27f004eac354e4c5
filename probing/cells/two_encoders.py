"""Two encoders side by side: how alike their layers are, and how far the weights of one lie from those of the other."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from probing.cells.similarity import draw_sentences, list_similarities
from probing.contracts.encoder import Encoder
from probing.contracts.measure import Cell, Encoded
from probing.encoders.blocks import find_blocks
from probing.records import InputError, Task
from probing.scores.similarity import compare_with_intervals
from probing.tables import LayerChange, LayerSimilarity


def compare_encoders(task: Task, first: Encoded, second: Encoded, model: str) -> list[LayerSimilarity]:
    """Debiased CKA of every layer of one encoder with every layer of another, on the same test sentences of a task.

    Args:
        task: whose sentences.
        first: as the one encoder sees them.
        second: as the other one does; depth and width may differ.
        model: name of the first one's architecture.
    """
    vectors = [draw_sentences(Cell(task, "layer"), encoded) for encoded in (first, second)]
    named = [[(layer, encoded.encoder.layer_names[layer]) for layer in encoded.layers] for encoded in (first, second)]
    facts = {"model": model, "checkpoint": first.encoder.checkpoint, "other_checkpoint": second.encoder.checkpoint}
    facts |= {"task": task.name, "n": vectors[0].shape[1]}
    return list_similarities(compare_with_intervals(*vectors), (named[0], named[1]), facts)


def measure_changes(before: Encoder, after: Encoder, layer_names: Sequence[str]) -> list[LayerChange]:
    """Change of the weights of each layer, relative to their size: ||theta_after - theta_before|| / ||theta_before||.

    All parameters of a block are one vector; a head, a mix and a pooler belong to none.

    Raises:
        InputError: the two have not the same parameters, or share them among layers.
    """
    models = [getattr(encoder, "model", None) for encoder in (before, after)]
    if not all(isinstance(model, nn.Module) for model in models):
        raise InputError(f"{before.checkpoint} and {after.checkpoint}: change of weights needs encoders that have any")
    pairs = [find_blocks(cast(nn.Module, model)) for model in models]
    if len(pairs[0]) != len(pairs[1]) or len(pairs[0]) != len(layer_names):
        raise InputError(
            f"{before.checkpoint} and {after.checkpoint}: {len(pairs[0])} and {len(pairs[1])} blocks for "
            f"{len(layer_names)} layers; change of weights needs as many of both, one for each layer"
        )
    values = [_measure(one, other, after.checkpoint) for one, other in zip(*pairs, strict=True)]
    return [
        LayerChange(before.checkpoint, after.checkpoint, layer, name, value)
        for layer, (name, value) in enumerate(zip(layer_names, values, strict=True))
    ]


@torch.no_grad()
def _measure(before: nn.Module, after: nn.Module, name: str) -> float:
    one, other = (dict(block.named_parameters()) for block in (before, after))
    shapes = [{key: tuple(value.shape) for key, value in block.items()} for block in (one, other)]
    if shapes[0] != shapes[1]:
        odd = sorted(key for key in {*one, *other} if shapes[0].get(key) != shapes[1].get(key))
        raise InputError(f"{name}: has other parameters than what it started from ({', '.join(odd[:3])})")
    moved = sum(float((other[key].double() - value.double()).square().sum()) for key, value in one.items())
    size = sum(float(value.double().square().sum()) for value in one.values())
    return (moved / size) ** 0.5 if size > 0 else float("nan")
