"""A check, before anything is encoded, that memory holds what the largest task will take."""

from collections.abc import Sequence

from probing.memory import find_room
from probing.records import InputError, Task

_HELD_BYTES = 2**30
"""Of a stack on disk, not more is held at a time; measured 1.0 to 1.2 GiB at 120,000 sentences of BERT-base."""


def check_room(tasks: Sequence[Task], n_layers: int, hidden_size: int, measures: Sequence[str]) -> None:
    """Refuse tasks whose vectors this machine cannot hold.

    It errs on the side of letting a run begin: what a cell lacks beyond that costs the cell.

    Raises:
        InputError: naming the task, what it needs and what is free.
    """
    room = find_room()
    for task in tasks:
        sizes = {name: 4 * n_layers * len(split) * hidden_size for name, split in task.splits.items()}
        needed = min(sum(sizes.values()), _HELD_BYTES)
        if "concat" in measures:
            needed = max(needed, _count_concat(n_layers * hidden_size, sizes["train"]))
        if needed > room:
            raise InputError(
                f"not enough memory here: {task.name} needs {needed / 2**30:.1f} GiB for {n_layers} layers of width "
                f"{hidden_size}, and {max(room, 0) / 2**30:.1f} GiB are free; free some, raise the limit (ulimit), or "
                "take fewer sentences (--limit) or layers (--layers)"
            )


def _count_concat(width: int, train_bytes: int) -> int:
    """Bytes that all layers side by side take: two square matrices in float64, or one in float32 and a copy of all."""
    return min(train_bytes, _HELD_BYTES) + max(16 * width**2, 4 * width**2 + train_bytes)
