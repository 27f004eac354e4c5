"""Progressive shrinking of a supernet's blocks by bins, and selection by additive losses (NAS-BERT, section 3.3).

The architectures of a block stand in cells, a bin of size by a bin of latency. In each round some of every cell are
scored, and the worse half of those is dropped; the last round leaves the best few of each cell. A path's loss is then
taken to be the sum of its blocks', so that few scored blocks stand for very many models.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf

import numpy as np
from jaxtyping import Bool, Float, Int

from probing.encoders.operations import BlockChoice
from probing.records import InputError
from probing.training.transforms.block_space import Architecture, Costs

Cell = tuple[int, int]
"""Bin of size, bin of latency."""
_DRAWS = 10_000
"""Paths that are drawn at a time."""
_TRIES = 500
"""Times that so many are drawn for those within a budget."""


@dataclass(frozen=True)
class Amounts:
    """Number of bins, and of architectures in a cell. The paper's: 10 bins, 2,000 scored, 10 kept at last."""

    bins: int = 5
    """Of size."""
    latency_bins: int = 5
    """Of latency; 1 leaves latency out."""
    sampled: int = 100
    """Architectures of a cell that are scored in a round."""
    kept: int = 10
    """Architectures of a cell that the last round leaves."""


@dataclass(frozen=True)
class Budget:
    """Limit that a model is selected under."""

    name: str
    size: float = inf
    """Parameters of the body."""
    latency: float = inf
    """Milliseconds of the body, by the table."""


def find_cells(choices: Sequence[BlockChoice], costs: Costs, amounts: Amounts) -> dict[BlockChoice, Cell]:
    """The cell of each architecture of a block."""
    sizes = find_bins([costs.size((choice,)) for choice in choices], amounts.bins)
    latencies = find_bins([costs.latency((choice,)) for choice in choices], amounts.latency_bins)
    return dict(zip(choices, zip(sizes, latencies, strict=True), strict=True))


def find_bins(values: Sequence[float], n: int) -> list[int]:
    """The bin of each value, between the least and the largest; the edges of bins are a constant factor apart.

    Ours: sizes go with the square of a width, so that bins of equal breadth would put all small ones into the first.
    """
    logs = np.log(np.asarray(values, dtype=float))
    spread = np.ptp(logs)
    places = (logs - logs.min()) / spread * n if spread else np.zeros(len(logs))
    return np.minimum(places.astype(int), n - 1).tolist()


def draw_sample(
    pool: Sequence[BlockChoice],
    cells: Mapping[BlockChoice, Cell],
    amounts: Amounts,
    last: bool,
    generator: np.random.Generator,
) -> list[BlockChoice]:
    """The architectures that a round scores; in all but the last, none of cells that are small enough already."""
    found = []
    for members in _by_cell(pool, cells):
        if last or len(members) > amounts.kept:
            n = min(amounts.sampled, len(members))
            found += [members[row] for row in sorted(generator.choice(len(members), n, replace=False).tolist())]
    return found


def shrink(
    pool: Sequence[BlockChoice],
    cells: Mapping[BlockChoice, Cell],
    losses: Mapping[BlockChoice, float],
    amounts: Amounts,
    last: bool,
) -> list[BlockChoice]:
    """The architectures that are left, in the pool's order.

    Args:
        pool: all that were.
        cells: of all.
        losses: of those that were scored.
        amounts: how many of a cell stay at least.
        last: whether only the best that were scored are left.
    """
    dropped: set[BlockChoice] = set()
    for members in _by_cell(pool, cells):
        scored = sorted((one for one in members if one in losses), key=lambda one: (losses[one], one))
        n_worse = min(len(scored) // 2, max(0, len(members) - amounts.kept))
        dropped |= set(members) - set(scored[: amounts.kept]) if last else set(scored[len(scored) - n_worse :])
    return [one for one in pool if one not in dropped]


def find_extreme(
    pools: Iterable[Sequence[BlockChoice]],
    measure: Callable[[Architecture], float],
    pick: Callable[..., Architecture] = min,
) -> Architecture:
    """The path with the least (or `max`: the largest) of a cost that adds up over blocks and maps between widths."""
    ends = []
    for pool in pools:
        widths = dict.fromkeys(choice[0] for choice in pool)
        ends.append([pick(((one,) for one in pool if one[0] == width), key=measure)[0] for width in widths])
    return pick(product(*ends), key=measure)


class Ledger:
    """Costs of any number of paths at once.

    Args:
        pools: choices of each block.
        costs: of each.
    """

    def __init__(self, pools: Sequence[Sequence[BlockChoice]], costs: Costs):
        self.pools = pools
        widths = sorted({choice[0] for pool in pools for choice in pool})
        self._own = [np.array([_cost(costs, (choice,)) for choice in pool]) for pool in pools]
        self._widths = [np.array([widths.index(choice[0]) for choice in pool]) for pool in pools]
        # The map's own cost: that of two blocks less that of each.
        pairs = [[((one, 0), (other, 0)) for other in widths] for one in widths]
        self._maps = np.array(
            [[_cost(costs, pair) - _cost(costs, pair[:1]) - _cost(costs, pair[1:]) for pair in row] for row in pairs]
        )

    def add_up(self, rows: Int[np.ndarray, "paths blocks"]) -> Float[np.ndarray, "paths 2"]:
        """Parameters and milliseconds of paths, each given by the row of its choice in each pool."""
        total = sum(own[rows[:, block]] for block, own in enumerate(self._own))
        for block in range(len(self.pools) - 1):
            one, other = (self._widths[at][rows[:, at]] for at in (block, block + 1))
            total = total + self._maps[one, other]
        return total  # pyright: ignore

    def fits(self, rows: Int[np.ndarray, "paths blocks"], budget: Budget) -> Bool[np.ndarray, " paths"]:
        """True where a path is within a budget."""
        found = self.add_up(rows)
        return (found[:, 0] <= budget.size) & (found[:, 1] <= budget.latency)

    def read(self, row: Int[np.ndarray, " blocks"]) -> Architecture:
        """The path of a row."""
        return tuple(pool[number] for pool, number in zip(self.pools, row.tolist(), strict=True))


def select_paths(
    losses: Sequence[Mapping[BlockChoice, float]], costs: Costs, budget: Budget, top: int
) -> list[Architecture]:
    """The paths within a budget with the least sums of block losses, the best first.

    Of each block, choices that another one of its width beats in size, latency and loss are in none of them.

    Args:
        losses: of each block's choices.
        costs: of each.
        budget: that no path may exceed.
        top: paths at most.

    Raises:
        InputError: no path is within the budget; the message names the nearest.
    """
    pools = [_list_unbeaten(own, costs) for own in losses]
    ledger, best = Ledger(pools, costs), list[tuple[float, Architecture]]()
    values = [np.array([own[choice] for choice in pool]) for own, pool in zip(losses, pools, strict=True)]
    sizes = [len(pool) for pool in pools[1:]]
    others = np.indices(sizes).reshape(len(sizes), -1).T if sizes else np.zeros((1, 0), dtype=int)
    rest = sum((own[others[:, block]] for block, own in enumerate(values[1:])), np.zeros(len(others)))
    for first in range(len(pools[0])):
        rows = np.insert(others, 0, first, axis=1)
        rows, sums = (part[ledger.fits(rows, budget)] for part in (rows, rest + values[0][first]))
        for row in np.argsort(sums, kind="stable")[:top]:
            best.append((float(sums[row]), ledger.read(rows[row])))
    if not best:
        raise InputError(explain_budget(pools, costs, budget))
    return [path for _, path in sorted(best)[:top]]


def draw_within(
    pools: Sequence[Sequence[BlockChoice]], costs: Costs, budget: Budget, n: int, generator: np.random.Generator
) -> list[Architecture]:
    """Different paths within a budget, all equally probable; fewer where so many are hardly there."""
    ledger, found = Ledger(pools, costs), dict[Architecture, None]()
    for _ in range(_TRIES):
        rows = np.stack([generator.integers(len(pool), size=_DRAWS) for pool in pools], axis=1)
        for row in rows[ledger.fits(rows, budget)][: n - len(found)]:
            found[ledger.read(row)] = None
        if len(found) >= n:
            break
    return list(found)


def explain_budget(pools: Sequence[Sequence[BlockChoice]], costs: Costs, budget: Budget) -> str:
    """Words for a budget that no path is within, with the nearest."""
    if np.isfinite(budget.size):
        nearest = costs.size(find_extreme(pools, costs.size))
        return f"--sizes {budget.size:g}: no candidate has so few parameters; the nearest has {nearest:,} ({nearest})"
    nearest = costs.latency(find_extreme(pools, costs.latency))
    return f"--latencies {budget.latency:g}: no candidate is so fast; the nearest takes {nearest:.4g} ms"


def _cost(costs: Costs, path: Sequence[BlockChoice]) -> Float[np.ndarray, "2"]:
    return np.array([costs.size(path), costs.latency(path)])


def _list_unbeaten(losses: Mapping[BlockChoice, float], costs: Costs) -> list[BlockChoice]:
    choices = sorted(losses)
    table = np.array([[*_cost(costs, (one,)), losses[one]] for one in choices])
    widths = np.array([one[0] for one in choices])
    kept = []
    for row, choice in enumerate(choices):
        no_worse = (table <= table[row]).all(axis=1) & (widths == widths[row])
        beaten = no_worse & ((table < table[row]).any(axis=1) | (np.arange(len(choices)) < row))
        kept += [] if beaten.any() else [choice]
    return kept


def _by_cell(pool: Sequence[BlockChoice], cells: Mapping[BlockChoice, Cell]) -> list[list[BlockChoice]]:
    """The members of each cell, in the pool's order; cells in an order of their own."""
    found: dict[Cell, list[BlockChoice]] = defaultdict(list)
    for choice in pool:
        found[cells[choice]].append(choice)
    return [found[cell] for cell in sorted(found)]
