"""The minima of a mixed probe at one strength: from wide starts, two side by side, in a part of the sentences first.

Basins are wide in the few layer weights, so that a part of the sentences shows which there are. From the minima of the
part, those of all sentences are then looked for; how many are different, and how deep they are, these tell.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.probes.linear import MANY_CLASSES
from probing.probes.mix_newton import APART, MixNewton, Place
from probing.probes.mix_problem import MixProblem
from probing.randomness import stream

_NEAR_STARTS = 6
"""Most starts near a layer, or near layers that follow one another."""
_NEAR = 0.6
"""What those layers have in a start near them, the others sharing the rest."""
_DRAWN_STARTS = 1
_SPREAD = 2.0
"""Standard deviation of the logarithms of weights that are drawn."""
_PART_SIZE = 2000
_PART_OF_CLASS = 20
"""Sentences of the part for each class, where these are more."""
_FAR_ABOVE = 0.03
"""A minimum of the part that lies above its lowest by more than this share is not looked for in all sentences."""
_MOST_KEPT = 4
"""Minima of the part that are."""
_TOGETHER = 2
"""Starts between which no minimum becomes known: so many threads can be at work, and results depend on none."""


def draw_starts(seed: int, n_layers: int) -> Float[np.ndarray, "starts layers"]:
    """Layer weights to start from: near each layer, and anywhere."""
    if n_layers == 1:
        return np.empty((0, 1))
    groups = np.array_split(np.arange(n_layers), min(n_layers, _NEAR_STARTS))
    near = np.full((len(groups), n_layers), (1 - _NEAR) / n_layers)
    for start, group in zip(near, groups, strict=True):
        start[group] += _NEAR / len(group)
    logs = stream(seed, "scalar_mix").normal(scale=_SPREAD, size=(_DRAWN_STARTS, n_layers))
    drawn = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.concatenate([near, drawn / drawn.sum(axis=1, keepdims=True)])


def find_minima(newton: MixNewton, first: Place, starts: Float[np.ndarray, "starts layers"], seed: int) -> list[Place]:
    """The different minima that the starts lead to, the lowest first.

    Args:
        newton: the probe.
        first: where to start before all; its classifier is what the others start with.
        starts: layer weights.
        seed: of the part of the sentences.
    """
    found = go_down(newton, [first], [])
    places = [replace(found[0], mix=mix) for mix in starts]
    rows = choose_sentences(newton.problem, seed)
    if len(rows) < len(newton.problem.labels):
        part = newton.part(rows)
        same = go_down(part, found, [])
        ends = sorted(go_down(part, places, same), key=lambda place: place.loss)
        low = [place for place in ends if place.loss <= ends[0].loss * (1 + _FAR_ABOVE)]
        # What the part has in place of the first minimum leads to that again.
        places = [place for place in low if np.abs(place.mix - same[0].mix).sum() >= APART][:_MOST_KEPT]
    return sorted(go_down(newton, places, found), key=lambda place: place.loss)


def go_down(newton: MixNewton, places: Sequence[Place], found: Sequence[Place]) -> list[Place]:
    """What was found, and what else some places lead to."""
    kept = list(found)
    for number in range(0, len(places), _TOGETHER):
        for place in side_by_side(newton, places[number : number + _TOGETHER], kept):
            if place is not None and not place.is_near(kept):
                kept = [place, *(other for other in kept if not other.is_near([place]))]
    return kept


def choose_sentences(problem: MixProblem, seed: int) -> Int[np.ndarray, " chosen"]:
    """The sentences of the part: drawn, all classes in their shares, one of the last class at least."""
    labels, n = problem.labels.cpu().numpy(), len(problem.labels)
    most = max(_PART_SIZE, _PART_OF_CLASS * problem.n_classes)
    if n <= most:
        return np.arange(n)
    order = stream(seed, "scalar_mix", "part").permutation(n)
    if labels.ndim == 2:
        return np.sort(order[:most])
    by_class = order[np.argsort(labels[order], kind="stable")]
    return np.unique(np.append(by_class[:: -(-n // most)], by_class[-1]))


def side_by_side(newton: MixNewton, places: Sequence[Place], known: Sequence[Place]) -> list[Place | None]:
    """Where some places lead to, each on a thread of its own where the vectors stand in memory."""
    workers = min(torch.get_num_threads(), len(places)) if newton.problem.vectors.held else 1
    # Products with few classes are too small for two: threads would wait for one another in each of them.
    many = newton.problem.n_classes >= MANY_CLASSES
    threads = max(1, torch.get_num_threads() // workers) if many else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        return list(pool.map(lambda place: copy(newton).minimise(place, known), places))
