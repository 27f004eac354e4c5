"""Searches of NAS-BERT's stages: through single operations, for their latency, and through a supernet's blocks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probing.encoders.operations import BlockChoice, write_blocks
from probing.randomness import stream
from probing.records import InputError
from probing.training.evaluation.block_losses import BlockLosses
from probing.training.evolution import Candidate, Scored, Search
from probing.training.plan import ARCHITECTURE
from probing.training.transforms.block_space import Architecture, Costs, Pools
from probing.training.transforms.shrinking import (
    Amounts,
    Budget,
    draw_sample,
    draw_within,
    find_cells,
    select_paths,
    shrink,
)

POOLS, SEARCHED, RANDOM = "pools", "searched", "random"
"""Findings of a search: the architectures of each block that are left, and the models of each arm by budget."""
_BETWEEN = -1
"""Stands between two blocks, where a path is written as one row of numbers."""


@dataclass(frozen=True)
class LatencySearch(Search):
    """Milliseconds of every operation and map, each a candidate by its number; what is fastest scores most."""

    entries: Sequence[str]
    measure: Callable[[], Mapping[str, float]]
    check: Callable[[Costs], None]
    """Refuses, by an InputError, budgets that no candidate meets."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """Facts of what was timed: texts, tokens, size of heads."""

    @property
    def total(self) -> int:
        """Number of entries."""
        return len(self.entries)

    def seek(self, seed: int, done: Sequence[Scored], keep: Callable[[Sequence[Scored]], None]) -> list[Scored]:
        """All entries, measured at once: a table that was measured is not measured again."""
        del seed
        found = list(done)
        if not found:
            table = self.measure()
            found = [Scored("latency", 0, (number,), -table[name]) for number, name in enumerate(self.entries)]
        self.check(Costs(self.conclude(found)))
        keep(found)
        return found

    def conclude(self, found: Sequence[Scored]) -> Mapping[str, float]:
        """The table: milliseconds by name, and what they are of."""
        return {self.entries[one.candidate[0]]: -one.score for one in found} | dict(self.facts)

    def list_log(self, found: Sequence[Scored]) -> Sequence[tuple[int, str, float]]:
        """No rows: milliseconds are no numbers of the training."""
        del found
        return []


@dataclass(frozen=True)
class BlockSearch(Search):
    """One round of shrinking; after the last one, a model is selected for each budget.

    Args:
        pools: architectures of each block.
        costs: of them.
        amounts: how many are scored and left.
        losses: of blocks and paths in the supernet.
        number: of the round, from 0 on.
        budgets: of the models, in the last round; else none.
        evaluated: paths of each budget, the best by their blocks' losses, that are scored as a whole.
        with_random: whether as many blocks again are scored in paths that are drawn, for the same budgets.
    """

    pools: Pools
    costs: Costs
    amounts: Amounts
    losses: BlockLosses
    number: int
    budgets: Sequence[Budget] = ()
    evaluated: int = 20
    with_random: bool = False
    cells: Sequence[Mapping[BlockChoice, tuple[int, int]]] = field(default_factory=list)
    """Of each block's architectures; they are those of the whole space, whatever has been dropped."""

    @property
    def total(self) -> int:
        """Architectures that are scored, those of blocks and those of random paths."""
        n_blocks = sum(len(self._draw(0, block)) for block in range(len(self.pools.blocks)))
        return n_blocks + (self._count_random(n_blocks) * len(self.budgets) if self.with_random else 0)

    def seek(self, seed: int, done: Sequence[Scored], keep: Callable[[Sequence[Scored]], None]) -> list[Scored]:
        """The architectures of each block that are scored, then the random paths of each budget."""
        found, finished = list(done), {one.arm for one in done}
        for block in range(len(self.pools.blocks)):
            if _name_arm(block) not in finished:
                sample = self._draw(seed, block)
                found += self._list(_name_arm(block), sample, self.losses.score_block(block, sample))
                keep(found)
        n_blocks = sum(one.arm.startswith("block") for one in found)
        for budget in self.budgets if self.with_random else ():
            arm = f"{RANDOM} {budget.name}"
            if arm not in finished:
                generator = stream(seed, RANDOM, budget.name)
                drawn = draw_within(self.pools.blocks, self.costs, budget, self._count_random(n_blocks), generator)
                if not drawn:
                    raise InputError(f"--arms {RANDOM}: no path that was drawn is within {budget.name}; leave it away")
                losses = [self.losses.score_path(path) for path in drawn]
                found += self._list(arm, [join_path(path) for path in drawn], losses)
                keep(found)
        return found

    def conclude(self, found: Sequence[Scored]) -> Mapping[str, Any]:
        """Architectures of each block that are left and, after the last round, the models of each arm by budget.

        Raises:
            InputError: a budget that nothing is within which is left.
        """
        own = [
            {one.candidate: -one.score for one in found if one.arm == _name_arm(block)}
            for block in range(len(self.pools.blocks))
        ]
        last = bool(self.budgets)
        left = [
            shrink(pool, cells, losses, self.amounts, last)
            for pool, cells, losses in zip(self.pools.blocks, self.cells, own, strict=True)
        ]
        models = {budget.name: self._select(left, own, budget) for budget in self.budgets}
        findings: dict[str, Any] = {POOLS: left, SEARCHED: models}
        return findings | ({RANDOM: self._find_random(found)} if self.with_random else {})

    def list_log(self, found: Sequence[Scored]) -> Sequence[tuple[int, str, float]]:
        """The best score of each arm."""
        best: dict[str, float] = {}
        for one in found:
            best[one.arm] = max(one.score, best.get(one.arm, one.score))
        return [(self.number, f"best_{arm.replace(' ', '_')}", value) for arm, value in best.items()]

    def _draw(self, seed: int, block: int) -> list[BlockChoice]:
        generator = stream(seed, "shrink", block)
        return draw_sample(self.pools.blocks[block], self.cells[block], self.amounts, bool(self.budgets), generator)

    def _count_random(self, n_blocks: int) -> int:
        """Paths of a budget, so that all together have as many blocks as were scored, and the paths after them."""
        each = n_blocks // (len(self.pools.blocks) * max(1, len(self.budgets)))
        return each + self.evaluated

    def _list(self, arm: str, candidates: Sequence[Candidate], losses: Sequence[float]) -> list[Scored]:
        return [Scored(arm, self.number, one, -loss) for one, loss in zip(candidates, losses, strict=True)]

    def _select(
        self, left: Sequence[Sequence[BlockChoice]], losses: Sequence[Mapping[BlockChoice, float]], budget: Budget
    ) -> dict[str, Any]:
        kept = [{one: own[one] for one in pool} for pool, own in zip(left, losses, strict=True)]
        paths = select_paths(kept, self.costs, budget, self.evaluated)
        scored = [(self.losses.score_path(path), path) for path in paths]
        loss, path = min(scored)
        return self._describe(path, loss) | {
            "sum_of_block_losses": sum(own[one] for own, one in zip(kept, path, strict=True))
        }

    def _find_random(self, found: Sequence[Scored]) -> dict[str, Any]:
        models = {}
        for budget in self.budgets:
            own = [(-one.score, split_path(one.candidate)) for one in found if one.arm == f"{RANDOM} {budget.name}"]
            if own:
                loss, path = min(own)
                models[budget.name] = self._describe(path, loss)
        return models

    def _describe(self, path: Architecture, loss: float) -> dict[str, Any]:
        costs = {"parameters": self.costs.size(path), "latency_ms": self.costs.latency(path)}
        return {"blocks": write_blocks(path), **costs, "path_loss": loss}


def read_findings(folder: Path) -> dict[str, Any]:
    """The findings that a stage of kind `search` left in its folder."""
    return json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))


def read_pools(folder: Path) -> Pools:
    """The architectures of each block that a round has left."""
    return Pools(tuple(tuple(tuple(choice) for choice in pool) for pool in read_findings(folder)[POOLS]))


def find_all_cells(pools: Pools, costs: Costs, amounts: Amounts) -> list[Mapping[BlockChoice, tuple[int, int]]]:
    """The cells of each block's architectures."""
    return [find_cells(pool, costs, amounts) for pool in pools.blocks]


def join_path(path: Architecture) -> Candidate:
    """A path as one row of numbers."""
    return tuple(number for choice in path for number in (*choice, _BETWEEN))[:-1]


def split_path(candidate: Candidate) -> Architecture:
    """A path from its row of numbers."""
    found: list[list[int]] = [[]]
    for number in candidate:
        if number == _BETWEEN:
            found.append([])
        else:
            found[-1].append(number)
    return tuple(tuple(choice) for choice in found)


def _name_arm(block: int) -> str:
    return f"block {block + 1}"
