"""Quadratic functions over weights that are not negative and sum to 1."""

import numpy as np
from jaxtyping import Float

_ROUNDING = 1e-9


def minimise_quadratic(
    weights: Float[np.ndarray, " layers"],
    slope: Float[np.ndarray, " layers"],
    curvature: Float[np.ndarray, "layers layers"],
) -> Float[np.ndarray, " layers"]:
    """The weights at which slope . (x - weights) + 1/2 (x - weights)' curvature (x - weights) is least.

    By active sets (Nocedal & Wright 2006, algorithm 16.3): some weights are held at 0, the others are at the minimum
    without bounds; where that lies outside, one more is held, and where one that is held would go in, it is let go.
    Curvature that points down is turned up first.
    """
    x, n = weights.astype(np.float64), len(weights)
    curved = _make_convex(curvature)
    held = x <= 0
    for _ in range(10 * n):
        target, level = _solve_free(weights, slope, curved, ~held)
        outside = np.flatnonzero(target < -_ROUNDING)
        if len(outside):
            shares = x[outside] / (x[outside] - target[outside])
            x = np.maximum(x + shares.min() * (target - x), 0)
            x[outside[shares.argmin()]] = 0
            held[outside[shares.argmin()]] = True
            continue
        x = np.maximum(target, 0)
        inward = np.where(held, slope + curved @ (x - weights) - level, 0)
        if inward.min() >= -_ROUNDING:
            break
        held[inward.argmin()] = False
    return x / x.sum()


def _make_convex(curvature: Float[np.ndarray, "layers layers"]) -> Float[np.ndarray, "layers layers"]:
    n = len(curvature)
    level = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(level @ curvature @ level)
    least = 1e-3 * max(np.abs(values).max(), 1e-12)
    return (vectors * np.maximum(np.abs(values), least)) @ vectors.T


def _solve_free(
    weights: np.ndarray, slope: np.ndarray, curvature: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, float]:
    """The minimum over free weights, the others at 0, under their sum alone; and the slope that all free have there."""
    count = int(free.sum())
    system = np.ones((count + 1, count + 1))
    system[:count, :count], system[-1, -1] = curvature[np.ix_(free, free)], 0
    pull = (curvature @ weights - slope)[free]
    solved = np.linalg.solve(system, np.append(pull, 1.0))
    target = np.zeros(len(weights))
    target[free] = solved[:-1]
    return target, -float(solved[-1])
