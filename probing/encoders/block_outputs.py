"""Outputs of the blocks of an encoder, kept from one pass and changed in another.

A pass in which the output of block l is changed needs nothing of the blocks up to l: what they gave in the plain pass
over the same texts is given again, as it was, and only the blocks above l compute. Over all l that is half the work.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from probing.contracts.encoder import Change
from probing.encoders.blocks import find_blocks

Recorded = list[list[Any]]
"""By block, from 1 on, what it gave in each pass of a model; in front of them, what the first block read."""


class BlockOutputs:
    """The blocks of a model, by the layer that each makes.

    Args:
        model: a bare encoder, or one with a head on it.

    Raises:
        InputError: its blocks cannot be found, as in `find_blocks`.
    """

    def __init__(self, model: nn.Module):
        self.blocks = find_blocks(model)[1:]

    @contextmanager
    def record(self) -> Iterator[Recorded]:
        """While this lasts, every pass leaves what its blocks give."""
        recorded: Recorded = [[] for _ in range(len(self.blocks) + 1)]

        def keep(found: list[Any], *call: Any) -> None:
            found.append(call[-1])

        def keep_input(found: list[Any], block: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            found.append(args[0] if args else options["hidden_states"])

        with ExitStack() as hooks:
            first = partial(keep_input, recorded[0])
            hooks.callback(self.blocks[0].register_forward_pre_hook(first, with_kwargs=True).remove)
            for block, found in zip(self.blocks, recorded[1:], strict=True):
                hooks.callback(block.register_forward_hook(partial(keep, found), prepend=True).remove)
            yield recorded

    @contextmanager
    def change(self, recorded: Recorded, layer: int, change: Change) -> Iterator[None]:
        """While this lasts, block `layer` gives what it gave, changed, and the blocks above it compute from there.

        Args:
            recorded: of plain passes over the texts that will be read, in the same order.
            layer: 0 changes what the first block reads.
            change: of the states of all tokens, padding included.
        """
        with ExitStack() as undo:
            if layer == 0:
                hook = partial(_change_input, change)
                undo.callback(self.blocks[0].register_forward_pre_hook(hook, with_kwargs=True).remove)
            for number, block in enumerate(self.blocks[:layer], 1):
                given = iter(recorded[number])
                block.forward = partial(_give, given, change if number == layer else None)
                undo.callback(delattr, block, "forward")
            yield


def _give(given: Iterator[Any], change: Change | None, *args: Any, **options: Any) -> Any:
    """The forward pass of a block that does not compute."""
    del args, options
    output = next(given)
    if change is None:
        return output
    return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)


def _change_input(change: Change, block: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Change what the first block reads, among its arguments."""
    del block
    if args:
        return (change(args[0]), *args[1:]), options
    return args, options | {"hidden_states": change(options["hidden_states"])}


def read_states(output: Any) -> Any:
    """The states among what a block gives."""
    return output[0] if isinstance(output, tuple) else output


@torch.inference_mode()
def find_change_obstacle(
    model: nn.Module, run: "Callable[[], tuple[Float[Tensor, 'batch tokens hidden'], ...]]"
) -> str:
    """Find what hinders the output of a block from being changed; empty where nothing does.

    Found by trying: each state but the last, behind which a norm may stand, must be what its block gives; blocks that
    give again what they gave must leave every state as it was, to the bit; and the states above a change must move.

    Args:
        model: a bare encoder.
        run: gives its hidden states of some text.
    """
    outputs = BlockOutputs(model)
    kind = type(model).__name__
    with outputs.record() as recorded:
        plain = run()
    if len(recorded) != len(plain):
        return f"{len(recorded) - 1} blocks of {kind} make {len(plain)} layers, not one each"
    if any(len(found) != 1 for found in recorded):
        return f"{kind} does not call each of its blocks once"
    for layer, state in enumerate(plain[:-1]):
        if not _is_state(read_states(recorded[layer][0]), state):
            return f"layer {layer} of {kind} is not what its block gives"
    for layer in range(len(plain) - 1):
        with outputs.change(recorded, layer, lambda states: states):
            again = run()
        with outputs.change(recorded, layer, lambda states: states.flip(-1)):
            moved = run()
        if not all(torch.equal(one, other) for one, other in zip(plain, again, strict=True)):
            return f"{kind} gives other states where block {layer} gives the same"
        if any(torch.equal(one, other) for one, other in zip(plain[layer + 1 :], moved[layer + 1 :], strict=True)):
            return f"a layer of {kind} above block {layer} does not read it"
    return ""


def _is_state(given: Any, state: Float[Tensor, "batch tokens hidden"]) -> bool:
    """True where what a block gives is a layer's state; narrower ones are filled up there."""
    if not isinstance(given, Tensor) or given.shape[:2] != state.shape[:2] or given.shape[-1] > state.shape[-1]:
        return False
    return torch.equal(given, state[..., : given.shape[-1]])
