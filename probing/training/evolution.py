"""Evolutionary and random search over candidates whose scores are dear: each is scored once, and both cost alike.

LV-BERT (arXiv 2106.11740) leaves its numbers unsaid; the scheme is that of single-path supernets (Guo et al. 2020,
arXiv 1904.00420, algorithm 1): the best so far are parents; half of a generation are mutations of one, half crosses of
two. What is drawn depends on seed and generation alone, so that a search that was stopped goes on to the same ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from probing.randomness import stream

Candidate = tuple[int, ...]
EVOLUTION, RANDOM = ARMS = ("evolution", "random")
_TRIES = 1000
"""Draws of a new candidate before a space counts as used up."""


class Space(Protocol):
    """The candidates there are."""

    def draw(self, generator: np.random.Generator) -> Candidate:
        """One of them, all equally probable."""
        ...

    def mutate(self, parent: Candidate, rate: float, generator: np.random.Generator) -> Candidate:
        """A candidate near another."""
        ...

    def cross(self, one: Candidate, other: Candidate, generator: np.random.Generator) -> Candidate:
        """A candidate made of two others."""
        ...


@dataclass(frozen=True)
class Evolution:
    """Length of a search, and its way from generation to generation. The numbers are ours: none are published."""

    population: int = 50
    """New candidates in each generation, of the evolution and of the random search beside it."""
    generations: int = 20
    parents: int = 10
    """The best candidates so far, which the next generation is made of."""
    mutation: float = 0.1
    """Probability of a place's being changed."""
    crossover: float = 0.5
    """Share of a generation that two parents have; the rest are mutations of one."""


@dataclass(frozen=True)
class Scored:
    """A candidate that a search has come upon."""

    arm: str
    """Part of the search that it is of, such as `evolution` or `random`."""
    generation: int
    """From 0 on."""
    candidate: Candidate
    score: float


class Search(Protocol):
    """Search over candidates whose scores are dear, generation by generation."""

    @property
    def total(self) -> int:
        """Candidates that it comes upon at most."""
        ...

    def seek(self, seed: int, done: Sequence[Scored], keep: Callable[[Sequence[Scored]], None]) -> list[Scored]:
        """All candidates that it comes upon.

        Args:
            seed: of all that is drawn.
            done: what was found already by a search of the same seed, whole generations of it.
            keep: called after each generation with all that was found so far.
        """
        ...

    def conclude(self, found: Sequence[Scored]) -> Mapping[str, Any]:
        """Findings that later stages read, as JSON values."""
        ...

    def list_log(self, found: Sequence[Scored]) -> Sequence[tuple[int, str, float]]:
        """Rows for the log: generation, quantity, value."""
        ...


@dataclass(frozen=True)
class EvolutionSearch:
    """Evolution and random search over one space, at equal cost; a `Search`."""

    space: Space
    evolution: Evolution
    score: Callable[[Candidate], float]
    """The larger the better."""
    named: Mapping[str, Candidate]
    """Candidates that are scored beside those of the search, by their names."""

    @property
    def total(self) -> int:
        """Candidates of both arms."""
        return len(ARMS) * self.evolution.population * self.evolution.generations

    def seek(self, seed: int, done: Sequence[Scored], keep: Callable[[Sequence[Scored]], None]) -> list[Scored]:
        """All candidates of both arms."""
        return search(self.space, self.score, self.evolution, seed, done, keep)

    def conclude(self, found: Sequence[Scored]) -> Mapping[str, Any]:
        """The best of each arm, and the named ones, with their scores."""
        best = {}
        for name, arm in (("searched", EVOLUTION), ("best_random", RANDOM)):
            own = [one for one in found if one.arm == arm]
            candidate = rank(own)[0]
            best[name] = (candidate, next(one.score for one in own if one.candidate == candidate))
        best |= {name: (candidate, self.score(candidate)) for name, candidate in self.named.items()}
        return {name: {"pattern": list(candidate), "score": score} for name, (candidate, score) in best.items()}

    def list_log(self, found: Sequence[Scored]) -> Sequence[tuple[int, str, float]]:
        """The best score of each arm after each generation."""
        tops = best_by_generation(found)
        return [(step, f"best_{arm}", value) for arm in tops for step, value in enumerate(tops[arm])]


def search(
    space: Space,
    score: Callable[[Candidate], float],
    evolution: Evolution,
    seed: int,
    done: Sequence[Scored] = (),
    keep: Callable[[Sequence[Scored]], None] = lambda found: None,
) -> list[Scored]:
    """All candidates of both searches, generation by generation.

    Args:
        space: of the candidates.
        score: of one of them; the larger the better.
        evolution: how it goes.
        seed: of all that is drawn.
        done: what an earlier search of the same seed had found, whole generations of it.
        keep: called after each generation with all that was found so far.
    """
    found = list(done)
    known = {one.candidate: one.score for one in found}
    for generation in range(found[-1].generation + 1 if found else 0, evolution.generations):
        for arm in ARMS:
            own = [one for one in found if one.arm == arm]
            for candidate in breed(space, evolution, arm, own, stream(seed, "search", arm, generation)):
                if candidate not in known:
                    known[candidate] = score(candidate)
                found.append(Scored(arm, generation, candidate, known[candidate]))
        keep(found)
    return found


def breed(
    space: Space, evolution: Evolution, arm: str, own: Sequence[Scored], generator: np.random.Generator
) -> list[Candidate]:
    """The candidates of an arm's next generation, none of which that arm has had; fewer where the space is used up.

    Args:
        space: of the candidates.
        evolution: how it goes.
        arm: `evolution` or `random`; the first generation of both is drawn at random.
        own: what the arm has found so far.
        generator: of all draws.
    """
    parents = rank(own)[: evolution.parents] if arm == EVOLUTION else []
    had, new = {one.candidate for one in own}, dict[Candidate, None]()
    n_crossed = round(evolution.crossover * evolution.population) if len(parents) > 1 else 0
    for number in range(evolution.population):
        for attempt in range(_TRIES):
            # Where parents are too alike for anything new, a drawn candidate comes in.
            alike = attempt > _TRIES // 2
            candidate = _make(space, evolution, [] if alike else parents, number < n_crossed, generator)
            if candidate not in had and candidate not in new:
                new[candidate] = None
                break
    return list(new)


def rank(found: Sequence[Scored]) -> list[Candidate]:
    """Candidates by their scores, the best first; of equal ones, the one that was found first."""
    return [one.candidate for one in sorted(found, key=lambda one: -one.score)]


def best_by_generation(found: Sequence[Scored]) -> Mapping[str, list[float]]:
    """The best score of each arm after each generation."""
    tops: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for one in found:
        best = tops[one.arm]
        if one.generation == len(best):
            best.append(best[-1] if best else one.score)
        best[-1] = max(best[-1], one.score)
    return tops


def _make(
    space: Space, evolution: Evolution, parents: Sequence[Candidate], crossed: bool, generator: np.random.Generator
) -> Candidate:
    if not parents:
        return space.draw(generator)
    if crossed:
        one, other = generator.choice(len(parents), 2, replace=False)
        return space.cross(parents[one], parents[other], generator)
    return space.mutate(parents[int(generator.integers(len(parents)))], evolution.mutation, generator)
