"""Draws derivations of exactly the wanted depth and length, so that the two need not depend on each other.

Weight of a symbol X at depth at most d, by length (a polynomial whose l-th coefficient belongs to length l):

    A[X, d] = sum over rules X -> Y1 ... Yk of weight * A[Y1, d-1] * ... * A[Yk, d-1]

where * convolves; a word has length 1 and depth 1. The weight at depth exactly d is A[X, d] - A[X, d-1]. Drawing runs
the sum backwards: pick a rule, then the first child that reaches d-1, then the lengths from left to right.
"""

from bisect import bisect
from itertools import accumulate
from random import Random

import numpy as np

from probing.tasks.controlled.grammar import Rule

Derivation = tuple[str, tuple["Derivation", ...]]
"""A symbol and the derivations of its parts."""
_Bounds = tuple[tuple[int, bool], ...]
_REST = -1
_MAX_DEPTH, _MAX_LENGTH = 13, 30
"""Largest depth and largest number of words of a derivation."""
_Plan = list[tuple[str, Derivation | None, int, bool, dict]]
"""By part: symbol, the part itself if it is a word, depth, whether exactly, weights of sizes by what is left."""


class DerivationSampler:
    """Draws from the rules, each derivation in proportion to the product of its rules' weights."""

    def __init__(self, rules: dict[str, list[Rule]]):
        """Add up the weights of all derivations."""
        self._rules = rules
        scale = {left: sum(rule.weight for rule in group) for left, group in rules.items()}
        self._share = {rule: rule.weight / scale[left] for left, group in rules.items() for rule in group}
        word = np.zeros(_MAX_LENGTH + 1)
        word[1] = 1.0
        symbols = {symbol for group in rules.values() for rule in group for symbol in (rule.left, *rule.right)}
        self._words = {symbol: (symbol, ()) for symbol in symbols - set(rules)}
        nothing = np.zeros(_MAX_LENGTH + 1)
        self._mass = {symbol: [nothing, word if symbol in self._words else nothing] for symbol in symbols}
        for depth in range(2, _MAX_DEPTH + 1):
            for symbol in symbols:
                self._mass[symbol].append(word if symbol in self._words else self._sum_rules(symbol, depth))
        self._plans: dict[tuple[str, int, int, bool], tuple[list[_Plan], list[float]]] = {}
        self._steps: dict[tuple[Rule, _Bounds], _Plan] = {}

    def weights(self, symbol: str, depth: int | None = None) -> np.ndarray:
        """Weight of a symbol by length, at exactly this depth or, without one, at any."""
        return self._weigh(symbol, _MAX_DEPTH if depth is None else depth, depth is not None)

    def draw(self, random: Random, symbol: str, length: int, depth: int | None = None) -> Derivation:
        """A derivation of a symbol with exactly this many words, and exactly this depth if one is given."""
        return self._draw(random, symbol, length, _MAX_DEPTH if depth is None else depth, depth is not None)

    def _sum_rules(self, symbol: str, depth: int) -> np.ndarray:
        total = np.zeros(_MAX_LENGTH + 1)
        for rule in self._rules[symbol]:
            bounds = ((depth - 1, False),) * len(rule.right)
            total += self._share[rule] * self._suffixes(rule.right, bounds)[0]
        return total

    def _weigh(self, symbol: str, depth: int, exact: bool) -> np.ndarray:
        masses = self._mass[symbol]
        # a difference of rounded sums may leave dust below zero
        return np.maximum(masses[depth] - masses[depth - 1], 0.0) if exact else masses[depth]

    def _suffixes(self, symbols: tuple[str, ...], bounds: _Bounds) -> list[np.ndarray]:
        """By position: weight, by length, of all symbols from there on."""
        one = np.zeros(_MAX_LENGTH + 1)
        one[0] = 1.0
        suffixes = [one]
        for symbol, (depth, exact) in zip(reversed(symbols), reversed(bounds), strict=True):
            product = np.convolve(self._weigh(symbol, depth, exact), suffixes[0])
            suffixes.insert(0, product[: _MAX_LENGTH + 1])
        return suffixes

    def _draw(self, random: Random, symbol: str, length: int, depth: int, exact: bool) -> Derivation:
        plans, totals = self._plans_of(symbol, length, depth, exact)
        steps = plans[bisect(totals, random.random() * totals[-1])]
        children = []
        for child, word, child_depth, child_exact, rest in steps:
            if word is not None:
                children.append(word)
                length -= 1
                continue
            sizes = rest.get(length) or self._add_sizes(rest, child, child_depth, child_exact, length)
            size = bisect(sizes, random.random() * sizes[-1])
            children.append(self._draw(random, child, size, child_depth, child_exact))
            length -= size
        return symbol, tuple(children)

    def _plans_of(self, symbol: str, length: int, depth: int, exact: bool) -> tuple[list[_Plan], list[float]]:
        """The ways to expand a symbol, with their running weights."""
        key = symbol, length, depth, exact
        if key not in self._plans:
            plans, weights = [], []
            for rule in self._rules[symbol]:
                for bounds in self._bounds_of(rule, depth, exact):
                    weight = self._share[rule] * self._suffixes(rule.right, bounds)[0][length]
                    if weight > 0:
                        plans.append(self._plan(rule, bounds))
                        weights.append(weight)
            if not plans:
                raise ValueError(f"no derivation of {symbol} has {length} words and depth {depth}")
            self._plans[key] = plans, list(accumulate(weights))
        return self._plans[key]

    def _plan(self, rule: Rule, bounds: _Bounds) -> _Plan:
        if (rule, bounds) not in self._steps:
            suffixes = self._suffixes(rule.right, bounds)[1:]
            self._steps[rule, bounds] = [
                (child, self._words.get(child), *bound, {_REST: suffix})
                for child, bound, suffix in zip(rule.right, bounds, suffixes, strict=True)
            ]
        return self._steps[rule, bounds]

    def _add_sizes(self, rest: dict, child: str, depth: int, exact: bool, length: int) -> list[float]:
        """Running weights of the sizes that a part may have when it and all after it have this many words."""
        weights = self._weigh(child, depth, exact)[: length + 1] * rest[_REST][length::-1]
        rest[length] = np.cumsum(weights).tolist()
        return rest[length]

    def _bounds_of(self, rule: Rule, depth: int, exact: bool) -> list[_Bounds]:
        below = depth - 1
        if not exact:
            return [((below, False),) * len(rule.right)]
        first = range(len(rule.right))
        return [
            tuple((below - 1, False) if at < deepest else (below, at == deepest) for at in range(len(rule.right)))
            for deepest in first
        ]
