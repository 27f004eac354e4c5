"""Steps that two models need to reach the same dev score, compared over seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import t

from analysis.runs.training_run import TrainingRun, check_same_data
from analysis.stats.dev_curves import DevCurves, find_steps, read_curves
from probing.records import InputError

SHARES = (0.95, 0.98, 0.99, 1.0)
"""Of the baseline's final dev score."""

LARGEST_SHARE = 0.98
"""Above it the ratio has no interval: the baseline reaches its own last score by definition, the other may not."""


def compare_convergence(baseline: TrainingRun, other: TrainingRun, shares: Sequence[float] = SHARES) -> pd.DataFrame:
    """Steps of two models to shares of the baseline's final dev score, and their ratio: see `analysis.convergence`.

    Args:
        baseline: the run whose final score is the target.
        other: the run in question.
        shares: of the final score.

    Returns:
        One row per share: `share target baseline_steps other_steps ratio ci_low ci_high p bound baseline_reached
        other_reached baseline_seeds other_seeds`. Where `bound`, the other model never reached the target, its
        steps are infinite and `ratio` is the most that it can be. `*_reached`: share of seeds that reached it
        on their own.

    Raises:
        InputError: the runs are over different data, lack dev scores or prune, or the final score is not above 0.
    """
    check_same_data([baseline, other])
    one, two = read_curves(baseline), read_curves(other)
    if one.mean[0, -1] <= 0:
        raise InputError(f"{baseline.folder}: expected a final dev score above 0, got {one.mean[0, -1]:z.3f}")
    rows = [_compare_at(share, one, two) for share in shares]
    return pd.DataFrame(rows)


def _compare_at(share: float, one: DevCurves, two: DevCurves) -> dict[str, float | int]:
    target = share * one.mean[:, -1]
    first, second = (float(find_steps(curves.steps, curves.mean, target)[0]) for curves in (one, two))
    bound = bool(np.isinf(second))
    ratio = first / (two.steps[-1] if bound else second) if min(first, second) > 0 else np.nan
    error = measure_error(share, one, two) if np.isfinite(ratio) and not bound else np.nan
    low, high, p = judge_ratio(ratio, error, min(len(one.scores), len(two.scores)) - 1)
    return {
        "share": share, "target": float(target[0]), "baseline_steps": first, "other_steps": second,
        "ratio": ratio, "ci_low": low, "ci_high": high, "p": p, "bound": bound,
        "baseline_reached": float((one.scores.max(axis=1) >= target[0]).mean()),
        "other_reached": float((two.scores.max(axis=1) >= target[0]).mean()),
        "baseline_seeds": len(one.scores), "other_seeds": len(two.scores),
    }  # fmt: skip


def measure_error(share: float, one: DevCurves, two: DevCurves) -> float:
    """The jackknife's standard error over seeds of the logarithm of the ratio; NaN where it has none.

    With r_(i) the log ratio without seed i of a model's m seeds, and r its mean over i:

        error^2 = sum over the two models of (m - 1) / m sum_i (r_(i) - r)^2
    """
    if min(len(one.scores), len(two.scores)) < 2 or share > LARGEST_SHARE:
        return float("nan")
    fewer, others = one.leave_one_out(), two.leave_one_out()
    whole = (_log_steps(one, one.mean, share * one.mean[:, -1]), _log_steps(two, two.mean, share * one.mean[:, -1]))
    targets = share * fewer[:, -1]
    of_one = _log_steps(one, fewer, targets) - _log_steps(two, np.repeat(two.mean, len(fewer), axis=0), targets)
    of_two = whole[0] - _log_steps(two, others, np.repeat(share * one.mean[:, -1], len(others)))
    if not all(np.isfinite(values).all() for values in (*whole, of_one, of_two)):
        return float("nan")
    variance = sum((len(values) - 1) * np.var(values) for values in (of_one, of_two))
    return float(np.sqrt(variance))


def judge_ratio(ratio: float, error: float, freedom: int) -> tuple[float, float, float]:
    """Bounds of Student's 95 % interval of a ratio, and the two-sided p of 1.

    All NaN where the error is 0 or NaN: seeds that do not differ say nothing of others.
    """
    if not error > 0:
        return np.nan, np.nan, np.nan
    centre, half = np.log(ratio), t.ppf(0.975, freedom) * error
    return float(np.exp(centre - half)), float(np.exp(centre + half)), float(2 * t.sf(abs(centre) / error, freedom))


def _log_steps(
    curves: DevCurves, drawn: Float[np.ndarray, "curves steps"], targets: Float[np.ndarray, " curves"]
) -> Float[np.ndarray, " curves"]:
    # A step stands in for none, so that curves that start at the target have a ratio too.
    return np.log(np.maximum(find_steps(curves.steps, drawn, targets), 1))
