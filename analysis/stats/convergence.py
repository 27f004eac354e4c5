"""Steps that two models need to reach the same dev score, compared over seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.runs.training_run import TrainingRun, check_same_data
from analysis.stats.dev_curves import DevCurves, find_steps, read_curves
from probing.bootstrap import percentile_interval
from probing.records import InputError

SHARES = (0.95, 0.98, 0.99, 1.0)
"""Of the baseline's final dev score."""


def compare_convergence(
    baseline: TrainingRun, other: TrainingRun, shares: Sequence[float] = SHARES, seed: int = 0
) -> pd.DataFrame:
    """Steps of two models to shares of the baseline's final dev score, and their ratio, as defined above.

    Args:
        baseline: the run whose final score is the target.
        other: the run in question.
        shares: of the final score.
        seed: of the bootstrap.

    Returns:
        One row per share: `share target baseline_steps other_steps ratio ci_low ci_high bound baseline_reached
        other_reached baseline_seeds other_seeds`. Where `bound`, the other model never reached the target, its steps
        are infinite and `ratio` is the most that it can be. `*_reached`: share of seeds that reached it on their own.

    Raises:
        InputError: the runs are over different data, lack dev scores or prune, or the final score is not above 0.
    """
    check_same_data([baseline, other])
    one, two = read_curves(baseline), read_curves(other)
    if one.mean[0, -1] <= 0:
        raise InputError(f"{baseline.folder}: expected a final dev score above 0, got {one.mean[0, -1]:.3f}")
    rows = [_compare_at(share, one, two, np.random.default_rng(seed)) for share in shares]
    return pd.DataFrame(rows)


def _compare_at(share: float, one: DevCurves, two: DevCurves, generator: np.random.Generator) -> dict[str, float | int]:
    target = share * one.mean[:, -1]
    first, second = (float(find_steps(curves.steps, curves.mean, target)[0]) for curves in (one, two))
    bound = bool(np.isinf(second))
    ratio = first / (two.steps[-1] if bound else second) if min(first, second) > 0 else np.nan
    low, high = _bound_ratio(share, one, two, generator) if np.isfinite(ratio) else (np.nan, np.nan)
    return {
        "share": share, "target": float(target[0]), "baseline_steps": first, "other_steps": second,
        "ratio": ratio, "ci_low": low, "ci_high": high, "bound": bound,
        "baseline_reached": float((one.scores.max(axis=1) >= target[0]).mean()),
        "other_reached": float((two.scores.max(axis=1) >= target[0]).mean()),
        "baseline_seeds": len(one.scores), "other_seeds": len(two.scores),
    }  # fmt: skip


def _bound_ratio(share: float, one: DevCurves, two: DevCurves, generator: np.random.Generator) -> tuple[float, float]:
    """The interval of the ratio over seeds; none where a model has but one."""
    if min(len(one.scores), len(two.scores)) < 2:
        return np.nan, np.nan
    curves, others = one.resample(generator), two.resample(generator)
    targets = share * curves[:, -1]
    first, second = find_steps(one.steps, curves, targets), find_steps(two.steps, others, targets)
    # A step stands in for none, so that draws that start at the target have a ratio too.
    ratios = np.maximum(first, 1) / np.maximum(second, 1)
    low, high = percentile_interval(ratios)
    return float(low), float(high)
