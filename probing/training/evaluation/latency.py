"""Latencies of NAS-BERT's operations on a machine: a table whose entries add up to those of whole models."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from probing.encoders.nas_bert_model import NasBertConfig
from probing.encoders.operations import KINDS, build_operation
from probing.records import InputError

_REPEATS = 15
"""Timed passes of each entry, after two to warm up; all take turns, so that a slow moment slows no single one."""


def measure_table(
    config: NasBertConfig, entries: Sequence[str], shape: tuple[int, int], device: torch.device | str
) -> dict[str, float]:
    """Milliseconds of a forward pass of each entry, in float32, over texts without padding.

    On a CPU, processor time of one thread: what else the machine does is not in it. The fastest of some passes counts.

    Args:
        config: sizes of operations at each width.
        entries: operations (`attention-192`) and maps between blocks (`map-192-384`).
        shape: texts, and tokens of each.
        device: that it is measured on.
    """
    seconds = time_passes([prepare_pass(build_entry(config, name), shape, device) for name in entries])
    return {name: 1000 * one for name, one in zip(entries, seconds, strict=True)}


def time_passes(passes: Sequence[Callable[[], float]]) -> list[float]:
    """Seconds of the fastest of some turns of each pass, on one thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        turns = [[compute() for compute in passes] for _ in range(_REPEATS + 2)]
    finally:
        torch.set_num_threads(n_threads)
    return [min(found) for found in zip(*turns[2:], strict=True)]


def build_entry(config: NasBertConfig, name: str) -> tuple[nn.Module, int]:
    """Module of an entry, and the width that it reads; weights are drawn by torch's own generator."""
    kind, *sizes = name.split("-")
    if kind == "map":
        one, other = map(int, sizes)
        return _Alone(nn.Linear(one, other)), one
    [width] = map(int, sizes)
    return build_operation(config.at_width(width), KINDS.index(kind)), width


def prepare_pass(
    built: tuple[nn.Module, int], shape: tuple[int, int], device: torch.device | str
) -> Callable[[], float]:
    """Function: seconds of one pass of a module of states and mask, over states that are drawn once."""
    module, width = built[0].to(device).eval(), built[1]
    states = torch.randn(*shape, width, generator=torch.Generator().manual_seed(0)).to(device)
    synchronise = torch.cuda.synchronize if states.is_cuda else lambda: None
    clock = time.perf_counter if states.is_cuda else time.process_time

    @torch.inference_mode()
    def compute() -> float:
        synchronise()
        start = clock()
        module(states, None)
        synchronise()
        return clock() - start

    return compute


def read_table(path: Path, entries: Sequence[str], facts: Mapping[str, float]) -> Mapping[str, float]:
    """A table that was measured before, with those of the facts that it has.

    Args:
        path: of its file, JSON of milliseconds by name.
        entries: which it must have.
        facts: of what the milliseconds shall be: `texts`, `tokens`, `head_size`. A table of before 2026-11-27 has none.

    Raises:
        InputError: it cannot be read, lacks some of the entries, or was measured on something else.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--latency-table {path}: cannot be read ({error}); expected JSON of milliseconds") from None
    known = found if isinstance(found, dict) else {}
    missing = [name for name in entries if not _is_time(known.get(name))]
    if missing:
        raise InputError(
            f"--latency-table {path}: has no milliseconds of {missing[0]}; expected those of all operations and maps "
            "at --widths and --hand-made"
        )
    other = [
        f"{name} {known[name]} in place of {value:g}"
        for name, value in facts.items()
        if known.get(name, value) != value
    ]
    if other:
        raise InputError(
            f"--latency-table {path}: measured with {', '.join(other)}; give the same --latency-batch (texts), "
            "--max-length (tokens) and --head-size, or measure anew"
        )
    return {name: float(known[name]) for name in (*entries, *facts) if name in known}


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


class _Alone(nn.Module):
    """A map with the arguments of an operation."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, states: Tensor, mask: None) -> Tensor:
        del mask
        return self.inner(states)
