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

from probing.tasks.grammar import Rule

Derivation = tuple[str, tuple["Derivation", ...]]
"""A symbol and the derivations of its parts."""
_Bounds = tuple[tuple[int, bool], ...]


class DerivationSampler:
    """Draws from the rules, each derivation in proportion to the product of its rules' weights."""

    def __init__(self, rules: dict[str, list[Rule]], max_depth: int = 13, max_length: int = 30):
        """Add up the weights of all derivations."""
        self._rules, self._max_depth, self._max_length = rules, max_depth, max_length
        scale = {left: sum(rule.weight for rule in group) for left, group in rules.items()}
        self._share = {rule: rule.weight / scale[left] for left, group in rules.items() for rule in group}
        word = np.zeros(max_length + 1)
        word[1] = 1.0
        symbols = {symbol for group in rules.values() for rule in group for symbol in (rule.left, *rule.right)}
        self._words = {symbol: (symbol, ()) for symbol in symbols - set(rules)}
        nothing = np.zeros(max_length + 1)
        self._mass = {symbol: [nothing, word if symbol in self._words else nothing] for symbol in symbols}
        for depth in range(2, max_depth + 1):
            for symbol in symbols:
                self._mass[symbol].append(word if symbol in self._words else self._sum_rules(symbol, depth))
        self._plans: dict = {}
        self._splits: dict = {}

    def weights(self, symbol: str, depth: int | None = None) -> np.ndarray:
        """Weight of a symbol by length, at exactly this depth or, without one, at any."""
        return self._weigh(symbol, self._max_depth if depth is None else depth, depth is not None)

    def draw(self, random: Random, symbol: str, length: int, depth: int | None = None) -> Derivation:
        """A derivation of a symbol with exactly this many words, and exactly this depth if one is given."""
        return self._draw(random, symbol, length, self._max_depth if depth is None else depth, depth is not None)

    def _sum_rules(self, symbol: str, depth: int) -> np.ndarray:
        total = np.zeros(self._max_length + 1)
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
        one = np.zeros(self._max_length + 1)
        one[0] = 1.0
        suffixes = [one]
        for symbol, (depth, exact) in zip(reversed(symbols), reversed(bounds), strict=True):
            product = np.convolve(self._weigh(symbol, depth, exact), suffixes[0])
            suffixes.insert(0, product[: self._max_length + 1])
        return suffixes

    def _draw(self, random: Random, symbol: str, length: int, depth: int, exact: bool) -> Derivation:
        if symbol in self._words:
            return self._words[symbol]
        plans, totals = self._plans_of(symbol, length, depth, exact)
        rule, bounds = plans[bisect(totals, random.random() * totals[-1])]
        children = []
        for position, (child, (child_depth, child_exact)) in enumerate(zip(rule.right, bounds, strict=True)):
            size = 1 if child in self._words else self._draw_size(random, rule.right, bounds, position, length)
            children.append(self._draw(random, child, size, child_depth, child_exact))
            length -= size
        return symbol, tuple(children)

    def _plans_of(self, symbol: str, length: int, depth: int, exact: bool) -> tuple[list, list[float]]:
        """The rules that fit, each with the depth bounds of its parts, and their running weights."""
        key = symbol, length, depth, exact
        if key not in self._plans:
            plans, weights = [], []
            for rule in self._rules[symbol]:
                for bounds in self._bounds_of(rule, depth, exact):
                    weight = self._share[rule] * self._suffixes(rule.right, bounds)[0][length]
                    if weight > 0:
                        plans.append((rule, bounds))
                        weights.append(weight)
            if not plans:
                raise ValueError(f"no derivation of {symbol} has {length} words and depth {depth}")
            self._plans[key] = plans, list(accumulate(weights))
        return self._plans[key]

    def _bounds_of(self, rule: Rule, depth: int, exact: bool) -> list[_Bounds]:
        below = depth - 1
        if not exact:
            return [((below, False),) * len(rule.right)]
        first = range(len(rule.right))
        return [
            tuple((below - 1, False) if at < deepest else (below, at == deepest) for at in range(len(rule.right)))
            for deepest in first
        ]

    def _draw_size(self, random: Random, symbols: tuple[str, ...], bounds: _Bounds, position: int, length: int) -> int:
        key = symbols, bounds, position, length
        if key not in self._splits:
            rest = self._suffixes(symbols, bounds)[position + 1][length::-1]
            weights = self._weigh(symbols[position], *bounds[position])[: length + 1] * rest
            self._splits[key] = np.cumsum(weights).tolist()
        totals = self._splits[key]
        return bisect(totals, random.random() * totals[-1])
