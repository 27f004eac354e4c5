"""Budgets of NAS-BERT's models: sizes and latencies, whether any candidate is within them, and models made by hand."""

from collections.abc import Sequence
from math import inf

from probing.encoders.operations import name_operation
from probing.records import InputError
from probing.training.transforms.block_space import Costs, Pools
from probing.training.transforms.shrinking import Budget, explain_budget, find_extreme


def list_budgets(sizes: Sequence[float], latencies: Sequence[float]) -> list[Budget]:
    """Budgets by their names: of parameters of the body, then of milliseconds."""
    return [
        *(Budget(name_size(size), size=size) for size in sizes),
        *(Budget(f"{one:g}ms", latency=one) for one in latencies),
    ]


def check_sizes(budgets: Sequence[Budget], pools: Pools, costs: Costs) -> None:
    """Refuse a size that is smaller or larger than every candidate's.

    Raises:
        InputError: naming it, and the nearest that there is.
    """
    largest = costs.size(find_extreme(pools.blocks, costs.size, max))
    for budget in budgets:
        if budget.size < costs.size(find_extreme(pools.blocks, costs.size)):
            raise InputError(explain_budget(pools.blocks, costs, budget))
        if largest < budget.size < inf:
            raise InputError(
                f"--sizes {budget.size:g}: no candidate has so many parameters; the nearest has {largest:,} ({largest})"
            )


def check_latencies(budgets: Sequence[Budget], pools: Pools, costs: Costs) -> None:
    """Refuse a latency below every candidate's.

    Raises:
        InputError: naming it, and the nearest that there is.
    """
    for budget in budgets:
        if budget.latency < costs.latency(find_extreme(pools.blocks, costs.latency)):
            raise InputError(explain_budget(pools.blocks, costs, budget))


def read_hand_made(name: str) -> list[list[str]]:
    """BERT of so many layers and of a width, `3x192`, as one block of operations.

    Raises:
        InputError: it says no such thing.
    """
    layers, _, width = name.partition("x")
    if not (layers.isdecimal() and width.isdecimal() and int(layers) and int(width)):
        raise InputError(f"--hand-made {name}: expected layers and width, such as 3x192")
    return [[name_operation(int(width), code) for code in (0, 1)] * int(layers)]


def name_size(size: float) -> str:
    """A size as names of models have it: `0.40M`."""
    return f"{size / 1e6:.2f}M" if size >= 1e4 else f"{size:g}"
