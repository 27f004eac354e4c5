"""Check whether an encoder may be believed: a few sentences go through it before any of a task is encoded.

Architectures break the contract of an encoder in ways that no error tells of: convolutions and means that read padding,
numbers that are scaled over a batch, attention that is zero where a kernel is missing. Each is met here by comparing
the states of one text in several surroundings. What cannot be computed together is then computed apart; what cannot be
believed at all is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probing.contracts.encoder import (
    Batching,
    BatchingEncoder,
    DifferentiableEncoder,
    Encoder,
    OverlappingEncoder,
    PoolingEncoder,
)
from probing.encoders.checkpoint_files import MODEL_ERRORS
from probing.encoders.checkpoint_samples import Samples, draw_samples
from probing.memory import lacks_memory
from probing.records import InputError

_TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}
"""Distance that the states of a token may lie apart, relative to their length. A product is rounded by 6e-8 or by 4e-3
of itself; six layers come to 1e-6 and 1e-2 (measured), and deeper ones to some times that."""
_MOVED = 1e-6
"""From here on a state counts as another one, where batches are of one shape and so are rounded alike."""
_MOST_PARAMETERS = 10**9
"""Models up to this size are compared in float32, whatever they compute in: a copy of their tensors takes memory."""


@dataclass(frozen=True)
class Findings:
    """Findings of the check."""

    facts: dict[str, Any]
    """For the manifest: how batches are made, and how far states lie apart."""
    warnings: list[str] = field(default_factory=list)


class _RefusedError(Exception):
    """The encoder cannot be believed, for the reason given."""


def check_encoder(encoder: Encoder, pooling: str = "mean") -> Findings:
    """Encode a few sentences in several ways, and set how the encoder makes its batches.

    Args:
        encoder: as it was built; its `batching` is set here, where it has one.
        pooling: that the run will take: `cls` needs a first token that reads the others.

    Raises:
        InputError: its states cannot be believed, and why.
    """
    samples = draw_samples(encoder)
    try:
        alone = _encode(encoder, samples, [Samples.TEXT])
        _check_form(encoder, samples, alone)
        tensors = _open_float32(encoder)
        facts = _choose_batching(encoder, samples, tensors)
        context = _find_context(encoder, samples, alone)
        facts |= {"fused_difference": _compare_fused(encoder, samples, tensors)}
    except _RefusedError as broken:
        raise InputError(f"checkpoint {encoder.checkpoint}: {broken}") from broken.__cause__
    warnings = [*getattr(encoder, "notes", ()), *_describe_batching(encoder, facts), *context.warnings]
    warnings += _describe_final_norm(encoder, samples)
    first_is_special = bool(samples.tokens.special[Samples.TEXT][0])
    warnings += _judge_cls(encoder, context.facts, first_is_special=first_is_special) if pooling == "cls" else []
    return Findings(facts | context.facts, warnings)


def _encode(
    encoder: Encoder, samples: Samples, rows: Sequence[int], tensors: Mapping[str, Tensor] | None = None
) -> list[Float[Tensor, "layers _tokens hidden"]]:
    """States of each of some samples that are computed together, in float32 and on the processor.

    Raises:
        _RefusedError: the encoder throws something, or its states are not one for each token.
    """
    lengths = [len(samples.tokens.ids[row]) for row in rows]
    try:
        if tensors and isinstance(encoder, DifferentiableEncoder):
            with torch.inference_mode():
                states = encoder.compute_states(samples.tokens, np.array(rows), tensors)
        else:
            states = encoder.encode(samples.tokens, np.array(rows))
        layers = [layer.detach().float().cpu() for layer in states.layers]
        shapes = {tuple(layer.shape[:2]) for layer in layers}
        if shapes <= {(len(rows), max(lengths))}:
            return [torch.stack([layer[i, :n] for layer in layers]) for i, n in enumerate(lengths)]
    except MODEL_ERRORS as error:
        if lacks_memory(error):
            raise MemoryError(str(error)) from error
        reason = " ".join(str(error).split())[:300]
        raise _RefusedError(
            f"{_kind(encoder)} cannot encode a text of {max(lengths)} tokens ({type(error).__name__}: {reason}); "
            "correct config.json if it is at fault, or take an encoder of texts"
        ) from error
    raise _RefusedError(
        f"{_kind(encoder)} gives states of other lengths ({', '.join(str(shape[1]) for shape in sorted(shapes))}) than "
        f"its {max(lengths)} tokens; they cannot be pooled"
    )


def _describe_final_norm(encoder: Encoder, samples: Samples) -> list[str]:
    """A warning where the last layer, and no other, is read after a norm behind all blocks (GPT-2, ModernBERT)."""
    model = getattr(encoder, "model", None)
    if not isinstance(model, torch.nn.Module):
        return []
    outputs: list[Any] = []
    norms = {name: part for name, part in model.named_modules() if "norm" in type(part).__name__.lower()}
    # Parts of a block have its number in their name.
    outer = [part for name, part in norms.items() if not any(step.isdigit() for step in name.split("."))]
    hooks = [part.register_forward_hook(lambda _part, _inputs, output: outputs.append(output)) for part in outer]
    try:
        last = encoder.encode(samples.tokens, np.array([Samples.TEXT])).layers[-1]
    finally:
        for hook in hooks:
            hook.remove()
    if not any(isinstance(output, Tensor) and torch.equal(output, last) for output in outputs):
        return []
    return [
        f"checkpoint {encoder.checkpoint}: its last layer is read after a final norm, the others before: the mix "
        "weighs unlike things; --mix-norm gives all layers one scale"
    ]


def _open_float32(encoder: Encoder) -> dict[str, Tensor]:
    """The model's tensors in float32, so that rounding hides nothing; none where that is what it has, or too much."""
    if encoder.dtype == "float32" or not isinstance(encoder, DifferentiableEncoder):
        return {}
    model = encoder.model
    if sum(parameter.numel() for parameter in model.parameters()) > _MOST_PARAMETERS:
        return {}
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.float() for name, tensor in tensors.items() if tensor.is_floating_point()}


def _check_form(encoder: Encoder, samples: Samples, alone: Sequence[Tensor]) -> None:
    """Check for as many states as names, as many tokens as went in, of the declared width, all finite."""
    others = {row: _encode(encoder, samples, [row])[0] for row in (Samples.PAIR, Samples.WORD, Samples.LONGEST)}
    for row, states in {Samples.TEXT: alone[0], **others}.items():
        found = tuple(states.shape)
        wanted = (len(encoder.layer_names), len(samples.tokens.ids[row]), encoder.hidden_size)
        if found != wanted:
            raise _RefusedError(
                f"{_kind(encoder)} gives {found[0]} layers of {found[1]} states of width {found[2]} for {wanted[1]} "
                f"tokens; expected {wanted[0]} layers of {wanted[1]} of width {wanted[2]}: its layers cannot be probed"
            )
        for name, layer in zip(encoder.layer_names, states, strict=True):
            if not bool(torch.isfinite(layer).all()):
                raise _RefusedError(f"layer {name} gives NaN or infinity in {encoder.dtype}; try --dtype float32")


def _choose_batching(encoder: Encoder, samples: Samples, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The largest batches in which a text has the states that it has alone.

    Raises:
        _RefusedError: it has not even the same ones alone, or how its batches are made cannot be set.
    """
    tolerance = _TOLERANCES["float32" if tensors else encoder.dtype]

    def measure(*rows: int) -> float:
        return _compare(alone, _encode(encoder, samples, rows, tensors)[rows.index(Samples.TEXT)])

    alone = _encode(encoder, samples, [Samples.TEXT], tensors)[0]
    padded = measure(Samples.PAIR, Samples.LONGER, Samples.TEXT, Samples.TURNED)
    level = measure(Samples.TURNED, Samples.TEXT, Samples.LAST_REPLACED)
    # Last, so that a model that remembers what it has read is found out too.
    if measure(Samples.TEXT) > tolerance:
        raise _RefusedError(f"{_kind(encoder)} gives other states each time it reads a sentence; it cannot be probed")
    chosen: Batching = "single" if level > tolerance else "equal lengths" if padded > tolerance else "padded"
    if isinstance(encoder, BatchingEncoder):
        encoder.batching = chosen
    elif chosen != "padded":
        raise _RefusedError(f"states of {_kind(encoder)} depend on the other texts of a batch; see contracts.encoder")
    return {"batching": chosen, "padded_difference": padded}


def _find_context(encoder: Encoder, samples: Samples, alone: Sequence[Tensor]) -> Findings:
    """Find which words a state reads.

    Raises:
        _RefusedError: only its own.
    """
    tokens, words = samples.tokens, samples.words
    moved: dict[int, Bool[np.ndarray, "layers tokens"]] = {}
    for row in (Samples.FIRST_REPLACED, Samples.LAST_REPLACED):
        states = _encode(encoder, samples, [row])[0]
        same = tokens.ids[row] == tokens.ids[Samples.TEXT]
        if same.all() or not same.any() or not words[-1]:
            return Findings({"reads": "not checked, since too few words are known"})
        moved[row] = (_measure_distances(alone[0], states) > _MOVED).numpy() & same
    either = moved[Samples.FIRST_REPLACED] | moved[Samples.LAST_REPLACED]
    above = [number for number, name in enumerate(encoder.layer_names) if name != "embeddings"]
    if above and not either[above].any():
        raise _RefusedError(
            f"no state of {_kind(encoder)} depends on any other word: on {encoder.device}, its attention does nothing"
        )
    leftwards = bool(moved[Samples.LAST_REPLACED][:, : words[-1]].any())
    warnings = [
        f"checkpoint {encoder.checkpoint}: its layer {name} reads neighbouring words, so that it is no baseline "
        "without context"
        for number, name in enumerate(encoder.layer_names)
        if name == "embeddings" and either[number].any()
    ]
    return Findings({"reads": "both ways" if leftwards else "left to right"}, warnings)


def _compare_fused(encoder: Encoder, samples: Samples, tensors: Mapping[str, Tensor]) -> float:
    """Compare means over tokens by a backend of its own with those of the states: the distance; 0 where there is none.

    Raises:
        _RefusedError: farther than its number format allows.
    """
    begin = _find_pooling(encoder)
    if begin is None:
        return 0.0
    rows = np.array([Samples.TEXT, Samples.LONGER, Samples.PAIR, Samples.WORD])
    lengths = samples.tokens.lengths[rows]
    shares = np.repeat(1 / lengths, lengths).astype(np.float32)
    found = torch.from_numpy(begin(samples.tokens, rows, shares, False)())
    means = [_encode(encoder, samples, [row], tensors)[0].mean(dim=1) for row in rows.tolist()]
    difference = max(_compare(mean, found[:, number]) for number, mean in enumerate(means))
    if difference > _TOLERANCES[encoder.dtype]:
        raise _RefusedError(
            f"vectors of --backend {encoder.backend} lie {difference:.2g} from those of torch; use --backend torch"
        )
    return difference


def _find_pooling(encoder: Encoder) -> Callable[..., Callable[[], np.ndarray]] | None:
    """The function that begins an encoder's own pooling; none where its states are pooled."""
    if encoder.backend == "fused" and isinstance(encoder, PoolingEncoder):
        return partial(partial, encoder.pool)
    if encoder.backend == "unpadded" and isinstance(encoder, OverlappingEncoder):
        return encoder.start_pool
    return None


def _compare(one: Float[Tensor, "*states hidden"], other: Float[Tensor, "*states hidden"]) -> float:
    """The largest distance of two states of one token, relative to their length; infinite where one is not finite."""
    return float(_measure_distances(one, other).max())


def _measure_distances(
    one: Float[Tensor, "*states hidden"], other: Float[Tensor, "*states hidden"]
) -> Float[Tensor, "*states"]:
    lengths = one.norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
    return ((one - other).norm(dim=-1) / lengths).nan_to_num(float("inf"))


def _describe_batching(encoder: Encoder, facts: dict[str, Any]) -> list[str]:
    way = {
        "equal lengths": "depend on padding: only sentences of one length are encoded together, which is slower",
        "single": "depend on the other sentences of a batch: each is encoded by itself, which is slow",
    }
    chosen = facts["batching"]
    return [f"states of {_kind(encoder)} {way[chosen]}"] if chosen in way else []


def _judge_cls(encoder: Encoder, facts: dict[str, Any], *, first_is_special: bool) -> list[str]:
    """Judge whether the first token stands for a sentence.

    Raises:
        InputError: it reads no other word, so that its vector is the same for every sentence, or tells the first word.
    """
    if facts["reads"] == "left to right":
        raise InputError(
            f"--pooling cls: {_kind(encoder)} reads from left to right, so that its first token knows nothing of the "
            "sentence; use --pooling mean"
        )
    if first_is_special:
        return []
    return [f"--pooling cls takes the first word: the tokenizer of {encoder.checkpoint} puts no mark first"]


def _kind(encoder: Encoder) -> str:
    return type(getattr(encoder, "model", encoder)).__name__
