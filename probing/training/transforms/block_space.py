"""Architectures of NAS-BERT's blocks that are still in a search, and what each costs: parameters and milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from probing.encoders.operations import KINDS, BlockChoice, count_body, name_operation

Architecture = tuple[BlockChoice, ...]
"""An architecture of a whole model: a choice for each block."""


def list_choices(widths: Sequence[int], n_places: int) -> list[BlockChoice]:
    """All architectures of one block: for each width, every order of 1 to so many operations.

    Identity at the tail alone is a shorter order.
    """
    codes = range(len(KINDS))
    orders = [order for length in range(1, n_places + 1) for order in product(codes, repeat=length)]
    return [(width, *order) for width in widths for order in orders]


def count_choices(widths: Sequence[int], n_places: int) -> int:
    """Count what `list_choices` lists: widths times (5 + 25 + ... + 5^places)."""
    n = len(KINDS)
    return len(widths) * n * (n ** min(n_places, 100) - 1) // (n - 1)


@dataclass(frozen=True)
class Pools:
    """Choices of each block that a path may take."""

    blocks: tuple[tuple[BlockChoice, ...], ...]

    def draw(self, generator: np.random.Generator) -> Architecture:
        """One path, each block's choice drawn uniformly."""
        return tuple(pool[int(generator.integers(len(pool)))] for pool in self.blocks)


@dataclass(frozen=True)
class Costs:
    """Parameters of an architecture's body, and its latency by a table: the sum over operations and maps.

    Embeddings, and a map behind them, are in neither: all candidates have them alike.
    """

    table: Mapping[str, float]
    """Milliseconds of each operation (`attention-192`) and of each map between blocks (`map-192-384`)."""

    def size(self, path: Sequence[BlockChoice]) -> int:
        """Parameters of some blocks, maps between them included."""
        return count_body(path)

    def latency(self, path: Sequence[BlockChoice]) -> float:
        """Milliseconds of some blocks, maps between them included."""
        own = sum(self.table[name_operation(choice[0], code)] for choice in path for code in choice[1:])
        return own + sum(self.table[name_map(one[0], other[0])] for one, other in pairwise(path) if one[0] != other[0])


def name_map(width: int, other: int) -> str:
    """The name of a map between two blocks in the table of latencies."""
    return f"map-{width}-{other}"


def list_entries(widths: Sequence[int]) -> list[str]:
    """The names of all that a table of latencies must hold for blocks of these widths."""
    operations = [name_operation(width, code) for width in widths for code in range(len(KINDS))]
    return operations + [name_map(one, other) for one, other in product(widths, repeat=2) if one != other]
